/**
 * How a claimant cares for its ring, besides what it is asked for: it follows one that
 * is gone, does what the ring needs (`ring_upkeep.ts`), and brings a resize from phase
 * to phase.
 *
 * The ring does not say all that this takes. Writes are held for a resize only while
 * all members are up, and not for too long (`resize_binding.ts`). And groups of
 * consistent buckets must have copied before that, and be open before the ring has its
 * new size, of which the claimant is told.
 *
 * @module
 */
import { hasConsistentBuckets } from "../ring/consistent_buckets.ts";
import {
  memberStatus,
  membersWith,
  readyMembers,
  type Ring,
} from "../ring/ring.ts";
import { takeOverClaim } from "../ring/ring_change.ts";
import type { RingResizePhase } from "../ring/ring_generations.ts";
import { ownsNothing, tendRing } from "../ring/ring_upkeep.ts";
import {
  refuseEarlierGeneration,
  refuseGuests,
  refuseResizing,
  refuseTakeover,
} from "./capable_changes.ts";
import { followPhase, type ResizeBinding } from "./resize_binding.ts";

/** How far groups of consistent buckets are in taking over. */
export interface GroupTakeover {
  /** Of the ring whose groups they are. */
  readonly generation: number;
  /** Whether they serve; if not, they have copied. */
  readonly isOpen: boolean;
}

/** Who cares for a ring, and what it knows besides that. */
export interface RingKeeper {
  readonly self: string;
  /** Consecutive partitions that should belong to different nodes. */
  readonly targetN: number;
  readonly ring: Ring;
  /** Nodes that can be reached, as far as it has been told. */
  readonly nodesUp: readonly string[];
  /** What it knows of the times in which writes were held for a resize. Changes in place. */
  readonly binding: ResizeBinding;
  /** How far groups of consistent buckets are, as it has heard last. */
  readonly takeover: GroupTakeover | null;
}

/** What becomes of a ring. */
export interface RingCare {
  /** The same ring if it needs nothing, or needs it of another one. */
  readonly ring: Ring;
  /** For the log, in the order things were done. */
  readonly reasons: readonly string[];
  /** Whether an operator should hear of it. */
  readonly isNews: boolean;
  /** When to look at the resize, in milliseconds from now; `undefined` if nothing changes in that. */
  readonly resizeTimerMs: number | undefined;
}

/**
 * What the ring needs of its claimant, all in one new ring.
 *
 * @param isOverdue Whether writes have been held for a resize for too long.
 */
export function careFor(keeper: RingKeeper, isOverdue: boolean): RingCare {
  const { self, targetN, binding } = keeper;
  const reasons: string[] = [];
  let { ring } = keeper;
  const nothing: RingCare = {
    ring,
    reasons,
    isNews: false,
    resizeTimerMs: undefined,
  };
  if (isVacant(ring)) {
    if (successor(ring, keeper.nodesUp) !== self) return nothing;
    reasons.push(`${self} follows ${ring.ownership.claimant} as claimant`);
    ring = takeOverClaim(ring, self);
  }
  if (ring.ownership.claimant !== self) return nothing;
  const before = phaseOf(ring);
  const tended = tendRing(
    ring,
    self,
    targetN,
    (node) => refuseGuests(ring, [node]) === null,
    {
      mayBind: areAllUp(keeper) && binding.state !== "resting" &&
        refuseResizing(ring) === null && refuseTakeover(ring) === null &&
        haveTakenOver(keeper, ring, false),
      givesUpBinding: isOverdue,
      mayInstall: haveTakenOver(keeper, ring, true),
      mayGoBack: refuseEarlierGeneration(ring) === null,
    },
  );
  return {
    ring: tended.ring,
    reasons: [...reasons, ...tended.reasons],
    isNews: tended.isNews || reasons.length > 0,
    resizeTimerMs: followPhase(binding, before, phaseOf(tended.ring)),
  };
}

/** Whether the groups of consistent buckets have come so far for the resize under way, if there are any. */
function haveTakenOver(
  { takeover }: RingKeeper,
  ring: Ring,
  mustBeOpen: boolean,
): boolean {
  const { resize } = ring.ownership.generations;
  return !hasConsistentBuckets(ring) || takeover !== null &&
      takeover.generation === resize?.generation &&
      (takeover.isOpen || !mustBeOpen);
}

function phaseOf(ring: Ring): RingResizePhase | undefined {
  return ring.ownership.generations.resize?.phase;
}

/** Whether all members that serve can be reached. */
export function areAllUp({ ring, nodesUp }: RingKeeper): boolean {
  return readyMembers(ring).every((node) => nodesUp.includes(node));
}

/** Whether somebody must follow the claimant. A stopped claimant stays it until it is marked down. */
export function isVacant(ring: Ring): boolean {
  const status = memberStatus(ring, ring.ownership.claimant);
  return status !== "valid" && status !== "leaving" && status !== "joining";
}

/**
 * Who follows a claimant: the first valid member, or else one that leaves, or
 * one that was taken for dead and is back.
 *
 * A node that is declared down and can be reached says that it lives as soon as
 * it hears of it. So while all members were declared down and come back, it is
 * one of them: the claimant stays, if it is there, and if it is not, those that
 * are back agree on who follows it.
 */
function successor(
  ring: Ring,
  nodesUp: readonly string[],
): string | undefined {
  const [valid] = membersWith(ring, ["valid"]);
  if (valid !== undefined) return valid;
  const isBack = (node: string): boolean =>
    memberStatus(ring, node) === "down" && nodesUp.includes(node);
  const { claimant } = ring.ownership;
  if (isBack(claimant)) return claimant;
  return membersWith(ring, ["leaving", "joining", "down"])
    .find((node) =>
      !ownsNothing(ring, node) &&
      (memberStatus(ring, node) !== "down" || isBack(node))
    );
}
