/**
 * Rings and claimants for tests of what a claimant decides.
 *
 * @module
 */

import type { Ring } from "../../ring/ring.ts";
import { addJoining, freshRing, markSeen } from "../../ring/ring_change.ts";
import { assumeDone } from "../../ring/ring_upkeep.ts";
import { commitStaged, computePlan } from "../../ring/staged_plan.ts";
import { WHORL_CLAIM } from "../capability.ts";
import {
  type ClaimantEffect,
  type ClaimantRequest,
  type ClaimantState,
  stepClaimant,
} from "../claimant_fsm.ts";

/** What a node named `name` says of itself. */
export function facts(name: string) {
  return {
    name,
    address: `${name}:1`,
    nodeId: `id-${name}`,
    capabilities: WHORL_CLAIM,
  };
}

/** A ring of `claimant` alone, which `joining` have asked to join. */
export function ringOf(claimant: string, ...joining: string[]): Ring {
  let ring = freshRing({
    clusterName: "default",
    size: 8,
    seed: "0000000000000001",
    node: facts(claimant),
    wallMs: 0,
  });
  for (const name of joining) ring = addJoining(ring, facts(name), 0);
  return agreed(ring);
}

/** `ring` as it is once everybody has seen it. */
export function agreed(ring: Ring): Ring {
  for (const node of ring.members.keys()) {
    ring = markSeen(ring, node, ring.clock);
  }
  return ring;
}

/** A cluster at rest: all of `names` are members, and nothing moves. */
export function cluster(claimant: string, ...names: string[]): Ring {
  const ring = ringOf(claimant, ...names);
  const { target, planId } = computePlan(ring, 4);
  return agreed(
    assumeDone(commitStaged(ring, claimant, target, planId), claimant),
  );
}

/** Asks `claimant`. */
export function ask(
  claimant: ClaimantState,
  id: number,
  request: ClaimantRequest,
): ClaimantEffect[] {
  return stepClaimant(claimant, { type: "request", id, request, waitMs: 100 });
}

/** The plan that `claimant` shows. */
export function planIdOf(claimant: ClaimantState): string {
  for (const effect of ask(claimant, 1_000, { method: "plan" })) {
    if (effect.type === "reply" && effect.result.method === "plan") {
      return effect.result.plan.planId;
    }
  }
  throw new Error("No plan");
}

/** The first of `effects` of that type. */
export function find<T extends ClaimantEffect["type"]>(
  effects: readonly ClaimantEffect[],
  type: T,
): Extract<ClaimantEffect, { type: T }> {
  const found = effects.find((effect) => effect.type === type);
  if (found === undefined) {
    throw new Error(
      `No ${type} in ${JSON.stringify(effects.map((e) => e.type))}`,
    );
  }
  return found as Extract<ClaimantEffect, { type: T }>;
}
