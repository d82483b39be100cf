/**
 * Classifies the errors of Deno KV. They have no codes, so only SQLite's
 * messages distinguish them; this is the one place that knows those messages.
 *
 * @module
 */
import { type ErrorCode, reasonOf, WhorlError } from "../base/errors.ts";

const meanings: readonly (readonly [RegExp, ErrorCode])[] = [
  [
    /database or disk is full|no space left|disk quota exceeded|file too large/i,
    "store_full",
  ],
  [/not a database|malformed|corrupt/i, "store_corrupt"],
  [/database is locked/i, "store_locked"],
];

/**
 * An error from Deno KV as a {@linkcode WhorlError} that names the file. A
 * `WhorlError` is returned unchanged.
 */
export function storeError(
  cause: unknown,
  action: string,
  path: string,
): WhorlError {
  if (cause instanceof WhorlError) return cause;
  const reason = reasonOf(cause);
  const code = meanings.find(([words]) => words.test(reason))?.[1] ??
    "store_unavailable";
  return new WhorlError(code, `Cannot ${action} store ${path}: ${reason}`, {
    details: { path },
    cause,
  });
}
