/**
 * Which replicas a finished request leaves behind, and therefore get the merged
 * object. This is pure set arithmetic; the object is sent to each of them as a
 * merge, which is harmless to one that has it by now.
 *
 * @module
 */
import type { WhorlError } from "../base/errors.ts";
import { type ReplicaSet, sizeOf } from "./quorum.ts";
import { failureName, isRefusal } from "./request_outcome.ts";

/** What a read has learned about its replicas; a replica is in at most one set. */
export interface ReadFindings {
  /** Hold an older or a different version. */
  readonly behind: ReplicaSet;
  /** Hold nothing. */
  readonly absent: ReplicaSet;
  /** Hold an unreadable object. */
  readonly corrupt: ReplicaSet;
  readonly primaries: ReplicaSet;
}

/**
 * The replicas that a read repairs if it found an object.
 *
 * A fallback with an old version is repaired, because it will hand that version
 * to the owner eventually. A fallback with nothing is left alone: filling it
 * would only add a hinted handoff to every read. Replicas that did not answer
 * are not repaired, as nothing is known about them.
 */
export function replicasToRepair(findings: ReadFindings): ReplicaSet {
  const { behind, absent, corrupt, primaries } = findings;
  return behind | corrupt | (absent & primaries);
}

/**
 * The replicas that a read repairs although it found nothing: those with an
 * unreadable object, if all `n` primaries have answered and most of them hold
 * nothing. Then no majority of the primaries accepted the unreadable object and
 * none that answered can return it, so it would only obstruct reads from all
 * replicas, forever. A fallback that acknowledged it in place of a primary will
 * hand it to that primary. In all other cases it stays, as evidence that
 * something is lost.
 */
export function replicasToEmpty(
  { absent, corrupt, primaries }: Omit<ReadFindings, "behind">,
  n: number,
): ReplicaSet {
  const areAllHeard = sizeOf(primaries) === n &&
    (absent | corrupt) === primaries;
  return areAllHeard && sizeOf(absent) * 2 > n ? corrupt : 0;
}

/**
 * Whether a replica that failed to accept a write is sent it once more when the
 * write ends. Not one that is overloaded, where it would make matters worse,
 * nor one that refused the object, nor one that was merely slow: it still has
 * the write in its queue.
 */
export function isWorthResending(error: WhorlError): boolean {
  const name = failureName(error);
  return name !== "overload" && name !== "timeout" && !isRefusal(error);
}
