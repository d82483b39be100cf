/**
 * Which keys expire next: a binary heap over typed arrays, ordered by time and
 * then by the index of the entry, so that all members remove keys in the same
 * order. A key that is replaced or removed stays in the heap until its turn,
 * and is then recognized as stale; a heap that is mostly stale is cleaned up.
 *
 * @module
 */
import type { KeyTable } from "./key_table.ts";

const CAPACITY_MIN = 16;
/** Stale places that are always tolerated. */
const STALE_MIN = 64;

/** Keys of a table that will expire. */
export class ExpiryQueue {
  readonly #table: KeyTable;
  #times: Float64Array<ArrayBuffer> = new Float64Array(CAPACITY_MIN);
  #indexes: Float64Array<ArrayBuffer> = new Float64Array(CAPACITY_MIN);
  #records: Uint32Array<ArrayBuffer> = new Uint32Array(CAPACITY_MIN);
  #length = 0;
  /** Keys of the table that expire. */
  #live = 0;

  constructor(table: KeyTable) {
    this.#table = table;
  }

  /** Number of keys that will expire. */
  get size(): number {
    return this.#live;
  }

  /** Used places, including stale ones: at most twice as many as keys, and a few. */
  get places(): number {
    return this.#length;
  }

  /** Adds `record`, for which the table has an expiry and an index. */
  add(record: number): void {
    this.#live++;
    if (this.#length > 2 * this.#live + STALE_MIN) this.#clear();
    this.#push(
      this.#table.expiryOf(record),
      this.#table.indexOf(record),
      record,
    );
  }

  /** Notes that a key with an expiry was removed or replaced. */
  forget(): void {
    this.#live--;
  }

  /** When the next key expires; undefined if none does. */
  get nextAtMs(): number | undefined {
    this.#dropStale();
    return this.#length === 0 ? undefined : this.#times[0] as number;
  }

  /** Index of the entry of the next key to expire; 0 if none does. */
  get nextIndex(): number {
    this.#dropStale();
    return this.#length === 0 ? 0 : this.#indexes[0] as number;
  }

  /**
   * Takes the next record that has expired at `timeMs`, or -1; the caller must
   * then call {@linkcode forget}.
   */
  takeDue(timeMs: number): number {
    this.#dropStale();
    if (this.#length === 0 || (this.#times[0] as number) > timeMs) return -1;
    const record = this.#records[0] as number;
    this.#pop();
    return record;
  }

  #dropStale(): void {
    while (this.#length > 0 && !this.#isCurrent(0)) this.#pop();
  }

  #isCurrent(at: number): boolean {
    const record = this.#records[at] as number;
    return this.#table.expiryOf(record) === this.#times[at] &&
      this.#table.indexOf(record) === this.#indexes[at];
  }

  #push(timeMs: number, index: number, record: number): void {
    if (this.#length === this.#times.length) this.#grow();
    let at = this.#length++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(timeMs, index, parent)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#place(at, timeMs, index, record);
  }

  #pop(): void {
    const last = --this.#length;
    if (last === 0) return;
    const timeMs = this.#times[last] as number;
    const index = this.#indexes[last] as number;
    const record = this.#records[last] as number;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= last) break;
      if (
        child + 1 < last &&
        this.#isBefore(
          this.#times[child + 1] as number,
          this.#indexes[child + 1] as number,
          child,
        )
      ) child++;
      if (this.#isBefore(timeMs, index, child)) break;
      this.#move(child, at);
      at = child;
    }
    this.#place(at, timeMs, index, record);
  }

  #isBefore(timeMs: number, index: number, at: number): boolean {
    const other = this.#times[at] as number;
    return timeMs < other ||
      timeMs === other && index < (this.#indexes[at] as number);
  }

  #move(from: number, to: number): void {
    this.#place(
      to,
      this.#times[from] as number,
      this.#indexes[from] as number,
      this.#records[from] as number,
    );
  }

  #place(at: number, timeMs: number, index: number, record: number): void {
    this.#times[at] = timeMs;
    this.#indexes[at] = index;
    this.#records[at] = record;
  }

  #grow(): void {
    const capacity = this.#times.length * 2;
    const [times, indexes, records] = [
      this.#times,
      this.#indexes,
      this.#records,
    ];
    this.#times = new Float64Array(capacity);
    this.#times.set(times);
    this.#indexes = new Float64Array(capacity);
    this.#indexes.set(indexes);
    this.#records = new Uint32Array(capacity);
    this.#records.set(records);
  }

  /** Keeps only the current places. */
  #clear(): void {
    const length = this.#length;
    const [times, indexes, records] = [
      this.#times,
      this.#indexes,
      this.#records,
    ];
    const current: number[] = [];
    for (let at = 0; at < length; at++) {
      if (this.#isCurrent(at)) current.push(at);
    }
    this.#times = new Float64Array(times.length);
    this.#indexes = new Float64Array(times.length);
    this.#records = new Uint32Array(times.length);
    this.#length = 0;
    for (const at of current) {
      this.#push(
        times[at] as number,
        indexes[at] as number,
        records[at] as number,
      );
    }
  }
}
