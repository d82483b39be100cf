/**
 * Finds the first owner of an operation's key.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { partitionAfter, partitionOf } from "../ring/chash.ts";
import { PLACE_KEY_MARK } from "./operation_codec.ts";

/**
 * The first owner of the key that an operation has in `bytes[keyStart,
 * keyEnd)`.
 *
 * @throws {WhorlError} `protocol_error` if its bucket is cut short,
 * `invalid_argument` if its place is invalid.
 */
export function partitionOfKey(
  bytes: Uint8Array,
  keyStart: number,
  keyEnd: number,
  ringSize: number,
): number {
  const bucketStart = keyStart + 2;
  const bucketBytes = (bytes[keyStart] as number) << 8 |
    (bytes[keyStart + 1] as number);
  if (bucketBytes === PLACE_KEY_MARK && bucketStart <= keyEnd) {
    return partitionAfter(bytes.subarray(bucketStart, keyEnd), ringSize);
  }
  const bucketEnd = bucketStart + bucketBytes;
  if (bucketStart > keyEnd || bucketEnd > keyEnd) {
    throw new WhorlError(
      "protocol_error",
      "Cannot run an operation whose bucket is cut short",
    );
  }
  return partitionOf(
    bytes.subarray(bucketStart, bucketEnd),
    bytes.subarray(bucketEnd, keyEnd),
    ringSize,
  );
}
