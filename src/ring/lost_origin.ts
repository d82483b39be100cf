/**
 * What a node has of a ring that is no more, as a claimant of another part of a split
 * cluster has won. Each may have begun a resize, and the ring is that of one of them.
 * What came to vnodes of the other's may have been acknowledged, so it goes where it
 * belongs, as what a node comes with does (`ring_origin.ts`).
 *
 * @module
 */
import { hasConsistentBuckets } from "./consistent_buckets.ts";
import type { Ring } from "./ring.ts";
import { type RingOrigin, sizeOfGeneration } from "./ring_generations.ts";

/**
 * The generations that a node used in `before` and that are missing or different in `after`, the
 * ring of its cluster that it uses now: that of the owners, that of a resize, or both. Where all that is
 * left is copies for a resize that was given up, the vnodes they came from have it. If the ring
 * goes back to an earlier phase of a resize that some have read by, the resize is to
 * be given up and begun anew, unless buckets are consistent: their groups have taken
 * over, and it goes on to its end.
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
  ];
  return mayHave.filter(({ generation, size, isRead }) => {
    const sizeNow = sizeOfGeneration(after, generation);
    return sizeNow === undefined ||
      sizeNow !== size && (isRead || sizeNow !== 0) ||
      isRead && !isReadIn(after, generation) && !hasConsistentBuckets(after);
  }).map(({ generation, size }) => ({ generation, size }));
}

/** Whether `generation` is, or was, that of a ring which was read. */
function isReadIn({ ownership: { generations } }: Ring, generation: number) {
  const { current, resize } = generations;
  return generation <= current ||
    generation === resize?.generation && resize.phase === "reading";
}
