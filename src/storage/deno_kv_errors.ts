/**
 * What Deno KV throws, told apart. It has no error codes, so that only SQLite's
 * words are left to go by; this is the one place that knows them.
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

/** An error from Deno KV as one of ours, naming the file. What is ours already stays as it is. */
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
