/**
 * Time of a simulation: a queue of what will happen, and a clock that stands
 * still until the next of it is due. Nothing takes time but what says so, so a
 * cluster lives through hours in seconds, and the same events come in the same
 * order each time.
 *
 * One event is called, then everything that follows from it without time (every
 * promise that became ready, however long the chain) is done, and only then is
 * the next one called. JavaScript has no call that empties the microtask queue,
 * but a callback of `process.nextTick` that was asked for by a microtask comes
 * when it is empty, for a fifth of what a turn of the real event loop costs.
 *
 * @module
 */
import process from "node:process";
import { setImmediate } from "node:timers";
import { invariant } from "../base/invariant.ts";

/** After so many events the real event loop has a turn, so that a long run can be interrupted. */
const EVENTS_A_TURN = 1_024;

/** Something that will happen; opaque to whoever scheduled it. */
export interface ScheduledEvent {
  /** When it happens, in milliseconds of virtual time. */
  readonly atMs: number;
  /** Of two events at one moment the one scheduled first happens first. */
  readonly order: number;
  /** What happens; undefined once it has happened or was called off. */
  callback: (() => void) | undefined;
  /** In whom it happens, undefined if in nobody. */
  readonly owner: EventOwner | undefined;
}

/** Somebody in whom events happen, and who may have reasons to put them off. */
export interface EventOwner {
  /** The event is due: its callback is taken out and called, now or later or never. */
  due(event: ScheduledEvent): void;
}

/** Why {@linkcode VirtualTime.run} returned. */
export type RunEnd =
  /** What it was to wait for has come. */
  | "done"
  /** The time it was given is over. */
  | "time_over"
  /** Nothing is left that could happen. */
  | "nothing_left"
  /** So many events that there must be a loop. */
  | "too_many_events";

/** Told when simulated code runs, so that the real world can be closed to it. */
export interface TurnWatch {
  /** Whether simulated code is running now. */
  inside: boolean;
}

/** The clock and the queue of one simulation. */
export class VirtualTime {
  readonly #watch: TurnWatch;
  #nowMs = 0;
  #order = 0;
  #events = 0;
  /** A binary heap: the next event is at 0. */
  readonly #heap: ScheduledEvent[] = [];
  #running = false;
  readonly #observers = new Set<() => void>();

  /** A clock at 0. @param watch Told when simulated code runs. @default {nobody} */
  constructor(watch: TurnWatch = { inside: false }) {
    this.#watch = watch;
  }

  /** Milliseconds since the simulation began, with fractions. */
  now(): number {
    return this.#nowMs;
  }

  /** Events that have happened. */
  get events(): number {
    return this.#events;
  }

  /** Events that have been scheduled and neither happened nor were called off. */
  pending(): number {
    let pending = 0;
    for (const { callback } of this.#heap) {
      if (callback !== undefined) pending++;
    }
    return pending;
  }

  /** Calls `observer` after each event and all that followed from it without time, until the function it returns is called. */
  observe(observer: () => void): () => void {
    this.#observers.add(observer);
    return () => void this.#observers.delete(observer);
  }

  /**
   * Calls `callback` once, `afterMs` milliseconds from now; never at once.
   *
   * @param owner Told that it is due, and calls it. @default {it is just called}
   */
  schedule(
    afterMs: number,
    callback: () => void,
    owner?: EventOwner,
  ): ScheduledEvent {
    const event: ScheduledEvent = {
      atMs: this.#nowMs + (afterMs > 0 ? afterMs : 0),
      order: this.#order++,
      callback,
      owner,
    };
    this.#push(event);
    return event;
  }

  /** Calls `event` off; one that has happened stays as it is. */
  cancel(event: ScheduledEvent): void {
    // It stays in the heap until its time, which is cheaper than taking it out.
    event.callback = undefined;
  }

  /**
   * Lets things happen until `done` says so, which is asked after each event,
   * or until `untilMs`, where the clock then stands.
   *
   * @param eventsMax Most events that may happen meanwhile. @default {10 million}
   */
  async run(
    untilMs: number,
    done: () => boolean = () => false,
    eventsMax = 10_000_000,
  ): Promise<RunEnd> {
    invariant(!this.#running, "virtual time runs once at a time");
    this.#running = true;
    const last = this.#events + eventsMax;
    try {
      // What was begun outside goes on inside.
      this.#watch.inside = true;
      return await whenever(() => {
        for (const observer of this.#observers) observer();
        if (done()) return "done";
        const event = this.#next(untilMs);
        if (event === undefined) {
          const end = this.#heap.length === 0 ? "nothing_left" : "time_over";
          if (Number.isFinite(untilMs)) this.#nowMs = untilMs;
          return end;
        }
        if (this.#events >= last) return "too_many_events";
        this.#call(event);
        return undefined;
      }, this.#watch);
    } finally {
      this.#watch.inside = false;
      this.#running = false;
    }
  }

  /** Lets `event`, which is at the head of the heap, happen. */
  #call(event: ScheduledEvent): void {
    this.#pop();
    this.#nowMs = event.atMs;
    this.#events++;
    const { owner } = event;
    if (owner !== undefined) return owner.due(event);
    const callback = event.callback as () => void;
    event.callback = undefined;
    callback();
  }

  /** The next event that happens by `untilMs`. It stays in the heap, at its head. */
  #next(untilMs: number): ScheduledEvent | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined) return undefined;
      if (first.callback !== undefined) {
        return first.atMs > untilMs ? undefined : first;
      }
      // It was called off.
      this.#pop();
    }
  }

  #push(event: ScheduledEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as ScheduledEvent;
      if (!isBefore(event, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const moved = heap.pop() as ScheduledEvent;
    const size = heap.length;
    if (size === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= size) break;
      if (
        below + 1 < size &&
        isBefore(
          heap[below + 1] as ScheduledEvent,
          heap[below] as ScheduledEvent,
        )
      ) below++;
      const child = heap[below] as ScheduledEvent;
      if (!isBefore(child, moved)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = moved;
  }
}

function isBefore(one: ScheduledEvent, other: ScheduledEvent): boolean {
  return one.atMs < other.atMs ||
    (one.atMs === other.atMs && one.order < other.order);
}

/**
 * Calls `act` again and again, each time when no promise is left that could go
 * on by itself, until it returns something or throws.
 */
function whenever<T>(act: () => T | undefined, watch: TurnWatch): Promise<T> {
  return new Promise((resolve, reject) => {
    let left = EVENTS_A_TURN;
    // The only one whom a simulation lets wait for the real event loop.
    const giveTurn = (): void => {
      watch.inside = false;
      setImmediate(turn);
      watch.inside = true;
    };
    const turn = (): void => {
      try {
        const result = act();
        if (result !== undefined) return resolve(result);
      } catch (error) {
        return reject(error);
      }
      // Ticks come before what promises have ready, unless those ask for them.
      if (--left > 0) return queueMicrotask(next);
      left = EVENTS_A_TURN;
      giveTurn();
    };
    const next = (): void => process.nextTick(turn);
    giveTurn();
  });
}
