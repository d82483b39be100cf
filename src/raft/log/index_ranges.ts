/**
 * A set of indexes as ranges: what is live below a snapshot is often most of
 * what is there, or little of it, and in both cases this is small.
 *
 * @module
 */
import { sortedInSlices } from "./sliced_sort.ts";

/** So many indexes are looked at in one go. */
const SLICE_INDEXES = 32_768;

/** A set of whole numbers; never changed. */
export class IndexRanges {
  /** The empty set. */
  static readonly none: IndexRanges = new IndexRanges(
    new Float64Array(0),
    new Float64Array(1),
  );
  /** First of each range, in order, with a gap between any two. */
  readonly #firsts: Float64Array;
  /** How many indexes there are in the ranges before each one, and at the end in all. */
  readonly #before: Float64Array;

  private constructor(firsts: Float64Array, before: Float64Array) {
    this.#firsts = firsts;
    this.#before = before;
  }

  /** Of `indexes`, in any order, each once or more. */
  static of(indexes: Iterable<number>): IndexRanges {
    return allAtOnce(IndexRanges.inSlices(indexes));
  }

  /** Like {@linkcode IndexRanges.of}, with a chance to do something else every few milliseconds. */
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

  /** Of `count` ranges in order, none of which begins before the end of the one before it. */
  static ofRanges(
    count: number,
    ranges: Iterable<readonly [first: number, last: number]>,
  ): IndexRanges {
    return allAtOnce(IndexRanges.ofRangesInSlices(count, ranges));
  }

  /** Like {@linkcode IndexRanges.ofRanges}, with a chance to do something else every few milliseconds. */
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

  /** How many indexes there are. */
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
    return at >= 0 && index <= this.#lastOf(at);
  }

  /** How many of them are at `index` or before. */
  #countTo(index: number): number {
    const at = this.#rank(index) - 1;
    if (at < 0) return 0;
    const inside = index - (this.#firsts[at] as number) + 1;
    return Math.min(
      (this.#before[at] as number) + inside,
      this.#before[at + 1] as number,
    );
  }

  /** How many of them are from `first` to `last`. */
  countBetween(first: number, last: number): number {
    return last < first ? 0 : this.#countTo(last) - this.#countTo(first - 1);
  }
}

/** What `work` comes to, without a pause. */
function allAtOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** Puts ranges together. */
class RangesBuilder {
  readonly #firsts: Float64Array<ArrayBuffer>;
  readonly #before: Float64Array<ArrayBuffer>;
  #ranges = 0;
  #last = -Infinity;
  #count = 0;

  /** @param rangesMax There are no more ranges than that. */
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

  /** First of each range, and how many indexes there are before each and in all. */
  build(): [firsts: Float64Array, before: Float64Array] {
    const ranges = this.#ranges;
    this.#before[ranges] = this.#count;
    return [
      fitted(this.#firsts, ranges),
      fitted(this.#before, ranges + 1),
    ];
  }
}

/** The first `length` numbers; where most of the room is theirs, it is not worth a copy. */
function fitted(
  array: Float64Array<ArrayBuffer>,
  length: number,
): Float64Array<ArrayBuffer> {
  return length * 2 < array.length
    ? array.slice(0, length)
    : array.subarray(0, length);
}
