/**
 * A log of lines for nodes under test.
 *
 * @module
 */
import type { Log, LogData } from "../../src/environment/log.ts";

/** A log that hands each line to `write`, without its line end. */
export function lineLog(
  write: (line: string) => void,
  path: readonly string[] = [],
): Log {
  const at = (level: string) => (message: string, data: LogData = {}): void => {
    const facts = Object.entries(data).map(([name, value]) =>
      `${name}=${typeof value === "string" ? value : Deno.inspect(value)}`
    );
    write(
      [level.padEnd(5), path.join("."), message, ...facts].join(" ")
        .replaceAll("\n", "\\n"),
    );
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (name) => lineLog(write, [...path, name]),
  };
}

/** Lines a node has written, the last ones only. */
export class LineTail {
  readonly #lines: string[] = [];

  /** Takes in a line. */
  add(line: string): void {
    const seconds = (performance.now() / 1000).toFixed(3);
    this.#lines.push(`${seconds} ${line}`);
    if (this.#lines.length > LINES_KEPT) this.#lines.shift();
  }

  /** The lines as text. */
  toString(): string {
    return this.#lines.join("\n");
  }
}

const LINES_KEPT = 200;
