/**
 * A ring under change: assigns partitions to nodes, and knows after each
 * change, in time that does not depend on the ring's size, how many windows of
 * each size have a repeat and how many partitions have moved.
 *
 * For each partition it keeps its _run_: how many partitions up to and
 * including it, going backwards, have different owners (counted no further
 * than the largest window). A window of k ends in a repeat exactly if the run
 * of its last partition is shorter than k, so the windows of all sizes are
 * known from how often each run length occurs.
 *
 * @module
 */
import type { ClaimProblem } from "./claim_problem.ts";

/** A ring that the search changes in place. */
export class ClaimBoard {
  readonly problem: ClaimProblem;
  /** Owner of each partition; changed only with {@linkcode ClaimBoard.give}. */
  readonly owners: Int32Array;
  /** Number of partitions of each node. */
  readonly owned: Int32Array;
  /** Number of partitions whose owner differs from the original one. */
  transfers = 0;

  readonly #runs: Uint16Array;
  readonly #runCounts: Int32Array;
  readonly #runCosts: Int32Array;
  readonly #runMax: number;
  readonly #transferCost: number;
  #windowCost = 0;

  /**
   * @param owners The ring to start from; a node owns every partition.
   * @param runCosts Cost of a partition by the length of its run.
   * @param transferCost Cost of a partition that moves.
   */
  constructor(
    problem: ClaimProblem,
    owners: Int32Array,
    runCosts: Int32Array,
    transferCost: number,
  ) {
    this.problem = problem;
    this.owners = owners.slice();
    this.owned = new Int32Array(problem.nodes);
    this.#runMax = Math.max(1, problem.windowMax);
    this.#runs = new Uint16Array(problem.ringSize);
    this.#runCounts = new Int32Array(this.#runMax + 1);
    this.#runCosts = runCosts;
    this.#transferCost = transferCost;
    for (let partition = 0; partition < problem.ringSize; partition++) {
      this.owned[owners[partition]!]!++;
      if (owners[partition] !== problem.before[partition]) this.transfers++;
      const run = this.#runAt(partition);
      this.#runs[partition] = run;
      this.#runCounts[run]!++;
      this.#windowCost += runCosts[run]!;
    }
  }

  /** The cost of the ring with the given weights. */
  get cost(): number {
    return this.#windowCost + this.transfers * this.#transferCost;
  }

  /**
   * Whether one of the windows considered ends at `partition` and has a repeat.
   */
  isRepeated(partition: number): boolean {
    return this.#runs[partition]! < this.#runMax;
  }

  /** Gives `partition` to `node`. */
  give(partition: number, node: number): void {
    const { before, ringSize } = this.problem;
    const owner = this.owners[partition]!;
    if (owner === node) return;
    this.owners[partition] = node;
    this.owned[owner]!--;
    this.owned[node]!++;
    const home = before[partition]!;
    if (home === owner) this.transfers++;
    else if (home === node) this.transfers--;
    // Only runs that reach back to this partition can have changed.
    const { owners } = this;
    const runMax = this.#runMax;
    const runs = this.#runs;
    let run = runs[partition === 0 ? ringSize - 1 : partition - 1]!;
    let at = partition;
    for (let i = 0; i < runMax; i++) {
      // One longer than the previous run, unless the owner is in that run.
      const ownerAt = owners[at];
      const longest = run < runMax ? run + 1 : runMax;
      run = 1;
      let back = at;
      while (run < longest) {
        if (--back < 0) back += ringSize;
        if (owners[back] === ownerAt) break;
        run++;
      }
      const was = runs[at]!;
      if (run !== was) {
        runs[at] = run;
        this.#runCounts[was]!--;
        this.#runCounts[run]!++;
        this.#windowCost += this.#runCosts[run]! - this.#runCosts[was]!;
      }
      if (++at === ringSize) at = 0;
    }
  }

  /**
   * Number of windows of `size` partitions with a repeat, for a size that is
   * considered.
   */
  windowsWithRepeat(size: number): number {
    let count = 0;
    for (let run = 1; run < size; run++) count += this.#runCounts[run]!;
    return count;
  }

  /** Whether no window considered has a repeat. */
  get isFreeOfRepeats(): boolean {
    return this.#runCounts[this.#runMax] === this.problem.ringSize;
  }

  /** The figures that decide between rings, most important first. */
  score(): number[] {
    const score: number[] = [];
    const { windowMin, windowMax } = this.problem;
    for (let size = windowMin; size <= windowMax; size++) {
      score.push(this.windowsWithRepeat(size));
    }
    score.push(this.transfers);
    return score;
  }

  /** Computes the run that ends at `partition` from the owners. */
  #runAt(partition: number): number {
    const { owners } = this;
    const ringSize = owners.length;
    const runMax = this.#runMax;
    let run = 1;
    let at = partition;
    while (run < runMax) {
      if (--at < 0) at += ringSize;
      const owner = owners[at];
      let later = at;
      for (let i = 0; i < run; i++) {
        if (++later === ringSize) later = 0;
        if (owners[later] === owner) return run;
      }
      run++;
    }
    return run;
  }
}

/** Negative if score `a` is better. */
export function compareScores(
  a: readonly number[],
  b: readonly number[],
): number {
  for (let i = 0; i < a.length; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}
