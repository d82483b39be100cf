/**
 * What one sync of the write-ahead log makes durable, while it is put together:
 * its table as it will be written, and where its bodies are.
 *
 * @module
 */
import type { WhorlError } from "../../base/errors.ts";
import { BATCH_HEADER_BYTES, LINE_BYTES } from "./wal_codec.ts";

/** A batch takes no more than so many records, */
const BATCH_RECORDS_MAX = 8_192;
/** nor any more once its bodies have so many bytes. What is more waits for the next one. */
const BATCH_BYTES_MAX = 4 * 1024 * 1024;
/** Records that a table has room for at first. */
const TABLE_RECORDS_MIN = 64;
/** A table for more records than these is not kept for the next batch. */
const TABLE_RECORDS_KEPT = 2_048;

/** Who puts records into the log. */
export interface WalGroup {
  readonly uid: number;
  /** The log's own: the batch that this has records in last, and its place there. */
  batch: WalBatch | undefined;
  place: number;
  /** Grows when entries of it are cut off. */
  readonly cuts: number;
  /** Its entries are durable up to `index`, which is of `term`, as it was when it had been cut so often. */
  onDurable(index: number, term: number, cuts: number): void;
}

/** What one sync makes durable. */
export class WalBatch {
  table = new Uint8Array(BATCH_HEADER_BYTES + TABLE_RECORDS_MIN * LINE_BYTES);
  view = new DataView(this.table.buffer);
  count = 0;
  bodyBytes = 0;
  /** Where the bodies are, as they lie side by side: slabs with start and end. */
  readonly slabs: Uint8Array<ArrayBuffer>[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  /** Who has records in it, with index and term of the last entry, and how often the log had been cut by then. */
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
      // Whoever waits hears of it; nobody has to wait to the end.
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

  /** Notes that the next body is `slab[start, end)`. */
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

  /** The place of `group` in it. */
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

  /** It is durable: tells who waits for that, and is empty, to be filled again. */
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
