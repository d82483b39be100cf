/**
 * How a follower handles its leader's messages: entries (paper, 5.3), commit
 * indexes, snapshots (paper, 7).
 *
 * It acknowledges its own log as far as that is durable and equal to the
 * leader's: an entry that is only in memory is acknowledged once the disk has
 * it.
 *
 * @module
 */
import { invariant } from "../base/invariant.ts";
import type { RaftEntry, SnapshotMeta } from "./raft_entry.ts";
import type { RaftEffect } from "./raft_events.ts";
import type { MessageOf } from "./raft_message.ts";
import { advanceCommit, type RaftState, say } from "./raft_state.ts";
import { changeRole, loseLeader, tellMembership } from "./roles.ts";

/** Appends entries from the leader, if the entry before them matches the leader's. */
export function appendReceived(
  state: RaftState,
  leader: string,
  message: MessageOf<"append">,
  effects: RaftEffect[],
): void {
  // A snapshot is about to replace this log.
  if (state.receipt !== undefined) return;
  const { entries, prevIndex, prevTerm, term } = message;
  const { terms } = state.log;
  const end = prevIndex + entries.length;
  if (entries.length > 0) {
    // No leader sends entries that do not follow `prevIndex`, or of a later
    // term than its own.
    const [first, last] = [entries[0], entries.at(-1)] as [
      RaftEntry,
      RaftEntry,
    ];
    if (first.index !== prevIndex + 1 || last.term > term) return;
  }
  if (
    prevIndex >= terms.startIndex && terms.termAt(prevIndex) !== prevTerm
  ) {
    refuseAppend(state, leader, prevIndex, prevTerm, effects);
    return;
  }
  // Entries covered by a snapshot are committed, and so the same everywhere.
  const from = firstNewEntry(state, entries);
  if (from < entries.length) takeEntries(state, entries, from, effects);
  if (end > state.verifiedIndex) state.verifiedIndex = end;
  commitUpTo(state, message.commitIndex, effects);
  // Entries that are still being written are acknowledged later. An append
  // without entries asks for an answer.
  if (entries.length === 0 || state.log.durableIndex >= end) {
    acknowledge(state, leader, effects);
  }
}

/** The position of the first entry that is not in the log; all before it are. */
function firstNewEntry(
  state: RaftState,
  entries: readonly RaftEntry[],
): number {
  const { terms } = state.log;
  let i = 0;
  while (i < entries.length) {
    const { index, term } = entries[i] as RaftEntry;
    if (index > terms.lastIndex) break;
    if (index >= terms.startIndex && terms.termAt(index) !== term) break;
    i++;
  }
  return i;
}

function takeEntries(
  state: RaftState,
  entries: readonly RaftEntry[],
  from: number,
  effects: RaftEffect[],
): void {
  const { index } = entries[from] as RaftEntry;
  invariant(index > state.commitIndex, "what is committed is not overwritten");
  const membersChanged = state.log.append(entries, from);
  effects.push({
    type: "append",
    entries: from === 0 ? entries : entries.slice(from),
  });
  if (membersChanged) tellMembership(state, effects);
}

/**
 * Tells the leader where to continue: at the last entry that can be the same,
 * judging by its term. So a whole term is skipped at once (paper, end of 5.3).
 */
function refuseAppend(
  state: RaftState,
  leader: string,
  prevIndex: number,
  prevTerm: number,
  effects: RaftEffect[],
): void {
  const { terms } = state.log;
  const index = terms.lastIndexOf(prevIndex, prevTerm);
  say(state, leader, {
    type: "append_reply",
    term: state.term,
    success: false,
    index,
    indexTerm: terms.termAt(index) ?? 0,
  }, effects);
}

/** Tells the leader up to where its log is durable here. */
export function acknowledge(
  state: RaftState,
  leader: string,
  effects: RaftEffect[],
): void {
  const { terms, durableIndex } = state.log;
  const index = Math.min(durableIndex, state.verifiedIndex);
  state.repliedIndex = index;
  say(state, leader, {
    type: "append_reply",
    term: state.term,
    success: true,
    index,
    indexTerm: terms.termAt(index) ?? 0,
  }, effects);
}

/** The leader has committed up to `index`; this member's log is known to equal the leader's up to `verifiedIndex`. */
export function commitUpTo(
  state: RaftState,
  index: number,
  effects: RaftEffect[],
): void {
  const known = Math.min(index, state.verifiedIndex);
  if (known > state.commitIndex) advanceCommit(state, known, effects);
}

/**
 * The leader is alive and has committed up to `index`. A follower that has
 * entries up to there, but does not know whether they are the leader's, asks.
 * That happens after a restart that the leader has not noticed, and in an idle
 * group nothing else would tell.
 */
export function heartbeatReceived(
  state: RaftState,
  leader: string,
  index: number,
  effects: RaftEffect[],
): void {
  commitUpTo(state, index, effects);
  if (
    index <= state.verifiedIndex || index > state.lastIndex ||
    state.receipt !== undefined
  ) return;
  say(state, leader, { type: "heartbeat_reply", term: state.term }, effects);
}

/** Acknowledges what has become durable. */
export function followerWritten(
  state: RaftState,
  effects: RaftEffect[],
): void {
  const { leader } = state;
  if (leader === undefined) return;
  const index = Math.min(state.log.durableIndex, state.verifiedIndex);
  if (index > state.repliedIndex) acknowledge(state, leader, effects);
}

/** The leader offers a snapshot in place of entries it no longer has. */
export function snapshotOffered(
  state: RaftState,
  leader: string,
  { snapshot, transfer }: MessageOf<"install_snapshot">,
  effects: RaftEffect[],
): void {
  if (state.receipt !== undefined) return;
  const { index, term } = snapshot;
  if (
    index <= state.commitIndex || state.log.terms.termAt(index) === term
  ) {
    // All that it covers is here.
    state.verifiedIndex = Math.max(state.verifiedIndex, index);
    commitUpTo(state, index, effects);
    acknowledge(state, leader, effects);
    return;
  }
  // This node's machine could not read it.
  if (snapshot.machineVersion > state.ownMachineVersion) return;
  state.receipt = { snapshot };
  changeRole(state, "receiving_snapshot", leader, effects);
  effects.push({ type: "receive_snapshot", from: leader, transfer, snapshot });
}

/** A snapshot has replaced the log, or receiving it has failed. */
export function snapshotReceived(
  state: RaftState,
  snapshot: SnapshotMeta,
  ok: boolean,
  effects: RaftEffect[],
): void {
  state.receipt = undefined;
  if (ok && snapshot.index > state.commitIndex) {
    state.log.startBehind(snapshot);
    state.commitIndex = snapshot.index;
    state.appliedIndex = Math.max(state.appliedIndex, snapshot.index);
    state.verifiedIndex = Math.max(state.verifiedIndex, snapshot.index);
    tellMembership(state, effects);
  }
  const { leader } = state;
  if (leader === undefined) {
    loseLeader(state, effects);
    return;
  }
  changeRole(state, "follower", leader, effects);
  effects.push(state.silence);
  if (ok) acknowledge(state, leader, effects);
}
