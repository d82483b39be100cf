/**
 * Sorts the rows of a table incrementally, so that the thread is not blocked:
 * rows are taken in runs that are sorted one by one, the runs are merged, and
 * the result is merged into the previous order.
 *
 *     keys ──► runs, sorted ──► merged ──► woven into the order before ──► order
 *
 * Rows may be added and removed meanwhile. A removed row may still be in the
 * order; an added one is in it if the iterator of keys yields it, so a caller
 * that passes the keys of a map need not remember additions until all keys have
 * been taken.
 *
 * @module
 */

/** Rows that are taken into a run, or merged, per step: some milliseconds. */
const STEP_ROWS = 2_048;

/** What sorting needs to know about rows. */
export interface KnownRows {
  /** The number of the row with this key, which exists. */
  numberOf(key: string): number;
  isThere(number: number): boolean;
  /** The index in `order`, from `low` on, of the first row that does not sort before row `number`. */
  placeOf(order: Uint32Array, number: number, low: number): number;
}

/** Rows in the order of their keys, and how many of them have been merged. */
interface Run {
  readonly keys: readonly string[];
  readonly numbers: Uint32Array;
  at: number;
}

/** An order under construction. */
export class OrderMaking {
  readonly #rows: KnownRows;
  readonly #keys: Iterator<string>;
  readonly #before: Uint32Array | undefined;
  readonly #stepRows: number;
  #phase: "taking" | "merging" | "weaving" | "made" = "taking";
  /** A heap while they are merged, by the next key of each run. */
  #runs: Run[] = [];
  /** The numbers of the sorted keys, and how many of them have been merged into the order. */
  #merged: Uint32Array = new Uint32Array(0);
  #woven = 0;
  /** The previous order up to here is in the new order. */
  #beforeTo = 0;
  #order: Uint32Array = new Uint32Array(0);
  #filled = 0;

  /**
   * @param keys The keys of rows that exist when they are yielded.
   * @param before An order of other rows.
   */
  constructor(
    rows: KnownRows,
    keys: Iterator<string>,
    before: Uint32Array | undefined,
    stepRows: number = STEP_ROWS,
  ) {
    this.#rows = rows;
    this.#keys = keys;
    this.#before = before;
    this.#stepRows = stepRows;
  }

  /** Whether keys may still be taken. */
  get taking(): boolean {
    return this.#phase === "taking";
  }

  /** The order, once it is complete. */
  get order(): Uint32Array {
    return this.#order;
  }

  /** Performs a step; true once the order is complete. */
  step(): boolean {
    switch (this.#phase) {
      case "taking":
        this.#takeRun();
        break;
      case "merging":
        this.#merge();
        break;
      case "weaving":
        this.#weave();
        break;
      case "made":
        break;
      default:
        this.#phase satisfies never;
    }
    return this.#phase === "made";
  }

  #takeRun(): void {
    const keys: string[] = [];
    while (keys.length < this.#stepRows) {
      const next = this.#keys.next();
      if (next.done) {
        this.#phase = "merging";
        break;
      }
      keys.push(next.value);
    }
    if (keys.length > 0) {
      keys.sort();
      const numbers = Uint32Array.from(keys, (key) => this.#rows.numberOf(key));
      this.#runs.push({ keys, numbers, at: 0 });
    }
    if (this.#phase === "merging") this.#beginMerging();
  }

  #beginMerging(): void {
    const runs = this.#runs;
    if (runs.length <= 1) {
      this.#beginWeaving(runs[0]?.numbers ?? this.#merged);
      return;
    }
    this.#merged = new Uint32Array(
      runs.reduce((sum, { keys }) => sum + keys.length, 0),
    );
    for (let i = runs.length >> 1; i >= 0; i--) this.#sink(i);
  }

  #merge(): void {
    const runs = this.#runs;
    const merged = this.#merged;
    const end = Math.min(this.#filled + this.#stepRows, merged.length);
    while (this.#filled < end) {
      const first = runs[0] as Run;
      merged[this.#filled++] = first.numbers[first.at++] as number;
      if (first.at === first.keys.length) {
        const last = runs.pop() as Run;
        if (runs.length === 0) break;
        if (last !== first) runs[0] = last;
      }
      this.#sink(0);
    }
    if (this.#filled === merged.length) this.#beginWeaving(merged);
  }

  /** Moves the run at `index` down the heap to where it belongs. */
  #sink(index: number): void {
    const runs = this.#runs;
    const run = runs[index];
    if (run === undefined) return;
    const key = run.keys[run.at] as string;
    let hole = index;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= runs.length) break;
      let childKey = keyOf(runs[child] as Run);
      if (child + 1 < runs.length) {
        const rightKey = keyOf(runs[child + 1] as Run);
        if (rightKey < childKey) {
          child++;
          childKey = rightKey;
        }
      }
      if (key <= childKey) break;
      runs[hole] = runs[child] as Run;
      hole = child;
    }
    runs[hole] = run;
  }

  #beginWeaving(merged: Uint32Array): void {
    this.#runs = [];
    if (this.#before === undefined) {
      this.#order = merged;
      this.#phase = "made";
      return;
    }
    this.#phase = "weaving";
    this.#merged = merged;
    this.#order = new Uint32Array(this.#before.length + merged.length);
    this.#filled = 0;
  }

  #weave(): void {
    const before = this.#before as Uint32Array;
    const merged = this.#merged;
    // Each takes some twenty comparisons.
    const rows = Math.ceil(this.#stepRows / 4);
    const end = Math.min(this.#woven + rows, merged.length);
    for (; this.#woven < end; this.#woven++) {
      const number = merged[this.#woven] as number;
      // Without its key its position is unknown.
      if (!this.#rows.isThere(number)) continue;
      this.#keepTo(this.#rows.placeOf(before, number, this.#beforeTo));
      this.#order[this.#filled++] = number;
    }
    if (this.#woven < merged.length) return;
    this.#keepTo(before.length);
    this.#order = this.#order.subarray(0, this.#filled);
    this.#phase = "made";
  }

  #keepTo(to: number): void {
    const kept = (this.#before as Uint32Array).subarray(this.#beforeTo, to);
    this.#order.set(kept, this.#filled);
    this.#filled += kept.length;
    this.#beforeTo = to;
  }
}

function keyOf({ keys, at }: Run): string {
  return keys[at] as string;
}
