/**
 * Failures of a member of a Raft group, for callers.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { RaftFailure } from "./raft_member.ts";

const SENTENCES: Readonly<
  Record<RaftFailure, (group: string, node: string) => string>
> = {
  not_leader: (group, node) => `${node} does not lead ${group}`,
  leader_lost: (group, node) =>
    `Cannot tell whether it happened as ${node} lost the leadership of ${group}`,
  deleted: (group) => `${group} was deleted`,
  closed: (group, node) => `The member of ${group} on ${node} is stopping`,
  cluster_change_not_permitted: (group) =>
    `Cannot change the members of ${group} now: another change is in progress, or its leader is new`,
  already_member: (group) =>
    `Cannot add a node to ${group} that is already a member`,
  not_member: (group) =>
    `Cannot remove a node from ${group} that is not a member`,
  already_leader: (group, node) => `${node} leads ${group} already`,
  unknown_member: (group) =>
    `Cannot transfer the leadership of ${group} to a node that is not a member`,
  non_voter: (group) =>
    `Cannot transfer the leadership of ${group} to a member that does not vote`,
  not_up_to_date: (group) =>
    `Cannot transfer the leadership of ${group} to a member whose log is behind`,
  transferring: (group) => `The leadership of ${group} is being transferred`,
  overload: (group, node) =>
    `${node} is overloaded for ${group}: too many requests are in progress`,
};

/** The error for a failure of the member of `group` on `node`; the known leader is in its details. */
export function raftFailure(
  { group, node }: { readonly group: string; readonly node: string },
  reason: RaftFailure,
  leader: string | undefined,
): WhorlError {
  const code = reason === "deleted" ? "unknown_cluster" : reason;
  return new WhorlError(code, SENTENCES[reason](group, node), {
    details: { cluster: group, node, leader: leader ?? null },
  });
}
