import { assert, assertEquals } from "@std/assert";
import {
  consistentBuckets,
  markConsistent,
  rootEnsemble,
} from "../ring/consistent_buckets.ts";
import {
  memberStatus,
  partitionCounts,
  pendingTransfers,
  type Ring,
  ringReady,
  ringVersion,
} from "../ring/ring.ts";
import {
  addJoining,
  completeTransfers,
  freshRing,
  invite,
  markSeen,
  putFacts,
  putRingMeta,
  rejoin,
  setOwnership,
  setStatus,
  stageSize,
} from "../ring/ring_change.ts";
import { assumeDone } from "../ring/ring_upkeep.ts";
import {
  commitStaged,
  computePlan,
  type StagedPlan,
} from "../ring/staged_plan.ts";
import { WHORL_CLAIM } from "./capability.ts";
import {
  CLAIMANT_REQUESTS_MAX,
  type ClaimantEffect,
  type ClaimantRequest,
  type ClaimantState,
  createClaimant,
  stepClaimant,
} from "./claimant_fsm.ts";

function facts(name: string) {
  return {
    name,
    address: `${name}:1`,
    nodeId: `id-${name}`,
    capabilities: WHORL_CLAIM,
  };
}

function ringOf(claimant: string, ...joining: string[]): Ring {
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
function agreed(ring: Ring): Ring {
  for (const node of ring.members.keys()) {
    ring = markSeen(ring, node, ring.clock);
  }
  return ring;
}

/** A cluster at rest: all of `names` are members, and nothing moves. */
function cluster(claimant: string, ...names: string[]): Ring {
  const ring = ringOf(claimant, ...names);
  const { target, planId } = computePlan(ring, 4);
  return agreed(
    assumeDone(commitStaged(ring, claimant, target, planId), claimant),
  );
}

function ask(
  claimant: ClaimantState,
  id: number,
  request: ClaimantRequest,
): ClaimantEffect[] {
  return stepClaimant(claimant, { type: "request", id, request, waitMs: 100 });
}

function planIdOf(claimant: ClaimantState): string {
  for (const effect of ask(claimant, 1_000, { method: "plan" })) {
    if (effect.type === "reply" && effect.result.method === "plan") {
      return effect.result.plan.planId;
    }
  }
  throw new Error("No plan");
}

function find<T extends ClaimantEffect["type"]>(
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

Deno.test("stepClaimant() makes joiners valid and the transfers pending when a plan is committed", () => {
  const claimant = createClaimant("a", ringOf("a", "b"), 4);
  const planId = planIdOf(claimant);
  const effects = ask(claimant, 1, { method: "commit", planId });
  // Before the answer, the ring: the answer waits until it is stored.
  assertEquals(effects.map((effect) => effect.type), [
    "set_deadline",
    "update_ring",
    "clear_deadline",
    "reply",
  ]);
  const { ring } = find(effects, "update_ring");
  assertEquals(memberStatus(ring, "b"), "valid");
  assertEquals(pendingTransfers(ring).length, 4);
  assertEquals(ring.ownership.owners, new Array(8).fill("a"));
  assertEquals(ring.ownership.committedPlan, planId);
});

Deno.test("stepClaimant() plans a join anew once who was only invited has come", () => {
  const invited = agreed(invite(ringOf("a"), "a", facts("b"), 0));
  const claimant = createClaimant("a", invited, 4);
  const before = planIdOf(claimant);
  stepClaimant(claimant, {
    type: "ring_changed",
    ring: agreed(addJoining(invited, facts("b"), 0)),
  });
  const planId = planIdOf(claimant);
  assert(planId !== before);
  const effects = ask(claimant, 1, { method: "commit", planId });
  const { ring } = find(effects, "update_ring");
  assertEquals(memberStatus(ring, "b"), "valid");
});

Deno.test("stepClaimant() switches owners when transfers are complete, and only theirs", () => {
  const claimant = createClaimant("a", ringOf("a", "b"), 4);
  const planId = planIdOf(claimant);
  const committed = find(
    ask(claimant, 1, { method: "commit", planId }),
    "update_ring",
  ).ring;
  const [first] = pendingTransfers(committed);
  const partition = first?.partition as number;
  const { ring } = find(
    stepClaimant(claimant, {
      type: "ring_changed",
      ring: completeTransfers(committed, "a", [partition], null, []),
    }),
    "update_ring",
  );
  assertEquals(ring.ownership.owners[partition], "b");
  assertEquals(
    ring.ownership.owners.filter((owner) => owner === "b").length,
    1,
  );
  assertEquals(ring.ownership.next.length, 3);
});

Deno.test("stepClaimant() keeps a plan waiting until the members agree, or its deadline", () => {
  const behind = putRingMeta(cluster("a", "b"), "a", "x", 1, 1);
  assertEquals(ringReady(behind), false);
  const claimant = createClaimant("a", behind, 4);
  assertEquals(
    ask(claimant, 1, { method: "plan" }).map((effect) => effect.type),
    ["set_deadline"],
  );
  ask(claimant, 2, { method: "plan" });
  const { code, details } = find(
    stepClaimant(claimant, { type: "deadline", id: 1 }),
    "fail",
  );
  assertEquals([code, details], ["ring_not_ready", { behind: ["b"] }]);
  const effects = stepClaimant(claimant, {
    type: "ring_changed",
    ring: agreed(behind),
  });
  assertEquals(find(effects, "reply").id, 2);
  // A deadline that fires too late finds nothing.
  assertEquals(stepClaimant(claimant, { type: "deadline", id: 2 }), []);
});

Deno.test("stepClaimant() does not commit a plan that is older than what is staged", () => {
  const ring = ringOf("a", "b");
  const claimant = createClaimant("a", ring, 4);
  const planId = planIdOf(claimant);
  stepClaimant(claimant, {
    type: "ring_changed",
    ring: agreed(addJoining(ring, facts("c"), 1)),
  });
  const effects = ask(claimant, 1, { method: "commit", planId });
  assertEquals(find(effects, "fail").code, "plan_changed");
});

Deno.test("stepClaimant() answers a second commit of the same plan without committing again", () => {
  const claimant = createClaimant("a", ringOf("a", "b"), 4);
  const planId = planIdOf(claimant);
  const first = ask(claimant, 1, { method: "commit", planId });
  const { ring } = find(first, "update_ring");
  // The ring is not agreed on yet, so the second waits; then it hears that it is done.
  const second = ask(claimant, 2, { method: "commit", planId });
  assertEquals(second.map((effect) => effect.type), ["set_deadline"]);
  const later = stepClaimant(claimant, {
    type: "ring_changed",
    ring: agreed(ring),
  });
  assertEquals(later.map((effect) => effect.type), ["clear_deadline", "reply"]);
});

Deno.test("stepClaimant() gives every plan its own id, also for the same change at another time", () => {
  const first = createClaimant("a", ringOf("a", "b"), 4);
  const planId = planIdOf(first);
  const { ring } = find(
    ask(first, 1, { method: "commit", planId }),
    "update_ring",
  );
  // b leaves before anything has moved, and joins again: the same owners as before.
  const undone = { ...ring, ownership: { ...ring.ownership, next: [] } };
  const again = createClaimant(
    "a",
    agreed(setStatus(undone, "b", "b", "joining")),
    4,
  );
  assertEquals(planIdOf(again) === planId, false);
});

Deno.test("stepClaimant() follows a claimant that is down, on the first ready member alone", () => {
  let ring = ringOf("c", "a", "b");
  ring = setStatus(setStatus(ring, "c", "a", "valid"), "c", "b", "valid");
  const stopped = agreed(ring);
  const down = setStatus(stopped, "b", "c", "down");
  const other = createClaimant("b", stopped, 4);
  assertEquals(stepClaimant(other, { type: "ring_changed", ring: down }), []);
  const next = createClaimant("a", stopped, 4);
  assertEquals(stepClaimant(next, { type: "ring_changed", ring: stopped }), []);
  const { ring: taken } = find(
    stepClaimant(next, { type: "ring_changed", ring: down }),
    "update_ring",
  );
  assertEquals(taken.ownership.claimant, "a");
  assertEquals(taken.ownership.term, stopped.ownership.term + 1);
});

Deno.test("stepClaimant() lets a member in again without a commit", () => {
  let ring = setStatus(ringOf("a", "b"), "a", "b", "down");
  ring = rejoin(ring, "b");
  const claimant = createClaimant("a", ring, 4);
  const effects = stepClaimant(claimant, { type: "ring_changed", ring });
  assertEquals(memberStatus(find(effects, "update_ring").ring, "b"), "valid");
});

Deno.test("stepClaimant() refuses requests where it is not the claimant", () => {
  const claimant = createClaimant("b", ringOf("a", "b"), 4);
  const { code, details } = find(
    ask(claimant, 1, { method: "plan" }),
    "fail",
  );
  assertEquals([code, details], ["ring_not_ready", { claimant: "a" }]);
});

Deno.test("stepClaimant() refuses more waiting requests than its bound", () => {
  const behind = putRingMeta(cluster("a", "b"), "a", "x", 1, 1);
  const claimant = createClaimant("a", behind, 4);
  for (let id = 0; id < CLAIMANT_REQUESTS_MAX; id++) {
    ask(claimant, id, { method: "plan" });
  }
  assertEquals(
    find(ask(claimant, 999, { method: "plan" }), "fail").code,
    "overload",
  );
});

Deno.test("stepClaimant() makes joining members invalid when staged changes are cleared", () => {
  const claimant = createClaimant("a", ringOf("a", "b", "c"), 4);
  const effects = ask(claimant, 1, { method: "clear" });
  const { ring } = find(effects, "update_ring");
  assertEquals(memberStatus(ring, "b"), "invalid");
  assertEquals(find(effects, "reply").result, {
    method: "clear",
    nodes: ["b", "c"],
  });
});

Deno.test("stepClaimant() plans the same for an unrelated change of the ring", () => {
  const ring = ringOf("a", "b");
  const claimant = createClaimant("a", ring, 4);
  const planId = planIdOf(claimant);
  stepClaimant(claimant, {
    type: "ring_changed",
    ring: agreed(putRingMeta(ring, "a", "x", 1, 1)),
  });
  assertEquals(planIdOf(claimant), planId);
});

Deno.test("stepClaimant() stages a change in the ring, whether members agree or not", () => {
  const ring = putRingMeta(cluster("a", "b", "c"), "a", "x", 1, 1);
  assertEquals(ringReady(ring), false);
  const claimant = createClaimant("a", ring, 4);
  const change = { action: "leave", node: "b", replacement: null } as const;
  const effects = ask(claimant, 1, { method: "stage", change });
  const staged = find(effects, "update_ring").ring;
  assertEquals(staged.ownership.staged, [change]);
  assertEquals(find(effects, "reply").result, {
    method: "stage",
    ringVersion: ringVersion(staged),
  });
  // What it is in the ring is carried out by whoever is claimant then.
  assertEquals(memberStatus(claimant.ring, "b"), "valid");
});

Deno.test("stepClaimant() refuses to stage what makes no sense, by name", () => {
  const claimant = createClaimant("a", cluster("a", "b"), 4);
  const change = { action: "leave", node: "x", replacement: null } as const;
  const effects = ask(claimant, 1, { method: "stage", change });
  const { code, details } = find(effects, "fail");
  assertEquals([code, details], ["not_member", { node: "x" }]);
  assertEquals(effects.some((effect) => effect.type === "update_ring"), false);
});

Deno.test("stepClaimant() lets a joining member go at once", () => {
  for (const action of ["leave", "remove"] as const) {
    const claimant = createClaimant("a", ringOf("a", "b"), 4);
    const change = { action, node: "b", replacement: null };
    const effects = ask(claimant, 1, { method: "stage", change });
    const { ring } = find(effects, "update_ring");
    assertEquals(memberStatus(ring, "b"), "invalid");
    assertEquals(ring.ownership.staged, []);
    assertEquals(find(effects, "reply").result, {
      method: "stage",
      ringVersion: 0,
    });
  }
});

Deno.test("stepClaimant() forgets what was staged when it is cleared", () => {
  const claimant = createClaimant("a", cluster("a", "b", "c"), 4);
  const change = { action: "leave", node: "b", replacement: null } as const;
  ask(claimant, 1, { method: "stage", change });
  const effects = ask(claimant, 2, { method: "clear" });
  assertEquals(find(effects, "update_ring").ring.ownership.staged, []);
  assertEquals(find(effects, "reply").result, { method: "clear", nodes: [] });
});

Deno.test("stepClaimant() needs no agreement of a member that it removes by force", () => {
  const change = { action: "remove", node: "c", replacement: null } as const;
  const claimant = createClaimant("a", cluster("a", "b", "c"), 4);
  const { ring } = find(
    ask(claimant, 1, { method: "stage", change }),
    "update_ring",
  );
  assertEquals(
    ask(claimant, 2, { method: "plan" }).map((effect) => effect.type),
    ["set_deadline"],
  );
  const seen = markSeen(markSeen(ring, "a", ring.clock), "b", ring.clock);
  const effects = stepClaimant(claimant, { type: "ring_changed", ring: seen });
  assertEquals(find(effects, "reply").id, 2);
});

Deno.test("stepClaimant() commits for the next claimant what was staged with the last", () => {
  const change = { action: "leave", node: "b", replacement: null } as const;
  const first = createClaimant("a", cluster("a", "b", "c"), 4);
  const staged = find(
    ask(first, 1, { method: "stage", change }),
    "update_ring",
  ).ring;
  const down = agreed(setStatus(staged, "c", "a", "down"));
  const next = createClaimant("b", staged, 4);
  const taken = find(
    stepClaimant(next, { type: "ring_changed", ring: down }),
    "update_ring",
  ).ring;
  stepClaimant(next, { type: "ring_changed", ring: agreed(taken) });
  const planId = planIdOf(next);
  const { ring } = find(
    ask(next, 2, { method: "commit", planId }),
    "update_ring",
  );
  assertEquals(memberStatus(ring, "b"), "leaving");
});

Deno.test("stepClaimant() follows a claimant that has exited, on the first valid member, and lets it go", () => {
  let ring = setStatus(cluster("b", "a", "c"), "a", "a", "leaving");
  const owners = ring.ownership.owners.map((owner, partition) =>
    owner === "b" ? ["a", "c"][partition % 2] as string : owner
  );
  ring = agreed(
    setStatus(setOwnership(ring, "b", { owners }), "b", "b", "exiting"),
  );
  // It writes nothing any more.
  const exited = createClaimant("b", ring, 4);
  assertEquals(stepClaimant(exited, { type: "ring_changed", ring }), []);
  assertEquals(
    find(ask(exited, 1, { method: "clear" }), "fail").code,
    "ring_not_ready",
  );
  // One that leaves itself follows only if nobody else can.
  const leaving = createClaimant("a", ring, 4);
  assertEquals(stepClaimant(leaving, { type: "ring_changed", ring }), []);
  const next = createClaimant("c", ring, 4);
  const after = find(
    stepClaimant(next, { type: "ring_changed", ring }),
    "update_ring",
  ).ring;
  assertEquals(after.ownership.claimant, "c");
  assertEquals(after.ownership.term, ring.ownership.term + 1);
  assertEquals(memberStatus(after, "b"), "invalid");
  assert(after.ownership.next.every(({ owner }) => owner === "a"));
});

/** A ring that is on its way to `size` partitions, and the claimant that sent it there. */
function resizing(ring: Ring, size: number): ClaimantState {
  const claimant = createClaimant("a", ring, 4);
  ask(claimant, 1, { method: "resize", size });
  claimant.ring = agreed(claimant.ring);
  const planId = planIdOf(claimant);
  ask(claimant, 2, { method: "commit", planId });
  claimant.ring = agreed(claimant.ring);
  return claimant;
}

Deno.test("stepClaimant() resizes the ring at once when the data of every partition is there", () => {
  const before = cluster("a", "b", "c");
  const claimant = resizing(before, 16);
  const { resize } = claimant.ring.ownership.generations;
  assertEquals(claimant.ring.ownership.owners, before.ownership.owners);
  assertEquals([...partitionCounts(resize?.owners ?? []).values()].sort(), [
    5,
    5,
    6,
  ]);
  for (const [i, node] of ["a", "b", "c"].entries()) {
    const effects = stepClaimant(claimant, {
      type: "ring_changed",
      ring: completeTransfers(
        claimant.ring,
        node,
        before.ownership.owners.map((_, partition) => partition),
        null,
        ["kv"],
      ),
    });
    assertEquals(effects.length, i === 2 ? 1 : 0);
  }
  assertEquals(claimant.ring.size, 16);
  assertEquals(claimant.ring.ownership.owners, resize?.owners);
  assertEquals(claimant.ring.ownership.generations.resize, null);
});

Deno.test("stepClaimant() gives a resize up when that is committed, and then begins another", () => {
  const before = cluster("a", "b", "c");
  const claimant = resizing(before, 16);
  const aborted = resizing(claimant.ring, 0).ring;
  assertEquals(aborted.ownership.owners, before.ownership.owners);
  assertEquals(aborted.ownership.generations.resize, null);
  assertEquals(aborted.ownership.generations.sizes, [8, 0]);
  const { resize } = resizing(aborted, 32).ring.ownership.generations;
  assertEquals([resize?.generation, resize?.owners.length], [2, 32]);
});

Deno.test("stepClaimant() plans a resize as riak_core does, in one transition", () => {
  const claimant = createClaimant("a", cluster("a", "b", "c"), 3);
  ask(claimant, 1, { method: "resize", size: 16 });
  claimant.ring = agreed(claimant.ring);
  const { result } = find(ask(claimant, 2, { method: "plan" }), "reply");
  const { changes, transitions } = (result as { plan: StagedPlan }).plan;
  assertEquals(changes, [{ action: "resize-ring", ringSizes: [8, 16] }]);
  assertEquals(transitions.length, 1);
  assertEquals(transitions[0]?.ringSize, 8);
  assertEquals(transitions[0]?.nextRingSize, 16);
  assertEquals(
    transitions[0]?.members.map(({ partitions, nextPartitions }) =>
      [partitions, nextPartitions].join(" ")
    ).sort(),
    ["2 5", "3 5", "3 6"],
  );
});

Deno.test("stepClaimant() refuses resizes that cannot be, and changes beside one, by name", () => {
  const ring = cluster("a", "b", "c");
  const codeOf = (ring: Ring, request: ClaimantRequest): string =>
    find(ask(createClaimant("a", ring, 4), 1, request), "fail").code;
  const resize = (size: number): ClaimantRequest => ({
    method: "resize",
    size,
  });
  const leave: ClaimantRequest = {
    method: "stage",
    change: { action: "leave", node: "b", replacement: null },
  };
  // riak_core#666: not a power of two.
  for (const size of [4, 12, 1_000, 2_048]) {
    assertEquals(codeOf(ring, resize(size)), "invalid_ring_size");
  }
  assertEquals(codeOf(ring, resize(8)), "same_size");
  assertEquals(codeOf(ring, resize(0)), "not_resizing");
  const moving = setOwnership(ring, "a", {
    next: [{
      partition: 0,
      owner: ring.ownership.owners[0] as string,
      nextOwner: "b",
      term: 1,
      version: 9,
    }],
  });
  assertEquals(codeOf(moving, resize(16)), "pending_changes");
  const staged = setOwnership(ring, "a", {
    staged: [{ action: "leave", node: "b", replacement: null }],
  });
  assertEquals(codeOf(staged, resize(16)), "pending_changes");
  const old = addJoining(
    ring,
    { name: "d", address: "d:1", nodeId: "d" },
    0,
  );
  assertEquals(codeOf(old, resize(16)), "not_capable");
  const resized = resizing(ring, 16).ring;
  assertEquals(codeOf(resized, resize(32)), "pending_changes");
  assertEquals(codeOf(resized, leave), "pending_changes");
  const joined = agreed(addJoining(resized, facts("d"), 0));
  assertEquals(codeOf(joined, { method: "plan" }), "pending_changes");
  const planned = createClaimant("a", ring, 4);
  ask(planned, 1, resize(16));
  assertEquals(codeOf(planned.ring, leave), "pending_changes");
  ask(planned, 2, { method: "clear" });
  assertEquals(planned.ring.ownership.generations.staged, null);
});

Deno.test("stepClaimant() lets nobody in or out while the ring is resized, and does so afterwards", () => {
  const before = cluster("a", "b", "c");
  const claimant = resizing(before, 16);
  const joined = addJoining(claimant.ring, facts("d"), 0, { autoJoin: true });
  stepClaimant(claimant, { type: "ring_changed", ring: joined });
  assertEquals(memberStatus(claimant.ring, "d"), "valid");
  assertEquals(claimant.ring.ownership.next, []);
  for (const node of ["a", "b", "c"]) {
    const partitions = before.ownership.owners.map((_, partition) => partition);
    stepClaimant(claimant, {
      type: "ring_changed",
      ring: completeTransfers(claimant.ring, node, partitions, null, ["kv"]),
    });
  }
  assertEquals(claimant.ring.size, 16);
  const { next } = claimant.ring.ownership;
  assertEquals(next.filter(({ nextOwner }) => nextOwner === "d").length, 4);
});

Deno.test("stepClaimant() gives a resize up when a member is removed by force", () => {
  const claimant = resizing(cluster("a", "b", "c"), 16);
  ask(claimant, 10, {
    method: "stage",
    change: { action: "remove", node: "c", replacement: null },
  });
  claimant.ring = agreed(claimant.ring);
  const { result } = find(ask(claimant, 11, { method: "plan" }), "reply");
  const { planId, changes } = (result as { plan: StagedPlan }).plan;
  assertEquals(changes, [
    { action: "abort-resize", ringSize: 8 },
    { action: "force-remove", node: "c" },
  ]);
  ask(claimant, 12, { method: "commit", planId });
  const { ownership, size } = claimant.ring;
  assertEquals([size, ownership.generations.resize], [8, null]);
  assertEquals(memberStatus(claimant.ring, "c"), "invalid");
  assertEquals(ownership.owners.includes("c"), false);
});

const MARK = { bucket: "accounts", numbers: [1, 2, 3, 4], wallMs: 5 };

Deno.test("stepClaimant() marks a bucket as consistent once all members know the ring", () => {
  const ring = cluster("a", "b", "c");
  const changed = putRingMeta(ring, "b", "x", 1, 0);
  const claimant = createClaimant("a", changed, 4);
  assertEquals(
    ask(claimant, 1, { method: "mark", mark: MARK }).map(({ type }) => type),
    ["set_deadline"],
  );
  const effects = stepClaimant(claimant, {
    type: "ring_changed",
    ring: agreed(changed),
  });
  assertEquals(effects.map((effect) => effect.type), [
    "update_ring",
    "clear_deadline",
    "reply",
  ]);
  const { ring: marked } = find(effects, "update_ring");
  assertEquals(consistentBuckets(marked), ["accounts"]);
  assertEquals(rootEnsemble(marked)?.members.length, 3);
  // Again is no change, whatever the others have seen.
  const again = ask(claimant, 2, { method: "mark", mark: MARK });
  assertEquals(find(again, "reply").result, {
    method: "mark",
    bucket: "accounts",
  });
});

Deno.test("stepClaimant() marks no bucket while a member is down, or cannot serve it, or the ring is resized", () => {
  const ring = cluster("a", "b", "c");
  const strange = agreed(
    putFacts(ring, { ...facts("c"), capabilities: "handoff=v1,none" }, 1),
  );
  const resized = agreed(stageSize(ring, "a", 16));
  const down = agreed(setStatus(ring, "a", "b", "down"));
  const codes = [strange, resized, down].map((ring) =>
    find(
      ask(createClaimant("a", ring, 4), 1, { method: "mark", mark: MARK }),
      "fail",
    ).code
  );
  assertEquals(codes, ["not_capable", "pending_changes", "pending_changes"]);
});

Deno.test("stepClaimant() keeps the size of a ring with consistent buckets, and who cannot serve them out", () => {
  const ring = agreed(markConsistent(cluster("a", "b"), "a", MARK));
  const claimant = createClaimant("a", ring, 4);
  const failed = (request: ClaimantRequest, on = claimant) =>
    find(ask(on, 1, request), "fail").code;
  assertEquals(failed({ method: "resize", size: 16 }), "not_capable");
  const old = { ...facts("old"), capabilities: "handoff=v1,none" };
  const guest = agreed(addJoining(ring, old, 1));
  assertEquals(
    failed({ method: "plan" }, createClaimant("a", guest, 4)),
    "not_capable",
  );
  // Nor does it come by itself.
  for (const [node, comes] of [[old, false], [facts("new"), true]] as const) {
    const at = createClaimant("a", ring, 4);
    const asking = agreed(addJoining(ring, node, 1, { autoJoin: true }));
    const effects = stepClaimant(at, { type: "ring_changed", ring: asking });
    assertEquals(
      effects.some(({ type }) => type === "update_ring"),
      comes,
    );
  }
});
