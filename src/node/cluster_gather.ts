/**
 * Calls to many members: a node calls a method on others over its links and
 * reports what each answered, or why it did not. A member that is down or slow
 * does not affect the answers of the others.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import { compareTexts } from "../base/text_order.ts";
import type { MemberAnswers, MemberFailure } from "./admin_protocol.ts";

/**
 * Default time of each member, in milliseconds. Less than a command waits, so
 * that the answers of the others arrive.
 */
export const ASK_TIMEOUT_MS_DEFAULT = 3_000;
/** Longest time that a call may give them, in milliseconds. */
export const ASK_TIMEOUT_MS_MAX = 60_000;

/** How a node reaches members. */
export interface MemberCalls {
  readonly runtime: Runtime;
  /** The node that asks. */
  readonly self: string;
  /** All members, this one included. */
  members(): readonly string[];
  /** Answers here. */
  perform(method: string, args: unknown): unknown;
  /** Has another member answer. @throws {WhorlError} `not_reachable` if it is not connected. */
  call(
    member: string,
    method: string,
    args: unknown,
    timeoutMs: number,
  ): Promise<unknown>;
}

/** What is asked of whom. */
export interface GatherQuestion {
  readonly method: string;
  readonly args: unknown;
  /** `null` for all members. */
  readonly nodes: readonly string[] | null;
  /** @default {ASK_TIMEOUT_MS_DEFAULT} */
  readonly timeoutMs?: number | undefined;
}

/**
 * Asks members concurrently.
 *
 * @throws {WhorlError} `invalid_argument` if `timeoutMs` is out of bounds.
 */
export async function askMembers(
  calls: MemberCalls,
  question: GatherQuestion,
): Promise<MemberAnswers<unknown>> {
  const { nodes, timeoutMs = ASK_TIMEOUT_MS_DEFAULT } = question;
  if (timeoutMs < 1 || timeoutMs > ASK_TIMEOUT_MS_MAX) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot take 'timeoutMs' as it must be between 1 and ${ASK_TIMEOUT_MS_MAX}: it is ${timeoutMs}`,
    );
  }
  const members = calls.members();
  const asked = [...new Set(nodes ?? members)].sort(compareTexts);
  const answers: { node: string; result: unknown }[] = [];
  const failures: MemberFailure[] = [];
  const outcomes = await Promise.allSettled(
    asked.map((node) => ask(calls, members, node, question, timeoutMs)),
  );
  outcomes.forEach((outcome, place) => {
    const node = asked[place] as string;
    if (outcome.status === "rejected") {
      failures.push(failureOf(node, outcome.reason));
    } else answers.push({ node, result: outcome.value });
  });
  return { answers, failures };
}

async function ask(
  calls: MemberCalls,
  members: readonly string[],
  node: string,
  { method, args }: GatherQuestion,
  timeoutMs: number,
): Promise<unknown> {
  if (!members.includes(node)) {
    throw new WhorlError(
      "not_member",
      `Cannot ask ${node} as it is no member of the cluster`,
      { details: { node } },
    );
  }
  return node === calls.self
    ? await inTime(
      calls.runtime,
      timeoutMs,
      method,
      async () => await calls.perform(method, args),
    )
    : await calls.call(node, method, args, timeoutMs);
}

/**
 * Performs the call on this node itself, which may hang as well: on a disk, a
 * worker.
 *
 * @throws {WhorlError} `timeout`.
 */
export async function inTime<T>(
  runtime: Runtime,
  timeoutMs: number,
  method: string,
  work: () => Promise<T>,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = runtime.setTimer(timeoutMs, () =>
    late.reject(
      new WhorlError(
        "timeout",
        `Cannot call '${method}' in time: no answer in ${timeoutMs} ms`,
      ),
    ));
  try {
    return await Promise.race([work(), late.promise]);
  } finally {
    runtime.clearTimer(timer);
  }
}

function failureOf(node: string, error: unknown): MemberFailure {
  return isWhorlError(error)
    ? {
      node,
      code: error.code,
      message: error.message,
      details: error.details,
    }
    : { node, code: "internal", message: reasonOf(error), details: {} };
}

/** Does `work`, and fails with `cancelled` once `signal` fires. */
export async function unlessCancelled<T>(
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (signal === undefined) return await work();
  const cancelled = Promise.withResolvers<never>();
  const onAbort = () =>
    cancelled.reject(
      new WhorlError("cancelled", "The call was cancelled"),
    );
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([
      cancelled.promise,
      signal.aborted ? cancelled.promise : work(),
    ]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
