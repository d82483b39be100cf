/**
 * What members of a group say to each other. `raft_message_codec.ts` says how
 * it travels.
 *
 * @module
 */
import type { RaftEntry, SnapshotMeta } from "./raft_entry.ts";

/** The messages of some types. */
export type MessageOf<Type extends RaftMessage["type"]> = Extract<
  RaftMessage,
  { readonly type: Type }
>;

/** One message; `from` and the group travel beside it. `term` is the sender's. */
export type RaftMessage =
  /** Would you vote for me? Nobody's term or vote changes (thesis 9.6). */
  | {
    readonly type: "pre_vote";
    /** The term it would stand in, one above its own. */
    readonly term: number;
    readonly lastIndex: number;
    readonly lastTerm: number;
    /** Version of the machine that the candidate has. */
    readonly machineVersion: number;
  }
  | {
    readonly type: "pre_vote_reply";
    /** As asked if granted, else the voter's own. */
    readonly term: number;
    readonly granted: boolean;
  }
  /** Vote for me (paper, 5.2). */
  | {
    readonly type: "vote";
    readonly term: number;
    readonly lastIndex: number;
    readonly lastTerm: number;
    /** Its leader has asked it to stand: a leader that is alive is no reason to refuse (thesis 3.10). */
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
  /** What the sender has durably, sent when that changes or it is asked. */
  | {
    readonly type: "append_reply";
    readonly term: number;
    /** Whether it had `prevIndex` with `prevTerm`. */
    readonly success: boolean;
    /** If it succeeded, the index up to which its log is the leader's and durable. If not, the index to go on from at most. */
    readonly index: number;
    /** Term of its entry at `index`, so that a whole term is skipped at once. */
    readonly indexTerm: number;
  }
  /** Am I still your leader? Asked for linearizable reads (thesis 6.4). */
  | {
    readonly type: "confirm";
    readonly term: number;
    /** Grows with each. */
    readonly round: number;
    readonly commitIndex: number;
  }
  | {
    readonly type: "confirm_reply";
    readonly term: number;
    readonly round: number;
  }
  /** A follower asks its leader from which index on it may answer a read (thesis 6.4). */
  | {
    readonly type: "read_index";
    readonly term: number;
    /** The follower's number for it, below 2^48: no other life of its process has used it. */
    readonly round: number;
  }
  | {
    readonly type: "read_index_reply";
    readonly term: number;
    readonly round: number;
    /** -1 if the leader cannot say. */
    readonly index: number;
  }
  /** Of a leader that has nothing else to say; heartbeats of all groups travel together. */
  | {
    readonly type: "heartbeat";
    readonly term: number;
    readonly commitIndex: number;
  }
  /** Answers whatever came from an older term; or a heartbeat, if its sender cannot tell whether it has what the leader has committed. */
  | { readonly type: "heartbeat_reply"; readonly term: number }
  /** A snapshot is offered: the entries that are live, then the state, follow on a bulk link. */
  | {
    readonly type: "install_snapshot";
    readonly term: number;
    readonly snapshot: SnapshotMeta;
    /** The leader's number for this transfer. */
    readonly transfer: number;
  }
  /** Stand for election now (thesis 3.10). */
  | { readonly type: "timeout_now"; readonly term: number };
