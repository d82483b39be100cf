/**
 * How much of its time a vnode master gives to work in the background, of one
 * kind: all that nobody else wants, and a share while its vnodes are asked for
 * other things. After each slice of that work the next one, of whichever transfer
 * or listing, is put off by a multiple of the time that it took, if any command
 * has come meanwhile.
 *
 * @module
 */

/** Longest time by which such work is put off, in milliseconds. */
export const PACE_MS_MAX = 20;

/** The pace of one kind of work of one master. */
export class BackgroundPace {
  readonly #rest: number;
  #commands = 0;
  #seen = 0;
  #nextMs = 0;
  #disturbs = false;

  /** @param rest Time that commands have for each millisecond of the work, in milliseconds. */
  constructor(rest: number) {
    this.#rest = rest;
  }

  /** A command has come. */
  noteCommand(): void {
    this.#commands++;
  }

  /** Some of the work was done from `beganMs` until `nowMs`. */
  worked(beganMs: number, nowMs: number): void {
    this.#disturbs = this.#commands !== this.#seen;
    if (!this.#disturbs) return;
    this.#seen = this.#commands;
    this.#nextMs = Math.min(
      Math.max(this.#nextMs, nowMs) + (nowMs - beganMs) * this.#rest,
      nowMs + PACE_MS_MAX,
    );
  }

  /** How long the work has to wait, in milliseconds. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#nextMs - nowMs);
  }

  /** Whether commands came while some of it was last done. */
  get disturbs(): boolean {
    return this.#disturbs;
  }
}
