/**
 * Refuses what no store accepts, before anything is applied, with the same
 * messages for every kind of store.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { storeLimits, type StoreWrite } from "../environment/storage.ts";

/** @throws {WhorlError} `invalid_argument` unless `partition` is one. */
export function checkPartition(partition: number): void {
  if (
    !Number.isInteger(partition) || partition < 0 ||
    partition > storeLimits.partitionMax
  ) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot open a partition as its number must be 0 to ${storeLimits.partitionMax}: current value is ${partition}`,
      { details: { partition } },
    );
  }
}

/**
 * Checks one group of writes.
 *
 * @returns Bytes of all values together.
 * @throws {WhorlError} `invalid_key` or `value_too_large`.
 */
export function checkWrites(writes: readonly StoreWrite[]): number {
  if (writes.length > storeLimits.groupWritesMax) {
    throw new WhorlError(
      "value_too_large",
      `Cannot write a group as it may have ${storeLimits.groupWritesMax} writes: current value is ${writes.length}`,
      { details: { writes: writes.length } },
    );
  }
  let keyBytes = 0;
  let valueBytes = 0;
  for (let i = 0; i < writes.length; i++) {
    const { key, value } = writes[i] as StoreWrite;
    if (key.length > storeLimits.keyBytesMax) {
      throw new WhorlError(
        "invalid_key",
        `Cannot write a key as it may have ${storeLimits.keyBytesMax} bytes: current value is ${key.length}`,
        { details: { keyBytes: key.length } },
      );
    }
    keyBytes += key.length;
    if (value === null) continue;
    if (value.length > storeLimits.valueBytesMax) {
      throw new WhorlError(
        "value_too_large",
        `Cannot write a value as it may have ${storeLimits.valueBytesMax} bytes: current value is ${value.length}`,
        { details: { valueBytes: value.length } },
      );
    }
    valueBytes += value.length;
  }
  if (
    keyBytes > storeLimits.groupKeyBytesMax ||
    valueBytes > storeLimits.groupValueBytesMax
  ) {
    throw new WhorlError(
      "value_too_large",
      `Cannot write a group as its keys may have ${storeLimits.groupKeyBytesMax} bytes and its values ${storeLimits.groupValueBytesMax}: current value is ${keyBytes} and ${valueBytes}`,
      { details: { keyBytes, valueBytes } },
    );
  }
  return valueBytes;
}

/** The error of every call on a closed store. */
export function closedError(action: "read" | "write"): WhorlError {
  return new WhorlError("closed", `Cannot ${action} as the store is closed`);
}
