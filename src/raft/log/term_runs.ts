/**
 * The terms of the entries of a log. Terms never fall from an entry to the
 * next, and change when a leader does, so a log of millions has few runs of
 * entries of one term.
 *
 * @module
 */

/** Entries from `first` on, up to the next run, are of `term`. */
export interface TermRun {
  readonly first: number;
  readonly term: number;
}

/** The terms of entries in a row, which may begin anywhere. */
export class TermRuns {
  #runs: TermRun[];

  constructor(runs: readonly TermRun[] = []) {
    this.#runs = [...runs];
  }

  /** In order. */
  get runs(): readonly TermRun[] {
    return this.#runs;
  }

  /** Term of the entry at `index`, which is one of those in the row; `undefined` below the first run. */
  at(index: number): number | undefined {
    const runs = this.#runs;
    // Mostly the last run, or one close to it.
    for (let i = runs.length - 1; i >= 0; i--) {
      const run = runs[i] as TermRun;
      if (run.first <= index) return run.term;
    }
    return undefined;
  }

  /** The next entry is that at `index`, of `term`. */
  push(index: number, term: number): void {
    if (this.#runs.at(-1)?.term !== term) {
      this.#runs.push({ first: index, term });
    }
  }

  /** The entries from `index` on are gone. */
  cutFrom(index: number): void {
    while ((this.#runs.at(-1)?.first ?? -1) >= index) this.#runs.pop();
  }

  /** The entries below `index` are gone. */
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

  /** Those of the entries from `first` to `last`. */
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
