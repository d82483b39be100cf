/**
 * What a leader does besides replicating its log: it accepts proposals and
 * membership changes, commits, checks that it still has a majority, and
 * transfers leadership.
 *
 * @module
 */
import { noopBody } from "./known_log.ts";
import {
  changeMembers,
  isMember,
  isVoter,
  membershipBody,
  promoteMember,
} from "./membership.ts";
import { createProgress, type Progress } from "./progress.ts";
import { majorityOf } from "./quorum_index.ts";
import type { Membership, RaftEntry } from "./raft_entry.ts";
import type {
  MembershipChange,
  Proposal,
  RaftEffect,
  RaftRefusal,
} from "./raft_events.ts";
import {
  advanceCommit,
  type Leadership,
  mayStand,
  type RaftState,
  refuseRequest,
} from "./raft_state.ts";
import { beginRounds, roundsConfirmed } from "./reads.ts";
import { ReadRounds } from "./read_rounds.ts";
import { appendOwn, majorityIndex } from "./replication.ts";
import { changeRole, clearTimer, endTransfer, loseLeader } from "./roles.ts";

/** Entries that may wait for a majority; further proposals are refused. */
export const UNCOMMITTED_ENTRIES_MAX = 16_384;
/** A commit of this many entries is work for the followers' machines, so they are told at once. */
export const TELL_AT_ONCE_ENTRIES = 32;
/** Quorum checks after which a transfer of leadership is abandoned. */
const TRANSFER_CHECKS_MAX = 2;

/** A majority has voted for this member. */
export function becomeLeader(state: RaftState, effects: RaftEffect[]): void {
  const { log, forced } = state;
  state.attempts = 0;
  changeRole(state, "leader", state.node, effects);
  clearTimer(effects);
  const { term } = state;
  const noopIndex = log.lastIndex + 1;
  // The version never decreases: members that applied entries with a higher one
  // cannot go back.
  const version = Math.max(state.ownMachineVersion, log.machineVersion);
  const entries: RaftEntry[] = [
    { index: noopIndex, term, body: noopBody(version) },
  ];
  if (forced !== undefined) {
    const membership = { index: noopIndex + 1, members: forced.members };
    const { index } = membership;
    entries.push({ index, term, body: membershipBody(membership) });
    state.forced = undefined;
  }
  const leadership: Leadership = {
    noopIndex,
    peers: new Map(),
    reads: new ReadRounds(),
    isTellingSoon: false,
    scratch: [],
  };
  state.leadership = leadership;
  for (const member of (forced ?? log.membership).members) {
    if (member.node === state.node) continue;
    leadership.peers.set(member.node, createProgress(member, log.lastIndex));
  }
  appendOwn(state, leadership, entries, effects);
}

/** Appends proposals to the log, or refuses all of them. */
export function propose(
  state: RaftState,
  proposals: readonly Proposal[],
  effects: RaftEffect[],
): void {
  const reason = refusalOf(state, proposals.length);
  const { leadership, term } = state;
  if (reason !== undefined || leadership === undefined) {
    effects.push({
      type: "proposals_refused",
      proposals,
      reason: reason ?? "not_leader",
    });
    return;
  }
  if (proposals.length === 0) return;
  const entries = new Array<RaftEntry>(proposals.length);
  let index = state.lastIndex;
  for (let i = 0; i < proposals.length; i++) {
    entries[i] = {
      index: ++index,
      term,
      body: (proposals[i] as Proposal).body,
    };
  }
  appendOwn(state, leadership, entries, effects);
}

function refusalOf(state: RaftState, count: number): RaftRefusal | undefined {
  if (state.leadership === undefined) return "not_leader";
  if (state.transfer !== undefined) return "transferring";
  return state.lastIndex - state.commitIndex + count > UNCOMMITTED_ENTRIES_MAX
    ? "overload"
    : undefined;
}

/** Begins a membership change, or refuses it. */
export function changeMembership(
  state: RaftState,
  request: number,
  change: MembershipChange,
  effects: RaftEffect[],
): void {
  const { leadership, term } = state;
  const index = state.lastIndex + 1;
  const changed = leadership === undefined
    ? "not_leader"
    : state.transfer !== undefined
    ? "transferring"
    : !mayChangeMembers(state, leadership)
    ? "cluster_change_not_permitted"
    : change.type === "add" && change.node === state.node
    // The leader itself is alive as its present incarnation.
    ? "already_member"
    : changeMembers(state.membership, change, index);
  if (typeof changed === "string" || leadership === undefined) {
    refuseRequest(request, changed as RaftRefusal, effects);
    return;
  }
  effects.push({ type: "change_begun", request, index, term });
  appendMembership(state, leadership, changed, effects);
}

/**
 * Whether the members may change: not while an earlier change can still be
 * undone (thesis 4.1), and not before an entry of this term is committed, since
 * a change of an older leader might come back (Ongaro, raft-dev, July 2015).
 */
function mayChangeMembers(state: RaftState, leadership: Leadership): boolean {
  return state.commitIndex >= leadership.noopIndex &&
    state.membership.index <= state.commitIndex;
}

function appendMembership(
  state: RaftState,
  leadership: Leadership,
  membership: Membership,
  effects: RaftEffect[],
): void {
  const { index } = membership;
  const body = membershipBody(membership);
  appendOwn(state, leadership, [{ index, term: state.term, body }], effects);
  // With fewer voters, those that have answered may be enough.
  roundsConfirmed(state, leadership, effects);
  commitMore(state, leadership, effects);
}

/** Promotes a member that has caught up; one at a time (thesis 4.2.1). */
export function promoteOne(
  state: RaftState,
  leadership: Leadership,
  effects: RaftEffect[],
): void {
  if (state.transfer !== undefined) return;
  for (const { node, member, match } of leadership.peers.values()) {
    if (member.kind !== "promotable" || match < member.target) continue;
    if (!mayChangeMembers(state, leadership)) return;
    const index = state.lastIndex + 1;
    const promoted = promoteMember(state.membership, node, index);
    appendMembership(state, leadership, promoted, effects);
    return;
  }
}

/** Commits what a majority has, and does what waited for that. */
export function commitMore(
  state: RaftState,
  leadership: Leadership,
  effects: RaftEffect[],
): void {
  const before = state.commitIndex;
  const index = majorityIndex(state, leadership);
  // An entry of an older term is not safe just because a majority has it
  // (paper, figure 8): it is committed with the first entry of this term.
  if (index <= before || index < leadership.noopIndex) return;
  advanceCommit(state, index, effects);
  beginRounds(state, leadership, effects);
  promoteOne(state, leadership, effects);
  // That may have committed more, or ended the leadership.
  if (state.commitIndex !== index) return;
  if (hasLeft(state)) leave(state, leadership, effects);
  else if (index - before >= TELL_AT_ONCE_ENTRIES) {
    tellCommit(state, leadership, effects);
  } else tellCommitSoon(state, leadership, effects);
}

/**
 * Schedules a message about the commit for members that get no other message
 * soon, so that their machines do not lag. Under load the next append carries
 * the commit index: separate messages would double their number.
 */
export function tellCommitSoon(
  state: RaftState,
  leadership: Leadership,
  effects: RaftEffect[],
): void {
  if (leadership.isTellingSoon) return;
  for (const peer of leadership.peers.values()) {
    if (!isToBeTold(state, peer)) continue;
    leadership.isTellingSoon = true;
    effects.push({ type: "tell_commit_soon" });
    return;
  }
}

function isToBeTold(
  { commitIndex, lastIndex }: RaftState,
  { commitSent, mode }: Progress,
): boolean {
  return commitSent < commitIndex && mode === "replicate" &&
    // More acknowledgements are to come, and with them a later commit.
    commitIndex === lastIndex;
}

/** Tells the commit index to all members that do not know it. */
export function tellCommit(
  state: RaftState,
  leadership: Leadership,
  effects: RaftEffect[],
): void {
  const { term, commitIndex } = state;
  leadership.isTellingSoon = false;
  for (const peer of leadership.peers.values()) {
    if (!isToBeTold(state, peer)) continue;
    peer.commitSent = commitIndex;
    effects.push({
      type: "send",
      to: peer.node,
      message: { type: "heartbeat", term, commitIndex },
    });
  }
}

/** Whether its removal from the group is committed. */
function hasLeft(state: RaftState): boolean {
  const { membership, commitIndex } = state;
  return membership.index <= commitIndex &&
    !isMember(membership, state.node, state.uid);
}

/** A leader whose own removal is committed announces that and steps down (thesis 4.2.2). */
function leave(
  state: RaftState,
  leadership: Leadership,
  effects: RaftEffect[],
): void {
  const { lastIndex, term } = state;
  tellCommit(state, leadership, effects);
  // Otherwise the others would only notice its silence.
  const heir = bestVoter(leadership);
  if (heir !== undefined && heir.match === lastIndex) {
    askToStand(heir.node, term, effects);
  }
  loseLeader(state, effects);
}

/** Counts the members that have answered since the last check; steps down without a majority (thesis 6.2). */
export function checkQuorum(
  state: RaftState,
  leadership: Leadership,
  effects: RaftEffect[],
): void {
  let voters = 0;
  let heard = 0;
  for (const peer of leadership.peers.values()) {
    if (peer.member.kind === "voter") {
      voters++;
      if (peer.heard) heard++;
    }
    peer.heard = false;
  }
  if (isVoter(state.membership, state.node, state.uid)) {
    voters++;
    heard++;
  }
  if (heard < majorityOf(voters)) loseLeader(state, effects);
  else checkTransfer(state, effects);
}

/** Begins to transfer leadership to the member on `to`, or refuses to. */
export function transferLeadership(
  state: RaftState,
  request: number,
  to: string,
  effects: RaftEffect[],
): void {
  const { leadership } = state;
  const peer = leadership?.peers.get(to);
  const refusal: RaftRefusal | undefined = leadership === undefined
    ? "not_leader"
    : state.transfer !== undefined
    ? "transferring"
    : to === state.node
    ? "already_leader"
    : peer === undefined
    ? "unknown_member"
    : peer.member.kind !== "voter"
    ? "non_voter"
    : undefined;
  if (refusal !== undefined || peer === undefined) {
    refuseRequest(request, refusal as RaftRefusal, effects);
    return;
  }
  beginTransfer(state, peer, request, effects);
}

function beginTransfer(
  state: RaftState,
  to: Progress,
  request: number | undefined,
  effects: RaftEffect[],
): void {
  state.transfer = { to: to.node, request, asked: false, checks: 0 };
  handOver(state, to, effects);
}

/** Asks the target of a transfer to start an election, once it has the whole log and so can win (thesis 3.10). */
export function handOver(
  state: RaftState,
  peer: Progress,
  effects: RaftEffect[],
): void {
  const { transfer } = state;
  if (transfer?.to !== peer.node || transfer.asked) return;
  if (peer.match < state.lastIndex) return;
  transfer.asked = true;
  askToStand(peer.node, state.term, effects);
}

function askToStand(to: string, term: number, effects: RaftEffect[]): void {
  effects.push({ type: "send", to, message: { type: "timeout_now", term } });
}

/** Abandons a transfer that takes too long, so that proposals are accepted again. */
function checkTransfer(state: RaftState, effects: RaftEffect[]): void {
  const { transfer } = state;
  if (transfer === undefined || ++transfer.checks < TRANSFER_CHECKS_MAX) return;
  abandonTransfer(state, effects);
  if (state.diskFailing) loseLeader(state, effects);
}

/** Abandons a transfer: its target cannot lead. */
export function abandonTransfer(
  state: RaftState,
  effects: RaftEffect[],
): void {
  const { transfer } = state;
  if (transfer === undefined) return;
  if (transfer.asked || transfer.request === undefined) {
    endTransfer(state, undefined, effects);
    return;
  }
  state.transfer = undefined;
  refuseRequest(transfer.request, "not_up_to_date", effects);
}

/** This member cannot write: it starts no more elections, and another member should lead. */
export function diskFailing(state: RaftState, effects: RaftEffect[]): void {
  state.diskFailing = true;
  const { leadership } = state;
  if (leadership === undefined) {
    if (state.leader === undefined && !mayStand(state)) {
      loseLeader(state, effects);
    }
    return;
  }
  abandonTransfer(state, effects);
  const heir = bestVoter(leadership);
  if (heir === undefined) loseLeader(state, effects);
  else beginTransfer(state, heir, undefined, effects);
}

/** The voter with the longest log. */
function bestVoter({ peers }: Leadership): Progress | undefined {
  let best: Progress | undefined;
  for (const peer of peers.values()) {
    if (peer.member.kind !== "voter") continue;
    if (best === undefined || peer.match > best.match) best = peer;
  }
  return best;
}
