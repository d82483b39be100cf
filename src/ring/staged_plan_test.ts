import { assert, assertEquals } from "@std/assert";
import { claimQuality } from "./claim.ts";
import {
  memberStatus,
  partitionCounts,
  pendingTransfers,
  type Ring,
  type StagedChange,
} from "./ring.ts";
import {
  addJoining,
  completeTransfers,
  freshRing,
  setOwnership,
  setStatus,
} from "./ring_change.ts";
import { assumeDone, tendRing } from "./ring_upkeep.ts";
import { commitStaged, computePlan, type StagedPlan } from "./staged_plan.ts";
import { facts } from "./testing/small_rings.ts";

const TARGET_N = 4;

interface LeaveCase {
  kind: string;
  ringSize: number;
  nodes: number;
  leaving: number;
  before: number[];
  riakCore: { transfers: number; spread: number };
}

const { cases }: { cases: LeaveCase[] } = JSON.parse(
  await Deno.readTextFile(
    new URL("../../tests/golden/claim_cases.json", import.meta.url),
  ),
);

/** Valid members with these owners; the first is the claimant. */
function clusterOf(names: readonly string[], owners: readonly string[]): Ring {
  const [claimant] = names as [string];
  let ring = freshRing({
    clusterName: "default",
    size: owners.length,
    seed: "0000000000000001",
    node: facts(claimant),
    wallMs: 0,
  });
  for (const name of names.slice(1)) {
    ring = addJoining(ring, facts(name), 0);
    ring = setStatus(ring, claimant, name, "valid");
  }
  return setOwnership(ring, claimant, { owners });
}

/** A settled cluster. */
function cluster(size: number, ...names: string[]): Ring {
  const [claimant] = names as [string];
  const ring = clusterOf(names, new Array<string>(size).fill(claimant));
  return assumeDone(tendRing(ring, claimant, TARGET_N).ring, claimant);
}

function staged(
  ring: Ring,
  action: StagedChange["action"],
  node: string,
  replacement: string | null = null,
): Ring {
  const change = { action, node, replacement };
  return setOwnership(ring, "a", {
    staged: [...ring.ownership.staged, change],
  });
}

function movesOf(plan: StagedPlan): number[] {
  return plan.transitions.map(({ transfers }) =>
    transfers.reduce((sum, { partitions }) => sum + partitions, 0)
  );
}

Deno.test("computePlan() takes two steps for a leave: the transfers, then the member is gone", () => {
  const ring = staged(cluster(16, "a", "b", "c"), "leave", "b");
  const { changes, transitions } = computePlan(ring, TARGET_N);
  assertEquals(changes, [{ action: "leave", node: "b" }]);
  const [moving, gone] = transitions;
  assertEquals(transitions.length, 2);
  const leaver = moving?.members.find(({ node }) => node === "b");
  assertEquals([leaver?.status, leaver?.nextPartitions], ["leaving", 0]);
  assert(moving?.transfers.some(({ from }) => from === "b"));
  assertEquals(gone?.members, [
    { node: "a", status: "valid", partitions: 8, nextPartitions: null },
    { node: "c", status: "valid", partitions: 8, nextPartitions: null },
  ]);
  assertEquals([gone?.transfers, gone?.reassigned], [[], []]);
});

Deno.test("computePlan() reassigns what a removed member owned, in one step", () => {
  const ring = staged(cluster(16, "a", "b", "c", "d"), "remove", "d");
  const { changes, transitions } = computePlan(ring, TARGET_N);
  assertEquals(changes, [{ action: "force-remove", node: "d" }]);
  assertEquals(transitions.length, 1);
  const [step] = transitions;
  assertEquals(step?.members.map(({ node }) => node), ["a", "b", "c"]);
  assert(step?.reassigned.every(({ from }) => from === "d"));
  assertEquals(
    step?.reassigned.reduce((sum, { partitions }) => sum + partitions, 0),
    4,
  );
  assertEquals(step?.replicasDistinct, false);
});

Deno.test("computePlan() gives a replacement what its predecessor had and moves nothing else", () => {
  const ring = cluster(64, "a", "b", "c", "d", "e");
  const share = partitionCounts(ring.ownership.owners).get("c");
  const joined = addJoining(ring, facts("n"), 0);
  const plan = computePlan(staged(joined, "replace", "c", "n"), TARGET_N);
  assertEquals(plan.changes, [
    { action: "replace", node: "c", replacement: "n" },
    { action: "join", node: "n" },
  ]);
  assertEquals(plan.transitions.map(({ transfers }) => transfers), [
    [{ from: "c", to: "n", partitions: share }],
    [],
  ]);
  const forced = computePlan(
    staged(joined, "force_replace", "c", "n"),
    TARGET_N,
  );
  assertEquals(
    forced.transitions.map((step) => [step.transfers, step.reassigned]),
    [[[], [{ from: "c", to: "n", partitions: share }]]],
  );
});

Deno.test("computePlan() combines what is staged into as few steps as it takes", () => {
  let ring = addJoining(cluster(64, "a", "b", "c", "d"), facts("n"), 0);
  ring = addJoining(ring, facts("m"), 0);
  ring = staged(staged(ring, "replace", "b", "n"), "leave", "c");
  const plan = computePlan(ring, TARGET_N);
  assertEquals(plan.transitions.length, 2);
  assertEquals(
    plan.transitions[1]?.members.map(({ node }) => node),
    ["a", "d", "m", "n"],
  );
  assertEquals(movesOf(plan)[1], 0);
});

Deno.test("computePlan() plans for the claimant to leave", () => {
  const ring = staged(cluster(16, "a", "b", "c"), "leave", "a");
  const { transitions } = computePlan(ring, TARGET_N);
  assertEquals(transitions[1]?.members.map(({ node }) => node), ["b", "c"]);
});

Deno.test("computePlan() is empty if nothing is staged", () => {
  const { changes, transitions } = computePlan(cluster(16, "a", "b"), TARGET_N);
  assertEquals([changes, transitions], [[], []]);
});

Deno.test("computePlan() keeps the plan id while transfers of an earlier plan finish", () => {
  const ring = addJoining(cluster(16, "a", "b"), facts("c"), 0);
  const first = computePlan(ring, TARGET_N);
  const moving = commitStaged(ring, "a", first.target, first.planId);
  const next = addJoining(moving, facts("d"), 0);
  const { planId, transitions } = computePlan(next, TARGET_N);
  const [transfer] = pendingTransfers(next);
  const { partition, owner } = transfer!;
  const done = completeTransfers(next, owner, [partition], null, []);
  const later = tendRing(done, "a", TARGET_N).ring;
  assertEquals(later.ownership.version > next.ownership.version, true);
  assertEquals(computePlan(later, TARGET_N).planId, planId);
  // Pending transfers are shown too.
  assert(transitions[0]!.transfers.some(({ to }) => to === "d"));
  // The same join after a commit is another plan.
  assertEquals(planId === first.planId, false);
});

Deno.test("commitStaged() does what the plan shows, step by step", () => {
  let ring = addJoining(cluster(64, "a", "b", "c", "d"), facts("n"), 0);
  ring = staged(staged(ring, "replace", "b", "n"), "leave", "c");
  const plan = computePlan(ring, TARGET_N);
  const committed = commitStaged(ring, "a", plan.target, plan.planId);
  assertEquals(committed.ownership.staged, []);
  assertEquals(committed.ownership.committedPlan, plan.planId);
  assertEquals(tendRing(committed, "a", TARGET_N).ring, committed);
  const done = tendRing(assumeDone(committed, "a"), "a", TARGET_N).ring;
  assertEquals(done.ownership.owners, plan.target);
  assertEquals(
    ["a", "b", "c", "d", "n"].map((node) => memberStatus(done, node)),
    ["valid", "invalid", "invalid", "valid", "valid"],
  );
});

Deno.test("computePlan() moves less for a leave than riak_core, from the same rings", () => {
  const leaves = cases.filter(({ kind }) => kind === "leave");
  assert(leaves.length > 20);
  for (const { nodes, leaving, before, riakCore } of leaves) {
    const names = Array.from({ length: nodes }, (_, i) => `dev${i + 1}@host`);
    const owners = before.map((owner) => names[owner] as string);
    const leaver = names[leaving] as string;
    const remaining = names.filter((name) => name !== leaver);
    const ring = staged(clusterOf(names, owners), "leave", leaver);
    const plan = computePlan(ring, TARGET_N);
    const [moves = 0, ...none] = movesOf(plan);
    assertEquals(none, [0]);
    const quality = claimQuality(owners, plan.target, remaining);
    assertEquals(quality.transfers, moves);
    assert(quality.spread <= riakCore.spread);
    assert(
      moves <= riakCore.transfers,
      `${leaver} of ${nodes} leaves: ${moves}, riak_core ${riakCore.transfers}`,
    );
  }
});
