/**
 * Paces one kind of background work of a vnode master: it gets all of the idle
 * time, and a fixed share while commands arrive. After each slice of work the
 * next one, of any transfer or listing, is delayed by a multiple of the time
 * the slice took, if a command has arrived recently.
 *
 * @module
 */

/** How long an arrived command counts as recent, in milliseconds: several slices of work may fall between two commands. */
const COMMANDS_MS = 20;

/**
 * What counts of slices that overlap, as some of them wait for the disk: all of
 * each, or only the time since the slice that ended before it. The latter is
 * less than the time during which there was any, and never more.
 */
export type OverlapCounts = "each" | "once";

/** The pace of one kind of work of one master. */
export class BackgroundPace {
  readonly #rest: number;
  readonly #waitMsMax: number;
  readonly #overlap: OverlapCounts;
  #commands = 0;
  #seen = 0;
  #nextMs = 0;
  /** When the last slice ended. */
  #workedUntilMs = -Infinity;
  /** Until when the last command counts as recent. */
  #untilMs = -Infinity;
  #disturbs = false;

  /**
   * @param rest Milliseconds left to commands for each millisecond of work.
   * @param waitMsMax Longest delay of a slice, in milliseconds: however many commands come, and however long a slice took, the work goes on.
   */
  constructor(
    rest: number,
    waitMsMax: number,
    overlap: OverlapCounts = "each",
  ) {
    this.#rest = rest;
    this.#waitMsMax = waitMsMax;
    this.#overlap = overlap;
  }

  /** A command has come. */
  noteCommand(): void {
    this.#commands++;
  }

  /** A slice of work was done from `beganMs` until `nowMs`. */
  worked(beganMs: number, nowMs: number): void {
    if (this.#commands !== this.#seen) {
      this.#seen = this.#commands;
      this.#untilMs = nowMs + COMMANDS_MS;
    }
    this.#disturbs = nowMs < this.#untilMs;
    const countsFromMs = this.#overlap === "once"
      ? Math.max(beganMs, this.#workedUntilMs)
      : beganMs;
    this.#workedUntilMs = nowMs;
    if (!this.#disturbs) return;
    this.#nextMs = Math.min(
      Math.max(this.#nextMs, nowMs) + (nowMs - countsFromMs) * this.#rest,
      nowMs + this.#waitMsMax,
    );
  }

  /** How long the next slice has to wait, in milliseconds. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#nextMs - nowMs);
  }

  /** Whether a command was recent when the last slice was done. */
  get disturbs(): boolean {
    return this.#disturbs;
  }
}
