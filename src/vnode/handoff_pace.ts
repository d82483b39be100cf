/**
 * How much of its time a vnode master gives to transfers: all that nobody else
 * wants, and a third while its vnodes are asked for other things. After each slice
 * of work on a transfer the next one, of whichever transfer, is put off by twice
 * as long as that took, if any command has come meanwhile.
 *
 * @module
 */

/** Longest time by which work on transfers is put off, in milliseconds. */
export const PACE_MS_MAX = 20;
/** Time that others have for each millisecond of work on transfers, in milliseconds. */
const REST_SHARE = 2;

/** The pace of the transfers of one master. */
export class HandoffPace {
  #commands = 0;
  #seen = 0;
  #nextMs = 0;
  #disturbs = false;

  /** A command has come. */
  noteCommand(): void {
    this.#commands++;
  }

  /** Something was done for a transfer from `beganMs` until `nowMs`. */
  worked(beganMs: number, nowMs: number): void {
    this.#disturbs = this.#commands !== this.#seen;
    if (!this.#disturbs) return;
    this.#seen = this.#commands;
    this.#nextMs = Math.min(
      Math.max(this.#nextMs, nowMs) + (nowMs - beganMs) * REST_SHARE,
      nowMs + PACE_MS_MAX,
    );
  }

  /** How long work on transfers has to wait, in milliseconds. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#nextMs - nowMs);
  }

  /** Whether commands came while something was last done for a transfer. */
  get disturbs(): boolean {
    return this.#disturbs;
  }
}
