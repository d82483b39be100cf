/**
 * Many short deadlines on one timer. A timer of the runtime for each request
 * would cost more than the request itself (half the throughput in our
 * prototype), while a request's deadline need not be exact.
 *
 * A wheel of slots, each a doubly linked ring of entries: setting and clearing
 * take constant time and allocate nothing (Varghese and Lauck, "Hashed and
 * Hierarchical Timing Wheels", 1987, scheme 6).
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";

/** How late a deadline may fire, in milliseconds. */
export const WHEEL_TICK_MS = 10;
const SLOTS = 512;

/** Something with a deadline. The wheel alone uses the `wheel…` fields. */
export interface Deadline {
  /** The next entry of its slot; undefined while it has no deadline. */
  wheelNext: Deadline | undefined;
  /** The entry before it. */
  wheelPrevious: Deadline | undefined;
  /** When to fire, in ticks since the wheel's start. */
  wheelTick: number;
  /** Called when the deadline has passed; may set a new one. */
  deadlinePassed(): void;
}

/** Head of a slot; never fires. */
class SlotHead implements Deadline {
  wheelNext: Deadline | undefined = this;
  wheelPrevious: Deadline | undefined = this;
  wheelTick = 0;
  deadlinePassed(): void {}
}

/** Fires deadlines, at most {@linkcode WHEEL_TICK_MS} late and never early. */
export class DeadlineWheel {
  #runtime: Runtime;
  /** A slot is made when it is first used: most wheels turn for a few requests. */
  readonly #slots: (SlotHead | undefined)[] = new Array(SLOTS);
  #startMs: number;
  /** The last tick that has been fired. */
  #tick = 0;
  #size = 0;
  #timer: TimerHandle | undefined;
  /** The tick the timer is set for; it wakes for the first slot that holds anything, not for each. */
  #wakeTick = 0;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    this.#startMs = runtime.now();
  }

  /** How many deadlines are pending. */
  get size(): number {
    return this.#size;
  }

  /**
   * Fires `entry` `afterMs` after `nowMs`; replaces the deadline it had.
   *
   * @param nowMs The time, if the caller has just read the clock.
   */
  set(
    entry: Deadline,
    afterMs: number,
    nowMs: number = this.#runtime.now(),
  ): void {
    if (entry.wheelNext !== undefined) this.clear(entry);
    const elapsed = nowMs - this.#startMs;
    if (this.#size === 0) this.#tick = Math.floor(elapsed / WHEEL_TICK_MS);
    const tick = Math.max(
      this.#tick + 1,
      Math.ceil((elapsed + Math.max(0, afterMs)) / WHEEL_TICK_MS),
    );
    entry.wheelTick = tick;
    const head = this.#slots[tick % SLOTS] ??= new SlotHead();
    const last = head.wheelPrevious as Deadline;
    entry.wheelPrevious = last;
    entry.wheelNext = head;
    last.wheelNext = entry;
    head.wheelPrevious = entry;
    this.#size++;
    if (this.#timer === undefined || tick < this.#wakeTick) {
      this.#wakeAt(tick, elapsed);
    }
  }

  #wakeAt(tick: number, elapsedMs: number): void {
    if (this.#timer !== undefined) this.#runtime.clearTimer(this.#timer);
    this.#wakeTick = tick;
    this.#timer = this.#runtime.setTimer(
      // Whole milliseconds, and at least one: a fraction lost in rounding would
      // wake us at the same moment again and again.
      Math.max(1, Math.ceil(tick * WHEEL_TICK_MS - elapsedMs)),
      () => this.#turn(),
    );
  }

  /** Cancels the deadline of `entry`, if it has one. */
  clear(entry: Deadline): void {
    const next = entry.wheelNext;
    const previous = entry.wheelPrevious;
    if (next === undefined || previous === undefined) return;
    previous.wheelNext = next;
    next.wheelPrevious = previous;
    entry.wheelNext = undefined;
    entry.wheelPrevious = undefined;
    this.#size--;
  }

  /** Cancels everything; nothing of the wheel is left in the runtime. */
  close(): void {
    for (const head of this.#slots) {
      if (head === undefined) continue;
      while (head.wheelNext !== head) this.clear(head.wheelNext as Deadline);
    }
    if (this.#timer !== undefined) this.#runtime.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  #turn(): void {
    this.#timer = undefined;
    const now = Math.floor(
      (this.#runtime.now() - this.#startMs) / WHEEL_TICK_MS,
    );
    // After a long pause every slot is visited once, not once for each tick missed.
    const last = Math.min(now, this.#tick + SLOTS);
    for (let tick = this.#tick + 1; tick <= last; tick++) {
      const head = this.#slots[tick % SLOTS];
      if (head !== undefined) this.#fireSlot(head, now);
    }
    this.#tick = Math.max(this.#tick, now);
    if (this.#size === 0) return;
    // Callbacks may have set deadlines, and scheduled a wake-up for them.
    const next = this.#nextTick();
    if (this.#timer === undefined || next < this.#wakeTick) {
      this.#wakeAt(next, this.#runtime.now() - this.#startMs);
    }
  }

  /** The next tick whose slot holds anything, if only for a later round. */
  #nextTick(): number {
    let tick = this.#tick + 1;
    for (const end = this.#tick + SLOTS; tick < end; tick++) {
      const head = this.#slots[tick % SLOTS];
      if (head !== undefined && head.wheelNext !== head) break;
    }
    return tick;
  }

  #fireSlot(head: SlotHead, now: number): void {
    if (head.wheelNext === head) return;
    // An entry that fires may set itself or clear others, so the due ones are found first.
    const due: Deadline[] = [];
    for (
      let entry = head.wheelNext as Deadline;
      entry !== head;
      entry = entry.wheelNext as Deadline
    ) {
      if (entry.wheelTick <= now) due.push(entry);
    }
    for (const entry of due) {
      if (entry.wheelNext === undefined || entry.wheelTick > now) continue;
      this.clear(entry);
      entry.deadlinePassed();
    }
  }
}
