/**
 * A program with a prompt, in a process of its own, and somebody who types at
 * it through a pipe: one piece of code after the other, and what each printed.
 *
 * @module
 */
import { textLines } from "./text_lines.ts";

const encoder = new TextEncoder();

/** What `deno` is told by the task `name`, and then `args`. */
export async function taskArgs(
  name: string,
  ...args: readonly string[]
): Promise<string[]> {
  const root = new URL("../../", import.meta.url);
  const { tasks } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", root)),
  );
  const [, ...words] = tasks[name].split(" ") as string[];
  // Tasks run in the folder of `deno.json`, tests anywhere.
  const inRoot = words.map((word) =>
    word.endsWith(".ts") ? new URL(word, root).pathname : word
  );
  return [...inRoot, ...args];
}

/** A program that opens a prompt. Disposing kills it if it still runs. */
export class PromptProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #output: AsyncIterator<string>;
  /** Resolves when there is nothing more to read of its errors. */
  readonly #errorsRead: Promise<void>;
  readonly #errors: string[] = [];
  /** Called with each line of its errors. */
  readonly #listeners = new Set<(line: string) => void>();
  #typed = 0;

  /** @param args What `deno` is told: to run the program, how, and what the program is told. */
  constructor(args: readonly string[]) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [...args],
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = textLines(this.#child.stdout)[Symbol.asyncIterator]();
    this.#errorsRead = this.#readErrors(this.#child.stderr);
  }

  async #readErrors(
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  ): Promise<void> {
    for await (const line of textLines(stream)) {
      this.#errors.push(line);
      for (const listener of this.#listeners) listener(line);
    }
  }

  /** What it has said besides results. */
  get errors(): string {
    return this.#errors.join("\n");
  }

  /**
   * What `pattern` finds in the first line of {@linkcode PromptProcess.errors}
   * that it fits.
   *
   * @throws {Error} If it ends without such a line.
   */
  async said(pattern: RegExp): Promise<RegExpExecArray> {
    const { promise, resolve, reject } = Promise.withResolvers<
      RegExpExecArray
    >();
    const listener = (line: string) => {
      const found = pattern.exec(line);
      if (found !== null) resolve(found);
    };
    this.#errors.forEach(listener);
    this.#listeners.add(listener);
    this.#errorsRead.then(() =>
      reject(new Error(`It has ended without ${pattern}: ${this.errors}`))
    );
    try {
      return await promise;
    } finally {
      this.#listeners.delete(listener);
    }
  }

  /** Types `code`, which must be whole, and resolves to what that printed. */
  async type(code: string): Promise<string> {
    const mark = `the end of ${++this.#typed}`;
    await this.#input.write(encoder.encode(`${code}\n"${mark}"\n`));
    const lines: string[] = [];
    for (;;) {
      const { value: line, done } = await this.#output.next();
      if (done) {
        await this.#errorsRead;
        throw new Error(`It has ended at ${code}: ${this.errors}`);
      }
      if (line === `"${mark}"`) return lines.join("\n");
      lines.push(line);
    }
  }

  /** Types the expression `code`, and resolves to its value as JSON has it. */
  async value<T = unknown>(code: string): Promise<T> {
    const printed = await this.type(`console.log(JSON.stringify(${code}))`);
    if (printed !== "") return JSON.parse(printed);
    throw new Error(`No value of ${code}: ${this.errors}`);
  }

  /** Leaves the prompt; resolves to the exit code. */
  async leave(): Promise<number> {
    await this.#input.close();
    const { code } = await this.#child.status;
    await this.#errorsRead;
    return code;
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      // It has ended by itself.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.#child.status;
    await this.#errorsRead;
    // Nobody reads at the other end; there is nothing to lose.
    await this.#input.abort().catch(() => {});
    while (!(await this.#output.next()).done);
  }
}
