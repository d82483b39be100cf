/**
 * How much of its time a vnode master gives to transfers: all that nobody else
 * wants, and half while its vnodes are asked for other things. After each slice of
 * work on a transfer the next one, of whichever transfer, is put off by as long as
 * that took, if any command has come meanwhile.
 *
 * @module
 */

/** Longest time by which work on transfers is put off, in milliseconds. */
export const PACE_MS_MAX = 20;

/** The pace of the transfers of one master. */
export class HandoffPace {
  #commands = 0;
  #seen = 0;
  #nextMs = 0;

  /** A command has come. */
  noteCommand(): void {
    this.#commands++;
  }

  /** Something was done for a transfer from `beganMs` until `nowMs`. */
  worked(beganMs: number, nowMs: number): void {
    if (this.#commands === this.#seen) return;
    this.#seen = this.#commands;
    const restMs = Math.max(this.#nextMs, nowMs) + nowMs - beganMs;
    this.#nextMs = Math.min(restMs, nowMs + PACE_MS_MAX);
  }

  /** How long work on transfers has to wait, in milliseconds. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#nextMs - nowMs);
  }
}
