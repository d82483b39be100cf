/**
 * A resize of the ring, from the claimant's point of view: whether it is
 * allowed, who will own the partitions, and when.
 *
 *     staged ── commit ──► copying ◄─────────────────────────┐
 *                             │ all owners: nearly all copied    │ it took too long
 *                             ▼                                  │
 *                          binding ──────────────────────────────┘
 *                             │ all owners: everything acknowledged is there
 *                             ▼
 *                          reading ── all know, also joining nodes ──► installed
 *     copying, binding ── abort, staged and committed ──► as it was
 *
 * Members learn of a phase one after the other, so members in consecutive
 * phases must not miss what the others acknowledge. While copying, they read
 * and write with the current owners alone. In the end, they read and write with
 * the future ones alone, and neither group would see what the other has
 * written. So there is a phase in between in which reads use the future owners
 * and writes the current ones, which acknowledge nothing before the future ones
 * have it: members that still read from the current owners never coexist with
 * members that already write to the future ones. The phase `binding` before it
 * establishes that writes are held like that. (Online schema changes work the
 * same way: Rae et al., "Online, Asynchronous Schema Change in F1", VLDB 2013.)
 *
 * In `binding` a write waits for partitions that may be unreachable, so it must
 * be short: the claimant begins it when all members are up, and returns to
 * `copying` if it lasts too long. From `reading` there is no way back except by
 * force, so joining nodes must know of the resize before, and be reachable.
 *
 * A resize changes the number of partitions and nothing else, so no other
 * membership change is planned with it or during it.
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { requireRingSize } from "./chash.ts";
import { claim } from "./claim.ts";
import { currentMembers, resizeSteps, type Ring } from "./ring.ts";
import { isInvited } from "./ring_change.ts";
import { hasConsistentBuckets, takenOverBy } from "./consistent_buckets.ts";
import {
  hasNextGeneration,
  type RingOrigin,
  type RingResize,
} from "./ring_generations.ts";
import { stagedJoins } from "./staged_changes.ts";

/**
 * The size passed to {@linkcode refuseResize} to abort the resize in progress.
 */
export const ABORT_RESIZE = 0;

/**
 * Why the ring cannot be resized to `size` partitions, or with {@linkcode
 * ABORT_RESIZE} its resize be aborted; `null` if it can.
 */
export function refuseResize(ring: Ring, size: number): WhorlError | null {
  const { next, staged, generations } = ring.ownership;
  const { resize } = generations;
  if (size === ABORT_RESIZE) {
    return resize !== null && !hasNoWayBack(ring) ? null : new WhorlError(
      "not_resizing",
      resize === null
        ? "Cannot give up a resize of the ring as there is none under way"
        : "Cannot give up a resize of the ring as it is read by its new partitions already",
    );
  }
  const what = `Cannot resize the ring to ${size} partitions`;
  const pending = (why: string): WhorlError =>
    new WhorlError("pending_changes", `${what} as ${why}`);
  try {
    requireRingSize(size);
  } catch (error) {
    if (isWhorlError(error)) return error;
    throw error;
  }
  if (resize !== null) {
    return pending(
      `it is being resized to ${resize.owners.length} already: wait for that or abort it`,
    );
  }
  if (size === ring.size) {
    return new WhorlError("same_size", `${what} as it has as many`);
  }
  if (next.length > 0) {
    return pending(`${next.length} partitions are changing hands`);
  }
  if (staged.length > 0) {
    return pending("other changes are staged: commit or clear them first");
  }
  // Its vnodes may be numbered like those of the next generation, which it
  // reveals only once it has joined.
  const invited = currentMembers(ring).filter((node) => isInvited(ring, node));
  if (invited.length > 0) {
    return pending(
      `${invited.join(", ")} may be about to join: wait until that is known`,
    );
  }
  return hasNextGeneration(generations) ? null : new WhorlError(
    "not_capable",
    `${what} as too many resizes were given up since its last one: they have used up all numbers that another one could have`,
  );
}

/**
 * Why a resize cannot be staged beside the staged joins; `null` if it can. A
 * node that comes later waits, and the plan says so.
 */
export function refuseBesideJoins(
  ring: Ring,
  size: number,
): WhorlError | null {
  const nodes = stagedJoins(ring);
  return nodes.length === 0 ? null : new WhorlError(
    "pending_changes",
    `Cannot resize the ring to ${size} partitions as ${
      nodes.join(", ")
    } would be left out, which wait to join: commit or clear that first`,
    { details: { nodes } },
  );
}

/**
 * Why membership cannot be changed now; `null` if it can. Forced changes are
 * also possible during a resize, which is then aborted, since it could not end.
 * But it must end if consistent buckets are already read with it, which it can
 * without members that are marked down. One that is resumed for them
 * (`ring_upkeep.ts`) is not read with yet and needs all owners: it is restarted
 * with those that are left.
 */
export function refuseBeside(
  ring: Ring,
  what: string,
  isForced: boolean,
): WhorlError | null {
  const { staged, resize } = ring.ownership.generations;
  if (staged === null && resize === null) return null;
  if (staged === null && isForced) {
    return resize?.phase !== "reading" || !hasConsistentBuckets(ring)
      ? null
      : new WhorlError(
        "pending_changes",
        `Cannot ${what} as consistent buckets are read by a ring that is being resized: mark members down that do not come back, and wait until it has its new size`,
      );
  }
  return new WhorlError(
    "pending_changes",
    `Cannot ${what} as a resize of the ring is ${
      resize === null ? "staged" : "under way"
    }`,
  );
}

/**
 * The owner of each of `size` partitions. Where balance and replicas allow, it
 * is the node that has the keys of the partition now, so that few of them move.
 *
 * @param claimants The nodes that may own partitions.
 */
export function resizedOwners(
  owners: readonly string[],
  size: number,
  claimants: readonly string[],
  targetN: number,
): string[] {
  return claim({
    owners: keepersOf(owners, size),
    claimants,
    targetN,
  });
}

/**
 * The node that has the keys of each of `size` partitions now; of fewer
 * partitions, most of them.
 */
export function keepersOf(owners: readonly string[], size: number): string[] {
  return Array.from({ length: size }, (_, partition) => {
    // The keys of a partition are before it, see `chash.ts`.
    const before = (partition + size - 1) % size;
    const place = Math.floor((before + 0.5) * owners.length / size);
    return owners[(place + 1) % owners.length] as string;
  });
}

/**
 * Whether some may read with the future ring: the resize in progress continues
 * to its end.
 */
export function hasNoWayBack(ring: Ring): boolean {
  const { resize } = ring.ownership.generations;
  if (resize === null) return false;
  const taken = takenOverBy(ring);
  return resize.phase === "reading" || taken !== null && goesTo(ring, taken);
}

/** The ring that a resize goes to. */
export function originOfResize(
  { generation, owners }: RingResize,
): RingOrigin {
  return { generation, size: owners.length };
}

/** Whether the resize under way goes to this ring. */
export function goesTo(
  { ownership: { generations: { resize } } }: Ring,
  { generation, size }: RingOrigin,
): boolean {
  return resize?.generation === generation && resize.owners.length === size;
}

/**
 * Whether every owner has completed the current phase of the resize in
 * progress.
 */
export function allReported(ring: Ring): boolean {
  return resizeSteps(ring).every(({ status }) => status === "complete");
}
