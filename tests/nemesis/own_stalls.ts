/**
 * Times in which this process itself did not get to run: the machine had other
 * things to do, or something here took long. An answer that was there meanwhile is
 * seen late, and so is the deadline that a client keeps. What the clients of a run
 * may be late by is therefore measured, and not guessed: whatever is later than that
 * is late by Whorl. There is a limit to what is excused: a run whose own process stood
 * still for long says nothing of answers, and fails.
 *
 * @module
 */
import { type Runtime, systemRuntime } from "../../supervisors/runtime.ts";
import type { Violation } from "../../src/simulation/checkers/violation.ts";
import type { OperationRecord } from "../../src/simulation/history.ts";

/** Time between two looks at the clock, in milliseconds. */
const LOOK_MS = 20;
/** What a timer may be late by without a stall, in milliseconds. */
const TIMER_MS = 5;

/** Longest stall of a run that still says something of answers, in milliseconds. */
export const OWN_STALL_MS_MAX = 10_000;

type Timers = Pick<Runtime, "setTimer" | "clearTimer">;

interface Stall {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The stalls of this process while they are watched; see the module comment. */
export class OwnStalls implements Disposable {
  readonly #now: () => number;
  readonly #timers: Timers;
  /** In the order of time; they never overlap. */
  readonly #stalls: Stall[] = [];
  #timer: unknown;
  #dueAt = 0;

  /** @param now The clock of the history. */
  constructor(now: () => number, timers: Timers = systemRuntime) {
    this.#now = now;
    this.#timers = timers;
  }

  /** Begins to watch, until it is disposed of. */
  watch(): this {
    this.#look();
    return this;
  }

  /** The longest stall so far, in milliseconds. */
  get longestMs(): number {
    return this.#stalls.reduce(
      (longest, { fromMs, toMs }) => Math.max(longest, toMs - fromMs),
      0,
    );
  }

  /** Whether the run may be judged by what its clients saw. */
  violations(): Violation[] {
    const { longestMs } = this;
    return longestMs <= OWN_STALL_MS_MAX ? [] : [{
      check: "own_stalls",
      message: `The process of the clients stood still for ${
        Math.round(longestMs)
      } ms, so nobody can tell what was answered late: run it again on a machine with less to do`,
    }];
  }

  /** How many milliseconds this process stood still from `fromMs` to `toMs`. */
  within(fromMs: number, toMs: number): number {
    let stoodMs = 0;
    for (let i = this.#stalls.length - 1; i >= 0; i--) {
      const stall = this.#stalls[i] as Stall;
      if (stall.toMs <= fromMs) break;
      const from = Math.max(stall.fromMs, fromMs);
      stoodMs += Math.max(0, Math.min(stall.toMs, toMs) - from);
    }
    return stoodMs;
  }

  /**
   * The time within which an operation must have been answered that was to take at
   * most `timeoutMs`.
   *
   * @param endedAtMs When the run ended: what is open then has had so long.
   */
  allowed<Input, Output>(
    timeoutMs: number,
    endedAtMs: number,
  ): (record: OperationRecord<Input, Output>) => number {
    return ({ invokedAtMs, returnedAtMs = endedAtMs }) =>
      timeoutMs + this.within(invokedAtMs, returnedAtMs);
  }

  [Symbol.dispose](): void {
    this.#timers.clearTimer(this.#timer);
  }

  #look(): void {
    this.#dueAt = this.#now() + LOOK_MS;
    this.#timer = this.#timers.setTimer(LOOK_MS, () => {
      const nowMs = this.#now();
      if (nowMs - this.#dueAt > TIMER_MS) {
        this.#stalls.push({ fromMs: this.#dueAt, toMs: nowMs });
      }
      this.#look();
    });
  }
}
