/**
 * A program with a prompt, such as a node's, in a process of its own: what is
 * typed goes through a pipe, what it answers and what it logs comes back.
 *
 * @module
 */
import { textLines } from "./text_lines.ts";
import { until } from "./until.ts";

/** How long an answer or a line of the log may take, in milliseconds. */
const PATIENCE_MS = 20_000;

/** Lines of a log that a failure shows. */
const LOG_LINES_SHOWN = 40;

const encoder = new TextEncoder();

/** A program that reads JavaScript from standard input. */
export class PromptProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #out: string[] = [];
  readonly #err: string[] = [];
  readonly #reading: Promise<unknown>;
  #ended = false;
  #asked = 0;

  /** Starts it. @param args What `deno run` is given, permissions first. */
  constructor(args: readonly string[]) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", ...args],
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#reading = Promise.all([
      this.#keep(this.#child.stdout, this.#out),
      this.#keep(this.#child.stderr, this.#err),
    ]).finally(() => this.#ended = true);
  }

  /** All lines of its log so far, and whatever else it wrote to standard error. */
  get log(): readonly string[] {
    return this.#err;
  }

  /** Whether it has ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Types `code`, and resolves to the lines that come of it: results, then what
   * the prompt says of failures. The last answer of a program that ends is what
   * it had to say until then.
   */
  async ask(code: string): Promise<string[]> {
    const [out, err] = [this.#out.length, this.#err.length];
    const mark = `answered ${++this.#asked}`;
    const say =
      `(Deno.stderr.writeSync(new TextEncoder().encode("${mark}\\n")), "${mark}")`;
    await this.#input.write(encoder.encode(`${code}\n${say}\n`)).catch(() => {
      // It has ended, as its log will tell.
    });
    const from = (lines: readonly string[], start: number, end: string) => {
      const at = lines.indexOf(end, start);
      return at === -1 ? undefined : lines.slice(start, at);
    };
    const answer = () => {
      const said = from(this.#out, out, JSON.stringify(mark));
      const failures = from(this.#err, err, mark);
      return said === undefined || failures === undefined
        ? undefined
        : [...said, ...failures.filter((line) => !isLogLine(line))];
    };
    await until(
      () => `no answer to ${code}; log:\n${this.#lastLines()}`,
      () => Promise.resolve(this.#ended || answer() !== undefined),
      PATIENCE_MS,
    );
    return answer() ?? this.#out.slice(out);
  }

  /** Resolves once its log has a line that `pattern` matches. */
  async logged(pattern: RegExp): Promise<void> {
    await until(
      () => `no line like ${pattern} in the log:\n${this.#lastLines()}`,
      () => Promise.resolve(this.#err.some((line) => pattern.test(line))),
      PATIENCE_MS,
    );
  }

  /** Ends it by force, as a crash would, and resolves when it is gone. */
  async kill(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      // It has ended already.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.#child.status;
    await this.#reading;
  }

  /** Resolves to its exit code when it has ended by itself. */
  async code(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#reading;
    return code;
  }

  /** Ends its input, and resolves to its exit code. */
  async end(): Promise<number> {
    await this.#input.close();
    return await this.code();
  }

  /** {@linkcode PromptProcess.kill}, at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    // Nobody reads any more.
    await this.#input.abort().catch(() => {});
  }

  #lastLines(): string {
    return this.#err.slice(-LOG_LINES_SHOWN).join("\n");
  }

  async #keep(
    bytes: ReadableStream<Uint8Array<ArrayBuffer>>,
    into: string[],
  ): Promise<void> {
    for await (const line of textLines(bytes)) into.push(line);
  }
}

/** Whether a line begins as those of a log do, with the time and the level. */
export function isLogLine(line: string): boolean {
  return /^\d\d:\d\d:\d\d\.\d{3} \[/.test(line);
}
