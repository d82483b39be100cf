/**
 * Asks members through the one node a session talks to.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type {
  AdminSession,
  MemberAnswers,
  MemberMethods,
} from "../node/admin_protocol.ts";

/**
 * Most time for each member, in milliseconds; a command with a shorter timeout
 * gives them half of it.
 */
const MEMBER_TIMEOUT_MS = 3_000;

/** Which members to ask, and for how long. */
export interface MemberCallOptions {
  /** `null` asks all members. */
  readonly nodes: readonly string[] | null;
  /** Timeout of the command, in milliseconds. */
  readonly timeoutMs: number;
  /** Cancels the call; it fails with `cancelled`. */
  readonly signal?: AbortSignal | undefined;
}

/** Asks members through the node at the other end of `session`. */
export async function askMembers<Method extends keyof MemberMethods>(
  session: AdminSession,
  method: Method,
  args: MemberMethods[Method]["args"],
  { nodes, timeoutMs, signal }: MemberCallOptions,
): Promise<MemberAnswers<MemberMethods[Method]["result"]>> {
  const answers = await session.call("ask_members", {
    method,
    args,
    nodes,
    // Leaves time for the answers of the others to arrive.
    timeoutMs: Math.max(
      1,
      Math.min(MEMBER_TIMEOUT_MS, Math.floor(timeoutMs / 2)),
    ),
  }, { timeoutMs, signal });
  return answers as MemberAnswers<MemberMethods[Method]["result"]>;
}

/** Asks one member. @throws {WhorlError} The member's error, or why it cannot be asked. */
export async function askMember<Method extends keyof MemberMethods>(
  session: AdminSession,
  node: string,
  method: Method,
  args: MemberMethods[Method]["args"],
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<MemberMethods[Method]["result"]> {
  const { answers, failures } = await askMembers(session, method, args, {
    nodes: [node],
    timeoutMs,
  });
  const [failure] = failures;
  if (failure !== undefined) {
    throw new WhorlError(failure.code, failure.message, {
      details: { ...failure.details },
    });
  }
  const [answer] = answers;
  if (answer !== undefined) return answer.result;
  throw new WhorlError(
    "protocol_error",
    `Cannot read what ${session.node} answered for ${node}`,
  );
}
