/**
 * Elections (paper, 5.2 and 5.4.1), each preceded by a pre-vote that asks
 * whether it could be won (thesis 9.6).
 *
 *     follower ── no leader ──► pre_candidate ── majority would ──► candidate
 *        ▲                            │                                │
 *        ├──── refused, or another leads ◄──────── refused ────────────┤
 *        │                                                     majority voted
 *        └──── a higher term, or no majority answers ◄── leader ◄──────┘
 *
 * @module
 */
import { roundTimeoutMs } from "./election_timeouts.ts";
import { becomeLeader } from "./leadership.ts";
import { isVoter, orderMembers, votersOf } from "./membership.ts";
import { majorityOf } from "./quorum_index.ts";
import type { Member } from "./raft_entry.ts";
import type { RaftEffect } from "./raft_events.ts";
import type { MessageOf, RaftMessage } from "./raft_message.ts";
import {
  isSaved,
  mayStand,
  otherVoters,
  type RaftState,
  saveVote,
  say,
} from "./raft_state.ts";
import {
  becomeFollower,
  changeRole,
  endTransfer,
  loseLeader,
  tellMembership,
} from "./roles.ts";

/** The election timer fired: a follower's leader is silent, or a round of votes took too long. */
export function electionTimeout(
  state: RaftState,
  effects: RaftEffect[],
): void {
  // The timer may have fired before it was cleared.
  if (state.role === "leader") return;
  if (state.role === "candidate" && !isSaved(state)) {
    // Its own disk has not made the vote durable yet. A new term would not be
    // faster.
    setRoundTimer(state, effects);
    return;
  }
  if (state.role === "pre_candidate" || state.role === "candidate") {
    state.attempts++;
  }
  // The target of a transfer has not become leader.
  endTransfer(state, undefined, effects);
  if (state.receipt !== undefined) {
    effects.push({ type: "abort_snapshot" });
    // It campaigns when the end of that is reported: until then its log may
    // still change.
    loseLeader(state, effects);
  } else if (mayStand(state)) stand(state, effects);
  else loseLeader(state, effects);
}

/** Starts a pre-vote; a member without other voters skips it. */
export function stand(state: RaftState, effects: RaftEffect[]): void {
  const others = otherVoters(state);
  if (others.length === 0) {
    startElection(state, effects);
    return;
  }
  changeRole(state, "pre_candidate", undefined, effects);
  setRoundTimer(state, effects);
  state.votes.set(state.node, true);
  const message: RaftMessage = {
    type: "pre_vote",
    term: state.term + 1,
    lastIndex: state.log.lastIndex,
    lastTerm: state.log.lastTerm,
    machineVersion: state.ownMachineVersion,
  };
  for (const { node } of others) {
    effects.push({ type: "send", to: node, message });
  }
}

/** Votes for itself in a new term. It asks the others once that vote is durable: see `votePersisted`. */
function startElection(state: RaftState, effects: RaftEffect[]): void {
  saveVote(state, state.term + 1, state.node, effects);
  changeRole(state, "candidate", undefined, effects);
  setRoundTimer(state, effects);
}

function setRoundTimer(state: RaftState, effects: RaftEffect[]): void {
  effects.push({
    type: "set_election_timer",
    afterMs: roundTimeoutMs(state.chance, state.attempts),
  });
}

/** A term and vote are durable: sends held messages, and a candidate counts its own vote. */
export function votePersisted(
  state: RaftState,
  term: number,
  votedFor: string | undefined,
  effects: RaftEffect[],
): void {
  state.savedTerm = term;
  state.savedVote = votedFor;
  if (!isSaved(state)) return;
  effects.push(...state.held);
  state.held.length = 0;
  if (state.role !== "candidate" || state.votes.size > 0) return;
  state.votes.set(state.node, true);
  const message: RaftMessage = {
    type: "vote",
    term: state.term,
    lastIndex: state.log.lastIndex,
    lastTerm: state.log.lastTerm,
    transfer: state.standsByRequest,
  };
  for (const { node } of otherVoters(state)) {
    effects.push({ type: "send", to: node, message });
  }
  countVotes(state, effects);
}

/** Whether this member would vote for `from`. The answer changes neither term nor vote. */
export function preVoteAsked(
  state: RaftState,
  from: string,
  uid: number,
  asked: MessageOf<"pre_vote">,
  effects: RaftEffect[],
): void {
  const granted = asked.term > state.term && !hasLeaderBut(state, from) &&
    // It could not persist its vote.
    !state.diskFailing &&
    state.log.isNoNewerThan(asked.lastIndex, asked.lastTerm) &&
    // Its machine is too old for entries in the log.
    asked.machineVersion >= state.log.machineVersion;
  const term = granted ? asked.term : state.term;
  say(state, from, { type: "pre_vote_reply", term, granted }, effects);
  if (
    granted && state.role === "pre_candidate" &&
    isVoter(state.membership, from, uid) && standsBefore(state, from, asked)
  ) {
    // When two ask each other, one gives way, so that they do not both vote for
    // themselves. If the other fails, this one asks again.
    loseLeader(state, effects);
    setRoundTimer(state, effects);
  }
}

/**
 * Of two that would vote for each other, the one with the more recent log goes
 * first, or else the one with the smaller name.
 */
function standsBefore(
  { log, node }: RaftState,
  from: string,
  { lastIndex, lastTerm }: MessageOf<"pre_vote">,
): boolean {
  const isSame = lastIndex === log.lastIndex && lastTerm === log.lastTerm;
  return !isSame || from < node;
}

/** Grants `from` a vote or refuses it. */
export function voteAsked(
  state: RaftState,
  from: string,
  asked: MessageOf<"vote">,
  effects: RaftEffect[],
): void {
  // It believes that its leader is alive, and a member that just cannot hear
  // that leader must not depose it (thesis 4.2.3), unless the leader itself
  // transfers leadership.
  if (
    asked.term < state.term || !asked.transfer && hasLeaderBut(state, from)
  ) {
    const { term } = state;
    say(state, from, { type: "vote_reply", term, granted: false }, effects);
    return;
  }
  const isNewTerm = asked.term > state.term;
  const votedFor = isNewTerm ? undefined : state.votedFor;
  const granted = (votedFor ?? from) === from && !state.diskFailing &&
    state.log.isNoNewerThan(asked.lastIndex, asked.lastTerm);
  if (isNewTerm || granted && votedFor === undefined) {
    saveVote(state, asked.term, granted ? from : undefined, effects);
  }
  // A member that has voted for another does not run against it.
  if (isNewTerm || granted && state.role === "pre_candidate") {
    becomeFollower(state, asked.term, undefined, effects);
  }
  // The candidate has the time of a round to win.
  if (granted && mayStand(state)) setRoundTimer(state, effects);
  say(state, from, { type: "vote_reply", term: asked.term, granted }, effects);
}

function hasLeaderBut(state: RaftState, asker: string): boolean {
  return state.leader !== undefined && state.leader !== asker;
}

/** Counts a voter's answer to a pre-vote. */
export function preVoteAnswered(
  state: RaftState,
  from: string,
  reply: MessageOf<"pre_vote_reply">,
  effects: RaftEffect[],
): void {
  if (state.role !== "pre_candidate") return;
  if (reply.granted && reply.term !== state.term + 1) return;
  state.votes.set(from, reply.granted);
  if (reply.granted) countVotes(state, effects);
  else countRefusals(state, effects);
}

/** Counts a voter's answer to a vote of this term. */
export function voteAnswered(
  state: RaftState,
  from: string,
  reply: MessageOf<"vote_reply">,
  effects: RaftEffect[],
): void {
  if (state.role !== "candidate" || state.votes.size === 0) return;
  state.votes.set(from, reply.granted);
  if (reply.granted) countVotes(state, effects);
  else countRefusals(state, effects);
}

/** Continues if a majority has granted its vote. */
function countVotes(state: RaftState, effects: RaftEffect[]): void {
  const voters = votersOf(state.membership);
  const granted = voters.filter(({ node }) => state.votes.get(node) === true);
  if (granted.length < majorityOf(voters.length)) return;
  if (state.role === "candidate") becomeLeader(state, effects);
  else startElection(state, effects);
}

/** Ends the round if this member can no longer get a majority. Lost nodes are not waited for. */
function countRefusals(state: RaftState, effects: RaftEffect[]): void {
  const voters = votersOf(state.membership);
  const open = voters.filter(({ node }) =>
    state.votes.get(node) ?? !state.lostNodes.has(node)
  );
  if (open.length >= majorityOf(voters.length)) return;
  state.attempts++;
  loseLeader(state, effects);
}

/** The leader transfers leadership to this member, which starts an election at once (thesis 3.10). */
export function timeoutNow(state: RaftState, effects: RaftEffect[]): void {
  if (state.role !== "follower" || !mayStand(state)) return;
  startElection(state, effects);
  state.standsByRequest = true;
}

/** Sets the members without asking the others; see `force_membership`. */
export function forceMembership(
  state: RaftState,
  members: readonly Member[],
  effects: RaftEffect[],
): void {
  const forced = {
    index: state.log.lastIndex,
    members: orderMembers(members),
  };
  if (!isVoter(forced, state.node, state.uid)) return;
  state.forced = forced;
  tellMembership(state, effects);
  if (state.receipt !== undefined) effects.push({ type: "abort_snapshot" });
  if (mayStand(state)) stand(state, effects);
  else loseLeader(state, effects);
}
