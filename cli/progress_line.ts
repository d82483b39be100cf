/**
 * Progress on one line at the bottom of a terminal.
 *
 * @module
 */
import type { Output } from "./output.ts";

/** A line at the bottom of a terminal that remarks can be written above. */
export class ProgressLine {
  #output: Output;
  #shown = "";

  constructor(output: Output) {
    this.#output = output;
  }

  /** Shows `text`, as much of it as fits. Does nothing where no person looks. */
  show(text: string): void {
    if (!this.#output.remarksToTerminal) return;
    // One column stays free, or the terminal would begin a new line.
    const fitting = text.slice(0, this.#output.columns() - 1);
    this.#output.remark(`\r${fitting}\x1b[K`);
    this.#shown = fitting;
  }

  /** Writes a remark on a line of its own, above the progress. */
  remark(text: string): void {
    if (this.#shown === "") return this.#output.remark(`${text}\n`);
    this.#output.remark(`\r${text}\x1b[K\n${this.#shown}`);
  }

  /** Takes the progress off the screen. */
  clear(): void {
    if (this.#shown !== "") this.#output.remark("\r\x1b[K");
    this.#shown = "";
  }
}
