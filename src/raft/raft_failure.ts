/**
 * Why a member of a Raft group has not done something, for callers.
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
    `Cannot tell whether it happened as ${node} has lost the lead of ${group}`,
  deleted: (group) => `${group} was deleted`,
  closed: (group, node) => `The member of ${group} on ${node} is stopping`,
  cluster_change_not_permitted: (group) =>
    `Cannot change the members of ${group} now: another change is under way, or its leader is new`,
  already_member: (group) =>
    `Cannot add a node to ${group} that is a member of it`,
  not_member: (group) =>
    `Cannot remove a node from ${group} that is no member of it`,
  already_leader: (group, node) => `${node} leads ${group} already`,
  unknown_member: (group) =>
    `Cannot hand the lead of ${group} to a node that is no member of it`,
  non_voter: (group) =>
    `Cannot hand the lead of ${group} to a member that does not vote`,
  not_up_to_date: (group) =>
    `Cannot hand the lead of ${group} to a member whose log is behind`,
  transferring: (group) => `The lead of ${group} is being handed over`,
  overload: (group, node) =>
    `${node} takes no more for ${group} now as too much is under way`,
};

/** The failure of the member of `group` on `node`, with the leader it knows in its details. */
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
