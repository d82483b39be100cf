/**
 * A timer that is reset far more often than it fires: each message of a leader
 * resets the election timer of its followers. Resetting only records the due
 * time; the underlying timer checks it when it fires and is set again if it is
 * too early.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";

/**
 * A timer that is not due soon is checked at a multiple of this before it is
 * due, in milliseconds. So a thousand timers that are mostly postponed wake the
 * process ten times a second, not a thousand times.
 */
const GRID_MS = 100;

/** See the module comment. */
export class LazyTimer {
  readonly #runtime: Runtime;
  readonly #callback: () => void;
  #afterMs = Infinity;
  #dueAt = Infinity;
  #timer: TimerHandle | undefined;
  #timerAt = Infinity;

  /** @param callback Called once for each {@linkcode LazyTimer.set} that was not replaced in time. */
  constructor(runtime: Runtime, callback: () => void) {
    this.#runtime = runtime;
    this.#callback = callback;
  }

  /** Makes it due in `afterMs` from now, whenever it was due before. */
  set(afterMs: number): void {
    this.#afterMs = afterMs;
    this.#dueAt = this.#runtime.now() + afterMs;
    this.#arm();
  }

  /** Restarts it with the last `afterMs`. */
  again(): void {
    this.set(this.#afterMs);
  }

  /** Makes it not due any more. */
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

  /** Clears the underlying timer too. */
  close(): void {
    this.clear();
    if (this.#timer !== undefined) this.#runtime.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#timerAt = Infinity;
  }
}
