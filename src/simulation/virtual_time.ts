/**
 * Virtual time of a simulation: a queue of events, and a clock that stands
 * still until the next one is due. Nothing takes time unless it says so; so a
 * cluster lives through hours in seconds, and the same events come in the same
 * order each time.
 *
 * One event is called, then everything that follows from it without waiting
 * (every promise that became ready, however long the chain), and only then the
 * next one. JavaScript has no call that empties the microtask queue, but a
 * callback of `process.nextTick` scheduled from a microtask runs when it is
 * empty, at a fifth of the cost of a turn of the real event loop.
 *
 * @module
 */
import process from "node:process";
import { setImmediate } from "node:timers";
import { invariant } from "../base/invariant.ts";

/**
 * Number of events after which the real event loop gets a turn, so that a long
 * run can be interrupted.
 */
const EVENTS_A_TURN = 1_024;
/** Fewest cancelled events for which the heap is rebuilt without them. */
const CALLED_OFF_MIN = 16;

/** A scheduled event; opaque to its scheduler. */
export interface ScheduledEvent {
  /** When it happens, in milliseconds of virtual time. */
  readonly atMs: number;
  /** Of two events at the same time, the one scheduled first happens first. */
  readonly order: number;
  /** What happens; undefined once it has happened or was cancelled. */
  callback: (() => void) | undefined;
  /** The process it happens in, undefined if in none. */
  readonly owner: EventOwner | undefined;
}

/** Something that events happen in, and that may defer them. */
export interface EventOwner {
  /**
   * The event is due: the owner takes its callback out and calls it, now, later
   * or never.
   */
  due(event: ScheduledEvent): void;
}

/**
 * Called after an event with the processes in which it happened, none if it
 * happened outside of all.
 */
export type EventObserver = (entered: readonly EventOwner[]) => void;

/** Why {@linkcode VirtualTime.run} returned. */
export type RunEnd =
  /** The condition it waited for holds. */
  | "done"
  /** The given time has passed. */
  | "time_over"
  /** No events are left. */
  | "nothing_left"
  /** So many events that there must be a loop. */
  | "too_many_events";

/**
 * Notified when simulated code runs, so that the real world can be closed to
 * it.
 */
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
  /** A binary heap: the next event is at index 0. */
  #heap: ScheduledEvent[] = [];
  /** Upper bound on the cancelled events in the heap. */
  #calledOff = 0;
  #running = false;
  readonly #observers = new Set<EventObserver>();
  /** The processes in which the current event happened. */
  readonly #entered: EventOwner[] = [];

  /**
   * A clock at 0.
   *
   * @param watch Notified when simulated code runs.
   * @default {nobody}
   */
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

  /**
   * Events that have been scheduled and neither happened nor were cancelled.
   */
  pending(): number {
    let pending = 0;
    for (const { callback } of this.#heap) {
      if (callback !== undefined) pending++;
    }
    return pending;
  }

  /**
   * Calls `observer` after each event and everything that followed from it
   * without waiting, until the returned function is called.
   */
  observe(observer: EventObserver): () => void {
    this.#observers.add(observer);
    return () => void this.#observers.delete(observer);
  }

  /** The current event happens in `owner`, whose code is called now. */
  enters(owner: EventOwner): void {
    if (!this.#entered.includes(owner)) this.#entered.push(owner);
  }

  /**
   * Calls `callback` once, `afterMs` milliseconds from now; never
   * synchronously.
   *
   * @param owner Told that it is due, and calls it.
   * @default {it is just called}
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

  /** Cancels `event`, unless it has happened. */
  cancel(event: ScheduledEvent): void {
    if (event.callback === undefined) return;
    // It stays in the heap for a while, which is cheaper than removing it.
    event.callback = undefined;
    this.#calledOff++;
    if (
      this.#calledOff > CALLED_OFF_MIN &&
      2 * this.#calledOff > this.#heap.length
    ) this.#clean();
  }

  /**
   * Removes cancelled events: most deadlines are cancelled long before they are
   * due and would double the heap.
   */
  #clean(): void {
    const left = this.#heap.filter(({ callback }) => callback !== undefined);
    this.#heap = [];
    this.#calledOff = 0;
    for (const event of left) this.#push(event);
  }

  /**
   * Runs events until `done` returns true, which is asked after each event, or
   * until `untilMs`, where the clock then stands.
   *
   * @param eventsMax Most events that may happen.
   * @default {10 million}
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
      // Work begun outside continues inside.
      this.#watch.inside = true;
      return await whenever(() => {
        for (const observer of this.#observers) observer(this.#entered);
        // By `length` its memory would be released, and allocated anew.
        while (this.#entered.length > 0) this.#entered.pop();
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

  /** Runs `event`, the head of the heap. */
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

  /** The next event due by `untilMs`. It stays in the heap, at its head. */
  #next(untilMs: number): ScheduledEvent | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined) return undefined;
      if (first.callback !== undefined) {
        return first.atMs > untilMs ? undefined : first;
      }
      // It was cancelled.
      this.#pop();
      if (this.#calledOff > 0) this.#calledOff--;
    }
  }

  #push(event: ScheduledEvent): void {
    const heap = this.#heap;
    const { atMs } = event;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as ScheduledEvent;
      if (parent.atMs < atMs) break;
      if (parent.atMs === atMs && parent.order < event.order) break;
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
    const { atMs, order } = moved;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= size) break;
      let child = heap[below] as ScheduledEvent;
      if (below + 1 < size) {
        const other = heap[below + 1] as ScheduledEvent;
        if (
          other.atMs < child.atMs ||
          other.atMs === child.atMs && other.order < child.order
        ) {
          child = other;
          below++;
        }
      }
      if (
        child.atMs > atMs || child.atMs === atMs && child.order > order
      ) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = moved;
  }
}

/**
 * Calls `act` repeatedly, each time when no promise is left that could continue
 * by itself, until it returns something or throws.
 */
function whenever<T>(act: () => T | undefined, watch: TurnWatch): Promise<T> {
  return new Promise((resolve, reject) => {
    let left = EVENTS_A_TURN;
    // The only wait for the real event loop in a simulation.
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
      // Ticks run before ready promises, unless a microtask schedules them.
      if (--left > 0) return queueMicrotask(next);
      left = EVENTS_A_TURN;
      giveTurn();
    };
    const next = (): void => process.nextTick(turn);
    giveTurn();
  });
}
