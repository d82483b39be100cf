/**
 * A set of indexes as ranges: what is live below a snapshot is often most of
 * what is there, or little of it, and in both cases this is small.
 *
 * @module
 */

/** A set of whole numbers; never changed. */
export class IndexRanges {
  /** The empty set. */
  static readonly none: IndexRanges = new IndexRanges([], []);
  /** First and last of each range, in order, with a gap between any two. */
  readonly #firsts: readonly number[];
  readonly #lasts: readonly number[];
  /** How many indexes there are. */
  readonly count: number;

  private constructor(firsts: readonly number[], lasts: readonly number[]) {
    this.#firsts = firsts;
    this.#lasts = lasts;
    this.count = firsts.reduce(
      (count, first, i) => count + (lasts[i] as number) - first + 1,
      0,
    );
  }

  /** Of `indexes`, in any order, each once or more. */
  static of(indexes: Iterable<number>): IndexRanges {
    const given: number[] = [];
    let isSorted = true;
    let before = -Infinity;
    for (const index of indexes) {
      isSorted &&= index >= before;
      before = index;
      given.push(index);
    }
    // Without a function that compares, a million take a third of the time.
    const sorted = isSorted ? given : Float64Array.from(given).sort();
    const firsts: number[] = [];
    const lasts: number[] = [];
    let last = NaN;
    for (const index of sorted) {
      if (index === last) continue;
      if (index === last + 1) lasts[lasts.length - 1] = index;
      else {
        firsts.push(index);
        lasts.push(index);
      }
      last = index;
    }
    return new IndexRanges(firsts, lasts);
  }

  /** Of ranges in order, with a gap between any two. */
  static ofRanges(
    firsts: readonly number[],
    lasts: readonly number[],
  ): IndexRanges {
    return new IndexRanges(firsts, lasts);
  }

  /** The ranges, in order. */
  *ranges(): Generator<readonly [first: number, last: number]> {
    for (let i = 0; i < this.#firsts.length; i++) {
      yield [this.#firsts[i] as number, this.#lasts[i] as number];
    }
  }

  /** How many ranges there are. */
  get rangeCount(): number {
    return this.#firsts.length;
  }

  /** All of them, in order. */
  *[Symbol.iterator](): Generator<number> {
    for (const [first, last] of this.ranges()) {
      for (let index = first; index <= last; index++) yield index;
    }
  }

  /** Number of ranges that begin at or before `index`. */
  #rank(index: number): number {
    const firsts = this.#firsts;
    let low = 0;
    let high = firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (firsts[middle] as number <= index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether `index` is one of them. */
  has(index: number): boolean {
    const at = this.#rank(index) - 1;
    return at >= 0 && index <= (this.#lasts[at] as number);
  }

  /** How many of them are from `first` to `last`. */
  countBetween(first: number, last: number): number {
    let count = 0;
    for (
      let at = Math.max(0, this.#rank(first) - 1);
      at < this.#firsts.length;
      at++
    ) {
      const from = Math.max(first, this.#firsts[at] as number);
      if (from > last) break;
      const to = Math.min(last, this.#lasts[at] as number);
      if (to >= from) count += to - from + 1;
    }
    return count;
  }
}
