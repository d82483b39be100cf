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
import { type RingOrigin, sizeOfGeneration } from "./ring_generations.ts";

/**
 * The generation that a node has used in `before` and that is a different one
 * in `after`, the current ring of its cluster; `null` if there is none. Copies
 * left from an aborted resize do not count, since the vnodes they came from
 * have the data. If the ring goes back to an earlier phase of a resize that
 * some have read by, the resize is to be aborted and restarted, unless buckets
 * are consistent: their groups have taken over, and it continues to its end.
 */
export function lostOrigin(before: Ring, after: Ring): RingOrigin | null {
  const { current, resize } = before.ownership.generations;
  const mayHave = [
    { generation: current, size: before.size, isRead: true },
    ...resize === null ? [] : [{
      generation: resize.generation,
      size: resize.owners.length,
      isRead: resize.phase === "reading",
    }],
  ];
  for (const { generation, size, isRead } of mayHave) {
    const sizeNow = sizeOfGeneration(after, generation);
    const isLost = sizeNow === undefined ||
      sizeNow !== size && (isRead || sizeNow !== 0) ||
      isRead && !isReadIn(after, generation) && !hasConsistentBuckets(after);
    if (isLost) return { generation, size };
  }
  return null;
}

/** Whether `generation` is, or was, that of a ring which was read. */
function isReadIn({ ownership: { generations } }: Ring, generation: number) {
  const { current, resize } = generations;
  return generation <= current ||
    generation === resize?.generation && resize.phase === "reading";
}
