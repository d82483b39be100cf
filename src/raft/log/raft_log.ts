/**
 * The interfaces of the logs of a node's Raft groups. `stored_raft_logs.ts`
 * implements them; docs/raft_log_format.md describes the files.
 *
 * @module
 */
import type { WhorlError } from "../../base/errors.ts";
import type { Membership, RaftEntry, SnapshotMeta } from "../raft_entry.ts";

/** The content of a group's log when it was opened. */
export interface RecoveredGroup {
  readonly term: number;
  readonly votedFor: string | undefined;
  readonly snapshot: SnapshotMeta | undefined;
  readonly lastIndex: number;
  /** Term of each entry behind the snapshot, as runs in order. */
  readonly terms: readonly { readonly first: number; readonly term: number }[];
  /** The membership entries behind the snapshot. */
  readonly memberships: readonly Membership[];
  /**
   * The highest index known to have been applied here; a lower bound. Effects
   * of the machine up to there need not be repeated after a restart.
   */
  readonly appliedIndex: number;
  /**
   * Something acknowledged is lost: a record that must exist is missing or
   * broken. Such a member must not vote or count until it has received the log
   * again.
   */
  readonly damaged: boolean;
}

/** The configuration a group's log is created with; stored on disk. */
export interface GroupConfig {
  /** Uid of this incarnation of the member; names its folder. */
  readonly uid: number;
  /** Id of the group, the same for all its members; below 2^48. */
  readonly groupId: number;
  /** Name of the group. */
  readonly name: string;
  /** Name of its machine. */
  readonly machine: string;
  /** The members that the group starts with. */
  readonly initial: Membership;
}

/** Receives the events of one group's log. Calls come one at a time, and never from within a call of the log. */
export interface GroupLogEvents {
  /** The log is durable up to the entry at `index`, which is of `term`. */
  onWritten(index: number, term: number): void;
  /** Writing failed: nothing more becomes durable in any group until the logs are reopened. */
  onFailed(error: WhorlError): void;
  /** A read has found this group's log damaged. Called once; the log is `damaged` when opened again. */
  onRotten(error: WhorlError): void;
}

/** The log of one group: [live entries up to the snapshot] and (snapshot, last]. */
export interface GroupLog {
  readonly config: GroupConfig;
  readonly recovered: RecoveredGroup;
  readonly snapshot: SnapshotMeta | undefined;
  /** Index of the last entry, durable or not, or of the snapshot if none follows it. */
  readonly lastIndex: number;
  readonly lastTerm: number;
  /**
   * Appends entries in the order of their indexes, the first at most at
   * `lastIndex + 1`; existing entries from there on are removed. Takes
   * ownership of the bodies. A later `onWritten` reports durability; the
   * entries of one turn, of all groups, share one sync.
   *
   * @throws {RangeError} If there would be a gap.
   */
  append(entries: readonly RaftEntry[]): void;
  /** Stores the vote; `then` is called when it is durable. */
  saveVote(term: number, votedFor: string | undefined, then: () => void): void;
  /** Records, without urgency, how far the machine has applied. */
  noteApplied(index: number): void;
  /** Term of the entry at `index`; `undefined` unless that is the snapshot's index or behind it. */
  termAt(index: number): number | undefined;
  /** The entry at `index` if it is in memory. */
  entryInMemory(index: number): RaftEntry | undefined;
  /**
   * The entries from `first` to `last`, as many as `bytesMax` allows, but at
   * least one. Returned at once if they are in memory, else read from segments.
   * The promise fails with `compacted` if some are neither behind the snapshot
   * nor live. Never throws.
   */
  entries(
    first: number,
    last: number,
    bytesMax: number,
  ): readonly RaftEntry[] | Promise<readonly RaftEntry[]>;
  /**
   * The entries at `indexes`, in any order, live ones below the snapshot
   * included; missing ones are left out.
   */
  read(
    indexes: readonly number[],
  ): ReadonlyMap<number, RaftEntry> | Promise<ReadonlyMap<number, RaftEntry>>;
  /**
   * Stores a snapshot of this member's machine, and drops the entries it covers
   * except the live ones. Does nothing if there is a later one. If it fails
   * without a call of `onFailed`, the log is unchanged.
   *
   * @param state The state at `meta.index`. Iterated until this resolves; a
   * piece must not change before the next one is requested.
   * @param live Indexes up to the snapshot's whose entries stay readable, in
   * any order; iterated after `state`. An entry that is not live in one
   * snapshot must not be live in a later one.
   */
  takeSnapshot(
    meta: SnapshotMeta,
    state: Iterable<Uint8Array<ArrayBuffer>>,
    live: Iterable<number>,
  ): Promise<void>;
  /**
   * The stored state of the latest snapshot, in pieces; for restarts and for
   * sending it. Iterating fails with `store_corrupt` if it is damaged, and with
   * `compacted` if a later snapshot replaces it meanwhile.
   */
  readSnapshot(): Promise<
    | {
      readonly meta: SnapshotMeta;
      /** In order. */
      readonly live: Iterable<number>;
      readonly state: AsyncIterable<Uint8Array<ArrayBuffer>>;
    }
    | undefined
  >;
  /** The checkpoints by index: each is behind the snapshot and within the log. */
  readonly checkpoints: readonly SnapshotMeta[];
  /**
   * Stores a state of this member's machine for a restart to begin from. The
   * log is unchanged. Does nothing if there is a later one. Beyond
   * `CHECKPOINTS_MAX`, one between others is removed.
   *
   * @param state As in {@linkcode GroupLog.takeSnapshot}, and so is `live`.
   */
  takeCheckpoint(
    meta: SnapshotMeta,
    state: Iterable<Uint8Array<ArrayBuffer>>,
    live: Iterable<number>,
  ): Promise<void>;
  /**
   * Makes the newest undamaged checkpoint up to `index` the snapshot, as if
   * taken now. Returns its description, or undefined if there is none.
   */
  promoteCheckpoint(index: number): Promise<SnapshotMeta | undefined>;
  /** The newest undamaged checkpoint, for restarts. Damaged ones are removed; the log has all their entries. */
  readCheckpoint(): Promise<
    | {
      readonly meta: SnapshotMeta;
      readonly state: readonly Uint8Array<ArrayBuffer>[];
    }
    | undefined
  >;
  /** Begins to receive a snapshot from a leader. */
  receiveSnapshot(meta: SnapshotMeta): Promise<SnapshotReceiver>;
  /** Rewrites segments that are mostly dead. Also runs automatically after snapshots. */
  compact(): Promise<void>;
  /** For people and tests. */
  overview(): GroupLogOverview;
  /** Closes the log; what was appended becomes durable first, unless writing fails. */
  close(): Promise<void>;
}

/** A snapshot being received. The log does not change before `finish`. */
export interface SnapshotReceiver {
  /**
   * Writes live entries of the snapshot, ascending up to its index. Entries
   * that are here already, up to the applied index, need not be sent; once one
   * is sent, all behind it must be.
   */
  writeLive(entries: readonly RaftEntry[]): Promise<void>;
  writeState(piece: Uint8Array<ArrayBuffer>): Promise<void>;
  /**
   * Durably installs the snapshot. The log up to its index is dropped, and so
   * is the rest unless it agrees with the snapshot.
   *
   * @param appliedIndex The applied index here when it began: all live entries
   * behind it must have been sent. Without it, all behind the first entry that
   * was sent.
   * @throws {WhorlError} `invalid_argument` if entries are missing.
   */
  finish(live: Iterable<number>, appliedIndex?: number): Promise<void>;
  abort(): Promise<void>;
}

/** An overview of a log. */
export interface GroupLogOverview {
  /** Index of the first entry behind the snapshot. */
  readonly firstIndex: number;
  /** Index of the last entry. */
  readonly lastIndex: number;
  /** Index up to which entries are durable. */
  readonly durableIndex: number;
  /** Index of the latest snapshot; 0 without one. */
  readonly snapshotIndex: number;
  /** Number of entries in memory. */
  readonly entriesInMemory: number;
  /** Number of segment files. */
  readonly segments: number;
  /** Their total size in bytes. */
  readonly segmentBytes: number;
  /** Number of live entries at or below the snapshot. */
  readonly liveEntries: number;
}

/** The logs of one node. */
export interface RaftLogs {
  /** The groups on the disk, opened or not. */
  readonly groups: readonly GroupConfig[];
  /** Durably creates a group's log. @throws {WhorlError} `already_exists`. */
  create(config: GroupConfig): Promise<void>;
  /** Opens a group's log. Events of an earlier opening end. */
  open(uid: number, events: GroupLogEvents): Promise<GroupLog>;
  /** Removes a group's log, which must be closed. Its uid must never be used again. */
  remove(uid: number): Promise<void>;
  /**
   * Like `remove`, but the group's folder stays on the disk for people to
   * examine, until newer ones displace it (`aside_logs.ts`).
   */
  putAside(uid: number): Promise<void>;
  /** Folders of unknown groups that could not be read when the logs were opened, and were put aside. */
  readonly unreadable: readonly string[];
  /** Whether a group was deleted, as far as this node remembers. */
  isDeleted(groupId: number): boolean;
  /** Durably records that a group was deleted. */
  noteDeleted(groupId: number): Promise<void>;
  close(): Promise<void>;
}
