/**
 * The members of a group as a value, and single-member changes of it.
 *
 * Members change one at a time: any majority before a change and any majority
 * after it share a voter (thesis 4.1), as long as at most one voter is added or
 * removed.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { entryBody } from "./entry_body.ts";
import { readMembership, writeMembership } from "./membership_codec.ts";
import {
  ENTRY_HEADER_BYTES,
  EntryKind,
  type Member,
  type Membership,
  type RaftEntry,
} from "./raft_entry.ts";
import type { MembershipChange, RaftRefusal } from "./raft_events.ts";

/** The member on `node`, whatever its uid. */
export function memberOn(
  membership: Membership,
  node: string,
): Member | undefined {
  for (const member of membership.members) {
    if (member.node === node) return member;
  }
  return undefined;
}

/** Whether this incarnation of the member on `node` votes. */
export function isVoter(
  membership: Membership,
  node: string,
  uid: number,
): boolean {
  const member = memberOn(membership, node);
  return member?.kind === "voter" && member.uid === uid;
}

/** Whether this incarnation of the member on `node` belongs to the group. */
export function isMember(
  membership: Membership,
  node: string,
  uid: number,
): boolean {
  return memberOn(membership, node)?.uid === uid;
}

/** The voting members. */
export function votersOf(membership: Membership): readonly Member[] {
  return membership.members.filter(({ kind }) => kind === "voter");
}

/** The members after `change`, whose entry will be at `index`; or why it is refused. */
export function changeMembers(
  before: Membership,
  change: MembershipChange,
  index: number,
): Membership | RaftRefusal {
  const { node } = change;
  const present = memberOn(before, node);
  let member: Member | undefined;
  if (change.type === "add") {
    const { uid } = change;
    if (present?.uid === uid) return "already_member";
    // A member that lost its log has also lost what it acknowledged: it votes
    // again only once it has the log again.
    const kind = present !== undefined && change.kind === "voter"
      ? "promotable"
      : change.kind;
    member = { node, uid, kind, target: kind === "promotable" ? index : 0 };
  } else if (present === undefined) return "not_member";
  const after = replaced(before, node, member, index);
  // Without voters the group could never commit anything again.
  return votersOf(after).length > 0 ? after : "cluster_change_not_permitted";
}

/** The members after the one on `node` has become a voter. */
export function promoteMember(
  before: Membership,
  node: string,
  index: number,
): Membership {
  const { uid } = memberOn(before, node) as Member;
  return replaced(before, node, { node, uid, kind: "voter", target: 0 }, index);
}

function replaced(
  before: Membership,
  node: string,
  member: Member | undefined,
  index: number,
): Membership {
  const members = before.members.filter((other) => other.node !== node);
  if (member !== undefined) members.push(member);
  return { index, members: orderMembers(members) };
}

/** Sorts members by node, as in a membership. */
export function orderMembers(members: readonly Member[]): readonly Member[] {
  return [...members].sort((a, b) => a.node < b.node ? -1 : 1);
}

/** The body of the entry for `membership`. No machine sees it, so it has no time. */
export function membershipBody(
  membership: Membership,
): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  writeMembership(writer, membership);
  return entryBody(EntryKind.membership, 0, writer.view());
}

/**
 * The members in an entry of the kind `membership`.
 *
 * @throws {WhorlError} `protocol_error` if its data are invalid.
 */
export function membershipOf(entry: RaftEntry): Membership {
  const reader = new ByteReader(entry.body.subarray(ENTRY_HEADER_BYTES));
  const { members } = readMembership(reader);
  return { index: entry.index, members };
}
