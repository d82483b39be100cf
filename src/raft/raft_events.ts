/**
 * The vocabulary of `raft_fsm.ts`: all that can happen to a member of a group,
 * and all that it can want done.
 *
 * @module
 */
import type { Chance } from "../base/chance.ts";
import type {
  EntryKind,
  Member,
  MemberKind,
  Membership,
  RaftEntry,
  SnapshotMeta,
} from "./raft_entry.ts";
import type { RaftMessage } from "./raft_message.ts";

/** What a member is at the moment. */
export type RaftRole =
  | "follower"
  | "pre_candidate"
  | "candidate"
  | "leader"
  /** Takes a snapshot from its leader. */
  | "receiving_snapshot";

/** Something to be put into the log. */
export interface Proposal {
  readonly kind: EntryKind;
  /** The whole body of the entry. */
  readonly body: Uint8Array<ArrayBuffer>;
}

/** One change of the members at a time (thesis 4.1). */
export type MembershipChange =
  /** A node that is no member becomes one. Also gives a member that lost its log another `uid`, as which it is promotable or a non-voter. */
  | {
    readonly type: "add";
    readonly node: string;
    readonly uid: number;
    readonly kind: Exclude<MemberKind, "voter"> | "voter";
  }
  | { readonly type: "remove"; readonly node: string };

/** Why something was not taken. */
export type RaftRefusal =
  | "not_leader"
  /** A change is under way, or the leader has not committed an entry of its term yet. */
  | "cluster_change_not_permitted"
  | "already_member"
  | "not_member"
  | "already_leader"
  | "unknown_member"
  | "non_voter"
  | "not_up_to_date"
  /** Leadership is being transferred. */
  | "transferring"
  /** So many entries are on their way to a majority that no more are taken. */
  | "overload";

/** What happens to a member. */
export type RaftEvent =
  /** The time asked for by `set_election_timer` is over. */
  | { readonly type: "election_timeout" }
  /** Leader: as long as the shortest election timeout has passed since the last one; step down unless a majority was heard from (thesis 6.2). */
  | { readonly type: "quorum_check" }
  /** Leader: what `tell_commit_soon` asked for is due. */
  | { readonly type: "tell_commit" }
  /** The node of `node` is known to be lost (its connection ended), or answers again. */
  | { readonly type: "node_lost"; readonly node: string }
  | { readonly type: "node_back"; readonly node: string }
  /** Leader: `node` has answered the heartbeats of its node, and knows of no higher term in this group. */
  | { readonly type: "heard_from"; readonly node: string }
  /** The heartbeats of the leader's node no longer speak of this group. */
  | { readonly type: "leader_silent" }
  /** `uid` is that of the sender's life, for `append_reply`, votes and confirmations. */
  | {
    readonly type: "message";
    readonly from: string;
    readonly uid: number;
    readonly message: RaftMessage;
  }
  | { readonly type: "propose"; readonly proposals: readonly Proposal[] }
  | {
    readonly type: "change_membership";
    readonly request: number;
    readonly change: MembershipChange;
  }
  | {
    readonly type: "transfer_leadership";
    readonly request: number;
    readonly to: string;
  }
  /** Reads that came together; `round` is the shell's number and grows. */
  | { readonly type: "read"; readonly round: number }
  /** `persist_vote` is done. */
  | {
    readonly type: "vote_persisted";
    readonly term: number;
    readonly votedFor: string | undefined;
  }
  /**
   * The log is durable up to the entry at `index` of `term`. Late ones, of
   * entries that are gone, are recognised by the term; but the log must not report
   * the write of an entry that was overwritten and then put in once more.
   */
  | { readonly type: "written"; readonly index: number; readonly term: number }
  /** The machine has seen the entry at `index`, and runs by `machineVersion`, if that is told. */
  | {
    readonly type: "applied";
    readonly index: number;
    readonly machineVersion?: number;
  }
  /** The log now begins behind this snapshot of this member's own machine. */
  | { readonly type: "snapshot_taken"; readonly snapshot: SnapshotMeta }
  /** Leader: entries that were to be sent are in the log no longer. */
  | { readonly type: "entries_missing"; readonly to: string }
  /** Leader: how a transfer begun by `send_snapshot` ended. */
  | {
    readonly type: "snapshot_sent";
    readonly to: string;
    readonly index: number;
    readonly ok: boolean;
  }
  /** Follower: how a transfer begun by `receive_snapshot` ended. When `ok`, it is durable and the machine and log stand on it. */
  | {
    readonly type: "snapshot_received";
    readonly snapshot: SnapshotMeta;
    readonly ok: boolean;
  }
  /** This member cannot write its disk: let others lead. */
  | { readonly type: "disk_failing" }
  /**
   * A majority will never come back: these are the members from now on, for
   * which this one stands. What only the others had is lost, and they must not
   * come back as they were: they might be a majority of their own.
   */
  | { readonly type: "force_membership"; readonly members: readonly Member[] };

/** What the shell is to do, in this order. */
export type RaftEffect =
  /** Replaces an earlier one. */
  | { readonly type: "set_election_timer"; readonly afterMs: number }
  | { readonly type: "clear_election_timer" }
  /** Make durable, then report `vote_persisted`. Nothing that depends on it is sent before. */
  | {
    readonly type: "persist_vote";
    readonly term: number;
    readonly votedFor: string | undefined;
  }
  /** Put into the log, over what stands there from the first one's index on, and report `written` when durable. Of proposals: in their order. */
  | { readonly type: "append"; readonly entries: readonly RaftEntry[] }
  | {
    readonly type: "send";
    readonly to: string;
    readonly message: RaftMessage;
  }
  /** Send an `append` with the entries from `first` to `last`, in as many messages as their size demands; `last < first` for none. */
  | {
    readonly type: "send_entries";
    readonly to: string;
    readonly term: number;
    readonly prevTerm: number;
    readonly first: number;
    readonly last: number;
    readonly commitIndex: number;
  }
  /** Send the latest snapshot, and report `snapshot_sent`. */
  | {
    readonly type: "send_snapshot";
    readonly to: string;
    readonly term: number;
  }
  /** A leader offers a snapshot that is wanted: take it, and report `snapshot_received`. */
  | {
    readonly type: "receive_snapshot";
    readonly from: string;
    readonly transfer: number;
    readonly snapshot: SnapshotMeta;
  }
  | { readonly type: "abort_snapshot" }
  /** Entries up to `index` may be applied. */
  | { readonly type: "commit"; readonly index: number }
  /** Deliver `tell_commit` in a moment. */
  | { readonly type: "tell_commit_soon" }
  /** The role, the term or the leader is another one now. Who waits for proposals of a leader that is none any more learns that their fate is unknown. */
  | {
    readonly type: "role_changed";
    readonly role: RaftRole;
    readonly term: number;
    readonly leader: string | undefined;
  }
  /** The members in effect, which are those of the last entry of that kind, committed or not. */
  | { readonly type: "membership_changed"; readonly membership: Membership }
  | {
    readonly type: "proposals_refused";
    readonly proposals: readonly Proposal[];
    readonly reason: RaftRefusal;
  }
  /** The change is in the log at `index`, and will hold once that is committed. */
  | {
    readonly type: "change_begun";
    readonly request: number;
    readonly index: number;
    readonly term: number;
  }
  | {
    readonly type: "request_refused";
    readonly request: number;
    readonly reason: RaftRefusal;
  }
  /** The target leads now, or never will. */
  | {
    readonly type: "transfer_ended";
    readonly request: number;
    readonly ok: boolean;
  }
  /** The reads of this round may be answered from a machine that has applied `index`. */
  | {
    readonly type: "read_ready";
    readonly round: number;
    readonly index: number;
  }
  | {
    readonly type: "read_refused";
    readonly round: number;
    readonly reason: RaftRefusal;
  };

/** What a member remembers when it starts. */
export interface RaftStart {
  readonly node: string;
  /** Of this life of the member. */
  readonly uid: number;
  readonly term: number;
  readonly votedFor: string | undefined;
  readonly snapshot: SnapshotMeta | undefined;
  /** The members the group started with, used where there is no snapshot. */
  readonly initial: Membership;
  /** What the log holds behind the snapshot: all of it is durable. */
  readonly lastIndex: number;
  /** Term of each entry behind the snapshot, as runs in order. */
  readonly terms: readonly { readonly first: number; readonly term: number }[];
  /** Entries of the kind `membership` behind the snapshot, in order. */
  readonly memberships: readonly Membership[];
  /** Up to where entries are known to be committed, when that is more than the snapshot. @default {0} */
  readonly commitIndex?: number;
  /** The version of the machine that this node can run. */
  readonly machineVersion: number;
  readonly chance: Chance;
}
