/**
 * Lets others on the node have their turn while a member starts: there may be
 * any number of entries to read and to apply, and most of them are in memory.
 *
 * @module
 */
import type { Runtime } from "../../../supervisors/runtime.ts";

/** So long others wait, in milliseconds, and a step more. A turn takes one by itself. */
const SLICE_MS = 4;
/** Or while so many entries are done, where the clock stands still meanwhile, as in a simulation. */
const SLICE_ENTRIES = 16_384;

/** See the module's text. */
export class StartTurns {
  readonly #runtime: Runtime;
  #sinceMs: number;
  #entries = 0;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    this.#sinceMs = runtime.now();
  }

  /** As many `entries` are done, or what takes as long. Others have their turn now if it is time. */
  async done(entries: number): Promise<void> {
    this.#entries += entries;
    if (
      this.#entries < SLICE_ENTRIES &&
      this.#runtime.now() < this.#sinceMs + SLICE_MS
    ) return;
    await new Promise<void>((resolve) => this.#runtime.setTimer(0, resolve));
    this.#entries = 0;
    this.#sinceMs = this.#runtime.now();
  }
}
