/**
 * One incarnation of an operating system process in a simulation. It is the
 * clock of the code in it, and the only way that code is called back: by
 * timers, by arriving bytes, by a disk that has written. So
 *
 * - a process that is _killed_ is never called again. Nothing in it is notified
 *   and nothing is closed; its objects just lie there, like memory that the
 *   system reclaims.
 * - a process that is _paused_ (SIGSTOP) is called later: whatever fell due
 *   meanwhile comes in order when it resumes.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import type { Chance } from "../base/chance.ts";
import type {
  EventOwner,
  ScheduledEvent,
  VirtualTime,
} from "./virtual_time.ts";

/** The state of a process. */
export type ProcessState = "running" | "paused" | "dead";

/**
 * For a dead process, whose pending promise chains may still run to their end.
 */
const NO_TIMER: TimerHandle = Object.freeze({});

/**
 * Only the {@linkcode Runtime} of `process`, to be spread into an environment.
 */
export function runtimeOf(process: SimulatedProcess): Runtime {
  return {
    now: () => process.now(),
    random: () => process.random(),
    defer: (callback) => process.defer(callback),
    setTimer: (afterMs, callback) => process.setTimer(afterMs, callback),
    clearTimer: (timer) => process.clearTimer(timer),
  };
}

/** One incarnation of a process; the {@linkcode Runtime} of the code in it. */
export class SimulatedProcess implements Runtime, EventOwner {
  /** Its name in traces. */
  readonly name: string;
  readonly #time: VirtualTime;
  readonly #chance: Chance;
  #state: ProcessState = "running";
  /** What fell due while it was paused, in order. */
  #held: ScheduledEvent[] = [];
  /** Number of timers that may still fire. */
  #timers = 0;
  #resumedAtMs = -Infinity;
  #pausedAtMs = 0;
  #stoodStillMs = 0;

  constructor(name: string, time: VirtualTime, chance: Chance) {
    this.name = name;
    this.#time = time;
    this.#chance = chance;
  }

  /** Whether it is running, paused or dead. */
  get state(): ProcessState {
    return this.#state;
  }

  /**
   * When it last resumed after a pause, in milliseconds since the simulation
   * began; `-Infinity` if it never did.
   */
  get resumedAtMs(): number {
    return this.#resumedAtMs;
  }

  /** How long it has been paused in total, in milliseconds. */
  get stoodStillMs(): number {
    return this.#stoodStillMs +
      (this.#state === "paused" ? this.#time.now() - this.#pausedAtMs : 0);
  }

  /** Timers that have neither fired nor been cleared. */
  get pendingTimers(): number {
    return this.#timers;
  }

  /** Milliseconds since the simulation began: the monotonic clock of the machine. */
  now(): number {
    return this.#time.now();
  }

  /** A number in [0, 1), from the seed. */
  random(): number {
    return this.#chance.next();
  }

  /** As in a real process: after the current work, before anything else. */
  defer(callback: () => void): void {
    queueMicrotask(callback);
  }

  /**
   * Calls `callback` in this process, `afterMs` from now, unless it is dead by
   * then.
   */
  setTimer(afterMs: number, callback: () => void): TimerHandle {
    if (this.#state === "dead") return NO_TIMER;
    this.#timers++;
    return this.#time.schedule(afterMs, callback, this);
  }

  /** Clears a timer. */
  clearTimer(handle: TimerHandle): void {
    // As with real timers, clearing nothing is not an error.
    const timer = handle as ScheduledEvent | undefined;
    if (timer?.callback === undefined) return;
    this.#time.cancel(timer);
    if (this.#state !== "dead") this.#timers--;
  }

  /** Fires a due timer, if the process can be called. */
  due(timer: ScheduledEvent): void {
    switch (this.#state) {
      case "dead":
        timer.callback = undefined;
        return;
      case "paused":
        this.#held.push(timer);
        return;
      case "running":
        this.#fire(timer);
    }
  }

  #fire(timer: ScheduledEvent): void {
    const { callback } = timer;
    if (callback === undefined) return;
    timer.callback = undefined;
    this.#timers--;
    this.#time.enters(this);
    callback();
  }

  /**
   * Calls `callback` in this process: now, when it resumes if it is paused, or
   * never if it is dead.
   */
  call(callback: () => void): void {
    if (this.#state !== "running") return void this.setTimer(0, callback);
    this.#time.enters(this);
    callback();
  }

  /** Pauses it; what falls due waits. Does nothing unless it is running. */
  pause(): void {
    if (this.#state !== "running") return;
    this.#state = "paused";
    this.#pausedAtMs = this.#time.now();
  }

  /**
   * Resumes it; what fell due meanwhile happens now, as one event each. Does
   * nothing unless it is paused.
   */
  resume(): void {
    if (this.#state !== "paused") return;
    this.#stoodStillMs = this.stoodStillMs;
    this.#state = "running";
    this.#resumedAtMs = this.#time.now();
    const held = this.#held;
    this.#held = [];
    // As separate events, so that a timer cleared by an earlier one does not
    // fire.
    for (const timer of held) {
      this.#time.schedule(0, () => this.due(timer));
    }
  }

  /** Ends it for good. */
  kill(): void {
    this.#state = "dead";
    this.#held = [];
    this.#timers = 0;
  }
}
