/**
 * A few lines at the bottom of a terminal that are written over in place. What
 * was there before scrolls up as always; what is written afterwards follows.
 *
 * @module
 */
import type { Output } from "./output.ts";

/** Lines that change in place. */
export class LiveArea {
  #output: Output;
  #shown: readonly string[] = [];

  constructor(output: Output) {
    this.#output = output;
  }

  /** How many lines the terminal has room for. */
  get linesMax(): number {
    // The cursor rests on a line of its own, below.
    return Math.max(1, this.#output.rows() - 1);
  }

  /** Shows `lines` in place of those before: as much of each, and as many, as fit. */
  show(lines: readonly string[]): void {
    // One column stays free, or the terminal would begin a new line.
    const columns = Math.max(1, this.#output.columns() - 1);
    const fitting = lines.slice(0, this.linesMax)
      .map((line) => line.slice(0, columns));
    // One write, so that nobody sees half of it.
    this.#output.write(
      this.#upward() + fitting.map((line) => `${line}\x1b[K\n`).join("") +
        "\x1b[J",
    );
    this.#shown = fitting;
  }

  /** Takes the lines off the screen. */
  clear(): void {
    if (this.#shown.length > 0) this.#output.write(`${this.#upward()}\x1b[J`);
    this.#shown = [];
  }

  /** Leaves the lines where they are: what is shown next comes below them. */
  keep(): void {
    this.#shown = [];
  }

  /** To the first of the lines shown. */
  #upward(): string {
    // A terminal that has become narrower has broken lines in two.
    const columns = Math.max(1, this.#output.columns());
    const lines = this.#shown.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(line.length / columns)),
      0,
    );
    return lines === 0 ? "" : `\x1b[${lines}A\r`;
  }
}
