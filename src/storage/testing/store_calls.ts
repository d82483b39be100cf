/**
 * Calls of a store as tests make them: one waits for a write, one is told what
 * went wrong.
 *
 * @module
 */
import { WhorlError } from "../../base/errors.ts";
import type { PartitionStore, StoreWrite } from "../../environment/storage.ts";

/** Writes, and waits until it is committed. */
export function put(
  partition: PartitionStore,
  ...writes: readonly StoreWrite[]
): Promise<void> {
  return putAll(partition, writes);
}

/** Writes, in bulk or not, and waits until it is committed. */
export function putAll(
  partition: PartitionStore,
  writes: readonly StoreWrite[],
  inBulk = false,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  partition.write(
    writes,
    (error) => error === undefined ? resolve() : reject(error),
    { inBulk },
  );
  return promise;
}

/** The code of the error that `action` ends with, or `fine`. */
export async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
    return "fine";
  } catch (error) {
    if (error instanceof WhorlError) return error.code;
    throw error;
  }
}
