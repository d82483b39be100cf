/**
 * A resize of the ring as its claimant sees it: whether there may be one, who
 * will own the partitions, and when they do.
 *
 *     staged ── commit ──► copying ◄─────────────────────────┐
 *                             │ all owners: nearly all is there  │ it took too long
 *                             ▼                                  │
 *                          binding ──────────────────────────────┘
 *                             │ all owners: what is acknowledged is there
 *                             ▼
 *                          reading ── all know, guests too ──► installed
 *     copying, binding ── abort, staged and committed ──► as it was
 *
 * Members learn of a phase one after the other, so those of two that follow each
 * other must not miss what the others acknowledge. While copying they read and
 * write by the present owners alone. In the end they read and write by the future
 * ones alone, and neither would see what the other has written. So in between
 * comes a phase in which reads go by the future owners and writes by the present
 * ones, which acknowledge nothing before the future ones have it: whoever still
 * reads by the present owners and whoever writes by the future ones already are
 * never there together. That writes are held like that is agreed on before, in
 * the phase `binding`. (Online schema changes go the same way: Rae et al.,
 * "Online, Asynchronous Schema Change in F1", VLDB 2013.)
 *
 * In `binding` a write waits for partitions that may be out of reach, so that it
 * is short: the claimant begins it when all members are up, and goes back to
 * `copying` if it lasts. From `reading` there is no way back but by force, so that
 * those who are joining must know of the resize before, and be there.
 *
 * It changes the number of partitions and nothing else, so no other change of
 * membership is planned with it or while it is under way.
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { claim } from "./claim.ts";
import { currentMembers, resizeSteps, type Ring } from "./ring.ts";
import { checkRingSize, isInvited } from "./ring_change.ts";
import { hasConsistentBuckets, takenOverBy } from "./consistent_buckets.ts";
import {
  GENERATIONS_KEPT,
  type RingOrigin,
  type RingResize,
} from "./ring_generations.ts";
import { stagedJoins } from "./staged_changes.ts";

/** The size of {@linkcode refuseResize} that stands for giving up the resize under way. */
export const ABORT_RESIZE = 0;

/** Whether the ring may be resized to `size` partitions, or with {@linkcode ABORT_RESIZE} its resize be given up; `null` if so. */
export function refuseResize(ring: Ring, size: number): WhorlError | null {
  const { next, staged, generations } = ring.ownership;
  const { current, newest, resize } = generations;
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
    checkRingSize(size);
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
  // Its vnodes may be numbered like those of the next generation, and it says so only once it has come.
  const invited = currentMembers(ring).filter((node) => isInvited(ring, node));
  if (invited.length > 0) {
    return pending(
      `${invited.join(", ")} may be about to join: wait until that is known`,
    );
  }
  // Its generation would be taken for the one in use.
  return newest - current < GENERATIONS_KEPT - 1 ? null : new WhorlError(
    "not_capable",
    `${what} as ${newest - current} resizes in a row were given up`,
  );
}

/**
 * Whether a resize may be staged beside the joins that are; `null` if so. A node
 * that comes later waits, and the plan says so.
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
 * Why no membership can be changed now; `null` if it can. What is done by force can
 * also while a resize is under way, which is given up then: it could not end. It
 * must end where consistent buckets are read by it, as it does without members that
 * are marked down. One that goes on for them (`ring_upkeep.ts`) is not read by it
 * yet and needs all owners: it begins anew with those that are left.
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
 * Who is to own each of `size` partitions. Where balance and replicas allow, it is
 * who owns the partition that has its keys now, so that few of them move.
 *
 * @param claimants Who may own partitions.
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

/** Who has the keys of each of `size` partitions now; of fewer partitions, most of them. */
export function keepersOf(owners: readonly string[], size: number): string[] {
  return Array.from({ length: size }, (_, partition) => {
    // The keys of a partition stand before it, see `chash.ts`.
    const before = (partition + size - 1) % size;
    const place = Math.floor((before + 0.5) * owners.length / size);
    return owners[(place + 1) % owners.length] as string;
  });
}

/** Whether some may read by the ring to come: the resize under way goes on to its end. */
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

/** Whether every owner has reported what the phase of the resize under way is for. */
export function allReported(ring: Ring): boolean {
  return resizeSteps(ring).every(({ status }) => status === "complete");
}
