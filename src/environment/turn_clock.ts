/**
 * One reading of the clock per turn of the event loop: reading it costs about
 * as much as passing on a small message.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";

/** Time as it was when it was first asked for in this turn. */
export class TurnClock {
  readonly #runtime: Runtime;
  #nowMs = 0;
  #known = false;
  readonly #forget = (): void => {
    this.#known = false;
  };

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Monotonic time in milliseconds, as {@linkcode Runtime.now}. */
  now(): number {
    if (!this.#known) {
      this.#known = true;
      this.#nowMs = this.#runtime.now();
      this.#runtime.defer(this.#forget);
    }
    return this.#nowMs;
  }
}
