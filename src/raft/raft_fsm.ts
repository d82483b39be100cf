/**
 * The decisions of one member of a Raft group (Ongaro and Ousterhout, "In
 * Search of an Understandable Consensus Algorithm", 2014: "paper"; Ongaro,
 * "Consensus: Bridging Theory and Practice", 2014: "thesis"). It uses no clock,
 * network or disk; `group_process.ts` carries out its effects.
 *
 *                     silence, or the leader's node is lost
 *         ┌──────────┐ ─────────────────────► ┌───────────────┐
 *     ──► │ follower │                        │ pre_candidate │ would I win?
 *         │          │ ◄───────────────────── └───────┬───────┘
 *         └─┬──────▲─┘  refused; another leads        │ yes; or the leader asks to
 *           │      │                          ┌───────▼───────┐
 *   entries │      │ a higher term;           │   candidate   │ vote for me
 *  are gone │      │ no majority answers;     └───────┬───────┘
 *           │      │ removed; disk fails              │ majority
 *           │      │                          ┌───────▼───────┐
 *           │      └───────────────────────── │    leader     │
 *         ┌─▼──────────────────┐              └───────────────┘
 *         │ receiving_snapshot │ ──► follower, whether it came or not
 *         └────────────────────┘
 *
 * What must be durable when:
 *
 * - Term and vote: before any message of that term is sent. Until
 *   `vote_persisted`, messages are held back here.
 * - An entry: before this member counts for it. A follower acknowledges, and a
 *   leader counts itself, on `written`. A leader sends entries before that, and
 *   commits them without its own disk once a majority of others has them.
 * - The commit index: never. It is learnt again, or determined by committing.
 *
 * What the shell must do:
 *
 * - Perform effects in order, and report each result that they ask for once. A
 *   follower may apply committed entries later. Every `receive_snapshot` ends
 *   with `snapshot_received`, also after `abort_snapshot`; every
 *   `send_snapshot` with `snapshot_sent`.
 * - Report `written` only for entries that are in the log: once entries are
 *   overwritten, their writes say nothing about their replacements.
 * - Drop what is still to be sent for a leader once it no longer leads in that
 *   term, and send to each member in order. Messages may be lost.
 * - Deliver `election_timeout` to start an election without waiting, as on one
 *   member of a new group.
 * - Deliver the heartbeats of the leader's node as `heartbeat`, and answers to
 *   this node's as `heard_from`: the core itself sends none on a timer.
 *
 * Where to read on, in this order: `election.ts`, `following.ts`,
 * `replication.ts`, `leadership.ts`, `reads.ts`; the values they work on are
 * `known_log.ts`, `membership.ts`, `progress.ts`, `read_rounds.ts`.
 *
 * @module
 */
import {
  electionTimeout,
  forceMembership,
  preVoteAnswered,
  preVoteAsked,
  stand,
  timeoutNow,
  voteAnswered,
  voteAsked,
  votePersisted,
} from "./election.ts";
import { silenceTimeoutMs } from "./election_timeouts.ts";
import {
  appendReceived,
  commitUpTo,
  followerWritten,
  heartbeatReceived,
  snapshotOffered,
  snapshotReceived,
} from "./following.ts";
import {
  abandonTransfer,
  changeMembership,
  checkQuorum,
  commitMore,
  diskFailing,
  handOver,
  promoteOne,
  propose,
  tellCommit,
  tellCommitSoon,
  transferLeadership,
} from "./leadership.ts";
import { isVoter } from "./membership.ts";
import type { Progress } from "./progress.ts";
import type { RaftEffect, RaftEvent, RaftStart } from "./raft_events.ts";
import type { MessageOf, RaftMessage } from "./raft_message.ts";
import {
  type Leadership,
  mayStand,
  otherVoters,
  type RaftState,
  say,
  startingState,
} from "./raft_state.ts";
import {
  confirmed,
  ensureAsked,
  read,
  readIndexAnswered,
  readIndexAsked,
} from "./reads.ts";
import {
  appendAnswered,
  connectionLost,
  ensureSent,
  entriesMissing,
  sayWhereItStands,
  sendTo,
  snapshotSent,
} from "./replication.ts";
import { becomeFollower, heardLeader, loseLeader } from "./roles.ts";

export { ELECTION_TIMEOUT_MS_MIN } from "./election_timeouts.ts";
export { UNCOMMITTED_ENTRIES_MAX } from "./leadership.ts";
export type {
  MembershipChange,
  Proposal,
  RaftEffect,
  RaftEvent,
  RaftRefusal,
  RaftRole,
  RaftStart,
} from "./raft_events.ts";
export type { RaftState } from "./raft_state.ts";

/** A member that starts: a follower that waits for a leader, or a candidate at once if it is the only voter. */
export function createRaft(start: RaftStart, effects: RaftEffect[]): RaftState {
  const state = startingState(start);
  if (!mayStand(state)) return state;
  if (otherVoters(state).length === 0) stand(state, effects);
  else {
    const afterMs = silenceTimeoutMs(state.chance);
    effects.push({ type: "set_election_timer", afterMs });
  }
  return state;
}

/** Advances the member by one event and appends its effects, in order, to `effects`. */
export function stepRaft(
  state: RaftState,
  event: RaftEvent,
  effects: RaftEffect[],
): void {
  const { leadership } = state;
  switch (event.type) {
    case "message":
      receive(state, event.from, event.uid, event.message, effects);
      return;
    case "propose":
      propose(state, event.proposals, effects);
      return;
    case "written":
      if (!state.log.written(event.index, event.term)) return;
      if (leadership === undefined) followerWritten(state, effects);
      else commitMore(state, leadership, effects);
      return;
    case "applied":
      state.appliedIndex = Math.max(state.appliedIndex, event.index);
      // After a restart the machine may be ahead of the core.
      state.commitIndex = Math.max(state.commitIndex, event.index);
      if (event.machineVersion !== undefined) {
        state.log.noteVersion(event.index, event.machineVersion);
      }
      return;
    case "read":
      read(state, event.round, effects);
      return;
    case "election_timeout":
      electionTimeout(state, effects);
      return;
    case "vote_persisted":
      votePersisted(state, event.term, event.votedFor, effects);
      return;
    case "quorum_check":
      if (leadership !== undefined) checkQuorum(state, leadership, effects);
      return;
    case "tell_commit":
      if (leadership !== undefined) tellCommit(state, leadership, effects);
      return;
    case "leader_silent":
      if (leadership === undefined && state.leader !== undefined) {
        loseLeader(state, effects);
      }
      return;
    case "node_lost":
      nodeLost(state, event.node, effects);
      return;
    case "node_back":
    case "heard_from": {
      state.lostNodes.delete(event.node);
      const peer = leadership?.peers.get(event.node);
      if (leadership === undefined || peer === undefined) return;
      if (event.type === "heard_from") peer.heard = true;
      ensureSent(state, peer, effects);
      ensureAsked(state, leadership, peer, effects);
      return;
    }
    case "change_membership":
      changeMembership(state, event.request, event.change, effects);
      return;
    case "transfer_leadership":
      transferLeadership(state, event.request, event.to, effects);
      return;
    case "snapshot_taken":
      state.log.startBehind(event.snapshot);
      state.commitIndex = Math.max(state.commitIndex, event.snapshot.index);
      return;
    case "entries_missing": {
      const peer = leadership?.peers.get(event.to);
      if (peer !== undefined) entriesMissing(state, peer, effects);
      return;
    }
    case "snapshot_sent": {
      const peer = leadership?.peers.get(event.to);
      if (peer === undefined) return;
      snapshotSent(state, peer, event.index, event.ok, effects);
      return;
    }
    case "snapshot_received":
      snapshotReceived(state, event.snapshot, event.ok, effects);
      return;
    case "disk_failing":
      diskFailing(state, effects);
      return;
    case "force_membership":
      forceMembership(state, event.members, effects);
      return;
    default:
      return event satisfies never;
  }
}

function nodeLost(
  state: RaftState,
  node: string,
  effects: RaftEffect[],
): void {
  state.lostNodes.add(node);
  if (state.leadership === undefined) {
    if (state.leader === node) loseLeader(state, effects);
    return;
  }
  const peer = state.leadership.peers.get(node);
  if (peer !== undefined) connectionLost(peer);
  if (state.transfer?.to === node) abandonTransfer(state, effects);
}

function receive(
  state: RaftState,
  from: string,
  uid: number,
  message: RaftMessage,
  effects: RaftEffect[],
): void {
  if (state.lostNodes.size > 0) state.lostNodes.delete(from);
  switch (message.type) {
    // These two may come from any candidate; they have their own rules about
    // terms.
    case "pre_vote":
      preVoteAsked(state, from, uid, message, effects);
      return;
    case "vote":
      voteAsked(state, from, message, effects);
      return;
    case "append":
    case "heartbeat":
    case "confirm":
    case "install_snapshot":
    case "timeout_now":
      fromLeader(state, from, message, effects);
      return;
    case "read_index":
      readIndexAsked(state, from, message.round, effects);
      return;
    case "pre_vote_reply":
      if (!isVoter(state.membership, from, uid)) return;
      // A granted one carries the proposed term, in which nobody is yet.
      if (!message.granted && isNewTerm(state, message.term, effects)) return;
      preVoteAnswered(state, from, message, effects);
      return;
    case "vote_reply":
      if (!isVoter(state.membership, from, uid)) return;
      if (isOtherTerm(state, message.term, effects)) return;
      voteAnswered(state, from, message, effects);
      return;
    case "read_index_reply":
      if (isOtherTerm(state, message.term, effects)) return;
      if (from === state.leader) readIndexAnswered(state, message, effects);
      return;
    case "append_reply":
    case "confirm_reply":
    case "heartbeat_reply":
      fromFollower(state, from, uid, message, effects);
      return;
    default:
      return message satisfies never;
  }
}

/** Handles messages that only a leader sends. */
function fromLeader(
  state: RaftState,
  from: string,
  message: MessageOf<
    "append" | "heartbeat" | "confirm" | "install_snapshot" | "timeout_now"
  >,
  effects: RaftEffect[],
): void {
  const { term } = message;
  if (term < state.term) {
    // It no longer leads, and may not know it.
    say(state, from, { type: "heartbeat_reply", term: state.term }, effects);
    return;
  }
  // A term has one leader, so no correct member sends this.
  if (term === state.term && state.leadership !== undefined) return;
  heardLeader(state, from, term, effects);
  switch (message.type) {
    case "append":
      appendReceived(state, from, message, effects);
      return;
    case "heartbeat":
      heartbeatReceived(state, from, message.commitIndex, effects);
      return;
    case "confirm": {
      const { round } = message;
      commitUpTo(state, message.commitIndex, effects);
      say(state, from, { type: "confirm_reply", term, round }, effects);
      return;
    }
    case "install_snapshot":
      snapshotOffered(state, from, message, effects);
      return;
    case "timeout_now":
      timeoutNow(state, effects);
      return;
    default:
      return message satisfies never;
  }
}

/** Handles messages that only a follower sends, to its leader. */
function fromFollower(
  state: RaftState,
  from: string,
  uid: number,
  message: MessageOf<"append_reply" | "confirm_reply" | "heartbeat_reply">,
  effects: RaftEffect[],
): void {
  const { leadership } = state;
  const peer = leadership?.peers.get(from);
  // Another incarnation of the member has another log, so its answers do not
  // count.
  if (leadership === undefined || peer?.uid !== uid) return;
  if (isOtherTerm(state, message.term, effects)) return;
  peer.heard = true;
  switch (message.type) {
    case "append_reply":
      if (!appendAnswered(state, peer, message)) return;
      if (peer.match > state.commitIndex) {
        commitMore(state, leadership, effects);
      }
      followUp(state, leadership, peer, effects);
      return;
    case "confirm_reply":
      confirmed(state, leadership, peer, message.round, effects);
      return;
    case "heartbeat_reply":
      sayWhereItStands(state, peer, effects);
      return;
    default:
      return message satisfies never;
  }
}

/** Continues what waited for the progress of `peer`. */
function followUp(
  state: RaftState,
  leadership: Leadership,
  peer: Progress,
  effects: RaftEffect[],
): void {
  // The commit may have ended the leadership.
  if (state.leadership !== leadership) return;
  if (leadership.peers.get(peer.node) !== peer) return;
  sendTo(state, peer, effects);
  if (state.transfer !== undefined) handOver(state, peer, effects);
  else if (peer.member.kind === "promotable") {
    promoteOne(state, leadership, effects);
  }
  // It may just have entered replicate mode.
  tellCommitSoon(state, leadership, effects);
}

/** Whether `term` is above this member's; if so, it becomes a follower in it. */
function isNewTerm(
  state: RaftState,
  term: number,
  effects: RaftEffect[],
): boolean {
  if (term <= state.term) return false;
  becomeFollower(state, term, undefined, effects);
  return true;
}

/** Whether an answer is from another term, and so no longer relevant. */
function isOtherTerm(
  state: RaftState,
  term: number,
  effects: RaftEffect[],
): boolean {
  return isNewTerm(state, term, effects) || term !== state.term;
}
