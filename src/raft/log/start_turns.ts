/**
 * Yields to other work on the node while members start: there may be any number
 * of entries to read and apply, most of them in memory. All starts of a node
 * share one time slice. When it is used up, each start waits in a queue: one
 * continues, then other work runs, then the next one continues.
 *
 * @module
 */
import type { Runtime } from "../../../supervisors/runtime.ts";

/**
 * Length of the slice in milliseconds; other work waits for that and one step
 * more. Yielding alone takes about a millisecond.
 */
const SLICE_MS = 4;
/** The slice also ends after this many entries, for clocks that stand still meanwhile, as in a simulation. */
const SLICE_ENTRIES = 16_384;

/** The time slices of one node; see the module comment. */
export class StartTurns {
  readonly #runtime: Runtime;
  #sinceMs = -Infinity;
  #entries = 0;
  /** When a start last did work. */
  #workedMs = -Infinity;
  /** Settles when the last start in the queue has worked until it had to wait. */
  #free = Promise.resolve();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Another start begins: it gets a new slice if none has worked for that long. */
  begin(): void {
    if (this.#runtime.now() >= this.#workedMs + SLICE_MS) this.#renew();
  }

  /** Reports that `entries`, or equivalent work, are done. Yields if the slice is over. */
  async done(entries: number): Promise<void> {
    if (this.#isOver(entries)) await this.#next();
  }

  /** Does `work` that amounts to `entries`. Yields before it if the slice is over, as other starts may have used it up. */
  async step(entries: number, work: () => void): Promise<void> {
    if (this.#isOver(0)) await this.#next();
    // Without an await after the check, or all starts would pass it and work at
    // once.
    work();
    this.#isOver(entries);
  }

  /** Whether the slice is over after `entries` more. */
  #isOver(entries: number): boolean {
    this.#entries += entries;
    this.#workedMs = this.#runtime.now();
    return this.#entries >= SLICE_ENTRIES ||
      this.#workedMs >= this.#sinceMs + SLICE_MS;
  }

  /** Resolves when the starts before it have had their slices and other work has run since. */
  #next(): Promise<void> {
    // The timer is set only after the previous start's work: set earlier, it
    // would have expired by then and fire with no other work in between.
    const next = this.#free.then(() => this.#timer()).then(() => this.#renew());
    this.#free = next.then(() => this.#timer());
    return next;
  }

  #renew(): void {
    this.#entries = 0;
    this.#sinceMs = this.#workedMs = this.#runtime.now();
  }

  #timer(): Promise<void> {
    return new Promise((resolve) => this.#runtime.setTimer(0, resolve));
  }
}
