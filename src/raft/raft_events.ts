/**
 * The events and effects of `raft_fsm.ts`.
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

/** The role of a member. */
export type RaftRole =
  | "follower"
  | "pre_candidate"
  | "candidate"
  | "leader"
  /** A follower that is receiving a snapshot from its leader. */
  | "receiving_snapshot";

/** An entry to be appended to the log. */
export interface Proposal {
  readonly kind: EntryKind;
  /** The whole body of the entry. */
  readonly body: Uint8Array<ArrayBuffer>;
}

/** One change of the members at a time (thesis 4.1). */
export type MembershipChange =
  /** Adds a node. Also gives a member that lost its log a new `uid`, with which it is promotable or a non-voter. */
  | {
    readonly type: "add";
    readonly node: string;
    readonly uid: number;
    readonly kind: Exclude<MemberKind, "voter"> | "voter";
  }
  | { readonly type: "remove"; readonly node: string };

/** Why something was refused. */
export type RaftRefusal =
  | "not_leader"
  /** A change is in progress, or the leader has not committed an entry of its term yet. */
  | "cluster_change_not_permitted"
  | "already_member"
  | "not_member"
  | "already_leader"
  | "unknown_member"
  | "non_voter"
  | "not_up_to_date"
  /** Leadership is being transferred. */
  | "transferring"
  /** Too many entries are uncommitted. */
  | "overload";

/** The inputs of a member. */
export type RaftEvent =
  /** The timer set by `set_election_timer` has fired. */
  | { readonly type: "election_timeout" }
  /** Leader: due after every shortest election timeout; steps down unless a majority was heard from (thesis 6.2). */
  | { readonly type: "quorum_check" }
  /** Leader: requested by `tell_commit_soon`. */
  | { readonly type: "tell_commit" }
  /** `node` is known to be lost (its connection ended), or is back. */
  | { readonly type: "node_lost"; readonly node: string }
  | { readonly type: "node_back"; readonly node: string }
  /** Leader: `node` has answered our node's heartbeats, and knows of no higher term in this group. */
  | { readonly type: "heard_from"; readonly node: string }
  /** The heartbeats of the leader's node no longer list this group. */
  | { readonly type: "leader_silent" }
  /** `uid` is the sender's, checked for `append_reply`, votes and confirmations. */
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
  /** A batch of reads; `round` is the shell's increasing number for it. */
  | { readonly type: "read"; readonly round: number }
  /** `persist_vote` is done. */
  | {
    readonly type: "vote_persisted";
    readonly term: number;
    readonly votedFor: string | undefined;
  }
  /**
   * The log is durable up to the entry at `index` of `term`. Late reports about
   * overwritten entries are recognised by the term; but the log must not report
   * an old write of an entry that was overwritten and then appended again.
   */
  | { readonly type: "written"; readonly index: number; readonly term: number }
  /** The machine has applied the entry at `index`, and runs version `machineVersion`, if given. */
  | {
    readonly type: "applied";
    readonly index: number;
    readonly machineVersion?: number;
  }
  /** The log now begins behind this snapshot of this member's own machine. */
  | { readonly type: "snapshot_taken"; readonly snapshot: SnapshotMeta }
  /** Leader: entries that were to be sent are no longer in the log. */
  | { readonly type: "entries_missing"; readonly to: string }
  /** Leader: how a transfer begun by `send_snapshot` ended. */
  | {
    readonly type: "snapshot_sent";
    readonly to: string;
    readonly index: number;
    readonly ok: boolean;
  }
  /**
   * Follower: how a transfer begun by `receive_snapshot` ended. When `ok`, the
   * snapshot is durable and installed in log and machine.
   */
  | {
    readonly type: "snapshot_received";
    readonly snapshot: SnapshotMeta;
    readonly ok: boolean;
  }
  /** This member's disk fails: let others lead. */
  | { readonly type: "disk_failing" }
  /**
   * A majority will never come back: `members` replace the present ones, and
   * this member starts an election among them. What only the others had is
   * lost, and they must not return with their old state, as they might form a
   * majority of their own.
   */
  | { readonly type: "force_membership"; readonly members: readonly Member[] };

/** What the shell must do, in this order. */
export type RaftEffect =
  /** Replaces an earlier timer. */
  | { readonly type: "set_election_timer"; readonly afterMs: number }
  | { readonly type: "clear_election_timer" }
  /** Make durable, then report `vote_persisted`. Messages that depend on it are held until then. */
  | {
    readonly type: "persist_vote";
    readonly term: number;
    readonly votedFor: string | undefined;
  }
  /**
   * Append to the log, overwriting what is there from the first entry's index
   * on, and report `written` when durable. Proposals stay in their order.
   */
  | { readonly type: "append"; readonly entries: readonly RaftEntry[] }
  | {
    readonly type: "send";
    readonly to: string;
    readonly message: RaftMessage;
  }
  /**
   * Send `append` messages with the entries from `first` to `last`, as many as
   * their size requires; without entries if `last < first`.
   */
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
  /** The leader offers a snapshot that is wanted: receive it, and report `snapshot_received`. */
  | {
    readonly type: "receive_snapshot";
    readonly from: string;
    readonly transfer: number;
    readonly snapshot: SnapshotMeta;
  }
  | { readonly type: "abort_snapshot" }
  /** Entries up to `index` may be applied. */
  | { readonly type: "commit"; readonly index: number }
  /** Deliver `tell_commit` after a short delay. */
  | { readonly type: "tell_commit_soon" }
  /** Role, term or leader has changed. When a leader steps down, the fate of its pending proposals is unknown. */
  | {
    readonly type: "role_changed";
    readonly role: RaftRole;
    readonly term: number;
    readonly leader: string | undefined;
  }
  /** The members in effect: those of the last membership entry, committed or not. */
  | { readonly type: "membership_changed"; readonly membership: Membership }
  | {
    readonly type: "proposals_refused";
    readonly proposals: readonly Proposal[];
    readonly reason: RaftRefusal;
  }
  /** The change has been appended at `index`, and is final once that is committed. */
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
  /** The target leads, or the transfer has failed. */
  | {
    readonly type: "transfer_ended";
    readonly request: number;
    readonly ok: boolean;
  }
  /** The reads of this round may be answered once the machine has applied `index`. */
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

/** The durable state of a member when it starts. */
export interface RaftStart {
  readonly node: string;
  /** Uid of this incarnation of the member. */
  readonly uid: number;
  readonly term: number;
  readonly votedFor: string | undefined;
  readonly snapshot: SnapshotMeta | undefined;
  /** The members that the group started with, used if there is no snapshot. */
  readonly initial: Membership;
  /** Index of the last entry in the log; all of it is durable. */
  readonly lastIndex: number;
  /** Term of each entry behind the snapshot, as runs in order. */
  readonly terms: readonly { readonly first: number; readonly term: number }[];
  /** The membership entries behind the snapshot, in order. */
  readonly memberships: readonly Membership[];
  /** Index up to which entries are known to be committed, if beyond the snapshot. @default {0} */
  readonly commitIndex?: number;
  /** The machine version that this node can run. */
  readonly machineVersion: number;
  readonly chance: Chance;
}
