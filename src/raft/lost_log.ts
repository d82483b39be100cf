/**
 * The failure of a member whose log has lost something it acknowledged.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { GroupLog } from "./log/raft_log.ts";
import type { Member } from "./raft_entry.ts";

/** A `tail_lost` with the members that the log knows in its details, for the member to ask them for the log. */
export function lostLogError(log: GroupLog, cause: unknown): WhorlError {
  return new WhorlError(
    "tail_lost",
    `Cannot continue group ${log.config.name} as part of what this member acknowledged is missing from its log`,
    {
      details: { group: log.config.name, members: membersOf(log) },
      ...(cause === undefined ? {} : { cause }),
    },
  );
}

/** The members as far as the log knows. */
function membersOf({ recovered, config }: GroupLog): readonly Member[] {
  return (recovered.memberships.at(-1) ?? recovered.snapshot?.membership ??
    config.initial).members;
}
