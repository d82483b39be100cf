/**
 * A program in a terminal of its own, for tests that type at it.
 *
 * @module
 */
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** How long a terminal may take to show what is expected. */
const PATIENCE_MS = 10_000;

/** A program behind a pseudo-terminal, with a way to wait for what it shows. */
export class Terminal implements AsyncDisposable {
  #child: Deno.ChildProcess;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  #shown = "";
  #reading: Promise<void>;
  #wake: (() => void) | undefined;
  #ended = false;

  /** Runs `program` with `args`, and with all permissions. */
  constructor(program: string, args: readonly string[] = []) {
    const command = [Deno.execPath(), "run", "-A", program, ...args]
      .map((word) => `'${word}'`).join(" ");
    this.#child = new Deno.Command("script", {
      args: ["-qec", command, "/dev/null"],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
      env: { TERM: "xterm", NO_COLOR: "1" },
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  /** Types `keys`. */
  async type(keys: string): Promise<void> {
    await this.#writer.write(encoder.encode(keys));
  }

  /** Resolves to what was shown up to `expected`, which is then forgotten. */
  async until(expected: string): Promise<string> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake?.();
    }, PATIENCE_MS);
    while (true) {
      const at = this.#shown.indexOf(expected);
      if (at !== -1) {
        clearTimeout(timer);
        const before = this.#shown.slice(0, at + expected.length);
        this.#shown = this.#shown.slice(at + expected.length);
        return before;
      }
      if (this.#ended || late) {
        clearTimeout(timer);
        throw new Error(`not shown: ${expected}; but: ${this.#shown}`);
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** The exit code of the program. */
  async code(): Promise<number> {
    await this.#reading;
    return (await this.#child.status).code;
  }

  async #read(): Promise<void> {
    for await (const chunk of this.#child.stdout) {
      // deno-lint-ignore no-control-regex -- cursor movements are what is taken out.
      const movement = /\x1b\[[\d;?]*[A-Za-z]/g;
      this.#shown += decoder.decode(chunk, { stream: true })
        .replace(movement, "");
      this.#wake?.();
    }
    this.#ended = true;
    this.#wake?.();
  }

  /** Ends the program by force. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    await this.#reading;
    await this.#child.status;
    // The program may have ended before the pipe to it was closed.
    await this.#writer.close().catch((error) => {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    });
  }
}
