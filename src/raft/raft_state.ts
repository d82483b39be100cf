/**
 * What one member of a Raft group knows. `raft_fsm.ts` says how it changes.
 *
 * @module
 */
import type { Chance } from "../base/chance.ts";
import { invariant } from "../base/invariant.ts";
import { KnownLog } from "./known_log.ts";
import { isVoter, votersOf } from "./membership.ts";
import type { Progress } from "./progress.ts";
import type { Member, Membership, SnapshotMeta } from "./raft_entry.ts";
import type {
  RaftEffect,
  RaftRefusal,
  RaftRole,
  RaftStart,
} from "./raft_events.ts";
import type { RaftMessage } from "./raft_message.ts";
import type { ReadRounds } from "./read_rounds.ts";

/** Messages that wait for a vote to be durable; those beyond are lost, as any message may be. */
const HELD_MESSAGES_MAX = 256;

/** One member of a group; see `raft_fsm.ts`. Changes in place, has one owner, and others only read it. */
export interface RaftState {
  readonly node: string;
  readonly uid: number;
  readonly chance: Chance;
  /** The version of the machine that this node can run. */
  readonly ownMachineVersion: number;
  role: RaftRole;
  term: number;
  votedFor: string | undefined;
  /** Node of the leader that this member believes alive: it refuses votes to others. */
  leader: string | undefined;
  readonly log: KnownLog;
  /** Index of the last entry; durable or not. */
  readonly lastIndex: number;
  /** The members in effect, committed or not. */
  readonly membership: Membership;
  commitIndex: number;
  appliedIndex: number;
  /** The role, term and leader that the shell was told last. */
  told: Extract<RaftEffect, { readonly type: "role_changed" }>;

  /** The term and vote that are durable. While they are others than the present ones nothing is said. */
  savedTerm: number;
  savedVote: string | undefined;
  /** What is said when they are. */
  readonly held: Extract<RaftEffect, { readonly type: "send" }>[];
  /** Its disk fails: it stands no more. */
  diskFailing: boolean;

  /** Attempts to get elected since there was a leader. */
  attempts: number;
  /** Nodes whose connection has ended. */
  readonly lostNodes: Set<string>;
  /** The voters that have answered this round of votes or pre-votes, and how. */
  readonly votes: Map<string, boolean>;
  /** It stands because its leader has asked it to. */
  standsByRequest: boolean;
  /** Members it was given by force and has not put into its log yet. */
  forced: Membership | undefined;

  /** The timer of a follower, started anew with each word of its leader. */
  silence: Extract<RaftEffect, { readonly type: "set_election_timer" }>;
  /** Follower: its log is the leader's up to here. */
  verifiedIndex: number;
  /** Follower: the index it has acknowledged last to this leader. */
  repliedIndex: number;
  /** Follower: reads it has passed on to its leader, the oldest first. */
  readonly forwardedReads: ForwardedRead[];
  /**
   * The number of the last of them. Numbers begin anywhere, as the leader may
   * still answer what another life of this process has asked.
   */
  lastForwarded: number;
  /** A snapshot that was begun and whose end was not reported yet. */
  receipt: { readonly snapshot: SnapshotMeta } | undefined;

  /** What only a leader has. */
  leadership: Leadership | undefined;
  /** A transfer of leadership that this member has begun, as the leader. */
  transfer: Transfer | undefined;
}

/** Reads that a follower has passed on. */
export interface ForwardedRead {
  /** As it is called between the two members. */
  readonly number: number;
  /** As the shell calls it. */
  readonly round: number;
}

/** What a member knows as a leader. */
export interface Leadership {
  /** Of its first entry: only when that is committed is it known what else is (paper, 5.4.2 and 8). */
  readonly noopIndex: number;
  readonly peers: Map<string, Progress>;
  readonly reads: ReadRounds;
  /** Whether `tell_commit` is about to come. */
  isTellingSoon: boolean;
  /** A list to count in. */
  readonly scratch: number[];
}

/** Leadership on its way to another member (thesis 3.10). */
export interface Transfer {
  readonly to: string;
  /** The shell's number; `undefined` if nobody asked for it. */
  readonly request: number | undefined;
  /** The target was asked to stand. */
  asked: boolean;
  /** `quorum_check`s that were seen since. */
  checks: number;
}

/** A member as it starts; nothing is done yet. */
export function startingState(start: RaftStart): RaftState {
  const log = new KnownLog(start);
  const snapshotIndex = start.snapshot?.index ?? 0;
  const commitIndex = Math.max(snapshotIndex, start.commitIndex ?? 0);
  invariant(commitIndex <= log.lastIndex, "what is committed is in the log");
  return {
    node: start.node,
    uid: start.uid,
    chance: start.chance,
    ownMachineVersion: start.machineVersion,
    role: "follower",
    term: start.term,
    votedFor: start.votedFor,
    leader: undefined,
    log,
    get lastIndex(): number {
      return log.lastIndex;
    },
    get membership(): Membership {
      return this.forced ?? log.membership;
    },
    commitIndex,
    appliedIndex: snapshotIndex,
    told: {
      type: "role_changed",
      role: "follower",
      term: start.term,
      leader: undefined,
    },
    savedTerm: start.term,
    savedVote: start.votedFor,
    held: [],
    diskFailing: false,
    attempts: 0,
    lostNodes: new Set(),
    votes: new Map(),
    standsByRequest: false,
    forced: undefined,
    silence: { type: "set_election_timer", afterMs: 0 },
    verifiedIndex: commitIndex,
    repliedIndex: 0,
    forwardedReads: [],
    lastForwarded: start.chance.below(0x1_0000_0000) * 0x1_0000,
    receipt: undefined,
    leadership: undefined,
    transfer: undefined,
  };
}

/**
 * Whether this member may become leader: a voter may, and so may one whose
 * removal is in its log and may be in no other one's, since then only it can
 * bring that to an end (thesis 4.2.2).
 */
export function mayStand(state: RaftState): boolean {
  const { membership, log, node, uid } = state;
  if (state.diskFailing || state.receipt !== undefined) return false;
  return isVoter(membership, node, uid) ||
    membership.index > state.commitIndex &&
      isVoter(log.membershipBefore, node, uid);
}

/** The voters other than this member. */
export function otherVoters(state: RaftState): readonly Member[] {
  return votersOf(state.membership).filter(({ node }) => node !== state.node);
}

/** Whether what is said in this term and with this vote may be said: both are durable. */
export function isSaved(state: RaftState): boolean {
  return state.savedTerm === state.term && state.savedVote === state.votedFor;
}

/** Sends `message` as soon as this term and vote are durable: after a crash nobody may know more of them than this member. */
export function say(
  state: RaftState,
  to: string,
  message: RaftMessage,
  effects: RaftEffect[],
): void {
  if (isSaved(state)) effects.push({ type: "send", to, message });
  else if (state.held.length < HELD_MESSAGES_MAX) {
    state.held.push({ type: "send", to, message });
  }
}

/** Takes `term`, and gives this member's vote in it to `votedFor`. */
export function saveVote(
  state: RaftState,
  term: number,
  votedFor: string | undefined,
  effects: RaftEffect[],
): void {
  // What was to be said in an older term is of no use to anybody.
  if (term !== state.term) state.held.length = 0;
  state.term = term;
  state.votedFor = votedFor;
  effects.push({ type: "persist_vote", term, votedFor });
}

/** Says that something was not taken. */
export function refuseRequest(
  request: number,
  reason: RaftRefusal,
  effects: RaftEffect[],
): void {
  effects.push({ type: "request_refused", request, reason });
}

/** Entries up to `index` may be applied. */
export function advanceCommit(
  state: RaftState,
  index: number,
  effects: RaftEffect[],
): void {
  state.commitIndex = index;
  effects.push({ type: "commit", index });
}
