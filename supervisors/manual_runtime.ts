/**
 * A clock that moves only when told to, for tests that are exact and take no
 * time.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "./runtime.ts";

interface ManualTimer {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** A {@linkcode Runtime} whose time moves by {@linkcode ManualRuntime.advance} only. */
export class ManualRuntime implements Runtime {
  /** What {@linkcode ManualRuntime.random} answers. @default {0} */
  chance = 0;
  #nowMs = 0;
  #order = 0;
  readonly #timers = new Set<ManualTimer>();

  /** Milliseconds since it was made. */
  now(): number {
    return this.#nowMs;
  }

  /** Calls `callback` once time has been advanced by `afterMs`. */
  setTimer(afterMs: number, callback: () => void): TimerHandle {
    const timer: ManualTimer = {
      atMs: this.#nowMs + Math.max(0, afterMs),
      order: this.#order++,
      callback,
    };
    this.#timers.add(timer);
    return timer;
  }

  /** Forgets a timer. */
  clearTimer(timer: TimerHandle): void {
    this.#timers.delete(timer as ManualTimer);
  }

  /** {@linkcode ManualRuntime.chance}. */
  random(): number {
    return this.chance;
  }

  /** Calls `callback` as a microtask. */
  defer(callback: () => void): void {
    queueMicrotask(callback);
  }

  /** Timers that have not fired. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Runs all work that needs no time. */
  async settle(): Promise<void> {
    // A turn of the real event loop empties the microtask queue, however long its chains are.
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, 0);
    await promise;
  }

  /** Advances time by `byMs`, firing timers in order, each with its consequences. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    await this.settle();
    for (let due = this.#due(untilMs); due; due = this.#due(untilMs)) {
      this.#timers.delete(due);
      this.#nowMs = due.atMs;
      due.callback();
      await this.settle();
    }
    this.#nowMs = untilMs;
  }

  #due(untilMs: number): ManualTimer | undefined {
    let first: ManualTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs > untilMs) continue;
      if (
        first === undefined || timer.atMs < first.atMs ||
        (timer.atMs === first.atMs && timer.order < first.order)
      ) first = timer;
    }
    return first;
  }
}
