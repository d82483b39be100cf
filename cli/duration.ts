/**
 * Times as people write them.
 *
 * @module
 */
import { UsageError } from "./command.ts";

const UNIT_MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000 };

/**
 * Milliseconds of `10`, `1.5s`, `500ms` or `2m`; seconds if there is no unit.
 *
 * @throws {UsageError} If `text` is none of these, or zero.
 */
export function parseDuration(flag: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text);
  const ms = match === null ? 0 : Number(match[1]) * UNIT_MS[match[2] ?? "s"]!;
  // Timers hold 31 bits of milliseconds.
  if (!(ms > 0 && ms < 2 ** 31)) {
    throw new UsageError(
      `--${flag} must be a time such as 10, 1.5s, 500ms or 2m: it is ${
        JSON.stringify(text)
      }`,
    );
  }
  return ms;
}
