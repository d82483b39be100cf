/**
 * Which replicas a finished request leaves behind, and so which get the merged
 * object once more. Pure set arithmetic; the object goes to each of them as a
 * merge, which does no harm to one that has it by now.
 *
 * @module
 */
import type { WhorlError } from "../base/errors.ts";
import { type ReplicaSet, sizeOf } from "./quorum.ts";
import { failureName, isRefusal } from "./request_outcome.ts";

/** What a read has learnt of its replicas; a replica is in one set at most. */
export interface ReadFindings {
  /** Hold an older or a different version. */
  readonly behind: ReplicaSet;
  /** Hold nothing. */
  readonly absent: ReplicaSet;
  /** Hold something that cannot be read. */
  readonly corrupt: ReplicaSet;
  readonly primaries: ReplicaSet;
}

/**
 * The replicas that a read repairs, provided it found an object at all.
 *
 * A fallback that holds an old version is brought up to date, as it will hand
 * that version to the owner some day. One that holds nothing is left alone: it
 * would only give reads the cost of a hinted handoff. Replicas that did not
 * answer are not repaired, as nothing is known of them.
 */
export function replicasToRepair(findings: ReadFindings): ReplicaSet {
  const { behind, absent, corrupt, primaries } = findings;
  return behind | corrupt | (absent & primaries);
}

/**
 * The replicas that a read repairs though nothing was found: those that hold
 * something that cannot be read, if all `n` primaries have answered and most of
 * them hold nothing. No majority of the primaries has taken what cannot be read
 * then, and none that answered has it, so it would be in the way of reads from all
 * replicas for good. A fallback may have acknowledged it in place of a primary: it
 * hands it to that one some day. Else it stays, and says that something is lost.
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
 * Whether a replica that failed to take a write is sent it once more when the
 * write ends. Not one that is overloaded, where it would make matters worse,
 * nor one that refused the object, nor one that only was slow: it has the
 * write in its queue.
 */
export function isWorthResending(error: WhorlError): boolean {
  const name = failureName(error);
  return name !== "overload" && name !== "timeout" && !isRefusal(error);
}
