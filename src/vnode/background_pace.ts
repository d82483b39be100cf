/**
 * How much of its time a vnode master gives to work in the background, of one
 * kind: all that nobody else wants, and a share while its vnodes are asked for
 * other things. After each slice of that work the next one, of whichever transfer
 * or listing, is put off by a multiple of the time that it took, if any command
 * has come lately.
 *
 * @module
 */

/** How long commands count after they have come, in milliseconds: several pieces of work may be done between two of them. */
const COMMANDS_MS = 20;

/** The pace of one kind of work of one master. */
export class BackgroundPace {
  readonly #rest: number;
  readonly #waitMsMax: number;
  #commands = 0;
  #seen = 0;
  #nextMs = 0;
  /** Until when the last commands count. */
  #untilMs = -Infinity;
  #disturbs = false;

  /**
   * @param rest Time that commands have for each millisecond of the work, in milliseconds.
   * @param waitMsMax Longest time by which it is put off, in milliseconds.
   */
  constructor(rest: number, waitMsMax: number) {
    this.#rest = rest;
    this.#waitMsMax = waitMsMax;
  }

  /** A command has come. */
  noteCommand(): void {
    this.#commands++;
  }

  /** Some of the work was done from `beganMs` until `nowMs`. */
  worked(beganMs: number, nowMs: number): void {
    if (this.#commands !== this.#seen) {
      this.#seen = this.#commands;
      this.#untilMs = nowMs + COMMANDS_MS;
    }
    this.#disturbs = nowMs < this.#untilMs;
    if (!this.#disturbs) return;
    this.#nextMs = Math.min(
      Math.max(this.#nextMs, nowMs) + (nowMs - beganMs) * this.#rest,
      nowMs + this.#waitMsMax,
    );
  }

  /** How long the work has to wait, in milliseconds. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#nextMs - nowMs);
  }

  /** Whether commands had come lately when some of it was last done. */
  get disturbs(): boolean {
    return this.#disturbs;
  }
}
