/**
 * Which entries of a group exist, and where: the live ones up to the snapshot
 * and all behind it, in memory or in segments. This bookkeeping is in memory
 * and changes at once; the disk is changed before or after.
 *
 * @module
 */
import { isMembership } from "../entry_body.ts";
import type { RaftEntry, SnapshotMeta } from "../raft_entry.ts";
import type { GroupManifest, StoredSnapshot } from "./group_manifest_codec.ts";
import { GroupSegments } from "./group_segments.ts";
import type { IndexRanges } from "./index_ranges.ts";
import { Memtable } from "./memtable.ts";
import type { Segment } from "./segment_files.ts";
import { TermRuns } from "./term_runs.ts";

/** The entries of one group. */
export class GroupEntries {
  readonly memtable: Memtable = new Memtable();
  readonly segments: GroupSegments;
  /** Terms of the entries behind the snapshot. */
  readonly runs: TermRuns = new TermRuns();
  #stored: StoredSnapshot | undefined;
  #live: IndexRanges;
  #memberships: number[] = [];
  #lastIndex: number;
  #flushedIndex: number;
  #durableIndex = 0;
  #cuts = 0;
  #cutIndex = Infinity;

  /**
   * @param live Indexes of the live entries up to the snapshot.
   * @param segments The segments that `manifest` names.
   */
  constructor(
    manifest: GroupManifest,
    live: IndexRanges,
    segments: readonly Segment[],
  ) {
    this.#stored = manifest.snapshot;
    this.#live = live;
    this.segments = new GroupSegments(segments);
    const { snapshotIndex } = this;
    for (const { first, runs, memberships } of manifest.segments) {
      for (const run of runs) {
        this.runs.push(Math.max(first, run.first), run.term);
      }
      this.#memberships.push(
        ...memberships.filter((index) => index > snapshotIndex),
      );
    }
    this.runs.dropBelow(snapshotIndex + 1);
    this.#flushedIndex = this.segments.last;
    this.#lastIndex = Math.max(snapshotIndex, this.segments.last);
    if (this.#lastIndex === snapshotIndex) this.runs.cutFrom(0);
  }

  /** The snapshot that the log begins behind, with the number of its folder. */
  get stored(): StoredSnapshot | undefined {
    return this.#stored;
  }

  /** The description of that snapshot. */
  get snapshot(): SnapshotMeta | undefined {
    return this.#stored?.meta;
  }

  /** Index of the snapshot, 0 if there is none. */
  get snapshotIndex(): number {
    return this.#stored?.meta.index ?? 0;
  }

  /** Indexes of the live entries up to the snapshot. */
  get live(): IndexRanges {
    return this.#live;
  }

  /** Indexes of the membership entries behind the snapshot. */
  get memberships(): readonly number[] {
    return this.#memberships;
  }

  /** Index of the last entry, or of the snapshot if none follows it. */
  get lastIndex(): number {
    return this.#lastIndex;
  }

  /** Everything needed up to here is in segments. */
  get flushedIndex(): number {
    return this.#flushedIndex;
  }

  /** Everything up to here is durable. */
  get durableIndex(): number {
    return this.#durableIndex;
  }

  /** How often the log was truncated. */
  get cuts(): number {
    return this.#cuts;
  }

  /** The lowest index truncated since {@linkcode watchCuts}. */
  get cutIndex(): number {
    return this.#cutIndex;
  }

  /** Starts to watch for truncation while a task reads entries. */
  watchCuts(): void {
    this.#cutIndex = Infinity;
  }

  /** Whether the entry at `index` may be read. */
  isThere(index: number): boolean {
    return index > this.snapshotIndex
      ? index <= this.#lastIndex
      : this.#live.has(index);
  }

  /** Term of the entry at `index`, if that is the snapshot's index or behind it. */
  termAt(index: number): number | undefined {
    if (index > this.#lastIndex) return undefined;
    const { snapshotIndex } = this;
    if (index > snapshotIndex) return this.runs.at(index);
    return index === snapshotIndex ? this.snapshot?.term : undefined;
  }

  /** The entry at `index`, if it is in memory and may be read. */
  inMemory(index: number): RaftEntry | undefined {
    return this.isThere(index) ? this.memtable.entry(index) : undefined;
  }

  /** Appends an entry. */
  push(
    index: number,
    term: number,
    slab: Uint8Array<ArrayBuffer>,
    offset: number,
    length: number,
    crc: number,
    entry: RaftEntry | undefined,
  ): void {
    this.memtable.push(index, term, slab, offset, length, crc, entry);
    this.runs.push(index, term);
    if (isMembership(slab, offset)) this.#memberships.push(index);
    this.#lastIndex = index;
  }

  /** Removes the entries from `index` on. */
  cutFrom(index: number): void {
    this.#cuts++;
    this.#cutIndex = Math.min(this.#cutIndex, index);
    this.memtable.cutFrom(index);
    this.segments.cutFrom(index);
    this.runs.cutFrom(index);
    while ((this.#memberships.at(-1) ?? 0) >= index) this.#memberships.pop();
    this.#flushedIndex = Math.min(this.#flushedIndex, index - 1);
    this.#lastIndex = Math.max(
      Math.min(this.#lastIndex, index - 1),
      this.snapshotIndex,
    );
    this.#durableIndex = Math.min(this.#durableIndex, this.#lastIndex);
  }

  /** Everything up to `index` is on the disk. */
  noteDurable(index: number): void {
    this.#durableIndex = index;
  }

  /** Notes that everything up to `index` is in segments. */
  noteFlushed(index: number): void {
    this.#flushedIndex = Math.max(this.#flushedIndex, index);
  }

  /** Makes the log begin behind `stored`; of the entries up to its index only the `live` ones stay. */
  stepUp(
    stored: StoredSnapshot,
    live: IndexRanges,
    segments: readonly Segment[],
  ): void {
    const { index } = stored.meta;
    this.segments.replace(segments);
    this.#stored = stored;
    this.#live = live;
    this.runs.dropBelow(index + 1);
    if (this.#lastIndex <= index) this.runs.cutFrom(0);
    this.#memberships = this.#memberships.filter((place) => place > index);
  }

  /** Drops everything in memory; the log ends with a snapshot at `index`. */
  beginAnew(index: number): void {
    this.#cuts++;
    this.memtable.cutFrom(0);
    this.runs.cutFrom(0);
    this.#memberships = [];
    this.#lastIndex = this.#durableIndex = this.#flushedIndex = index;
  }
}
