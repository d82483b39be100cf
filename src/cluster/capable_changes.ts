/**
 * Which changes of the cluster its members' versions can carry out, and what they
 * can be told of them. Each `refuse…` returns the refusal, or `null` if there is
 * none.
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

/**
 * Whether `node`, as the claimant, can be asked to stage changes: an older
 * version would treat the request as a protocol error.
 */
export function refuseClaimant(ring: Ring, node: string): WhorlError | null {
  const what = "stage a change with this claimant";
  return refuse(ring, MEMBERSHIP, [node], what, "v1");
}

/** Whether the nodes that must act for `change` support it. Nodes that are removed or replaced by force need not act. */
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

/** Whether all members support resizes. */
export function refuseResizing(ring: Ring): WhorlError | null {
  return refuse(ring, RESIZE, negotiators(ring), "resize the ring", "v2");
}

/** Whether all members can read a ring that resizes to a generation other than its newest. */
export function refuseEarlierGeneration(ring: Ring): WhorlError | null {
  const what = "resume an earlier resize of the ring";
  return refuse(ring, RESIZE, negotiators(ring), what, "v3");
}

/** Whether the ensembles of consistent buckets, if there are any, can follow a resize on all members. */
export function refuseTakeover(ring: Ring): WhorlError | null {
  return hasConsistentBuckets(ring)
    ? refuse(ring, CONSISTENT_BUCKETS, negotiators(ring), "resize the ring")
    : null;
}

/**
 * The mode needed to serve consistent buckets: after a resize of the ring,
 * older versions use other names for the groups.
 */
function consistentMode({ ownership }: Ring): string {
  return ownership.generations.newest > 0 ? "v2" : "v1";
}

/** Whether all members can serve consistent buckets. */
export function refuseConsistent(ring: Ring): WhorlError | null {
  return refuse(
    ring,
    CONSISTENT_BUCKETS,
    negotiators(ring),
    "mark a bucket as consistent",
    consistentMode(ring),
  );
}

/** Whether `guests` can become members: if there are consistent buckets, each member has to serve them. */
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

/** Whether sources and targets of the transfers that `committed` adds to `ring` support handoff. */
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
