/**
 * A set of indexes stored as ranges: usually either most entries below a
 * snapshot are live or few of them, and in both cases this is small.
 *
 * @module
 */
import { sortedInSlices } from "./sliced_sort.ts";

/** Indexes handled without a pause. */
const SLICE_INDEXES = 32_768;

/** An immutable set of integers. */
export class IndexRanges {
  /** The empty set. */
  static readonly none: IndexRanges = new IndexRanges(
    new Float64Array(0),
    new Float64Array(1),
  );
  /** First index of each range, ascending, with a gap between any two ranges. */
  readonly #firsts: Float64Array;
  /** Number of indexes in the ranges before each one; the last element is the total. */
  readonly #before: Float64Array;

  private constructor(firsts: Float64Array, before: Float64Array) {
    this.#firsts = firsts;
    this.#before = before;
  }

  /** The set of `indexes`, in any order, duplicates allowed. */
  static of(indexes: Iterable<number>): IndexRanges {
    return allAtOnce(IndexRanges.inSlices(indexes));
  }

  /** Like {@linkcode IndexRanges.of}, but yields every few milliseconds. */
  static *inSlices(indexes: Iterable<number>): Generator<void, IndexRanges> {
    const sorted = yield* sortedInSlices(indexes);
    const ranges = new RangesBuilder(sorted.length);
    let last = -Infinity;
    for (let at = 0; at < sorted.length; at++) {
      if (at % SLICE_INDEXES === 0) yield;
      const index = sorted[at] as number;
      if (index === last) continue;
      ranges.add(index, index);
      last = index;
    }
    return new IndexRanges(...ranges.build());
  }

  /** The set of `count` ranges, ordered and not overlapping. */
  static ofRanges(
    count: number,
    ranges: Iterable<readonly [first: number, last: number]>,
  ): IndexRanges {
    return allAtOnce(IndexRanges.ofRangesInSlices(count, ranges));
  }

  /** Like {@linkcode IndexRanges.ofRanges}, but yields every few milliseconds. */
  static *ofRangesInSlices(
    count: number,
    ranges: Iterable<readonly [first: number, last: number]>,
  ): Generator<void, IndexRanges> {
    const builder = new RangesBuilder(count);
    let done = 0;
    for (const [first, last] of ranges) {
      if (++done % SLICE_INDEXES === 0) yield;
      builder.add(first, last);
    }
    return new IndexRanges(...builder.build());
  }

  /** Number of indexes. */
  get count(): number {
    return this.#before[this.#firsts.length] as number;
  }

  #lastOf(at: number): number {
    return (this.#firsts[at] as number) + (this.#before[at + 1] as number) -
      (this.#before[at] as number) - 1;
  }

  /** The ranges, in order. */
  *ranges(): Generator<readonly [first: number, last: number]> {
    for (let i = 0; i < this.#firsts.length; i++) {
      yield [this.#firsts[i] as number, this.#lastOf(i)];
    }
  }

  /** Number of ranges. */
  get rangeCount(): number {
    return this.#firsts.length;
  }

  /** All indexes in order. */
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

  /** Whether `index` is in the set. */
  has(index: number): boolean {
    const at = this.#rank(index) - 1;
    return at >= 0 && index <= this.#lastOf(at);
  }

  /** How many indexes are at or before `index`. */
  #countTo(index: number): number {
    const at = this.#rank(index) - 1;
    if (at < 0) return 0;
    const inside = index - (this.#firsts[at] as number) + 1;
    return Math.min(
      (this.#before[at] as number) + inside,
      this.#before[at + 1] as number,
    );
  }

  /** How many indexes are from `first` to `last`. */
  countBetween(first: number, last: number): number {
    return last < first ? 0 : this.#countTo(last) - this.#countTo(first - 1);
  }
}

/** Runs `work` to its end without a pause. */
function allAtOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** Builds a set from ascending ranges. */
class RangesBuilder {
  readonly #firsts: Float64Array<ArrayBuffer>;
  readonly #before: Float64Array<ArrayBuffer>;
  #ranges = 0;
  #last = -Infinity;
  #count = 0;

  /** @param rangesMax Upper bound of the number of ranges. */
  constructor(rangesMax: number) {
    this.#firsts = new Float64Array(rangesMax);
    this.#before = new Float64Array(rangesMax + 1);
  }

  add(first: number, last: number): void {
    if (first !== this.#last + 1) {
      this.#firsts[this.#ranges] = first;
      this.#before[this.#ranges] = this.#count;
      this.#ranges++;
    }
    this.#last = last;
    this.#count += last - first + 1;
  }

  /** The arrays of an `IndexRanges`. */
  build(): [firsts: Float64Array, before: Float64Array] {
    const ranges = this.#ranges;
    this.#before[ranges] = this.#count;
    return [
      fitted(this.#firsts, ranges),
      fitted(this.#before, ranges + 1),
    ];
  }
}

/** The first `length` numbers; copied only if they use less than half of the array. */
function fitted(
  array: Float64Array<ArrayBuffer>,
  length: number,
): Float64Array<ArrayBuffer> {
  return length * 2 < array.length
    ? array.slice(0, length)
    : array.subarray(0, length);
}
