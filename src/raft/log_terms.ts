/**
 * The term of each entry of a log. Terms never decrease along a log, so they
 * are kept as runs: one for each leader that left entries in it.
 *
 * A log begins behind a point: the last entry that a snapshot covers, or index
 * 0 of term 0.
 *
 * @module
 */
import { invariant } from "../base/invariant.ts";

/** The entries from `first` on are of `term`, up to the next run. */
export interface TermRun {
  readonly first: number;
  readonly term: number;
}

/** The terms of one log; changes in place. */
export class LogTerms {
  #startIndex: number;
  #startTerm: number;
  #runs: TermRun[];
  #lastIndex: number;

  /**
   * @param startIndex Index that the log begins behind.
   * @param runs The terms of the entries behind it, up to `lastIndex`.
   */
  constructor(
    startIndex = 0,
    startTerm = 0,
    lastIndex: number = startIndex,
    runs: readonly TermRun[] = [],
  ) {
    this.#startIndex = startIndex;
    this.#startTerm = startTerm;
    this.#lastIndex = lastIndex;
    this.#runs = [...runs];
    invariant(
      lastIndex === startIndex
        ? runs.length === 0
        : runs[0]?.first === startIndex + 1,
      "each entry behind the start has a term",
    );
  }

  /** Index that the log begins behind: the snapshot's, or 0. */
  get startIndex(): number {
    return this.#startIndex;
  }

  /** Index of the last entry, or `startIndex` if there is none. */
  get lastIndex(): number {
    return this.#lastIndex;
  }

  /** Term of the last entry, or of `startIndex` if there is none. */
  get lastTerm(): number {
    return this.#runs.at(-1)?.term ?? this.#startTerm;
  }

  /** Term of the entry at `index`; `undefined` if that is before the start or after the end. */
  termAt(index: number): number | undefined {
    if (index > this.#lastIndex || index < this.#startIndex) return undefined;
    if (index === this.#startIndex) return this.#startTerm;
    return (this.#runs[this.#runAt(index)] as TermRun).term;
  }

  /** Appends an entry of `term`. */
  push(term: number): void {
    const last = this.#runs.at(-1);
    invariant(term >= this.lastTerm, "terms do not fall along a log");
    this.#lastIndex++;
    if (last?.term === term) return;
    this.#runs.push({ first: this.#lastIndex, term });
  }

  /** Removes the entries from `index` on. */
  truncate(index: number): void {
    invariant(index > this.#startIndex, "what a snapshot stands for stays");
    if (index > this.#lastIndex) return;
    this.#lastIndex = index - 1;
    while ((this.#runs.at(-1)?.first ?? 0) >= index) this.#runs.pop();
  }

  /**
   * A snapshot covers the entries up to `index`, which is of `term`. Entries
   * behind it stay if the log agrees with the snapshot.
   */
  startBehind(index: number, term: number): void {
    if (index <= this.#startIndex) return;
    if (this.termAt(index) === term) {
      this.#runs = index === this.#lastIndex
        ? []
        : this.#runs.slice(this.#runAt(index + 1));
      const [first] = this.#runs;
      if (first !== undefined && first.first <= index) {
        this.#runs[0] = { first: index + 1, term: first.term };
      }
    } else {
      this.#runs = [];
      this.#lastIndex = index;
    }
    this.#startIndex = index;
    this.#startTerm = term;
  }

  /**
   * The last index up to `index` whose term is at most `term`; the one before
   * the start if there is none. If another log differs at `index` and has
   * `term` there, the two logs cannot agree on any entry behind the result
   * (paper, end of 5.3).
   */
  lastIndexOf(index: number, term: number): number {
    if (index < this.#startIndex) return index;
    let at = Math.min(index, this.#lastIndex);
    for (let i = this.#runs.length - 1; i >= 0; i--) {
      const run = this.#runs[i] as TermRun;
      if (run.first > at) continue;
      if (run.term <= term) return at;
      at = run.first - 1;
    }
    return this.#startTerm <= term ? this.#startIndex : this.#startIndex - 1;
  }

  /** Position of the run that contains `index`, which is behind the start. */
  #runAt(index: number): number {
    let high = this.#runs.length - 1;
    // Nearly always the last one.
    if ((this.#runs[high] as TermRun).first <= index) return high;
    let low = 0;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#runs[middle] as TermRun).first <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
