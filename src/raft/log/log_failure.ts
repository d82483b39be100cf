/**
 * Translates failures of the disk for users of the logs.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../../base/errors.ts";

/** `cause` as reported to users: errors of the operating system become store failures, others stay as they are. */
export function storeErrorOf(cause: unknown, path: string): unknown {
  const code = (cause as { code?: unknown } | null)?.code;
  if (cause instanceof WhorlError || typeof code !== "string") return cause;
  return new WhorlError(
    code === "ENOSPC" ? "store_full" : "store_unavailable",
    `Cannot use the Raft log in ${path}: ${reasonOf(cause)}`,
    { details: { path }, cause },
  );
}

/** The result of `action`; its failure is translated by {@linkcode storeErrorOf}. */
export async function asStoreErrors<T>(
  path: string,
  action: () => Promise<T>,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw storeErrorOf(error, path);
  }
}
