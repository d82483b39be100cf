/**
 * Which changes of the cluster the versions in it can carry out, and what they
 * can be told of them. Each `refuse…` returns the refusal, or `null` if nothing
 * speaks against it.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { Ring, StagedChange } from "../ring/ring.ts";
import { hasConsistentBuckets } from "../ring/consistent_buckets.ts";
import type { StagedPlan } from "../ring/staged_plan.ts";
import {
  type Capability,
  CONSISTENT_BUCKETS,
  HANDOFF,
  MEMBERSHIP,
  negotiators,
  RESIZE,
  supports,
} from "./capability.ts";

/** Whether `node` may be asked, as the claimant, to stage something: an older one would take the question for garbage. */
export function refuseClaimant(ring: Ring, node: string): WhorlError | null {
  const what = "stage a change with this claimant";
  return refuse(ring, MEMBERSHIP, [node], what, "v1");
}

/** Whether those who have to do something for `change` can. Those who are removed or replaced by force need do nothing. */
export function refuseStage(
  ring: Ring,
  { action, node, replacement }: StagedChange,
): WhorlError | null {
  const acting = action === "leave"
    ? [node]
    : action === "replace" && replacement !== null
    ? [node, replacement]
    : [];
  const what = `stage ${action} of ${node}`;
  return refuse(ring, MEMBERSHIP, acting, what, "v1") ??
    refuse(ring, HANDOFF, acting, what);
}

/** `plan` as `node` can read it: to an older one whole answers are garbage that name the joins a plan leaves out. */
export function planFor(
  ring: Ring,
  node: string,
  plan: StagedPlan,
): StagedPlan {
  if (supports(ring, node, MEMBERSHIP, "v2")) return plan;
  const { postponedJoins: _, ...readable } = plan;
  return readable;
}

/** Whether all members can read a ring that is being resized, and do their part. */
export function refuseResizing(ring: Ring): WhorlError | null {
  return refuse(ring, RESIZE, negotiators(ring), "resize the ring");
}

/** Whether the ensembles of consistent buckets, if there are any, can follow a resize on all members. */
export function refuseTakeover(ring: Ring): WhorlError | null {
  return hasConsistentBuckets(ring)
    ? refuse(ring, CONSISTENT_BUCKETS, negotiators(ring), "resize the ring")
    : null;
}

/** What a node must be able to do to serve consistent buckets: where the ring has been resized, older versions call their groups otherwise. */
function consistentMode({ ownership }: Ring): string {
  return ownership.generations.newest > 0 ? "v2" : "v1";
}

/** Whether all members can serve a bucket that is consistent. */
export function refuseConsistent(ring: Ring): WhorlError | null {
  return refuse(
    ring,
    CONSISTENT_BUCKETS,
    negotiators(ring),
    "mark a bucket as consistent",
    consistentMode(ring),
  );
}

/** Whether `guests` can become members: where buckets are consistent, each member has to serve them so. */
export function refuseGuests(
  ring: Ring,
  guests: readonly string[],
): WhorlError | null {
  return hasConsistentBuckets(ring)
    ? refuse(
      ring,
      CONSISTENT_BUCKETS,
      guests,
      "let a node in",
      consistentMode(ring),
    )
    : null;
}

/** Whether the transfers that `committed` has and `ring` has not can be made by those between whom they go. */
export function refuseTransfers(
  ring: Ring,
  committed: Ring,
): WhorlError | null {
  const known = new Set(ring.ownership.next);
  const acting = committed.ownership.next
    .filter((transfer) => !known.has(transfer))
    .flatMap(({ owner, nextOwner }) => [owner, nextOwner]);
  return refuse(ring, HANDOFF, acting, "commit a plan that moves partitions");
}

function refuse(
  ring: Ring,
  capability: Capability,
  acting: readonly string[],
  what: string,
  mode = capability.supported[0] as string,
): WhorlError | null {
  const nodes = [...new Set(acting)].sort()
    .filter((node) => !supports(ring, node, capability, mode));
  return nodes.length === 0 ? null : new WhorlError(
    "not_capable",
    `Cannot ${what} as all who take part must support ${capability.name} ${mode}: ${
      nodes.join(", ")
    } ${nodes.length === 1 ? "does" : "do"} not; upgrade first`,
    { details: { capability: capability.name, mode, nodes } },
  );
}
