/**
 * Reads entries of a group that are not all in memory. The log changes
 * meanwhile: entries are flushed to segments, and compaction replaces segments
 * that were about to be read.
 *
 * @module
 */
import { WhorlError } from "../../base/errors.ts";
import type { RaftEntry } from "../raft_entry.ts";
import type { GroupSegments } from "./group_segments.ts";
import {
  type Segment,
  type SegmentFiles,
  SegmentGoneError,
} from "./segment_files.ts";

/** How often a read is retried when compaction has removed its segment. */
const TRIES_MAX = 5;

/** The present log. */
export interface ReadSource {
  readonly segments: GroupSegments;
  files(): SegmentFiles;
  snapshotIndex(): number;
  /** Whether the entry at `index` may be read. */
  isThere(index: number): boolean;
  entryInMemory(index: number): RaftEntry | undefined;
  compactedError(index: number): WhorlError;
  /** Called with the failure of a read. */
  noteRot(error: unknown): void;
}

/** Reads one group. */
export class GroupReader {
  readonly #source: ReadSource;

  constructor(source: ReadSource) {
    this.#source = source;
  }

  /** Adds entries to `found` from `first` on, which is not in memory. */
  async addRow(
    first: number,
    last: number,
    bytesMax: number,
    found: RaftEntry[],
  ): Promise<readonly RaftEntry[]> {
    let bytes = 0;
    let index = first;
    let tries = 0;
    while (index <= last && (bytes < bytesMax || found.length === 0)) {
      let row: RaftEntry[] = [];
      const inMemory = this.#source.entryInMemory(index);
      if (inMemory !== undefined) row = [inMemory];
      else {
        const segment = this.#source.isThere(index)
          ? this.#source.segments.find(index)
          : undefined;
        if (segment === undefined) throw this.#source.compactedError(index);
        const end = Math.min(last, segment.info.last);
        try {
          row = await this.#source.files().readRow(
            segment,
            index,
            this.#endOfRow(index, end),
            bytesMax - bytes,
          );
        } catch (error) {
          this.#demandAnother(error, segment, ++tries);
          continue;
        }
        if (row.length === 0) throw this.#source.compactedError(index);
      }
      for (const entry of row) {
        bytes += entry.body.length;
        if (bytes > bytesMax && found.length > 0) return found;
        found.push(entry);
        index++;
      }
    }
    return found;
  }

  /** The last index, up to `end`, to which all entries from `index` on exist. */
  #endOfRow(index: number, end: number): number {
    if (index > this.#source.snapshotIndex()) return end;
    let last = index;
    while (last < end && this.#source.isThere(last + 1)) last++;
    return last;
  }

  /** Adds the entries at `indexes` to `found`, as far as they exist. */
  async addSome(
    indexes: readonly number[],
    found: Map<number, RaftEntry>,
  ): Promise<ReadonlyMap<number, RaftEntry>> {
    let left = [...indexes].sort((a, b) => a - b);
    for (let tries = 0; left.length > 0;) {
      const first = left[0] as number;
      const segment = this.#source.segments.find(first);
      if (segment === undefined) {
        const entry = this.#source.entryInMemory(first);
        if (entry !== undefined) found.set(first, entry);
        left = left.slice(1);
        continue;
      }
      const { last } = segment.info;
      const inside = left.filter((index) => index <= last);
      try {
        const entries = await this.#source.files().readSome(segment, inside);
        for (const entry of entries) found.set(entry.index, entry);
      } catch (error) {
        this.#demandAnother(error, segment, ++tries);
        continue;
      }
      left = left.slice(inside.length);
    }
    return found;
  }

  /** Throws `error`, unless `segment` was replaced before it was read and another try is due. */
  #demandAnother(error: unknown, segment: Segment, tries: number): void {
    const isGone = error instanceof SegmentGoneError;
    if (
      isGone && tries < TRIES_MAX &&
      !this.#source.segments.list.includes(segment)
    ) return;
    const told = isGone
      ? new WhorlError("store_corrupt", error.message, {
        details: { path: segment.path },
        cause: error,
      })
      : error;
    this.#source.noteRot(told);
    throw told;
  }
}
