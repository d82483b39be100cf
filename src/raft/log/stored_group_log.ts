/**
 * The log of one group: its entries in memory that are not in segments yet, its
 * segments, and its snapshot.
 *
 *     append ──► write-ahead log and memory ── a file of the log is full ──► segments
 *     snapshot ──► of the entries it covers, only live ones stay ── compaction ──► fewer segments
 *
 * Slow work (flushing entries to segments, snapshots, compaction) is done in
 * tasks, one after the other. Each ends by writing a new manifest, and only
 * then changes the state in memory. Meanwhile entries are appended and perhaps
 * truncated: then what a task has read is truncated as well.
 *
 *     group_entries.ts     which entries exist, and where
 *     stored_manifest.ts   the manifest on the disk
 *     take_over.ts         flushes entries from memory to segments
 *     group_snapshots.ts   snapshots, taken and received
 *     group_checkpoints.ts stored states for restarts
 *     group_compaction.ts  rewrites segments
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../../base/errors.ts";
import { membershipOf } from "../entry_body.ts";
import type { RaftEntry, SnapshotMeta } from "../raft_entry.ts";
import { GroupCheckpoints } from "./group_checkpoints.ts";
import { GroupCompaction } from "./group_compaction.ts";
import { GroupEntries } from "./group_entries.ts";
import type { GroupManifest } from "./group_manifest_codec.ts";
import { GroupReader } from "./group_reader.ts";
import { GroupSnapshots } from "./group_snapshots.ts";
import { GroupTasks } from "./group_tasks.ts";
import type { IndexRanges } from "./index_ranges.ts";
import { asStoreErrors } from "./log_failure.ts";
import type { GroupParts } from "./group_parts.ts";
import type {
  GroupConfig,
  GroupLog,
  GroupLogEvents,
  GroupLogOverview,
  RecoveredGroup,
  SnapshotReceiver,
} from "./raft_log.ts";
import type { SharedLogParts } from "./shared_log_parts.ts";
import { type GroupFacts, StoredManifest } from "./stored_manifest.ts";
import { flushEntries, forgetFlushed } from "./take_over.ts";
import type { WalBatch, WalGroup } from "./wal_batch.ts";

/** Entries applied before the applied index is recorded again. */
const APPLIED_NOTED_EVERY = 256;

/** One group's log. */
export class StoredGroupLog implements GroupLog, WalGroup {
  readonly config: GroupConfig;
  readonly uid: number;
  batch: WalBatch | undefined;
  place = 0;
  readonly #shared: () => SharedLogParts;
  readonly #facts: GroupFacts;
  readonly #entries: GroupEntries;
  readonly #manifest: StoredManifest;
  readonly #tasks: GroupTasks;
  readonly #parts: GroupParts;
  readonly #reader: GroupReader;
  readonly #compaction: GroupCompaction;
  readonly #snapshots: GroupSnapshots;
  readonly #checkpoints: GroupCheckpoints;
  #appliedNoted: number;
  /** Whether the last entry read from the write-ahead log does not follow the one before it. */
  #hasGap = false;
  #events: GroupLogEvents | undefined;
  #recovered: RecoveredGroup | undefined;

  /**
   * @param folder The group's folder.
   * @param live The live indexes of the snapshot in `manifest`.
   * @param shared The parts shared by the node's logs, once these are open.
   */
  constructor(
    folder: string,
    manifest: GroupManifest,
    live: IndexRanges,
    shared: () => SharedLogParts,
  ) {
    this.config = manifest.config;
    this.uid = manifest.config.uid;
    this.#shared = shared;
    const { term, votedFor, appliedIndex } = manifest;
    this.#facts = { term, votedFor, appliedIndex, unsettledBatch: 0 };
    this.#appliedNoted = appliedIndex;
    const stored = new StoredManifest(folder, manifest, shared, this.#facts);
    const entries = new GroupEntries(
      manifest,
      live,
      manifest.segments.map((info) => stored.segmentOf(info)),
    );
    this.#manifest = stored;
    this.#entries = entries;
    this.#tasks = new GroupTasks({
      folder,
      entries,
      failure: () => shared().wal.failure,
      closedError: () => this.#closedError(),
    });
    this.#parts = {
      shared,
      facts: this.#facts,
      entries,
      manifest: stored,
      tasks: this.#tasks,
      batchUnderWay: () => this.batch,
      noteRot: (error) => this.#noteRot(error),
    };
    this.#reader = new GroupReader({
      segments: entries.segments,
      files: () => shared().files,
      snapshotIndex: () => entries.snapshotIndex,
      isThere: (index) => entries.isThere(index),
      entryInMemory: (index) => entries.inMemory(index),
      compactedError: (index) => this.#compactedError(index),
      noteRot: (error) => this.#noteRot(error),
    });
    this.#compaction = new GroupCompaction(this.#parts);
    this.#snapshots = new GroupSnapshots(
      this.config.name,
      this.#parts,
      this.#compaction,
      () => this.#checkpoints.passed(),
    );
    this.#checkpoints = new GroupCheckpoints(this.#parts, this.#snapshots);
  }

  // Recovery.

  /** Recovers an entry from the batch `number` of the write-ahead log. */
  replayEntry(
    number: number,
    index: number,
    term: number,
    bytes: Uint8Array<ArrayBuffer>,
    offset: number,
    length: number,
    crc: number,
  ): void {
    if (number < this.#manifest.walFloor) return;
    const entries = this.#entries;
    // The entries before it may have been overwritten before they were flushed;
    // then this one was, too.
    this.#hasGap = index > entries.lastIndex + 1;
    if (this.#hasGap) return;
    entries.cutFrom(index);
    if (index > entries.snapshotIndex) {
      entries.push(index, term, bytes, offset, length, crc, undefined);
    } else if (entries.live.has(index)) {
      entries.memtable.push(index, term, bytes, offset, length, crc);
    }
  }

  /** Recovers a vote from the write-ahead log. */
  replayVote(number: number, term: number, votedFor: string | undefined): void {
    const facts = this.#facts;
    if (number < this.#manifest.walFloor || term < facts.term) return;
    if (term > facts.term) facts.votedFor = votedFor;
    else facts.votedFor ??= votedFor;
    facts.term = term;
  }

  /** Recovers how far the machine had applied. */
  replayApplied(index: number): void {
    const facts = this.#facts;
    facts.appliedIndex = Math.max(facts.appliedIndex, index);
    this.#appliedNoted = facts.appliedIndex;
  }

  /** Ends the recovery from the write-ahead log. */
  endReplay(): void {
    if (this.#hasGap) this.noteDamage();
  }

  /** Something acknowledged is missing. */
  noteDamage(): void {
    this.#manifest.noteDamage();
  }

  /** Whether it is open. */
  get isOpen(): boolean {
    return this.#events !== undefined;
  }

  /** Opens the log; `events` are called from now on. */
  async open(events: GroupLogEvents): Promise<void> {
    await this.#shared().wal.written();
    const entries = this.#entries;
    let found: ReadonlyMap<number, RaftEntry> = new Map();
    try {
      found = await this.read(entries.memberships);
    } catch (error) {
      if (!this.#manifest.damaged) throw error;
    }
    await asStoreErrors(
      this.#manifest.folder,
      () => this.#checkpoints.find(),
    );
    this.#events = events;
    const { lastIndex, snapshot, snapshotIndex } = entries;
    entries.noteDurable(lastIndex);
    const { term, votedFor, appliedIndex } = this.#facts;
    this.#recovered = {
      term,
      votedFor,
      snapshot,
      lastIndex,
      terms: [...entries.runs.runs],
      memberships: [...found.values()].sort((a, b) => a.index - b.index)
        .map(membershipOf),
      appliedIndex: Math.min(Math.max(appliedIndex, snapshotIndex), lastIndex),
      damaged: this.#manifest.damaged,
    };
  }

  // The log's users.

  get recovered(): RecoveredGroup {
    if (this.#recovered === undefined) throw this.#closedError();
    return this.#recovered;
  }

  get snapshot(): SnapshotMeta | undefined {
    return this.#entries.snapshot;
  }

  get lastIndex(): number {
    return this.#entries.lastIndex;
  }

  get lastTerm(): number {
    return this.termAt(this.lastIndex) ?? 0;
  }

  append(entries: readonly RaftEntry[]): void {
    const first = entries[0]?.index;
    if (first === undefined) return;
    this.#demandOpen();
    const own = this.#entries;
    if (first > own.lastIndex + 1 || first <= own.snapshotIndex) {
      throw new RangeError(
        `Cannot append the entry at ${first} as it must follow the snapshot at ${own.snapshotIndex} and leave no gap: the last one is at ${own.lastIndex}`,
      );
    }
    const { wal } = this.#shared();
    const cuts = first <= own.lastIndex;
    if (cuts) own.cutFrom(first);
    for (const entry of entries) {
      const { index, term, body } = entry;
      if (index !== own.lastIndex + 1) {
        throw new RangeError(
          `Cannot append the entry at ${index} as entries must follow one another: the one before it is at ${own.lastIndex}`,
        );
      }
      wal.putEntry(this, index, term, body);
      own.push(
        index,
        term,
        wal.lastSlab,
        wal.lastOffset,
        body.length,
        wal.lastCrc,
        entry,
      );
    }
    if (cuts) this.#facts.unsettledBatch = wal.nextBatch;
  }

  get cuts(): number {
    return this.#entries.cuts;
  }

  onDurable(index: number, term: number, cuts: number): void {
    // An entry that replaced it since then becomes durable with a later batch,
    // even if it is equal: the disk has the truncation in between.
    const entries = this.#entries;
    if (cuts !== entries.cuts || index <= entries.durableIndex) return;
    entries.noteDurable(index);
    this.#events?.onWritten(index, term);
  }

  /** Reports that writing failed. */
  onFailed(error: WhorlError): void {
    this.#events?.onFailed(error);
  }

  saveVote(term: number, votedFor: string | undefined, then: () => void): void {
    this.#demandOpen();
    const facts = this.#facts;
    facts.term = term;
    facts.votedFor = votedFor;
    const events = this.#events;
    const { wal } = this.#shared();
    wal.putVote(this, term, votedFor, () => {
      if (this.#events === events) then();
    });
    facts.unsettledBatch = wal.nextBatch;
  }

  /** Writes term and vote to the write-ahead log again, so that older files of it can be removed. */
  repeatVote(): void {
    const { term, votedFor } = this.#facts;
    if (term === 0 || this.isRemoved) return;
    this.#shared().wal.putVote(this, term, votedFor);
  }

  noteApplied(index: number): void {
    if (index <= this.#facts.appliedIndex) return;
    this.#facts.appliedIndex = index;
    this.#entries.memtable.letGoOfObjects(index);
    if (index < this.#appliedNoted + APPLIED_NOTED_EVERY) return;
    this.#appliedNoted = index;
    this.#shared().wal.putApplied(this, index);
  }

  termAt(index: number): number | undefined {
    return this.#entries.termAt(index);
  }

  entryInMemory(index: number): RaftEntry | undefined {
    return this.#entries.inMemory(index);
  }

  entries(
    first: number,
    last: number,
    bytesMax: number,
  ): readonly RaftEntry[] | Promise<readonly RaftEntry[]> {
    const { memtable, lastIndex } = this.#entries;
    const end = Math.min(last, lastIndex);
    const found: RaftEntry[] = [];
    let bytes = 0;
    for (let index = first; index <= end; index++) {
      // Entries covered by a snapshot stay in memory until the write-ahead
      // log's files are removed.
      const length = this.#entries.isThere(index)
        ? memtable.lengthAt(index)
        : -1;
      if (length < 0) {
        return this.#reader.addRow(index, end, bytesMax - bytes, found);
      }
      bytes += length;
      if (bytes > bytesMax && found.length > 0) break;
      found.push(memtable.entry(index) as RaftEntry);
    }
    return found;
  }

  /** If `error` means that something is damaged, remembers that, durably. */
  #noteRot(error: unknown): void {
    const manifest = this.#manifest;
    if (manifest.damaged || !isWhorlError(error, "store_corrupt")) return;
    manifest.noteDamage();
    this.#tasks.run(() => manifest.write(this.#entries)).catch(() => {
      // Then the write-ahead log has failed, and the next start finds the
      // damage again.
    });
    this.#events?.onRotten(error);
  }

  read(
    indexes: readonly number[],
  ): ReadonlyMap<number, RaftEntry> | Promise<ReadonlyMap<number, RaftEntry>> {
    const found = new Map<number, RaftEntry>();
    const others: number[] = [];
    for (const index of indexes) {
      const entry = this.entryInMemory(index);
      if (entry !== undefined) found.set(index, entry);
      else if (this.#entries.isThere(index)) others.push(index);
    }
    return others.length === 0 ? found : this.#reader.addSome(others, found);
  }

  takeSnapshot(
    meta: SnapshotMeta,
    state: Iterable<Uint8Array<ArrayBuffer>>,
    live: Iterable<number>,
  ): Promise<void> {
    this.#demandInLog(meta);
    return this.#snapshots.take(meta, state, live);
  }

  #demandInLog({ index }: SnapshotMeta): void {
    this.#demandOpen();
    const { lastIndex } = this.#entries;
    if (index <= lastIndex) return;
    throw new RangeError(
      `Cannot take a snapshot at ${index} as it must be in the log: the last entry is at ${lastIndex}`,
    );
  }

  get checkpoints(): readonly SnapshotMeta[] {
    return this.#checkpoints.list;
  }

  takeCheckpoint(
    meta: SnapshotMeta,
    state: Iterable<Uint8Array<ArrayBuffer>>,
    live: Iterable<number>,
  ): Promise<void> {
    this.#demandInLog(meta);
    return this.#checkpoints.take(meta, state, live);
  }

  promoteCheckpoint(index: number): Promise<SnapshotMeta | undefined> {
    this.#demandOpen();
    return this.#checkpoints.promote(index);
  }

  readCheckpoint(): ReturnType<GroupLog["readCheckpoint"]> {
    this.#demandOpen();
    return this.#checkpoints.read();
  }

  readSnapshot(): ReturnType<GroupLog["readSnapshot"]> {
    return this.#snapshots.read();
  }

  async receiveSnapshot(meta: SnapshotMeta): Promise<SnapshotReceiver> {
    this.#demandOpen();
    return await this.#snapshots.receive(meta);
  }

  // Background work.

  /**
   * Flushes its entries up to `index` to segments, so that batches before
   * `walFloor` are no longer needed.
   */
  takeOver(index: number, walFloor: number): Promise<void> {
    const manifest = this.#manifest;
    return this.#tasks.run(async () => {
      await flushEntries(this.#parts, index);
      manifest.walFloor = Math.max(manifest.walFloor, walFloor);
      await manifest.write(this.#entries);
    });
  }

  /** Releases entries in memory up to `index` that are in segments. */
  async forgetTakenOver(index: number): Promise<void> {
    await forgetFlushed(this.#parts, index);
  }

  /** Durably records that something is lost, if so. */
  async saveDamage(): Promise<void> {
    const manifest = this.#manifest;
    if (manifest.isDamageUnsaved) await manifest.write(this.#entries);
  }

  compact(): Promise<void> {
    this.#demandOpen();
    return this.#compaction.compact(true);
  }

  overview(): GroupLogOverview {
    const { memtable, segments, live, snapshotIndex, lastIndex, durableIndex } =
      this.#entries;
    return {
      firstIndex: snapshotIndex + 1,
      lastIndex,
      durableIndex,
      snapshotIndex,
      entriesInMemory: memtable.count,
      segments: segments.list.length,
      segmentBytes: segments.fileBytes,
      liveEntries: live.count,
    };
  }

  async close(): Promise<void> {
    if (this.#events === undefined) return;
    const { wal } = this.#shared();
    const { appliedIndex } = this.#facts;
    if (this.#appliedNoted < appliedIndex && wal.failure === undefined) {
      this.#appliedNoted = appliedIndex;
      wal.putApplied(this, appliedIndex);
    }
    try {
      await wal.written();
    } catch (error) {
      // `onFailed` has reported it.
      if (wal.failure === undefined) throw error;
    }
    this.#events = undefined;
  }

  /** Resolves when no task is running. */
  async idle(): Promise<void> {
    await this.#tasks.idle();
  }

  /** Whether it is being removed. */
  get isRemoved(): boolean {
    return this.#tasks.isRemoved;
  }

  /** Cancels the tasks that have not started. */
  noteRemoved(): void {
    this.#tasks.noteRemoved();
  }

  #demandOpen(): void {
    if (this.#events === undefined) throw this.#closedError();
  }

  #closedError(): WhorlError {
    return new WhorlError(
      "closed",
      `Cannot use the log of ${this.config.name} as it is not open`,
      { details: { group: this.config.name } },
    );
  }

  #compactedError(index: number): WhorlError {
    return new WhorlError(
      "compacted",
      `Cannot read the entry at ${index} of ${this.config.name} as it is no longer in its log`,
      { details: { group: this.config.name, index } },
    );
  }
}
