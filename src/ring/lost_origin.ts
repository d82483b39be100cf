/**
 * What a node holds of a ring that was discarded because a claimant in another
 * part of a split cluster won. Each may have begun a resize, and the ring is
 * that of one of them. Vnodes of the other's may hold acknowledged writes, so
 * their data goes where it belongs, as does the data that a node brings along
 * (`ring_origin.ts`).
 *
 * @module
 */
import { hasConsistentBuckets } from "./consistent_buckets.ts";
import type { Ring } from "./ring.ts";
import {
  formerGenerations,
  newestAborted,
  type RingOrigin,
  sizeOfGeneration,
} from "./ring_generations.ts";

/**
 * The generations that a node has used in `before` and that are different ones
 * in `after`, the current ring of its cluster: that of the owners, which comes
 * first as versions that know of one take it for the origin, that of a resize,
 * and former ones, of which it may not have handed on everything. Copies
 * left from an aborted resize do not count, since the vnodes they came from have
 * the data, and the node drops them. It may not have yet when `after` does not
 * know the number of the newest one: then they would stay, and be taken for parts
 * of the next ring that gets that number. If the ring goes back to an earlier
 * phase of a resize that some have read by, the resize is to be aborted and
 * restarted, unless buckets are consistent: their groups have taken over, and it
 * continues to its end.
 */
export function lostOrigins(before: Ring, after: Ring): RingOrigin[] {
  const { current, resize } = before.ownership.generations;
  const mayHave = [
    { generation: current, size: before.size, isRead: true },
    ...resize === null ? [] : [{
      generation: resize.generation,
      size: resize.owners.length,
      isRead: resize.phase === "reading",
    }],
    ...formerGenerations(before).toReversed()
      .filter(({ generation }) => !isForgotten(after, generation))
      .map((former) => ({ ...former, isRead: true })),
  ];
  const lost = mayHave.filter(({ generation, size, isRead }) => {
    const sizeNow = sizeOfGeneration(after, generation);
    return sizeNow === undefined ||
      sizeNow !== size && (isRead || sizeNow !== 0) ||
      isRead && !isReadIn(after, generation) && !hasConsistentBuckets(after);
  }).map(({ generation, size }) => ({ generation, size }));
  const aborted = newestAborted(before);
  return aborted === null ||
      aborted.generation <= after.ownership.generations.newest
    ? lost
    : [...lost, aborted];
}

/**
 * Whether `generation` is one whose size `ring` no longer has, as its number is
 * used again.
 */
function isForgotten(ring: Ring, generation: number): boolean {
  return generation <= ring.ownership.generations.newest &&
    sizeOfGeneration(ring, generation) === undefined;
}

/** Whether `generation` is, or was, that of a ring which was read. */
function isReadIn({ ownership: { generations } }: Ring, generation: number) {
  const { current, resize } = generations;
  return generation <= current ||
    generation === resize?.generation && resize.phase === "reading";
}
