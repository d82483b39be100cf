/**
 * Which member of an ensemble to add or remove next, so that in the end it has
 * one on each node it should, and at no time fewer that can agree than before.
 *
 *     a member is gone from its node ──► add it anew
 *     a wanted node is missing ──► add it ──► wait until it votes
 *     all wanted nodes that are up vote ──► the leader is not wanted: hand the lead over
 *                                     └───► remove one that is not wanted
 *
 * One at a time, as Raft changes members (thesis 4.1).
 *
 * @module
 */
import type { Member } from "../raft/raft_entry.ts";

/** What the leader of an ensemble knows of it. */
export interface EnsembleMembers {
  /** The members a majority has agreed on. */
  readonly members: readonly Member[];
  /** Name of the leader's node. */
  readonly leader: string;
  /** Nodes that should have a member, the preferred leader first. */
  readonly wanted: readonly string[];
  /** Whether a node can be reached. */
  readonly isUp: (node: string) => boolean;
  /**
   * Whether a member's node has reported that it has no such member, and so
   * never will.
   */
  readonly isGone: (member: Member) => boolean;
}

/** The next step. */
export type MemberStep =
  | { readonly type: "add" | "remove"; readonly node: string }
  /** Transfer leadership: a leader cannot well be removed. */
  | { readonly type: "transfer"; readonly to: string }
  /** A member is being added, or a node must come back first. */
  | { readonly type: "wait" }
  /** It has the members it should. */
  | { readonly type: "none" };

const WAIT: MemberStep = { type: "wait" };

/** Decides; see the module comment. */
export function planMembers(ensemble: EnsembleMembers): MemberStep {
  const { members, wanted, isUp, isGone } = ensemble;
  if (wanted.length === 0) return WAIT;
  const gone = members.find((member) =>
    isGone(member) && isUp(member.node) && wanted.includes(member.node)
  );
  if (gone !== undefined) {
    return canAgreeWithout(ensemble, gone)
      ? { type: "add", node: gone.node }
      : WAIT;
  }
  const present = members.map(({ node }) => node);
  const missing = wanted.filter((node) => !present.includes(node));
  const extra = members.filter(({ node }) => !wanted.includes(node));
  if (missing.length === 0 && extra.length === 0) {
    return members.every(({ kind }) => kind === "voter")
      ? { type: "none" }
      : WAIT;
  }
  // Removing one that does not vote is no loss, and it may be why nothing else
  // proceeds.
  const idle = extra.find(({ kind }) => kind !== "voter");
  if (idle !== undefined) return { type: "remove", node: idle.node };
  const isComing = members.some(({ node, kind }) =>
    kind !== "voter" && isUp(node)
  );
  if (isComing) return WAIT;
  const next = missing.find(isUp);
  if (next !== undefined) return { type: "add", node: next };
  return planRemoval(ensemble, extra);
}

function votersOf({ members }: EnsembleMembers): Member[] {
  return members.filter(({ kind }) => kind === "voter");
}

/**
 * Whether the voters other than `going` can agree, as far as they are
 * reachable.
 */
function canAgreeWithout(ensemble: EnsembleMembers, going: Member): boolean {
  const { leader, isUp, isGone } = ensemble;
  const left = votersOf(ensemble).filter((voter) => voter !== going);
  const there = left.filter((voter) =>
    voter.node === leader || isUp(voter.node) && !isGone(voter)
  );
  return there.length * 2 > left.length;
}

/** Which member to remove, once everything that can be added has been. */
function planRemoval(
  ensemble: EnsembleMembers,
  extra: readonly Member[],
): MemberStep {
  const { leader, wanted, isUp, isGone } = ensemble;
  const voters = votersOf(ensemble);
  // Rather one too many than one too few, while a wanted node is away.
  if (voters.length <= wanted.length) return WAIT;
  const dead = extra.find((member) =>
    member.node !== leader && (!isUp(member.node) || isGone(member))
  );
  const going = dead ?? extra.find(({ node }) => node !== leader);
  if (going !== undefined) {
    return canAgreeWithout(ensemble, going)
      ? { type: "remove", node: going.node }
      : WAIT;
  }
  const to = wanted.find((node) =>
    isUp(node) && voters.some((voter) => voter.node === node)
  );
  return extra.length === 0 || to === undefined
    ? WAIT
    : { type: "transfer", to };
}
