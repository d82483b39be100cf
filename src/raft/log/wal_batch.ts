/**
 * A batch of the write-ahead log while it is gathered: its table as it will be
 * written, and where its bodies are. One sync makes it durable.
 *
 * @module
 */
import type { WhorlError } from "../../base/errors.ts";
import { BATCH_HEADER_BYTES, LINE_BYTES } from "./wal_codec.ts";

/** Most records in a batch. */
const BATCH_RECORDS_MAX = 8_192;
/** A batch is also full once its bodies have this many bytes; further records go into the next one. */
const BATCH_BYTES_MAX = 4 * 1024 * 1024;
/** Initial capacity of a table, in records. */
const TABLE_RECORDS_MIN = 64;
/** A table of larger capacity is not reused. */
const TABLE_RECORDS_KEPT = 2_048;

/** A group that adds records to the log. */
export interface WalGroup {
  readonly uid: number;
  /** For the log's use: the last batch with records of this group, and its position in it. */
  batch: WalBatch | undefined;
  place: number;
  /** Number of truncations. */
  readonly cuts: number;
  /** Its entries are durable up to `index`, which is of `term`, as they were after `cuts` truncations. */
  onDurable(index: number, term: number, cuts: number): void;
}

/** A batch of records. */
export class WalBatch {
  table = new Uint8Array(BATCH_HEADER_BYTES + TABLE_RECORDS_MIN * LINE_BYTES);
  view = new DataView(this.table.buffer);
  count = 0;
  bodyBytes = 0;
  /** Where the bodies are, contiguous ones together: slabs with start and end. */
  readonly slabs: Uint8Array<ArrayBuffer>[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  /** Groups with records in it, with index and term of their last entry and the number of truncations at that time. */
  readonly groups: WalGroup[] = [];
  readonly lastIndexes: number[] = [];
  readonly lastTerms: number[] = [];
  readonly lastCuts: number[] = [];
  readonly whenDurable: (() => void)[] = [];
  #written: PromiseWithResolvers<void> | undefined;

  /** Resolves when it is durable. */
  get written(): Promise<void> {
    if (this.#written === undefined) {
      this.#written = Promise.withResolvers();
      // Not an unhandled rejection if nothing waits for it.
      this.#written.promise.catch(() => {});
    }
    return this.#written.promise;
  }

  /** It will never be durable. */
  fail(error: WhorlError): void {
    this.#written?.reject(error);
  }

  /** Makes room for one more record. */
  reserve(): void {
    if (
      BATCH_HEADER_BYTES + (this.count + 1) * LINE_BYTES <= this.table.length
    ) return;
    const larger = new Uint8Array(2 * this.table.length);
    larger.set(this.table);
    this.table = larger;
    this.view = new DataView(larger.buffer);
  }

  /** Adds the body `slab[start, end)`. */
  addBody(slab: Uint8Array<ArrayBuffer>, start: number, end: number): void {
    this.bodyBytes += end - start;
    const last = this.slabs.length - 1;
    if (this.slabs[last] === slab && this.ends[last] === start) {
      this.ends[last] = end;
      return;
    }
    this.slabs.push(slab);
    this.starts.push(start);
    this.ends.push(end);
  }

  /** The position of `group` in it. */
  placeOf(group: WalGroup): number {
    if (group.batch !== this) {
      group.batch = this;
      group.place = this.groups.length;
      this.groups.push(group);
      this.lastIndexes.push(0);
      this.lastTerms.push(0);
      this.lastCuts.push(0);
    }
    return group.place;
  }

  get isFull(): boolean {
    return this.count >= BATCH_RECORDS_MAX || this.bodyBytes >= BATCH_BYTES_MAX;
  }

  /** The batch is durable: reports that, and empties the batch for reuse. */
  finish(): void {
    for (const then of this.whenDurable) then();
    this.#written?.resolve();
    this.#written = undefined;
    for (const group of this.groups) {
      if (group.batch === this) group.batch = undefined;
    }
    if (this.table.length > TABLE_RECORDS_KEPT * LINE_BYTES) {
      this.table = new Uint8Array(
        BATCH_HEADER_BYTES + TABLE_RECORDS_MIN * LINE_BYTES,
      );
      this.view = new DataView(this.table.buffer);
    }
    this.count = 0;
    this.bodyBytes = 0;
    for (
      const list of [
        this.slabs,
        this.starts,
        this.ends,
        this.groups,
        this.lastIndexes,
        this.lastTerms,
        this.lastCuts,
        this.whenDurable,
      ]
    ) list.length = 0;
  }
}
