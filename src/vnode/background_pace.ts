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
 * each, or the time during which there was any.
 */
export type OverlapCounts = "each" | "once";

/**
 * Most spans of work that are remembered, so that they are counted once. A slice
 * that began before the oldest of them counts for somewhat more.
 */
const SPANS_MAX = 64;

/** A span of time in which there was work without a pause. */
interface Span {
  beganMs: number;
  endedMs: number;
}

/** The time in which something worked, told of each that did when it ends. */
class WorkedTime {
  /** Disjoint, in order. */
  readonly #spans: Span[] = [];

  /** Adds a span that ends last of all; returns how much of it is new. */
  add(beganMs: number, endedMs: number): number {
    const spans = this.#spans;
    let addedMs = endedMs - beganMs;
    const span = { beganMs, endedMs };
    for (
      let last = spans.at(-1);
      last !== undefined && last.endedMs >= beganMs;
      last = spans.at(-1)
    ) {
      addedMs -= last.endedMs - Math.max(beganMs, last.beganMs);
      span.beganMs = Math.min(span.beganMs, last.beganMs);
      spans.pop();
    }
    spans.push(span);
    if (spans.length > SPANS_MAX) spans.shift();
    return addedMs;
  }
}

/** The pace of one kind of work of one master. */
export class BackgroundPace {
  readonly #rest: number;
  readonly #waitMsMax: number;
  /** The time that is counted once, if that is so. */
  readonly #workedTime: WorkedTime | undefined;
  #commands = 0;
  #seen = 0;
  #nextMs = 0;
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
    this.#workedTime = overlap === "once" ? new WorkedTime() : undefined;
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
    const workedMs = this.#workedTime?.add(beganMs, nowMs) ?? nowMs - beganMs;
    if (!this.#disturbs) return;
    this.#nextMs = Math.min(
      Math.max(this.#nextMs, nowMs) + workedMs * this.#rest,
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
