/**
 * Times as people write and read them.
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

/** A span as two largest units: `850ms`, `4.2s`, `3m 05s`, `2h 07m`, `5d 03h`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  const seconds = ms / 1_000;
  if (seconds < 59.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  if (whole < 3_600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 1_440) {
    return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  }
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)}d ${two(hours % 24)}h`;
}
