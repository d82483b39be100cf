/**
 * What a person types, line by line. A line is let through when the one before
 * it has been answered: what is typed ahead or pasted is echoed behind the
 * prompt it belongs to, and not in the middle of an answer.
 *
 * @module
 */
import process from "node:process";
import { PassThrough } from "node:stream";

const CTRL_C = "\x03";

/** The standard input of a process whose terminal it is, for `node:readline`. */
export class TypedInput extends PassThrough {
  /** What readline asks of a terminal. */
  readonly isTTY = true;
  readonly #onInterrupt: () => void;
  readonly #decoder = new TextDecoder();
  /** What has been typed while a line was being answered. */
  #ahead = "";
  /** Whether a line has been let through that is not answered yet. */
  #answering = false;
  #inputEnded = false;

  /** @param onInterrupt Called at a Ctrl-C while a line is being answered; what was typed ahead is forgotten. */
  constructor(onInterrupt: () => void) {
    super();
    this.#onInterrupt = onInterrupt;
    process.stdin.on("data", this.#onData);
    process.stdin.on("end", this.#onEnd);
  }

  /** Called by readline. */
  setRawMode(raw: boolean): this {
    process.stdin.setRawMode(raw);
    return this;
  }

  /** The last line has been answered, or was none: lets the next one through. */
  next(): void {
    this.#answering = false;
    // A line's \r\n is one end, and so is each of them alone.
    const [line = ""] = /^.*?(?:\r\n|\r|\n)/s.exec(this.#ahead) ??
      [this.#ahead];
    this.#ahead = this.#ahead.slice(line.length);
    this.#answering = /[\r\n]$/.test(line);
    if (line !== "") this.write(line);
    if (this.#inputEnded && !this.#answering) this.end();
  }

  /** Reads no more. */
  close(): void {
    process.stdin.off("data", this.#onData);
    process.stdin.off("end", this.#onEnd);
    process.stdin.pause();
    this.destroy();
  }

  readonly #onData = (bytes: Uint8Array): void => {
    this.#ahead += this.#decoder.decode(bytes, { stream: true });
    if (!this.#answering) return this.next();
    const interrupt = this.#ahead.lastIndexOf(CTRL_C);
    if (interrupt === -1) return;
    this.#ahead = this.#ahead.slice(interrupt + 1);
    this.#onInterrupt();
  };

  readonly #onEnd = (): void => {
    this.#inputEnded = true;
    if (!this.#answering) this.next();
  };
}
