/**
 * A timer that is set anew far more often than it fires, as each message of a
 * leader sets the election timer of its followers. Only the time is noted then;
 * the timer of the system that is due already looks again when it fires.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";

/**
 * What is not due soon is looked at on this grid, in milliseconds, before it is:
 * a thousand timers that mostly find themselves put off wake their process ten
 * times a second so, and not a thousand.
 */
const GRID_MS = 100;

/** See the module's text. */
export class LazyTimer {
  readonly #runtime: Runtime;
  readonly #callback: () => void;
  #afterMs = Infinity;
  #dueAt = Infinity;
  #timer: TimerHandle | undefined;
  #timerAt = Infinity;

  /** @param callback Called once for each {@linkcode LazyTimer.set} that no other one followed in time. */
  constructor(runtime: Runtime, callback: () => void) {
    this.#runtime = runtime;
    this.#callback = callback;
  }

  /** Due in `afterMs` from now, instead of when it was due before. */
  set(afterMs: number): void {
    this.#afterMs = afterMs;
    this.#dueAt = this.#runtime.now() + afterMs;
    this.#arm();
  }

  /** As it was set last, from now. */
  again(): void {
    this.set(this.#afterMs);
  }

  /** Not due any more. */
  clear(): void {
    this.#dueAt = Infinity;
  }

  #arm(): void {
    if (this.#timerAt <= this.#dueAt) return;
    if (this.#timer !== undefined) this.#runtime.clearTimer(this.#timer);
    const nowMs = this.#runtime.now();
    const onGrid = Math.floor(this.#dueAt / GRID_MS) * GRID_MS;
    this.#timerAt = onGrid > nowMs + GRID_MS ? onGrid : this.#dueAt;
    this.#timer = this.#runtime.setTimer(
      Math.max(0, this.#timerAt - nowMs),
      this.#fired,
    );
  }

  readonly #fired = (): void => {
    this.#timer = undefined;
    this.#timerAt = Infinity;
    if (this.#dueAt === Infinity) return;
    if (this.#runtime.now() < this.#dueAt) {
      this.#arm();
      return;
    }
    this.#dueAt = Infinity;
    this.#callback();
  };

  /** Nothing is left of it. */
  close(): void {
    this.clear();
    if (this.#timer !== undefined) this.#runtime.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#timerAt = Infinity;
  }
}
