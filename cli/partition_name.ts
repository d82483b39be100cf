/**
 * Partitions as people write them: by number, 0 to Q - 1, or by the 160-bit
 * index that riak_core shows.
 *
 * @module
 */
import { isWhorlError } from "../src/base/errors.ts";
import { partitionAtIndex } from "../src/ring/chash.ts";
import { UsageError } from "./command.ts";

/**
 * The partition `text` names in a ring of `ringSize`.
 *
 * @throws {UsageError} If it names none.
 */
export function parsePartition(text: string, ringSize: number): number {
  // The index of partition 0 is 0 as well; all others are far above any number.
  const number = /^\d{1,4}$/.test(text) ? Number(text) : Infinity;
  if (number < ringSize) return number;
  try {
    return partitionAtIndex(text, ringSize);
  } catch (error) {
    if (!isWhorlError(error, "invalid_argument")) throw error;
    throw new UsageError(
      `A partition is written as a number from 0 to ${ringSize - 1}` +
        ` or as an index that begins one of the ${ringSize}: not ${
          JSON.stringify(text)
        }`,
    );
  }
}
