/**
 * What supervision needs from the world: time, timers and chance. Production
 * passes the real ones, a simulator passes its own, and nothing in this folder
 * reaches for a global instead.
 *
 * @module
 */
import { nextTick } from "node:process";

/** A pending timer; opaque to its holder. */
export type TimerHandle = unknown;

/** Time, timers and chance for processes and supervisors. */
export interface Runtime {
  /** Monotonic time in milliseconds, with fractions; only differences mean something. */
  now(): number;
  /** Calls `callback` once, `afterMs` milliseconds from now. Never calls it synchronously. */
  setTimer(afterMs: number, callback: () => void): TimerHandle;
  /** Cancels a timer; does nothing if it has fired or was cancelled. */
  clearTimer(timer: TimerHandle): void;
  /** A number in [0, 1), for jitter. */
  random(): number;
  /**
   * Calls `callback` after the current synchronous work, before any timer or I/O.
   * In a real process that is once all that this turn of the event loop has
   * brought is dealt with, what promises call included, so that what is gathered
   * until then goes together.
   */
  defer(callback: () => void): void;
}

/** The {@linkcode Runtime} of a real process. */
export const systemRuntime: Runtime = {
  now: () => performance.now(),
  setTimer: (afterMs, callback) => setTimeout(callback, afterMs),
  clearTimer: (timer) => clearTimeout(timer as number),
  random: () => Math.random(),
  // Messages and reads that have come together are waited for through promises of
  // different depths: by a mere microtask what the first of them sends would leave
  // before the last has been looked at. A tick comes after all microtasks, but in
  // a timer before them, hence both.
  defer: (callback) => queueMicrotask(() => nextTick(callback)),
};
