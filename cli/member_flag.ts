/**
 * The flags of commands that are about a member, which need not be the node
 * they talk to: `--node dev2@127.0.0.1`, a name without a port, is a member that
 * is asked by way of the node that `--data` or the environment names. With a
 * port it is talked to itself, as everywhere.
 *
 * @module
 */
import type { AdminSession } from "../src/node/admin_protocol.ts";
import { type Flag, type Invocation, UsageError } from "./command.ts";
import { withSession } from "./session_flags.ts";
import type { World } from "./world.ts";

/** `--node` of a command that is about a member. */
export const MEMBER_FLAG: Flag = {
  name: "node",
  value: "NAME@HOST[:PORT]",
  says:
    "the member it is about, by way of the node --data names; with a port, the node to talk to",
  default: "the node you talk to",
};

/** `--all` of a command that is about members. */
export const ALL_FLAG: Flag = { name: "all", says: "it is about all members" };

/** A name of a member: no port, and nothing a shell or a table would trip over. */
export function isMemberName(text: string): boolean {
  return /^[^@\s]+@(\[[0-9a-fA-F:.%]+\]|[^@:\s]+)$/.test(text);
}

/** Opens a session and says which member the command is about. */
export function withMember(
  invocation: Invocation,
  world: World,
  use: (
    session: AdminSession,
    member: string,
    options: { timeoutMs: number },
  ) => Promise<number>,
): Promise<number> {
  const node = invocation.text("node");
  const named = node !== undefined && isMemberName(node) ? node : undefined;
  return withSession(
    named === undefined ? invocation : withoutNode(invocation),
    world,
    (session, options) => use(session, named ?? session.node, options),
  );
}

/** As {@linkcode withMember}, for one member or, with `--all` (`null`), for all. */
export function withMembers(
  invocation: Invocation,
  world: World,
  use: (
    session: AdminSession,
    nodes: readonly string[] | null,
    options: { timeoutMs: number },
  ) => Promise<number>,
): Promise<number> {
  const all = invocation.on("all");
  if (all && isMemberName(invocation.text("node") ?? "")) {
    throw new UsageError(
      "--all and --node both say whom it is about: give one",
    );
  }
  return withMember(
    invocation,
    world,
    (session, member, options) => use(session, all ? null : [member], options),
  );
}

function withoutNode(invocation: Invocation): Invocation {
  return {
    ...invocation,
    text: (flag) => flag === "node" ? undefined : invocation.text(flag),
  };
}
