/**
 * Messages between the members of a group. `raft_message_codec.ts` defines
 * their encoding.
 *
 * @module
 */
import type { RaftEntry, SnapshotMeta } from "./raft_entry.ts";

/** The messages of the given types. */
export type MessageOf<Type extends RaftMessage["type"]> = Extract<
  RaftMessage,
  { readonly type: Type }
>;

/** One message; its sender and group are sent beside it. `term` is the sender's. */
export type RaftMessage =
  /** Asks whether the receiver would vote for the sender; changes no term or vote (thesis 9.6). */
  | {
    readonly type: "pre_vote";
    /** The term of the intended election, one above the sender's. */
    readonly term: number;
    readonly lastIndex: number;
    readonly lastTerm: number;
    /** Machine version of the candidate. */
    readonly machineVersion: number;
  }
  | {
    readonly type: "pre_vote_reply";
    /** The requested term if granted, else the voter's own. */
    readonly term: number;
    readonly granted: boolean;
  }
  /** Requests a vote (paper, 5.2). */
  | {
    readonly type: "vote";
    readonly term: number;
    readonly lastIndex: number;
    readonly lastTerm: number;
    /** The leader asked for this election, so that a live leader is no reason to refuse (thesis 3.10). */
    readonly transfer: boolean;
  }
  | {
    readonly type: "vote_reply";
    readonly term: number;
    readonly granted: boolean;
  }
  /** Entries behind `prevIndex` (paper, 5.3). */
  | {
    readonly type: "append";
    readonly term: number;
    readonly prevIndex: number;
    readonly prevTerm: number;
    readonly commitIndex: number;
    /** In order, the first at `prevIndex + 1`; none to probe. */
    readonly entries: readonly RaftEntry[];
  }
  /** What is durable at the sender, sent when that changes or on request. */
  | {
    readonly type: "append_reply";
    readonly term: number;
    /** Whether it had `prevIndex` with `prevTerm`. */
    readonly success: boolean;
    /**
     * On success, the index up to which its log equals the leader's and is
     * durable. Otherwise the highest index to continue from.
     */
    readonly index: number;
    /** Term of its entry at `index`, so that a whole term is skipped at once. */
    readonly indexTerm: number;
  }
  /** Asks whether the receiver still follows the sender, for linearizable reads (thesis 6.4). */
  | {
    readonly type: "confirm";
    readonly term: number;
    /** Increases with each. */
    readonly round: number;
    readonly commitIndex: number;
  }
  | {
    readonly type: "confirm_reply";
    readonly term: number;
    readonly round: number;
  }
  /** A follower asks its leader for the index from which it may answer a read (thesis 6.4). */
  | {
    readonly type: "read_index";
    readonly term: number;
    /** The follower's number for it, below 2^48, not used by earlier runs of its process. */
    readonly round: number;
  }
  | {
    readonly type: "read_index_reply";
    readonly term: number;
    readonly round: number;
    /** -1 if the leader cannot say. */
    readonly index: number;
  }
  /** From an idle leader; the heartbeats of all groups are sent together. */
  | {
    readonly type: "heartbeat";
    readonly term: number;
    readonly commitIndex: number;
  }
  /**
   * Answers any message of an older term, or a heartbeat if the follower cannot
   * tell whether it has what the leader has committed.
   */
  | { readonly type: "heartbeat_reply"; readonly term: number }
  /** Offers a snapshot: live entries, then the state, follow on a bulk link. */
  | {
    readonly type: "install_snapshot";
    readonly term: number;
    readonly snapshot: SnapshotMeta;
    /** The leader's number for this transfer. */
    readonly transfer: number;
  }
  /** Asks the receiver to start an election now (thesis 3.10). */
  | { readonly type: "timeout_now"; readonly term: number };
