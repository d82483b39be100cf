/**
 * The state of one member of a Raft group. `raft_fsm.ts` changes it.
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

/** Most messages held until a vote is durable; further ones are dropped, as any message may be. */
const HELD_MESSAGES_MAX = 256;

/** One member of a group; see `raft_fsm.ts`. Changes in place; only its owner may change it. */
export interface RaftState {
  readonly node: string;
  readonly uid: number;
  readonly chance: Chance;
  /** The machine version that this node can run. */
  readonly ownMachineVersion: number;
  role: RaftRole;
  term: number;
  votedFor: string | undefined;
  /** Node of the leader that this member believes to be alive; it refuses votes to others. */
  leader: string | undefined;
  readonly log: KnownLog;
  /** Index of the last entry, durable or not. */
  readonly lastIndex: number;
  /** The members in effect, committed or not. */
  readonly membership: Membership;
  commitIndex: number;
  appliedIndex: number;
  /** The last role, term and leader reported to the shell. */
  told: Extract<RaftEffect, { readonly type: "role_changed" }>;

  /** The durable term and vote. While they differ from the present ones, no messages are sent. */
  savedTerm: number;
  savedVote: string | undefined;
  /** Messages to send once they are durable. */
  readonly held: Extract<RaftEffect, { readonly type: "send" }>[];
  /** Its disk fails: it starts no more elections. */
  diskFailing: boolean;

  /** Failed elections since there was a leader. */
  attempts: number;
  /** Nodes whose connection has ended. */
  readonly lostNodes: Set<string>;
  /** Answers of voters in this round of votes or pre-votes. */
  readonly votes: Map<string, boolean>;
  /** Whether its leader asked it to start this election. */
  standsByRequest: boolean;
  /** Forced members that are not in its log yet. */
  forced: Membership | undefined;

  /** The election timer of a follower, restarted by each message of its leader. */
  silence: Extract<RaftEffect, { readonly type: "set_election_timer" }>;
  /** Follower: its log is known to equal the leader's up to here. */
  verifiedIndex: number;
  /** Follower: the last index acknowledged to this leader. */
  repliedIndex: number;
  /** Follower: reads forwarded to its leader, oldest first. */
  readonly forwardedReads: ForwardedRead[];
  /**
   * The number of the last of them. Numbers begin at a random point, as the
   * leader may still answer requests of an earlier run of this process.
   */
  lastForwarded: number;
  /** A snapshot being received, until its end is reported. */
  receipt: { readonly snapshot: SnapshotMeta } | undefined;

  /** The state of a leader. */
  leadership: Leadership | undefined;
  /** A transfer of leadership that this member began as the leader. */
  transfer: Transfer | undefined;
}

/** Reads that a follower has forwarded. */
export interface ForwardedRead {
  /** Their number between the two members. */
  readonly number: number;
  /** Their number in the shell. */
  readonly round: number;
}

/** The state that a member has only while it leads. */
export interface Leadership {
  /** Index of its first entry: only once that is committed does the leader know what is committed (paper, 5.4.2 and 8). */
  readonly noopIndex: number;
  readonly peers: Map<string, Progress>;
  readonly reads: ReadRounds;
  /** Whether a `tell_commit` is scheduled. */
  isTellingSoon: boolean;
  /** Reused for counting. */
  readonly scratch: number[];
}

/** A transfer of leadership to another member (thesis 3.10). */
export interface Transfer {
  readonly to: string;
  /** The shell's number for the request; `undefined` if nobody asked for the transfer. */
  readonly request: number | undefined;
  /** Whether the target was asked to start an election. */
  asked: boolean;
  /** Number of `quorum_check`s since it began. */
  checks: number;
}

/** The state of a member that starts. */
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
 * removal is uncommitted in its log, since perhaps no other log has it and only
 * this member can complete it (thesis 4.2.2).
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

/** Whether the present term and vote are durable, so that messages may be sent. */
export function isSaved(state: RaftState): boolean {
  return state.savedTerm === state.term && state.savedVote === state.votedFor;
}

/**
 * Sends `message` as soon as the present term and vote are durable: after a
 * crash, this member must know everything that others have learnt from it.
 */
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

/** Adopts `term`, and records the vote for `votedFor` in it. */
export function saveVote(
  state: RaftState,
  term: number,
  votedFor: string | undefined,
  effects: RaftEffect[],
): void {
  // Held messages of an older term are obsolete.
  if (term !== state.term) state.held.length = 0;
  state.term = term;
  state.votedFor = votedFor;
  effects.push({ type: "persist_vote", term, votedFor });
}

/** Refuses a request. */
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
