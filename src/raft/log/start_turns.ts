/**
 * Lets others on the node have their turn while members start: there may be any
 * number of entries to read and to apply, and most of them are in memory. All
 * starts of a node share one slice of time, whose end sends each into a queue:
 * one goes on, then others have their turn, then the next goes on.
 *
 * @module
 */
import type { Runtime } from "../../../supervisors/runtime.ts";

/** So long others wait, in milliseconds, and a step more. A turn takes one by itself. */
const SLICE_MS = 4;
/** Or while so many entries are done, where the clock stands still meanwhile, as in a simulation. */
const SLICE_ENTRIES = 16_384;

/** Those of one node; see the module's text. */
export class StartTurns {
  readonly #runtime: Runtime;
  #sinceMs = -Infinity;
  #entries = 0;
  /** When one of the starts was last seen at work. */
  #workedMs = -Infinity;
  /** Settles when the last in the queue has worked, as far as it could without waiting. */
  #free = Promise.resolve();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** One more start begins: the slice is a new one if nobody has been at work for so long. */
  begin(): void {
    if (this.#runtime.now() >= this.#workedMs + SLICE_MS) this.#renew();
  }

  /** As many `entries` are done, or what takes as long. Others have their turn now if it is time. */
  async done(entries: number): Promise<void> {
    if (this.#isOver(entries)) await this.#next();
  }

  /** Does `work`, which is that of so many `entries`. Others have their turn before if it is time: other starts may have used it up. */
  async step(entries: number, work: () => void): Promise<void> {
    if (this.#isOver(0)) await this.#next();
    // In the same go as it was looked: else all that wait for nothing would work now.
    work();
    this.#isOver(entries);
  }

  /** Whether the slice is over now that so many `entries` more are done. */
  #isOver(entries: number): boolean {
    this.#entries += entries;
    this.#workedMs = this.#runtime.now();
    return this.#entries >= SLICE_ENTRIES ||
      this.#workedMs >= this.#sinceMs + SLICE_MS;
  }

  /** Resolves when those before have had theirs and others their turn since. */
  #next(): Promise<void> {
    // A timer that is set before the work of the one before is done has expired
    // by then, and would be called with no turn of others in between.
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
