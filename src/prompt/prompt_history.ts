/**
 * The history of a prompt, kept in a file between sessions.
 *
 * @module
 */

/** How many lines are remembered. */
export const HISTORY_LINES_MAX = 1_000;

/** The remembered lines, newest first as `node:readline` wants them. */
export class PromptHistory {
  readonly linesMax: number = HISTORY_LINES_MAX;
  #path: string | undefined;
  #lines: string[] = [];

  /** Reads the history from the file at `path`; without a path, nothing is stored. */
  constructor(path: string | undefined) {
    this.#path = path;
    if (path === undefined) return;
    let text;
    try {
      text = Deno.readTextFileSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    const all = text.split("\n").filter((line) => line !== "");
    this.#lines = all.slice(-this.linesMax).reverse();
    // The file grows by appended lines and is only truncated here.
    if (all.length > 2 * this.linesMax) this.#rewrite();
  }

  /** A copy of the lines, newest first. */
  get lines(): string[] {
    return [...this.#lines];
  }

  /** Remembers `line`. */
  add(line: string): void {
    if (line.trim() === "" || line === this.#lines[0]) return;
    this.#lines.unshift(line);
    this.#lines.length = Math.min(this.#lines.length, this.linesMax);
    if (this.#path === undefined) return;
    Deno.writeTextFileSync(this.#path, `${line}\n`, {
      append: true,
      mode: 0o600,
    });
  }

  #rewrite(): void {
    Deno.writeTextFileSync(
      this.#path!,
      this.#lines.toReversed().map((line) => `${line}\n`).join(""),
      { mode: 0o600 },
    );
  }
}
