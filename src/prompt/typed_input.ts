/**
 * Terminal input, line by line. A line is passed on when the one before it has
 * been answered: text that is typed ahead or pasted is echoed after its own
 * prompt, not in the middle of an answer.
 *
 * @module
 */
import process from "node:process";
import { PassThrough } from "node:stream";

const CTRL_C = "\x03";

/** Standard input from a terminal, for `node:readline`. */
export class TypedInput extends PassThrough {
  /** Read by readline. */
  readonly isTTY = true;
  readonly #onInterrupt: () => void;
  readonly #decoder = new TextDecoder();
  /** Text typed while a line is being answered. */
  #ahead = "";
  /** Whether a line has been passed on and not answered yet. */
  #answering = false;
  #inputEnded = false;

  /** @param onInterrupt Called on Ctrl-C while a line is being answered; text typed ahead of it is dropped. */
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

  /** Passes the next line on, now that the last one has been answered or was empty. */
  next(): void {
    this.#answering = false;
    // A line ends with \r\n, \r or \n.
    const [line = ""] = /^.*?(?:\r\n|\r|\n)/s.exec(this.#ahead) ??
      [this.#ahead];
    this.#ahead = this.#ahead.slice(line.length);
    this.#answering = /[\r\n]$/.test(line);
    if (line !== "") this.write(line);
    if (this.#inputEnded && !this.#answering) this.end();
  }

  /** Stops reading. */
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
