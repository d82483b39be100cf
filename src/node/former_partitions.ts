/**
 * What a node still holds of rings before its current one. Its vnodes are named
 * by the generation of its ring, and a cluster that it joins learns of only one
 * generation, so the data of any other must have been handed over before.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { Ring } from "../ring/ring.ts";
import { ageOfVnode } from "../ring/ring_generations.ts";
import { originsOf } from "../ring/ring_origin.ts";
import type { HeldPartition } from "../handoff/transfer.ts";

/**
 * Why `self`, whose ring is `ring`, may not take its data into another cluster;
 * `null` if it may.
 *
 * @param held Asks what it holds; undefined if that is unknown now. Not called
 * for a node whose ring never changed its size.
 */
export async function refuseFormerPartitions(
  ring: Ring,
  self: string,
  to: string,
  held: () => Promise<readonly HeldPartition[] | undefined>,
): Promise<WhorlError | null> {
  const origins = originsOf(ring, self);
  if (ring.ownership.generations.sizes.length === 0 && origins.length === 0) {
    return null;
  }
  const all = await held();
  if (all === undefined) {
    return new WhorlError(
      "node_still_starting",
      `Cannot join ${to} as a vnode master of this node does not run, which may hold partitions of its ring before a resize: wait for it`,
      { details: { node: self } },
    );
  }
  const former = all.filter(({ partition }) => {
    const age = ageOfVnode(ring, partition, origins);
    return age !== "present" && age !== "unknown";
  });
  return former.length === 0 ? null : new WhorlError(
    "pending_changes",
    `Cannot join ${to} as this node still hands on ${former.length} partitions of its ring before a resize: wait for these transfers`,
    { details: { partitions: former.map(({ partition }) => partition) } },
  );
}
