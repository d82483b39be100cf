/**
 * Linearizable reads (thesis 6.4): a leader confirms that it still leads, a
 * follower asks its leader. They do not rely on clocks.
 *
 * @module
 */
import { commitUpTo } from "./following.ts";
import { isVoter } from "./membership.ts";
import type { Progress } from "./progress.ts";
import { quorumIndex } from "./quorum_index.ts";
import type { RaftEffect } from "./raft_events.ts";
import type { MessageOf } from "./raft_message.ts";
import {
  type ForwardedRead,
  type Leadership,
  type RaftState,
  say,
} from "./raft_state.ts";
import type { ReadRequest } from "./read_rounds.ts";

/** Read rounds that a follower may have forwarded and unanswered; further ones are refused. */
const FORWARDED_READS_MAX = 1024;

/** Begins reads of this member's own. */
export function read(
  state: RaftState,
  round: number,
  effects: RaftEffect[],
): void {
  const { leadership, leader } = state;
  if (leadership !== undefined) {
    askMajority(state, leadership, { from: undefined, round }, effects);
  } else if (leader === undefined) {
    effects.push({ type: "read_refused", round, reason: "not_leader" });
  } else if (state.forwardedReads.length >= FORWARDED_READS_MAX) {
    effects.push({ type: "read_refused", round, reason: "overload" });
  } else {
    const number = ++state.lastForwarded;
    state.forwardedReads.push({ number, round });
    say(state, leader, {
      type: "read_index",
      term: state.term,
      round: number,
    }, effects);
  }
}

/** A follower has forwarded reads. */
export function readIndexAsked(
  state: RaftState,
  from: string,
  round: number,
  effects: RaftEffect[],
): void {
  const { leadership } = state;
  if (leadership === undefined) answer(state, { from, round }, -1, effects);
  else askMajority(state, leadership, { from, round }, effects);
}

/** The leader has answered forwarded reads. */
export function readIndexAnswered(
  state: RaftState,
  reply: MessageOf<"read_index_reply">,
  effects: RaftEffect[],
): void {
  const { forwardedReads } = state;
  const place = forwardedReads.findIndex(({ number }) =>
    number === reply.round
  );
  if (place < 0) return;
  const answered = forwardedReads.splice(0, place + 1);
  const { round } = answered.pop() as ForwardedRead;
  // Rounds are answered in order: earlier ones without an answer were lost.
  for (const { round } of answered) {
    effects.push({ type: "read_refused", round, reason: "not_leader" });
  }
  // The leader had committed up to there; this member may not know that yet.
  commitUpTo(state, reply.index, effects);
  answer(state, { from: undefined, round }, reply.index, effects);
}

function askMajority(
  state: RaftState,
  leadership: Leadership,
  read: ReadRequest,
  effects: RaftEffect[],
): void {
  if (leadership.reads.add(read)) beginRounds(state, leadership, effects);
  else if (read.from !== undefined) answer(state, read, -1, effects);
  else {
    effects.push({
      type: "read_refused",
      round: read.round,
      reason: "overload",
    });
  }
}

/**
 * Begins the rounds that are due. None may begin before an entry of this term
 * is committed: until then the commit index may be behind what another leader
 * has acknowledged.
 */
export function beginRounds(
  state: RaftState,
  leadership: Leadership,
  effects: RaftEffect[],
): void {
  const { reads, peers } = leadership;
  if (state.commitIndex < leadership.noopIndex || !reads.mayBegin) return;
  const round = reads.begin(state.commitIndex);
  for (const peer of peers.values()) {
    if (peer.member.kind === "voter") confirm(state, peer, round, effects);
  }
  // A group with one voter needs no answers.
  roundsConfirmed(state, leadership, effects);
}

/** Asks `peer` again: it is alive, and the last request may have been lost. */
export function ensureAsked(
  state: RaftState,
  { reads }: Leadership,
  peer: Progress,
  effects: RaftEffect[],
): void {
  if (!reads.isAsking || peer.member.kind !== "voter") return;
  if (peer.confirmed < reads.last) confirm(state, peer, reads.last, effects);
}

function confirm(
  state: RaftState,
  peer: Progress,
  round: number,
  effects: RaftEffect[],
): void {
  const { term, commitIndex } = state;
  peer.commitSent = commitIndex;
  effects.push({
    type: "send",
    to: peer.node,
    message: { type: "confirm", term, round, commitIndex },
  });
}

/** `peer` still followed this leader when it received `round`. */
export function confirmed(
  state: RaftState,
  leadership: Leadership,
  peer: Progress,
  round: number,
  effects: RaftEffect[],
): void {
  if (round <= peer.confirmed || round > leadership.reads.last) return;
  peer.confirmed = round;
  roundsConfirmed(state, leadership, effects);
}

/** Answers the rounds that a majority has confirmed, and begins the next. */
export function roundsConfirmed(
  state: RaftState,
  leadership: Leadership,
  effects: RaftEffect[],
): void {
  const { peers, reads, scratch } = leadership;
  scratch.length = 0;
  if (isVoter(state.membership, state.node, state.uid)) {
    scratch.push(reads.last);
  }
  for (const { member, confirmed } of peers.values()) {
    if (member.kind === "voter") scratch.push(confirmed);
  }
  const round = quorumIndex(scratch);
  reads.confirm(round, (read, index) => answer(state, read, index, effects));
  beginRounds(state, leadership, effects);
}

function answer(
  state: RaftState,
  { from, round }: ReadRequest,
  index: number,
  effects: RaftEffect[],
): void {
  if (from !== undefined) {
    const { term } = state;
    say(state, from, { type: "read_index_reply", term, round, index }, effects);
  } else if (index < 0) {
    effects.push({ type: "read_refused", round, reason: "not_leader" });
  } else effects.push({ type: "read_ready", round, index });
}
