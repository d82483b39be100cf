/**
 * The log of one group as it is kept: what of it is in memory and not in
 * segments yet, which segments there are, and its snapshot.
 *
 *     append ──► write-ahead log and memory ── a file of the former is full ──► segments
 *     snapshot ──► of what it stands for, only the live entries stay ── compaction ──► fewer segments
 *
 * What takes time (taking entries over into segments, snapshots, compaction) is
 * done by one task after the other. Each ends with a new manifest, and only then
 * changes what is in memory. Meanwhile entries are appended, and perhaps others
 * cut off: what a task has read since is then cut as well.
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../../base/errors.ts";
import type { Disk } from "../../environment/disk.ts";
import { replaceFile } from "../../storage/atomic_file.ts";
import type { RaftEntry, SnapshotMeta } from "../raft_entry.ts";
import { planCompaction, type SegmentLife } from "./compaction_plan.ts";
import { isMembership, membershipOf } from "../entry_body.ts";
import { copyLive, lifeOf } from "./live_entries.ts";
import {
  encodeManifest,
  type GroupManifest,
  type StoredSnapshot,
} from "./group_manifest_codec.ts";
import { GroupReader } from "./group_reader.ts";
import {
  cutSegments,
  GroupSegments,
  neededSegments,
} from "./group_segments.ts";
import { IndexRanges } from "./index_ranges.ts";
import { asStoreErrors } from "./log_failure.ts";
import { type EntryPlace, Memtable } from "./memtable.ts";
import type {
  GroupConfig,
  GroupLog,
  GroupLogEvents,
  GroupLogOverview,
  RecoveredGroup,
  SnapshotReceiver,
} from "./raft_log.ts";
import { removeFolder } from "./removed_folder.ts";
import {
  SegmentBuilder,
  type SegmentLimits,
  type SegmentTarget,
} from "./segment_builder.ts";
import {
  Segment,
  type SegmentFiles,
  SegmentGoneError,
} from "./segment_files.ts";
import { abandon, ReceivedSnapshot } from "./received_snapshot.ts";
import { readState, snapshotName, SnapshotWriter } from "./snapshot_files.ts";
import { TermRuns } from "./term_runs.ts";
import type { Wal } from "./wal.ts";
import type { WalBatch, WalGroup } from "./wal_batch.ts";
import type { WorkPace } from "./work_pace.ts";

/** So many entries have to be applied before it is noted again. */
const APPLIED_NOTED_EVERY = 256;
/** So many places in memory are looked at in one go. */
const PLACES_MAX = 32_768;
const NO_BYTES = new Uint8Array(0);

/** What the logs of a node share. */
export interface SharedLogParts {
  readonly disk: Disk;
  readonly wal: Wal;
  readonly files: SegmentFiles;
  /** Of taking entries over into segments, and of snapshots. */
  readonly pace: WorkPace;
  /** Of compaction. */
  readonly compactionPace: WorkPace;
  readonly limits: SegmentLimits;
  /** After so many snapshots of a group it is compacted thoroughly. */
  readonly compactEvery: number;
}

/** One group's log. */
export class StoredGroupLog implements GroupLog, WalGroup {
  readonly config: GroupConfig;
  readonly uid: number;
  batch: WalBatch | undefined;
  place = 0;
  readonly #folder: string;
  readonly #shared: () => SharedLogParts;
  #walFloor: number;
  #term: number;
  #votedFor: string | undefined;
  #appliedIndex: number;
  #appliedNoted: number;
  #damaged: boolean;
  /** Whether the manifest says so. */
  #isDamageSaved: boolean;
  #stored: StoredSnapshot | undefined;
  /** Indexes up to the snapshot's whose entries stay readable. */
  #live = IndexRanges.none;
  /** Of the entries behind the snapshot. */
  readonly #runs = new TermRuns();
  readonly #memtable = new Memtable();
  readonly #segments: GroupSegments;
  readonly #reader: GroupReader;
  #nextNumber: number;
  /** Names of the segments that the manifest on the disk names. */
  #named: ReadonlySet<number>;
  /** Everything up to here is in segments, as far as it is needed. */
  #flushedIndex: number;
  /** Indexes of the entries behind the snapshot that say members. */
  #memberships: number[];
  #lastIndex: number;
  #durableIndex = 0;
  #cuts = 0;
  /** Whether the entry that was read last from the write-ahead log does not follow the one before it. */
  #hasGap = false;
  #events: GroupLogEvents | undefined;
  #recovered: RecoveredGroup | undefined;
  /** Number of the batch of the write-ahead log with the last vote, or entry that cut others off. */
  #unsettledBatch = 0;
  /** The lowest index that was cut off since the task under way began. */
  #cutIndex = Infinity;
  #tasks: Promise<unknown> = Promise.resolve();
  #snapshotsTaken = 0;
  #compacting = false;
  #isRemoved = false;

  /**
   * @param folder Of the group.
   * @param shared What its node has, once that is open.
   */
  constructor(
    folder: string,
    manifest: GroupManifest,
    live: IndexRanges,
    shared: () => SharedLogParts,
  ) {
    this.config = manifest.config;
    this.uid = manifest.config.uid;
    this.#folder = folder;
    this.#shared = shared;
    this.#walFloor = manifest.walFloor;
    this.#term = manifest.term;
    this.#votedFor = manifest.votedFor;
    this.#appliedIndex = this.#appliedNoted = manifest.appliedIndex;
    this.#damaged = this.#isDamageSaved = manifest.damaged;
    this.#stored = manifest.snapshot;
    this.#live = live;
    this.#nextNumber = manifest.nextNumber;
    const snapshotIndex = this.#snapshotIndex;
    this.#segments = new GroupSegments(
      manifest.segments.map((info) =>
        new Segment(this.#segmentPath(info.number), info)
      ),
    );
    this.#reader = new GroupReader({
      segments: this.#segments,
      files: () => this.#shared().files,
      snapshotIndex: () => this.#snapshotIndex,
      isThere: (index) => this.#isThere(index),
      entryInMemory: (index) => this.entryInMemory(index),
      compactedError: (index) => this.#compactedError(index),
      noteRot: (error) => this.#noteRot(error),
    });
    this.#named = new Set(manifest.segments.map(({ number }) => number));
    this.#memberships = [];
    for (const { first, runs, memberships } of manifest.segments) {
      for (const run of runs) {
        this.#runs.push(Math.max(first, run.first), run.term);
      }
      this.#memberships.push(
        ...memberships.filter((index) => index > snapshotIndex),
      );
    }
    this.#runs.dropBelow(snapshotIndex + 1);
    this.#flushedIndex = this.#segments.last;
    this.#lastIndex = Math.max(snapshotIndex, this.#segments.last);
    if (this.#lastIndex === snapshotIndex) this.#runs.cutFrom(0);
  }

  #segmentPath(number: number): string {
    return `${this.#folder}/seg-${number}`;
  }

  // What was found on the disk.

  /** Takes an entry from the batch `number` of the write-ahead log. */
  replayEntry(
    number: number,
    index: number,
    term: number,
    bytes: Uint8Array<ArrayBuffer>,
    offset: number,
    length: number,
    crc: number,
  ): void {
    if (number < this.#walFloor) return;
    // What was before it may have been overwritten before it came into a segment; then this was as well.
    this.#hasGap = index > this.#lastIndex + 1;
    if (this.#hasGap) return;
    this.#cutFrom(index);
    if (index > this.#snapshotIndex) {
      this.#push(index, term, bytes, offset, length, crc, undefined);
    } else if (this.#live.has(index)) {
      this.#memtable.push(index, term, bytes, offset, length, crc);
    }
  }

  /** Takes a vote from there. */
  replayVote(number: number, term: number, votedFor: string | undefined): void {
    if (number < this.#walFloor || term < this.#term) return;
    if (term > this.#term) this.#votedFor = votedFor;
    else this.#votedFor ??= votedFor;
    this.#term = term;
  }

  /** Takes note how far the machine had come. */
  replayApplied(index: number): void {
    this.#appliedIndex = Math.max(this.#appliedIndex, index);
    this.#appliedNoted = this.#appliedIndex;
  }

  /** Nothing more comes from there. */
  endReplay(): void {
    if (this.#hasGap) this.#damaged = true;
  }

  /** Something that was acknowledged is not there. */
  noteDamage(): void {
    this.#damaged = true;
  }

  /** Whether somebody has it open. */
  get isOpen(): boolean {
    return this.#events !== undefined;
  }

  /** Begins to tell `events`. */
  async open(events: GroupLogEvents): Promise<void> {
    await this.#shared().wal.written();
    let found: ReadonlyMap<number, RaftEntry> = new Map();
    try {
      found = await this.read(this.#memberships);
    } catch (error) {
      if (!this.#damaged) throw error;
    }
    this.#events = events;
    this.#durableIndex = this.#lastIndex;
    this.#recovered = {
      term: this.#term,
      votedFor: this.#votedFor,
      snapshot: this.snapshot,
      lastIndex: this.#lastIndex,
      terms: [...this.#runs.runs],
      memberships: [...found.values()].sort((a, b) => a.index - b.index)
        .map(membershipOf),
      appliedIndex: Math.min(
        Math.max(this.#appliedIndex, this.#snapshotIndex),
        this.#lastIndex,
      ),
      damaged: this.#damaged,
    };
  }

  // What its user sees.

  get recovered(): RecoveredGroup {
    if (this.#recovered === undefined) throw this.#closedError();
    return this.#recovered;
  }

  get snapshot(): SnapshotMeta | undefined {
    return this.#stored?.meta;
  }

  get #snapshotIndex(): number {
    return this.#stored?.meta.index ?? 0;
  }

  get lastIndex(): number {
    return this.#lastIndex;
  }

  get lastTerm(): number {
    return this.termAt(this.#lastIndex) ?? 0;
  }

  append(entries: readonly RaftEntry[]): void {
    const first = entries[0]?.index;
    if (first === undefined) return;
    this.#demandOpen();
    if (first > this.#lastIndex + 1 || first <= this.#snapshotIndex) {
      throw new RangeError(
        `Cannot append the entry at ${first} as it must follow the snapshot at ${this.#snapshotIndex} and leave no gap: the last one is at ${this.#lastIndex}`,
      );
    }
    const { wal } = this.#shared();
    const cuts = first <= this.#lastIndex;
    if (cuts) this.#cutFrom(first);
    for (const entry of entries) {
      const { index, term, body } = entry;
      if (index !== this.#lastIndex + 1) {
        throw new RangeError(
          `Cannot append the entry at ${index} as entries must follow one another: the one before it is at ${this.#lastIndex}`,
        );
      }
      wal.putEntry(this, index, term, body);
      this.#push(
        index,
        term,
        wal.lastSlab,
        wal.lastOffset,
        body.length,
        wal.lastCrc,
        entry,
      );
    }
    if (cuts) this.#unsettledBatch = wal.nextBatch;
  }

  #push(
    index: number,
    term: number,
    slab: Uint8Array<ArrayBuffer>,
    offset: number,
    length: number,
    crc: number,
    entry: RaftEntry | undefined,
  ): void {
    this.#memtable.push(index, term, slab, offset, length, crc, entry);
    this.#runs.push(index, term);
    if (isMembership(slab, offset)) this.#memberships.push(index);
    this.#lastIndex = index;
  }

  /** The entries from `index` on are gone. */
  #cutFrom(index: number): void {
    this.#cuts++;
    this.#cutIndex = Math.min(this.#cutIndex, index);
    this.#memtable.cutFrom(index);
    this.#segments.cutFrom(index);
    this.#runs.cutFrom(index);
    while ((this.#memberships.at(-1) ?? 0) >= index) this.#memberships.pop();
    this.#flushedIndex = Math.min(this.#flushedIndex, index - 1);
    this.#lastIndex = Math.max(
      Math.min(this.#lastIndex, index - 1),
      this.#snapshotIndex,
    );
    this.#durableIndex = Math.min(this.#durableIndex, this.#lastIndex);
  }

  get cuts(): number {
    return this.#cuts;
  }

  onDurable(index: number, term: number, cuts: number): void {
    // What was put in its place since then is durable with a later batch, also if
    // it is the same again: on the disk something else stands between.
    if (cuts !== this.#cuts || index <= this.#durableIndex) return;
    this.#durableIndex = index;
    this.#events?.onWritten(index, term);
  }

  /** Tells its user that the disk refuses. */
  onFailed(error: WhorlError): void {
    this.#events?.onFailed(error);
  }

  saveVote(term: number, votedFor: string | undefined, then: () => void): void {
    this.#demandOpen();
    this.#term = term;
    this.#votedFor = votedFor;
    const events = this.#events;
    const { wal } = this.#shared();
    wal.putVote(this, term, votedFor, () => {
      if (this.#events === events) then();
    });
    this.#unsettledBatch = wal.nextBatch;
  }

  /** Puts its term and vote into the write-ahead log again, so that the older files of that can go. */
  repeatVote(): void {
    if (this.#term === 0 || this.#isRemoved) return;
    this.#shared().wal.putVote(this, this.#term, this.#votedFor);
  }

  noteApplied(index: number): void {
    if (index <= this.#appliedIndex) return;
    this.#appliedIndex = index;
    if (index < this.#appliedNoted + APPLIED_NOTED_EVERY) return;
    this.#appliedNoted = index;
    this.#shared().wal.putApplied(this, index);
  }

  termAt(index: number): number | undefined {
    if (index > this.#lastIndex) return undefined;
    if (index > this.#snapshotIndex) return this.#runs.at(index);
    return index === this.#snapshotIndex ? this.snapshot?.term : undefined;
  }

  /** Whether the entry at `index` may be read. */
  #isThere(index: number): boolean {
    return index > this.#snapshotIndex
      ? index <= this.#lastIndex
      : this.#live.has(index);
  }

  entryInMemory(index: number): RaftEntry | undefined {
    return this.#isThere(index) ? this.#memtable.entry(index) : undefined;
  }

  entries(
    first: number,
    last: number,
    bytesMax: number,
  ): readonly RaftEntry[] | Promise<readonly RaftEntry[]> {
    const end = Math.min(last, this.#lastIndex);
    const found: RaftEntry[] = [];
    let bytes = 0;
    for (let index = first; index <= end; index++) {
      const length = this.#memtable.lengthAt(index);
      if (length < 0) {
        return this.#reader.addRow(index, end, bytesMax - bytes, found);
      }
      if (!this.#isThere(index)) throw this.#compactedError(index);
      bytes += length;
      if (bytes > bytesMax && found.length > 0) break;
      found.push(this.#memtable.entry(index) as RaftEntry);
    }
    return found;
  }

  /** Remembers, if `error` says so, that something is lost: also for later lives. */
  #noteRot(error: unknown): void {
    if (this.#damaged || !isWhorlError(error, "store_corrupt")) return;
    this.#damaged = true;
    this.#task(() => this.#writeManifest()).catch(() => {
      // Then the write-ahead log has failed, and the next life finds out anew.
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
      else if (this.#isThere(index)) others.push(index);
    }
    return others.length === 0 ? found : this.#reader.addSome(others, found);
  }

  takeSnapshot(
    meta: SnapshotMeta,
    state: Iterable<Uint8Array<ArrayBuffer>>,
    live: Iterable<number>,
  ): Promise<void> {
    this.#demandOpen();
    if (meta.index > this.#lastIndex) {
      throw new RangeError(
        `Cannot take a snapshot at ${meta.index} as it must be in the log: the last entry is at ${this.#lastIndex}`,
      );
    }
    // At once: the machine goes on while this is written.
    const pieces = [...state];
    const ranges = IndexRanges.of(live);
    return this.#task(async () => {
      if (meta.index <= this.#snapshotIndex) return;
      const stored = { meta, number: this.#nextNumber++ };
      const writer = await this.#beginSnapshot(stored);
      try {
        for (const piece of pieces) await writer.write(piece);
        await writer.finish(meta, ranges);
      } catch (error) {
        await abandon(writer);
        throw error;
      }
      // What stays readable must outlast what the snapshot stands for.
      await this.#shared().wal.written();
      await this.#stepUp(stored, ranges, (segments) => segments);
    });
  }

  async #beginSnapshot(stored: StoredSnapshot): Promise<SnapshotWriter> {
    const { disk, pace } = this.#shared();
    const folder = `${this.#folder}/snapshots`;
    await disk.makeFolder(folder);
    await disk.syncFolder(this.#folder);
    return await SnapshotWriter.begin(
      disk,
      pace,
      this.#snapshotFolder(stored),
    );
  }

  #snapshotFolder(stored: StoredSnapshot): string {
    return `${this.#folder}/snapshots/${snapshotName(stored)}`;
  }

  /**
   * Lets the log begin behind the snapshot `stored`, which is on the disk.
   *
   * @param change What becomes of the segments besides.
   * @param atOnce What else changes with it.
   */
  async #stepUp(
    stored: StoredSnapshot,
    live: IndexRanges,
    change: (segments: readonly Segment[]) => readonly Segment[],
    atOnce: () => void = () => {},
  ): Promise<void> {
    const { disk, pace } = this.#shared();
    const { index } = stored.meta;
    const before = this.#stored;
    const next = (segments: readonly Segment[]): readonly Segment[] =>
      neededSegments(change(segments), index, live);
    await this.#writeManifest({ stored, change: next }, () => {
      const segments = next(this.#segments.list);
      atOnce();
      this.#segments.replace(segments);
      this.#stored = stored;
      this.#live = live;
      this.#runs.dropBelow(index + 1);
      if (this.#lastIndex <= index) this.#runs.cutFrom(0);
      this.#memberships = this.#memberships.filter((place) => place > index);
      this.#appliedIndex = Math.max(this.#appliedIndex, index);
    });
    for (
      let from = this.#memtable.first;
      from <= index;
      from += PLACES_MAX
    ) {
      const to = Math.min(index, from + PLACES_MAX - 1);
      this.#memtable.keepLive(from, to, (place) => live.has(place));
      if (to < index) await pace.pause(0);
    }
    if (before !== undefined) {
      try {
        await removeFolder(disk, this.#snapshotFolder(before));
      } catch {
        // It does not count any more, and goes when the logs are opened next.
      }
    }
    this.#snapshotsTaken++;
    this.#compactSoon();
  }

  readSnapshot(): Promise<
    | {
      readonly meta: SnapshotMeta;
      readonly live: readonly number[];
      readonly state: AsyncIterable<Uint8Array<ArrayBuffer>>;
    }
    | undefined
  > {
    const stored = this.#stored;
    if (stored === undefined) return Promise.resolve(undefined);
    return Promise.resolve({
      meta: stored.meta,
      live: [...this.#live],
      state: this.#stateOf(stored),
    });
  }

  async *#stateOf(
    stored: StoredSnapshot,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    try {
      yield* readState(this.#shared().disk, this.#snapshotFolder(stored));
    } catch (error) {
      if (this.#stored === stored) {
        this.#noteRot(error);
        throw error;
      }
      const { index } = stored.meta;
      throw new WhorlError(
        "compacted",
        `Cannot read the snapshot at ${index} of ${this.config.name} as a later one has taken its place`,
        { details: { group: this.config.name, index }, cause: error },
      );
    }
  }

  async receiveSnapshot(meta: SnapshotMeta): Promise<SnapshotReceiver> {
    this.#demandOpen();
    const { wal } = this.#shared();
    const stored = { meta, number: this.#nextNumber++ };
    return new ReceivedSnapshot(
      meta,
      this.#folder,
      await asStoreErrors(this.#folder, () => this.#beginSnapshot(stored)),
      new SegmentBuilder(this.#segmentTarget(this.#shared().pace)),
      {
        install: (live, first, received) =>
          this.#task(() => this.#install(stored, live, first, received)),
        get isUnsure() {
          return wal.failure !== undefined;
        },
      },
    );
  }

  /**
   * Makes a received snapshot, which is on the disk, the log's.
   *
   * @param first Index of the first of the live entries that came with it, Infinity if there are none.
   * @param received Those entries.
   * @returns Whether it is the log's now; it is not if a later one is.
   */
  async #install(
    stored: StoredSnapshot,
    live: IndexRanges,
    first: number,
    received: SegmentBuilder,
  ): Promise<boolean> {
    const { disk, wal } = this.#shared();
    const { index, term } = stored.meta;
    if (index <= this.#snapshotIndex) return false;
    if (this.termAt(index) === term) {
      // Then everything before it is what the leader has, and what is live is here.
      await abandon(received);
      await wal.written();
      await this.#stepUp(stored, live, (segments) => segments);
      return true;
    }
    // What is here counts up to where what came with it begins.
    const end = Math.min(first, index + 1);
    await this.#flush(end - 1);
    const added = (await received.finish()).map((info) =>
      new Segment(this.#segmentPath(info.number), info)
    );
    if (added.length > 0) await disk.syncFolder(this.#folder);
    // Records that are under way would else count behind the snapshot.
    while (this.batch !== undefined) await wal.written();
    this.#walFloor = wal.nextBatch;
    await this.#stepUp(
      stored,
      live,
      (segments) => [...cutSegments(segments, end), ...added],
      () => {
        this.#cuts++;
        this.#memtable.cutFrom(0);
        this.#runs.cutFrom(0);
        this.#memberships = [];
        this.#lastIndex = this.#durableIndex = this.#flushedIndex = index;
      },
    );
    return true;
  }

  // What is done behind the scenes.

  /** Does `action` when the tasks before it are done. */
  #task<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#tasks.then(async () => {
      const failure = this.#shared().wal.failure;
      if (failure !== undefined) throw failure;
      if (this.#isRemoved) throw this.#closedError();
      this.#cutIndex = Infinity;
      return await asStoreErrors(this.#folder, action);
    });
    this.#tasks = done.catch(() => {});
    return done;
  }

  /**
   * Takes its entries up to `index` over into segments, so that the batches
   * before `walFloor` are needed no more.
   */
  takeOver(index: number, walFloor: number): Promise<void> {
    return this.#task(async () => {
      await this.#flush(index);
      this.#walFloor = Math.max(this.#walFloor, walFloor);
      await this.#writeManifest();
    });
  }

  /** Writes what is in memory up to `index` into segments. The manifest is yet to be written. */
  async #flush(index: number): Promise<void> {
    const { disk, pace } = this.#shared();
    const builder = new SegmentBuilder(this.#segmentTarget(pace));
    const place: EntryPlace = {
      term: 0,
      slab: NO_BYTES,
      offset: 0,
      length: 0,
      crc: 0,
    };
    const end = (): number =>
      Math.min(index, this.#lastIndex, this.#cutIndex - 1);
    try {
      for (
        let at = Math.max(this.#memtable.first, this.#flushedIndex + 1);
        at <= end();
        at++
      ) {
        if (!this.#isThere(at) || !this.#memtable.placeOf(at, place)) continue;
        const { term, slab, offset, length, crc } = place;
        if (builder.hasRoomFor(length)) {
          builder.addNow(at, term, slab, offset, length, crc);
        } else await builder.add(at, term, slab, offset, length, crc);
      }
      const infos = await builder.finish();
      if (infos.length > 0) await disk.syncFolder(this.#folder);
      const added = infos.map((info) =>
        new Segment(this.#segmentPath(info.number), info)
      );
      this.#segments.replace([
        ...this.#segments.list,
        ...cutSegments(added, this.#cutIndex),
      ]);
      this.#flushedIndex = Math.max(this.#flushedIndex, end());
    } catch (error) {
      await abandon(builder);
      throw error;
    }
  }

  #segmentTarget(pace: WorkPace): SegmentTarget {
    const { disk, limits } = this.#shared();
    return {
      disk,
      pace,
      uid: this.uid,
      limits,
      takeNumber: () => this.#nextNumber++,
      pathOf: (number) => this.#segmentPath(number),
    };
  }

  /** Lets go of entries in memory up to `index` that are in segments. */
  async forgetTakenOver(index: number): Promise<void> {
    const { pace } = this.#shared();
    while (
      !this.#memtable.dropTo(Math.min(index, this.#flushedIndex), PLACES_MAX)
    ) await pace.pause(0);
  }

  /**
   * Replaces the manifest, durably, and then removes segments that it does not name.
   *
   * @param change What becomes of the segments.
   * @param then What changes in memory with it, before the segments go.
   */
  async #writeManifest(
    { stored = this.#stored, change = (segments) => segments }: {
      readonly stored?: StoredSnapshot | undefined;
      readonly change?: (segments: readonly Segment[]) => readonly Segment[];
    } = {},
    then: () => void = () => {},
  ): Promise<void> {
    const { disk, wal, files } = this.#shared();
    // It must not know of what the write-ahead log may still lose.
    while (this.#unsettledBatch > wal.durableBatch) await wal.written();
    const segments = change(this.#segments.list);
    const damaged = this.#damaged;
    const bytes = encodeManifest({
      config: this.config,
      walFloor: this.#walFloor,
      term: this.#term,
      votedFor: this.#votedFor,
      appliedIndex: Math.min(this.#appliedIndex, this.#lastIndex),
      damaged,
      snapshot: stored,
      nextNumber: this.#nextNumber,
      segments: segments.map(({ info }) => info),
    });
    try {
      await replaceFile(disk, `${this.#folder}/manifest`, bytes);
    } catch (error) {
      // Nobody knows which one is there now.
      wal.fail(error);
      throw error;
    }
    this.#isDamageSaved = damaged;
    then();
    const named = new Set(segments.map(({ info }) => info.number));
    const gone = [...this.#named].filter((number) => !named.has(number));
    this.#named = named;
    for (const number of gone) {
      const path = this.#segmentPath(number);
      files.forget(path);
      try {
        await disk.remove(path);
      } catch {
        // It does not count any more, and goes when the logs are opened next.
      }
    }
  }

  /** Writes down that something is lost, if it is, so that no later life forgets it. */
  async saveDamage(): Promise<void> {
    if (this.#damaged && !this.#isDamageSaved) await this.#writeManifest();
  }

  compact(): Promise<void> {
    this.#demandOpen();
    return this.#compact(true);
  }

  /** Compacts, unless that is about to be done, if it is worth it. */
  #compactSoon(): void {
    if (this.#compacting) return;
    this.#compacting = true;
    const { compactEvery } = this.#shared();
    this.#compact(this.#snapshotsTaken % compactEvery === 0).catch(() => {
      // Rot is noted, and what else can be wrong is told when something has to be written; this is tried again after the next snapshot.
    }).finally(() => this.#compacting = false);
  }

  /**
   * Writes each row of segments that is worth it anew, in a task of its own: in
   * between, the write-ahead log's entries are taken over, or writers would wait.
   *
   * @param isThorough Whether live bytes are counted, and not concluded from the number of live entries.
   */
  async #compact(isThorough: boolean): Promise<void> {
    const { limits, files, compactionPace } = this.#shared();
    const segments = this.#segments.list;
    try {
      const lives: SegmentLife[] = [];
      for (const segment of segments) {
        const isBelow = segment.info.last <= this.#snapshotIndex;
        lives.push(
          await lifeOf(segment, isBelow ? this.#live : undefined, {
            files,
            pace: compactionPace,
            isThorough,
          }),
        );
      }
      for (const [first, last] of planCompaction(lives, limits)) {
        const row = segments.slice(first, last + 1);
        await this.#task(() => this.#rewrite(row));
      }
    } catch (error) {
      // Somebody else has compacted meanwhile.
      if (error instanceof SegmentGoneError) return;
      this.#noteRot(error);
      throw error;
    }
  }

  /** Writes what is live in `row` into new segments, and puts them in its place. */
  async #rewrite(row: readonly Segment[]): Promise<void> {
    const { disk, files, wal, compactionPace } = this.#shared();
    const { list } = this.#segments;
    const start = list.indexOf(row[0] as Segment);
    // A snapshot may have taken some of them away.
    if (start < 0 || row.some((segment, i) => list[start + i] !== segment)) {
      return;
    }
    const builder = new SegmentBuilder(this.#segmentTarget(compactionPace));
    try {
      for (const segment of row) {
        await copyLive(segment, this.#live, builder, {
          files,
          pace: compactionPace,
        });
      }
      const infos = await builder.finish();
      if (infos.length > 0) await disk.syncFolder(this.#folder);
      const added = infos.map((info) =>
        new Segment(this.#segmentPath(info.number), info)
      );
      const replaced = (list: readonly Segment[]): Segment[] => {
        const at = list.indexOf(row[0] as Segment);
        return [
          ...list.slice(0, at),
          ...added,
          ...list.slice(at + row.length),
        ];
      };
      await this.#writeManifest(
        { change: replaced },
        () => this.#segments.replace(replaced(this.#segments.list)),
      );
    } catch (error) {
      if (wal.failure === undefined) await abandon(builder);
      throw error;
    }
  }

  overview(): GroupLogOverview {
    return {
      firstIndex: this.#snapshotIndex + 1,
      lastIndex: this.#lastIndex,
      durableIndex: this.#durableIndex,
      snapshotIndex: this.#snapshotIndex,
      entriesInMemory: this.#memtable.count,
      segments: this.#segments.list.length,
      segmentBytes: this.#segments.fileBytes,
      liveEntries: this.#live.count,
    };
  }

  async close(): Promise<void> {
    if (this.#events === undefined) return;
    const { wal } = this.#shared();
    if (this.#appliedNoted < this.#appliedIndex && wal.failure === undefined) {
      this.#appliedNoted = this.#appliedIndex;
      wal.putApplied(this, this.#appliedIndex);
    }
    try {
      await wal.written();
    } catch (error) {
      // It was told by `onFailed`, and there is nothing more to be done about it.
      if (wal.failure === undefined) throw error;
    }
    this.#events = undefined;
  }

  /** Resolves when no task is under way. */
  async idle(): Promise<void> {
    await this.#tasks;
  }

  /** Whether it is being removed. */
  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  /** Whatever is still to be done for it is not. */
  noteRemoved(): void {
    this.#isRemoved = true;
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
      `Cannot read the entry at ${index} of ${this.config.name} as it is not in its log any more`,
      { details: { group: this.config.name, index } },
    );
  }
}
