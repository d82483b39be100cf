/**
 * How a leader replicates its log to the other members (paper, 5.3), and which
 * of it a majority has (paper, 5.4.2).
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

/** Appends entries to the leader's log and sends them to all others. */
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

/** The members in effect have changed: starts replicating to new ones and stops for removed ones. */
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

/** Sends `peer` the entries that may be sent now, if any. */
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

/** Sends the entries from `next` to `last`, or a snapshot if some are no longer in the log. */
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

/** `peer` has answered an append. False if that changes nothing; otherwise more may have to be sent. */
export function appendAnswered(
  state: RaftState,
  peer: Progress,
  reply: MessageOf<"append_reply">,
): boolean {
  const { terms } = state.log;
  if (reply.index > terms.lastIndex) return false;
  if (reply.success) {
    // It may have caught up without the snapshot in progress.
    if (peer.mode === "snapshot" && reply.index >= terms.startIndex) {
      restartProbe(peer, false);
    }
    acknowledged(peer, reply.index);
    return true;
  }
  return refused(peer, terms.lastIndexOf(reply.index, reply.indexTerm) + 1);
}

/**
 * `peer` is alive, but may have missed a message. A loss is noticed by the next
 * message, but there may be none. So an empty append asks for its state.
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

/** `peer` does not know how much of its log equals the leader's: the next entries, or an empty append, will tell. */
export function sayWhereItStands(
  state: RaftState,
  peer: Progress,
  effects: RaftEffect[],
): void {
  if (peer.mode !== "replicate") ensureSent(state, peer, effects);
  else sendRange(state, peer, peer.next - 1, effects);
}

/** The entries to be sent to `peer` are no longer in the log. */
export function entriesMissing(
  state: RaftState,
  peer: Progress,
  effects: RaftEffect[],
): void {
  if (peer.mode !== "snapshot") sendSnapshot(state, peer, effects);
}

/** Sending a snapshot to `peer` has succeeded or failed. */
export function snapshotSent(
  state: RaftState,
  peer: Progress,
  index: number,
  ok: boolean,
  effects: RaftEffect[],
): void {
  if (peer.mode !== "snapshot") return;
  // After a failure it is tried again when `peer` next answers.
  restartProbe(peer, !ok);
  if (!ok) return;
  peer.mode = "replicate";
  peer.next = Math.max(peer.next, Math.min(index, state.lastIndex) + 1);
  sendTo(state, peer, effects);
}

/** The connection to `peer` has ended: messages in flight may be lost. */
export function connectionLost(peer: Progress): void {
  // A snapshot has a connection of its own, whose end is reported.
  if (peer.mode !== "snapshot") restartProbe(peer, true);
}

/**
 * The index up to which the log is durable on a majority of voters. The leader
 * counts by what its own disk has, if it is a voter at all (thesis 4.2.2).
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
