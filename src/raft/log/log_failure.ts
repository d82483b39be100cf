/**
 * What the failures of the disk are called to those who use the logs.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../../base/errors.ts";

/** What `cause`, met where `path` was used, is to be told as: errors of the system as failures of the store, all others as they are. */
export function storeErrorOf(cause: unknown, path: string): unknown {
  const code = (cause as { code?: unknown } | null)?.code;
  if (cause instanceof WhorlError || typeof code !== "string") return cause;
  return new WhorlError(
    code === "ENOSPC" ? "store_full" : "store_unavailable",
    `Cannot use the Raft log in ${path}: ${reasonOf(cause)}`,
    { details: { path }, cause },
  );
}

/** What `action` comes to, its failure called by {@linkcode storeErrorOf}. */
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
