/**
 * The terms of the entries of a log. Terms never decrease along a log and
 * change only with the leader, so a log of millions of entries has few runs of
 * one term.
 *
 * @module
 */

/** Entries from `first` on, up to the next run, are of `term`. */
export interface TermRun {
  readonly first: number;
  readonly term: number;
}

/** The terms of consecutive entries, which may begin anywhere. */
export class TermRuns {
  #runs: TermRun[];

  constructor(runs: readonly TermRun[] = []) {
    this.#runs = [...runs];
  }

  /** In order. */
  get runs(): readonly TermRun[] {
    return this.#runs;
  }

  /** Term of the entry at `index`, which must not be beyond the last; `undefined` below the first run. */
  at(index: number): number | undefined {
    const runs = this.#runs;
    // Usually the last run, or one close to it.
    for (let i = runs.length - 1; i >= 0; i--) {
      const run = runs[i] as TermRun;
      if (run.first <= index) return run.term;
    }
    return undefined;
  }

  /** Appends the entry at `index`, of `term`. */
  push(index: number, term: number): void {
    if (this.#runs.at(-1)?.term !== term) {
      this.#runs.push({ first: index, term });
    }
  }

  /** Removes the entries from `index` on. */
  cutFrom(index: number): void {
    while ((this.#runs.at(-1)?.first ?? -1) >= index) this.#runs.pop();
  }

  /** Removes the entries below `index`. */
  dropBelow(index: number): void {
    const runs = this.#runs;
    let gone = 0;
    while (
      gone + 1 < runs.length && (runs[gone + 1] as TermRun).first <= index
    ) gone++;
    if (gone > 0) this.#runs = runs.slice(gone);
    const first = this.#runs[0];
    if (first !== undefined && first.first < index) {
      this.#runs[0] = { first: index, term: first.term };
    }
  }

  /** The runs of the entries from `first` to `last`. */
  between(first: number, last: number): TermRun[] {
    const runs: TermRun[] = [];
    this.#runs.forEach((run, i) => {
      const end = this.#runs[i + 1]?.first ?? Infinity;
      if (run.first > last || end <= first) return;
      runs.push(run.first < first ? { first, term: run.term } : run);
    });
    return runs;
  }
}
