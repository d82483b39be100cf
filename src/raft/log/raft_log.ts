/**
 * Where the logs of a node's Raft groups are kept, as seen by those who use
 * them. `stored_raft_logs.ts` opens them. What stands on the disk is written
 * down in docs/raft_log_format.md.
 *
 * @module
 */
import type { WhorlError } from "../../base/errors.ts";
import type { Membership, RaftEntry, SnapshotMeta } from "../raft_entry.ts";

/** What of a group was on the disk when it was opened. */
export interface RecoveredGroup {
  readonly term: number;
  readonly votedFor: string | undefined;
  readonly snapshot: SnapshotMeta | undefined;
  readonly lastIndex: number;
  /** Term of each entry behind the snapshot, as runs in order. */
  readonly terms: readonly { readonly first: number; readonly term: number }[];
  /** Entries of the kind `membership` behind the snapshot. */
  readonly memberships: readonly Membership[];
  /** The highest index known to have been applied here; a machine that restarts need not tell anybody again up to there. A lower bound. */
  readonly appliedIndex: number;
  /**
   * What was acknowledged is not all there any more: a record that must be
   * there is missing or broken. Such a member must not vote or count before it
   * has been given the log anew.
   */
  readonly damaged: boolean;
}

/** What a group is given when it is made; kept on disk with it. */
export interface GroupConfig {
  /** Number of this life of the member; names its folder. */
  readonly uid: number;
  /** Number of the group, the same for all its members; below 2^48. */
  readonly groupId: number;
  /** Its name. */
  readonly name: string;
  /** Name of its kind of machine. */
  readonly machine: string;
  /** The members it starts with. */
  readonly initial: Membership;
}

/** Told by the log of one group. Calls come one at a time and never from within a call of the log. */
export interface GroupLogEvents {
  /** Durable up to the entry at `index`, which is of `term`. */
  onWritten(index: number, term: number): void;
  /** The disk refuses: nothing more of this group, or of any, becomes durable until it is opened anew. */
  onFailed(error: WhorlError): void;
  /** Something of this group was found damaged when it was read. Told once; what is opened later is `damaged`. */
  onRotten(error: WhorlError): void;
}

/** The log of one group: [live entries up to the snapshot] and (snapshot, last]. */
export interface GroupLog {
  readonly config: GroupConfig;
  readonly recovered: RecoveredGroup;
  readonly snapshot: SnapshotMeta | undefined;
  /** Of the last entry, durable or not; of the snapshot if there is none behind it. */
  readonly lastIndex: number;
  readonly lastTerm: number;
  /**
   * Appends entries in the order of their indexes, the first at `lastIndex + 1`
   * at most; what stands from there on is gone. Takes the bodies over. Durable
   * with a later `onWritten`; entries of one turn, of all groups, share one sync.
   *
   * @throws {RangeError} If there would be a gap.
   */
  append(entries: readonly RaftEntry[]): void;
  /** Remembers the vote; `then` is called when it is durable. */
  saveVote(term: number, votedFor: string | undefined, then: () => void): void;
  /** Remembers, in no hurry, how far the machine has come. */
  noteApplied(index: number): void;
  /** Term of the entry at `index`; `undefined` if it is not behind the snapshot, and not the snapshot's own. */
  termAt(index: number): number | undefined;
  /** The entry at `index` if it is in memory. */
  entryInMemory(index: number): RaftEntry | undefined;
  /**
   * The entries from `first` to `last`, as many as `bytesMax` allows, one at
   * least. At once if they are in memory, otherwise from the segments; the
   * promise fails with `compacted` if some are neither behind the snapshot nor
   * live. It does not throw.
   */
  entries(
    first: number,
    last: number,
    bytesMax: number,
  ): readonly RaftEntry[] | Promise<readonly RaftEntry[]>;
  /**
   * The entries at `indexes`, in any order; those that are not there are left
   * out. Unlike `entries` also live ones below the snapshot.
   */
  read(
    indexes: readonly number[],
  ): ReadonlyMap<number, RaftEntry> | Promise<ReadonlyMap<number, RaftEntry>>;
  /**
   * Stores a snapshot of this member's machine, and lets go of what it stands
   * for but the live entries. Does nothing if there is a later one. If it fails
   * without `onFailed` being told, the log is as it was before.
   *
   * @param state As it was at `meta.index`. Taken piece by piece until this resolves; a piece must not change before the next one is taken.
   * @param live Indexes up to the snapshot's whose entries stay readable, in any order; taken after all of `state`. What is not live in one snapshot never is in a later one.
   */
  takeSnapshot(
    meta: SnapshotMeta,
    state: Iterable<Uint8Array<ArrayBuffer>>,
    live: Iterable<number>,
  ): Promise<void>;
  /**
   * The stored state of the latest snapshot, in pieces; for restarts and for
   * sending it. The pieces come with `store_corrupt` if they are damaged, and
   * with `compacted` if a later snapshot takes its place while they are read.
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
  /** The checkpoints, by index: each is behind the snapshot, and in the log. */
  readonly checkpoints: readonly SnapshotMeta[];
  /**
   * Stores a state of this member's machine as a point from which a restart
   * begins. The log stays as it is. Does nothing if there is a later one. Of more
   * than `CHECKPOINTS_MAX` one between others goes.
   *
   * @param state As of {@linkcode GroupLog.takeSnapshot}, and so is `live`.
   */
  takeCheckpoint(
    meta: SnapshotMeta,
    state: Iterable<Uint8Array<ArrayBuffer>>,
    live: Iterable<number>,
  ): Promise<void>;
  /** Makes the newest checkpoint up to `index` that is whole the snapshot, as if it were taken now; what it says, undefined if there is none. */
  promoteCheckpoint(index: number): Promise<SnapshotMeta | undefined>;
  /** The newest checkpoint that is whole. Those that are not are removed, as the entries are there. For restarts. */
  readCheckpoint(): Promise<
    | {
      readonly meta: SnapshotMeta;
      readonly state: readonly Uint8Array<ArrayBuffer>[];
    }
    | undefined
  >;
  /** Begins to take a snapshot from a leader. */
  receiveSnapshot(meta: SnapshotMeta): Promise<SnapshotReceiver>;
  /** Merges segments that are mostly dead now. Also done by itself after some snapshots. */
  compact(): Promise<void>;
  /** For people and tests. */
  overview(): GroupLogOverview;
  /** Ends it; what was appended becomes durable first, unless the disk refuses. */
  close(): Promise<void>;
}

/** A snapshot on its way here. Nothing of the log changes before `finish`. */
export interface SnapshotReceiver {
  /**
   * Entries that are live in the snapshot, at or below its index, in the order
   * of their indexes. The first ones need not be sent if they are here already,
   * as those up to what was applied here are; once one is sent, so are all behind it.
   */
  writeLive(entries: readonly RaftEntry[]): Promise<void>;
  writeState(piece: Uint8Array<ArrayBuffer>): Promise<void>;
  /**
   * Makes it the log's snapshot, durably: what stood before it, and what follows
   * it unless it agrees with it, is gone.
   *
   * @param appliedIndex What was applied here when it was begun: what is live behind that must have been sent. Without it, only what is live behind the first entry that was.
   * @throws {WhorlError} `invalid_argument` if something of it was not.
   */
  finish(live: Iterable<number>, appliedIndex?: number): Promise<void>;
  abort(): Promise<void>;
}

/** What a log consists of. */
export interface GroupLogOverview {
  /** Of the first entry behind the snapshot. */
  readonly firstIndex: number;
  /** Of the last entry. */
  readonly lastIndex: number;
  /** Up to here entries are on its disk. */
  readonly durableIndex: number;
  /** Index up to which its latest snapshot stands for the log; 0 without one. */
  readonly snapshotIndex: number;
  /** Entries that are in memory. */
  readonly entriesInMemory: number;
  /** Files of entries. */
  readonly segments: number;
  /** What they have in bytes. */
  readonly segmentBytes: number;
  /** Entries at or below the snapshot that are still needed. */
  readonly liveEntries: number;
}

/** The logs of one node. */
export interface RaftLogs {
  /** The groups that are on the disk, opened or not. */
  readonly groups: readonly GroupConfig[];
  /** Makes a group, durably. @throws {WhorlError} `already_exists`. */
  create(config: GroupConfig): Promise<void>;
  /** Opens one. Who had it open before hears nothing more. */
  open(uid: number, events: GroupLogEvents): Promise<GroupLog>;
  /** Removes all of it; it must be closed. Its number is never to be used again. */
  remove(uid: number): Promise<void>;
  /** As `remove`, but what is damaged stays on the disk for people to look at, as far as it is in the group's own folder and until others have taken its place (`aside_logs.ts`). */
  putAside(uid: number): Promise<void>;
  /** Folders of groups that could not be read when the logs were opened, and were put aside. Nobody knows whose they were. */
  readonly unreadable: readonly string[];
  /** Whether a group was deleted, as far as this node remembers. */
  isDeleted(groupId: number): boolean;
  /** Remembers, durably, that a group was deleted. */
  noteDeleted(groupId: number): Promise<void>;
  close(): Promise<void>;
}
