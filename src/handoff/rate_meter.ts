/**
 * Measures a rate over the last few seconds.
 *
 * @module
 */

/** Length of the span over which a rate is measured, in milliseconds. */
export const RATE_SPAN_MS = 5_000;
const SLOTS = 10;
const SLOT_MS = RATE_SPAN_MS / SLOTS;

/** Counts events and returns their rate per second. */
export class RateMeter {
  readonly #counts = new Float64Array(SLOTS);
  #slot: number;
  readonly #beganMs: number;

  constructor(nowMs: number) {
    this.#beganMs = nowMs;
    this.#slot = Math.floor(nowMs / SLOT_MS);
  }

  #advance(nowMs: number): void {
    const slot = Math.floor(nowMs / SLOT_MS);
    const passed = Math.min(SLOTS, slot - this.#slot);
    for (let i = 1; i <= passed; i++) {
      this.#counts[(this.#slot + i) % SLOTS] = 0;
    }
    this.#slot = Math.max(this.#slot, slot);
  }

  /** Adds `count` events. */
  add(count: number, nowMs: number): void {
    this.#advance(nowMs);
    this.#counts[this.#slot % SLOTS]! += count;
  }

  /**
   * Events per second, over {@linkcode RATE_SPAN_MS} or since it was created if
   * that is shorter.
   */
  perSecond(nowMs: number): number {
    this.#advance(nowMs);
    let sum = 0;
    for (const count of this.#counts) sum += count;
    const spanMs = Math.min(
      RATE_SPAN_MS,
      Math.max(SLOT_MS, nowMs - this.#beganMs),
    );
    return sum * 1_000 / spanMs;
  }
}
