/**
 * Which groups of one ring have the keys of a group of another one. Sizes are
 * powers of two, so the keys of a partition are those of several partitions of
 * a larger ring, or some of those of one partition of a smaller one.
 *
 *     keys   ├───────────────┼───────────────┼───────────────┼───────────────┤
 *     of 4           1               2               3               0
 *     of 8       1       2       3       4       5       6       7       0
 *
 * @module
 */
import { storageKeyParts } from "../kv/key_limits.ts";
import { partitionOf } from "../ring/chash.ts";

/**
 * The partitions of a ring of `sourceSize` that have keys of `partition` of a
 * ring of `size`.
 */
export function sourcePartitions(
  partition: number,
  size: number,
  sourceSize: number,
): number[] {
  // The keys of a partition are before it, see `chash.ts`.
  const place = (partition + size - 1) % size;
  const first = Math.floor(place * sourceSize / size);
  const count = Math.max(1, sourceSize / size);
  return Array.from(
    { length: count },
    (_, each) => (first + each + 1) % sourceSize,
  );
}

/**
 * The partition of a key, in the form stored by groups, in a ring of `size`.
 */
export function partitionOfKey(storageKey: Uint8Array, size: number): number {
  const { bucket, key } = storageKeyParts(storageKey);
  return partitionOf(bucket, key, size);
}
