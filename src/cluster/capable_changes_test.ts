import { assertEquals } from "@std/assert";
import type { Ring } from "../ring/ring.ts";
import {
  freshRing,
  putFacts,
  setOwnership,
  setStatus,
} from "../ring/ring_change.ts";
import type { StagedPlan } from "../ring/staged_plan.ts";
import { WHORL_CLAIM } from "./capability.ts";
import {
  planFor,
  refuseClaimant,
  refuseEarlierGeneration,
  refuseResizing,
  refuseStage,
  refuseTransfers,
} from "./capable_changes.ts";

function facts(name: string, capabilities?: string) {
  const said = capabilities === undefined ? {} : { capabilities };
  return { name, address: `${name}:1`, nodeId: `id-${name}`, ...said };
}

/** `new1` and `new2` support all there is, `old` is older than capabilities. */
function mixed(): Ring {
  let ring = freshRing({
    clusterName: "default",
    size: 8,
    seed: "0000000000000001",
    node: facts("new1", WHORL_CLAIM),
    wallMs: 0,
  });
  for (const node of [facts("new2", WHORL_CLAIM), facts("old")]) {
    ring = putFacts(setStatus(ring, "new1", node.name, "valid"), node, 0);
  }
  return ring;
}

Deno.test("refuseClaimant() refuses to ask a claimant whose version does not know the request", () => {
  assertEquals(refuseClaimant(mixed(), "new2"), null);
  assertEquals(refuseClaimant(mixed(), "old")?.code, "not_capable");
});

Deno.test("refuseStage() lets only capable members leave or replace another, and any member be removed", () => {
  const ring = mixed();
  const refused = (
    action: "leave" | "remove" | "replace" | "force_replace",
    node: string,
    replacement: string | null = null,
  ) => refuseStage(ring, { action, node, replacement })?.details["nodes"];
  assertEquals(refused("leave", "new1"), undefined);
  assertEquals(refused("leave", "old"), ["old"]);
  assertEquals(refused("replace", "new1", "old"), ["old"]);
  assertEquals(refused("replace", "new1", "new2"), undefined);
  assertEquals(refused("remove", "old"), undefined);
  assertEquals(refused("force_replace", "old", "new2"), undefined);
});

Deno.test("refuseTransfers() refuses new transfers from or to a member that cannot make them", () => {
  const ring = mixed();
  const moving = (nextOwner: string, base = ring): Ring =>
    setOwnership(base, "new1", {
      next: [...base.ownership.next, {
        partition: base.ownership.next.length,
        owner: "new1",
        nextOwner,
        term: 1,
        version: base.ownership.version + 1,
      }],
    });
  assertEquals(refuseTransfers(ring, moving("new2")), null);
  const refusal = refuseTransfers(ring, moving("old"));
  assertEquals(refusal?.code, "not_capable");
  assertEquals(
    refusal?.message,
    "Cannot commit a plan that moves partitions as all who take part must support handoff v1: old does not; upgrade first",
  );
  // One that is under way already is no reason.
  const before = moving("old");
  assertEquals(refuseTransfers(before, moving("new2", before)), null);
});

Deno.test("refuseEarlierGeneration() refuses while a member cannot read a ring with an earlier generation, and does not refuse a resize of such a ring", () => {
  const before = WHORL_CLAIM.replace("resize=v3,", "resize=");
  const upgraded = putFacts(mixed(), facts("old", WHORL_CLAIM), 1);
  assertEquals(refuseEarlierGeneration(upgraded), null);
  const ring = putFacts(upgraded, facts("old", before), 2);
  assertEquals(refuseEarlierGeneration(ring)?.details["nodes"], ["old"]);
  assertEquals(refuseResizing(ring), null);
});

Deno.test("planFor() lists the joins that a plan leaves out only for members that can read the list", () => {
  const before = WHORL_CLAIM.replace("membership=v2,", "membership=");
  const ring = putFacts(mixed(), facts("new2", before), 1);
  const plan: StagedPlan = { planId: "ab", changes: [], transitions: [] };
  const waiting = { ...plan, postponedJoins: ["c"] };
  assertEquals(planFor(ring, "new1", waiting), waiting);
  assertEquals(planFor(ring, "new2", waiting), plan);
  assertEquals(planFor(ring, "old", waiting), plan);
  assertEquals(planFor(ring, "new1", plan), plan);
  // Neither need be upgraded for what the version before could do.
  assertEquals(refuseClaimant(ring, "new2"), null);
  const leave = { action: "leave", node: "new2", replacement: null } as const;
  assertEquals(refuseStage(ring, leave), null);
});
