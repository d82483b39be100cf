/**
 * One life of an operating system's process in a simulation. What runs in it
 * gets its time here, and only here is it called back: by timers, by bytes that
 * arrive, by a disk that has written. So
 *
 * - a process that is _killed_ is never called again. Nothing in it is told,
 *   nothing is closed politely; its objects just lie there, as memory does that
 *   the system takes back.
 * - a process that is _paused_ (SIGSTOP) is called later: what fell due
 *   meanwhile comes in its order when it goes on.
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

/** Whether a process runs, stands still, or is no more. */
export type ProcessState = "running" | "paused" | "dead";

/** What a dead process gets, whose last chain of promises may still come to its end. */
const NO_TIMER: TimerHandle = Object.freeze({});

/** What `process` gives to what runs in it and nothing else of it, to be made part of an environment. */
export function runtimeOf(process: SimulatedProcess): Runtime {
  return {
    now: () => process.now(),
    random: () => process.random(),
    defer: (callback) => process.defer(callback),
    setTimer: (afterMs, callback) => process.setTimer(afterMs, callback),
    clearTimer: (timer) => process.clearTimer(timer),
  };
}

/** One life of a process; the {@linkcode Runtime} of what runs in it. */
export class SimulatedProcess implements Runtime, EventOwner {
  /** What it is called in traces. */
  readonly name: string;
  readonly #time: VirtualTime;
  readonly #chance: Chance;
  #state: ProcessState = "running";
  /** What fell due while it was paused, in order. */
  #held: ScheduledEvent[] = [];
  /** Timers that may still fire. */
  #timers = 0;
  #resumedAtMs = -Infinity;
  #pausedAtMs = 0;
  #stoodStillMs = 0;

  constructor(name: string, time: VirtualTime, chance: Chance) {
    this.name = name;
    this.#time = time;
    this.#chance = chance;
  }

  /** Whether it runs, stands still, or is no more. */
  get state(): ProcessState {
    return this.#state;
  }

  /** When it last went on after standing still, in milliseconds since the simulation began; `-Infinity` if it never did. */
  get resumedAtMs(): number {
    return this.#resumedAtMs;
  }

  /** How long it has stood still in all, in milliseconds. */
  get stoodStillMs(): number {
    return this.#stoodStillMs +
      (this.#state === "paused" ? this.#time.now() - this.#pausedAtMs : 0);
  }

  /** Timers it has set that have neither fired nor been forgotten. */
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

  /** Calls `callback` in this process, `afterMs` from now, unless it is dead by then. */
  setTimer(afterMs: number, callback: () => void): TimerHandle {
    if (this.#state === "dead") return NO_TIMER;
    this.#timers++;
    return this.#time.schedule(afterMs, callback, this);
  }

  /** Forgets a timer. */
  clearTimer(handle: TimerHandle): void {
    // As with the runtime's own timers, forgetting none is no mistake.
    const timer = handle as ScheduledEvent | undefined;
    if (timer?.callback === undefined) return;
    this.#time.cancel(timer);
    if (this.#state !== "dead") this.#timers--;
  }

  /** Calls a timer that is due, as far as the process can be called. */
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
    callback();
  }

  /** Stops it where it is; what falls due waits. Does nothing unless it runs. */
  pause(): void {
    if (this.#state !== "running") return;
    this.#state = "paused";
    this.#pausedAtMs = this.#time.now();
  }

  /** Lets it go on; what fell due meanwhile comes now, one event each. Does nothing unless it is paused. */
  resume(): void {
    if (this.#state !== "paused") return;
    this.#stoodStillMs = this.stoodStillMs;
    this.#state = "running";
    this.#resumedAtMs = this.#time.now();
    const held = this.#held;
    this.#held = [];
    // Events of their own, so that one that is forgotten meanwhile stays so.
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
