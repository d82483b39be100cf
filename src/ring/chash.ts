/**
 * Consistent hashing: the place of a key on the ring, and the partition that is
 * its first owner (Karger et al., STOC 1997; riak_core's `chash.erl`).
 *
 * A place is the SHA-1 of the Erlang term `{Bucket, Key}`, a number from 0 to
 * 2^160 - 1. A ring of Q partitions, Q a power of two, is divided into Q equal
 * parts, so the top log2(Q) bits of the hash are the part that a place falls
 * into. The first owner is the partition after that one:
 *
 *     first = (place div (2^160 / Q) + 1) mod Q
 *
 * Inside Whorl a partition is its number, 0 to Q - 1. The 160-bit index that
 * riak_core shows, `partition * 2^160 / Q`, appears only at the edges.
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { type ErlangTerm, writeBucketKey, writeTerm } from "../wire/etf.ts";
import {
  createSha1State,
  sha1,
  SHA1_BYTES,
  sha1Bytes,
  type Sha1State,
} from "./sha1.ts";

/** The smallest ring. */
export const RING_SIZE_MIN = 8;
/** The largest ring. */
export const RING_SIZE_MAX = 1024;
/** Default number of partitions of a ring. */
export const RING_SIZE_DEFAULT = 64;
/** Number of places, 2^160. */
export const RING_TOP: bigint = 1n << 160n;

/**
 * Which part of a key determines its place:
 *
 * - `whole_key`: bucket and key, so that a bucket spreads over the ring;
 * - `bucket_only`: the bucket, so that all of it shares one preference list;
 * - a function: the term it returns, as riak_core's `chash_keyfun` would pass
 *   to `chash:key_of/1`. It must be pure: every node calls it, at any time.
 */
export type KeyFunction =
  | "whole_key"
  | "bucket_only"
  | ((bucket: ErlangTerm, key: ErlangTerm) => ErlangTerm);

/** A larger buffer is released and not kept for the next key. */
const SCRATCH_BYTES_MAX = 64 * 1024;

// Shared by all callers in a thread: hashing is synchronous, so it never
// interleaves.
let scratch = new ByteWriter(256);
const state: Sha1State = createSha1State();

/**
 * The place of a key on the ring, as its 20 bytes.
 *
 * @param keyFunction Which part of the key is hashed. Default: `whole_key`.
 * @throws {WhorlError} `invalid_argument` if bucket or key cannot be converted
 * to an Erlang term.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(partitionAfter(chashKey("mybucket", "k1"), 64), 10);
 * ```
 */
export function chashKey(
  bucket: ErlangTerm,
  key: ErlangTerm,
  keyFunction: KeyFunction = "whole_key",
): Uint8Array<ArrayBuffer> {
  hash(bucket, key, keyFunction);
  return sha1Bytes(state);
}

/**
 * The first owner of a key: the partition at which its preference list starts.
 * Like `partitionAfter(chashKey(bucket, key), ringSize)`, without allocations.
 *
 * @param keyFunction Which part of the key is hashed. Default: `whole_key`.
 * @throws {WhorlError} `invalid_ring_size`, or `invalid_argument` if bucket or
 * key cannot be converted to an Erlang term.
 */
export function partitionOf(
  bucket: ErlangTerm,
  key: ErlangTerm,
  ringSize: number,
  keyFunction: KeyFunction = "whole_key",
): number {
  const bits = ringBits(ringSize);
  hash(bucket, key, keyFunction);
  return (state[0]! >>> (32 - bits)) + 1 & ringSize - 1;
}

/**
 * The first owner of a place given as its 20 bytes.
 *
 * @throws {WhorlError} `invalid_ring_size`, or `invalid_argument` if `place`
 * is not 20 bytes long.
 */
export function partitionAfter(place: Uint8Array, ringSize: number): number {
  const bits = ringBits(ringSize);
  requirePlace(place);
  // No ring has more than 1024 partitions, so the first 16 bits are enough.
  const top = place[0]! << 8 | place[1]!;
  return (top >>> (16 - bits)) + 1 & ringSize - 1;
}

/** A place given as its 20 bytes, as a number. @throws {WhorlError} `invalid_argument` if it is not 20 bytes long. */
export function placeNumber(place: Uint8Array): bigint {
  requirePlace(place);
  let number = 0n;
  for (const byte of place) number = number << 8n | BigInt(byte);
  return number;
}

/**
 * Distance between the beginnings of two partitions, 2^160 / Q.
 *
 * @throws {WhorlError} `invalid_ring_size`
 */
export function ringIncrement(ringSize: number): bigint {
  return 1n << BigInt(160 - ringBits(ringSize));
}

/**
 * The 160-bit index of a partition, as riak_core shows it.
 *
 * @throws {WhorlError} `invalid_ring_size`, or `invalid_argument` if the ring
 * has no such partition.
 */
export function partitionIndex(partition: number, ringSize: number): bigint {
  const bits = ringBits(ringSize);
  if (!Number.isInteger(partition) || partition < 0 || partition >= ringSize) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot name partition ${partition} as a ring of ${ringSize} has 0 to ${
        ringSize - 1
      }`,
      { details: { partition, ringSize } },
    );
  }
  return BigInt(partition) << BigInt(160 - bits);
}

/**
 * The partition whose 160-bit index is `index`, a number or its decimal digits.
 *
 * @throws {WhorlError} `invalid_ring_size`, or `invalid_argument` if no
 * partition of the ring begins there.
 */
export function partitionAtIndex(
  index: bigint | string,
  ringSize: number,
): number {
  const shift = BigInt(160 - ringBits(ringSize));
  const number = typeof index === "bigint"
    ? index
    : /^\d{1,49}$/.test(index)
    ? BigInt(index)
    : -1n;
  const partition = number >> shift;
  if (number < 0n || number >= RING_TOP || partition << shift !== number) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot find a partition at ${index} as none of the ${ringSize} begins there`,
      { details: { index: String(index), ringSize } },
    );
  }
  return Number(partition);
}

/**
 * Checks a ring size: a power of two from 8 to 1024.
 *
 * @throws {WhorlError} `invalid_ring_size`
 */
export function requireRingSize(ringSize: number): void {
  if (
    !Number.isInteger(ringSize) || ringSize < RING_SIZE_MIN ||
    ringSize > RING_SIZE_MAX || (ringSize & ringSize - 1) !== 0
  ) {
    throw new WhorlError(
      "invalid_ring_size",
      `Cannot make a ring as its size must be a power of two from ${RING_SIZE_MIN} to ${RING_SIZE_MAX}: current value is ${ringSize}`,
      { details: { ringSize, min: RING_SIZE_MIN, max: RING_SIZE_MAX } },
    );
  }
}

function ringBits(ringSize: number): number {
  requireRingSize(ringSize);
  return 31 - Math.clz32(ringSize);
}

function hash(
  bucket: ErlangTerm,
  key: ErlangTerm,
  keyFunction: KeyFunction,
): void {
  // Called before the shared buffer is used, since it may hash keys itself.
  const chosen = keyFunction === "whole_key"
    ? undefined
    : keyFunction === "bucket_only"
    ? bucket
    : keyFunction(bucket, key);
  scratch.length = 0;
  if (chosen === undefined) writeBucketKey(scratch, bucket, key);
  else writeTerm(scratch, chosen);
  sha1(state, scratch.bytes, 0, scratch.length);
  if (scratch.bytes.length > SCRATCH_BYTES_MAX) scratch = new ByteWriter(256);
}

function requirePlace(place: Uint8Array): void {
  if (place.length !== SHA1_BYTES) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot use ${place.length} bytes as a place on the ring: it has ${SHA1_BYTES}`,
      { details: { length: place.length } },
    );
  }
}
