/**
 * How a leader brings its log to the other members (paper, 5.3), and when what
 * it brought is committed (paper, 5.4.2).
 *
 * @module
 */
import {
  acknowledged,
  createProgress,
  lastToSend,
  type Progress,
  refused,
  restartProbe,
} from "./progress.ts";
import { quorumIndex } from "./quorum_index.ts";
import type { RaftEntry } from "./raft_entry.ts";
import type { RaftEffect } from "./raft_events.ts";
import type { MessageOf } from "./raft_message.ts";
import { isVoter } from "./membership.ts";
import type { Leadership, RaftState } from "./raft_state.ts";
import { tellMembership } from "./roles.ts";

/** Puts entries of the leader's own behind its log and on their way to all others. */
export function appendOwn(
  state: RaftState,
  leadership: Leadership,
  entries: readonly RaftEntry[],
  effects: RaftEffect[],
): void {
  effects.push({ type: "append", entries });
  if (state.log.append(entries, 0)) membersChanged(state, leadership, effects);
  for (const peer of leadership.peers.values()) {
    sendTo(state, peer, effects);
  }
}

/** The members in effect are others: those who come begin at nothing, those who go are sent nothing more. */
export function membersChanged(
  state: RaftState,
  leadership: Leadership,
  effects: RaftEffect[],
): void {
  const { peers } = leadership;
  const { members } = state.membership;
  for (const peer of peers.values()) {
    const member = members.find(({ node }) => node === peer.node);
    if (member?.uid === peer.uid) peer.member = member;
    else peers.delete(peer.node);
  }
  for (const member of members) {
    if (member.node === state.node || peers.has(member.node)) continue;
    peers.set(member.node, createProgress(member, state.lastIndex));
  }
  tellMembership(state, effects);
}

/** Sends `peer` what it may be sent now, if anything. */
export function sendTo(
  state: RaftState,
  peer: Progress,
  effects: RaftEffect[],
): void {
  const last = lastToSend(peer, state.lastIndex);
  if (last < 0) return;
  if (!sendRange(state, peer, last, effects)) return;
  if (peer.mode === "probe") peer.paused = true;
  else peer.next = last + 1;
}

/** Sends the entries from `next` to `last`, or a snapshot if some are gone. */
function sendRange(
  state: RaftState,
  peer: Progress,
  last: number,
  effects: RaftEffect[],
): boolean {
  const prevTerm = state.log.terms.termAt(peer.next - 1);
  if (prevTerm === undefined) {
    sendSnapshot(state, peer, effects);
    return false;
  }
  effects.push({
    type: "send_entries",
    to: peer.node,
    term: state.term,
    prevTerm,
    first: peer.next,
    last,
    commitIndex: state.commitIndex,
  });
  peer.commitSent = state.commitIndex;
  return true;
}

function sendSnapshot(
  state: RaftState,
  peer: Progress,
  effects: RaftEffect[],
): void {
  peer.mode = "snapshot";
  effects.push({ type: "send_snapshot", to: peer.node, term: state.term });
}

/** `peer` has answered an append. False if that is no news; otherwise it may be due something. */
export function appendAnswered(
  state: RaftState,
  peer: Progress,
  reply: MessageOf<"append_reply">,
): boolean {
  const { terms } = state.log;
  if (reply.index > terms.lastIndex) return false;
  if (reply.success) {
    // It may have got there without the snapshot that is on its way.
    if (peer.mode === "snapshot" && reply.index >= terms.startIndex) {
      restartProbe(peer, false);
    }
    acknowledged(peer, reply.index);
    return true;
  }
  return refused(peer, terms.lastIndexOf(reply.index, reply.indexTerm) + 1);
}

/**
 * `peer` is alive, and may still have missed something: a message that was lost
 * is noticed by what comes after it, but nothing may come. Its answer to an
 * empty append tells.
 */
export function ensureSent(
  state: RaftState,
  peer: Progress,
  effects: RaftEffect[],
): void {
  switch (peer.mode) {
    case "probe":
      peer.paused = false;
      sendTo(state, peer, effects);
      return;
    case "replicate":
      if (peer.match < state.lastIndex) {
        sendRange(state, peer, peer.next - 1, effects);
      }
      return;
    case "snapshot":
      return;
    default:
      return peer.mode satisfies never;
  }
}

/** `peer` does not know how much of its log is the leader's: what it is sent next, or an empty append, tells. */
export function sayWhereItStands(
  state: RaftState,
  peer: Progress,
  effects: RaftEffect[],
): void {
  if (peer.mode !== "replicate") ensureSent(state, peer, effects);
  else sendRange(state, peer, peer.next - 1, effects);
}

/** The entries that `peer` was to be sent are not in the log any more. */
export function entriesMissing(
  state: RaftState,
  peer: Progress,
  effects: RaftEffect[],
): void {
  if (peer.mode !== "snapshot") sendSnapshot(state, peer, effects);
}

/** The snapshot that `peer` was sent is there, or the attempt has ended. */
export function snapshotSent(
  state: RaftState,
  peer: Progress,
  index: number,
  ok: boolean,
  effects: RaftEffect[],
): void {
  if (peer.mode !== "snapshot") return;
  // After a failure it is tried again when it next answers: that is often enough.
  restartProbe(peer, !ok);
  if (!ok) return;
  peer.mode = "replicate";
  peer.next = Math.max(peer.next, Math.min(index, state.lastIndex) + 1);
  sendTo(state, peer, effects);
}

/** The connection to `peer` has ended: what was on its way may not have come. */
export function connectionLost(peer: Progress): void {
  // A snapshot has a connection of its own, whose end is reported.
  if (peer.mode !== "snapshot") restartProbe(peer, true);
}

/**
 * The index up to which the log is durable on a majority of voters: the leader
 * is one of them, if it votes at all (thesis 4.2.2), as far as its own disk has it.
 */
export function majorityIndex(
  state: RaftState,
  { peers, scratch }: Leadership,
): number {
  scratch.length = 0;
  if (isVoter(state.membership, state.node, state.uid)) {
    scratch.push(state.log.durableIndex);
  }
  for (const { member, match } of peers.values()) {
    if (member.kind === "voter") scratch.push(match);
  }
  return quorumIndex(scratch);
}
