import { assert, assertEquals } from "@std/assert";
import {
  consistentBuckets,
  markConsistent,
  rootEnsemble,
} from "../ring/consistent_buckets.ts";
import {
  memberStatus,
  pendingTransfers,
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
import type { StagedPlan } from "../ring/staged_plan.ts";
import {
  CLAIMANT_REQUESTS_MAX,
  type ClaimantEffect,
  type ClaimantRequest,
  createClaimant,
  stepClaimant,
} from "./claimant_fsm.ts";
import {
  agreed,
  ask,
  cluster,
  facts,
  find,
  planIdOf,
  ringOf,
} from "./testing/claimant_bench.ts";

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

Deno.test("stepClaimant() plans a join again once an invited node has joined", () => {
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

Deno.test("stepClaimant() changes the owners of partitions whose transfers are complete, and of no others", () => {
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

Deno.test("stepClaimant() holds a plan back until the members agree, or until its deadline", () => {
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

Deno.test("stepClaimant() fails waiting requests when its node moves to another cluster", () => {
  const behind = addJoining(cluster("a", "b"), facts("c"), 1);
  const claimant = createClaimant("a", behind, 4);
  for (const [id, method] of (["plan", "commit"] as const).entries()) {
    const request = method === "plan" ? { method } : { method, planId: null };
    assertEquals(
      ask(claimant, id, request).map(({ type }) => type),
      ["set_deadline"],
    );
  }
  stepClaimant(claimant, { type: "taken_over", generation: 1, step: "open" });
  const ring = freshRing({
    clusterName: "default",
    size: 8,
    seed: "0000000000000002",
    node: facts("a"),
    wallMs: 0,
  });
  const effects = stepClaimant(claimant, { type: "ring_changed", ring });
  assertEquals(
    effects.map((effect) =>
      effect.type === "fail" ? [effect.id, effect.code] : effect.type
    ),
    [
      "clear_deadline",
      [0, "ring_not_ready"],
      "clear_deadline",
      [1, "ring_not_ready"],
    ],
  );
  // Groups of that cluster say nothing of this one's.
  assertEquals(claimant.takeover, null);
  find(ask(claimant, 2, { method: "plan" }), "reply");
});

Deno.test("stepClaimant() plans and commits while transfers end one after the other, and somebody always lacks the last end", () => {
  const three = agreed(addJoining(cluster("a", "b"), facts("c"), 1));
  const claimant = createClaimant("a", three, 4);
  const first = planIdOf(claimant);
  find(ask(claimant, 1, { method: "commit", planId: first }), "reply");
  const moving = pendingTransfers(claimant.ring)
    .filter(({ owner }) => owner === "b");
  /** One more has gone from b, which the others have not heard when all that was before has come to them. */
  const oneMore = (): ClaimantEffect[] => {
    const { partition } = moving.shift()!;
    const before = agreed(claimant.ring);
    const ring = completeTransfers(before, "b", [partition], "kv", ["kv"]);
    assertEquals(ringReady(ring), false);
    return stepClaimant(claimant, { type: "ring_changed", ring });
  };
  stepClaimant(claimant, {
    type: "ring_changed",
    ring: addJoining(claimant.ring, facts("d"), 1),
  });
  const asked = ask(claimant, 2, { method: "plan" });
  assertEquals(asked.map(({ type }) => type), ["set_deadline"]);
  const { result } = find(oneMore(), "reply");
  const { plan } = result as { plan: StagedPlan };
  assertEquals(plan.changes, [{ action: "join", node: "d" }]);
  const { planId } = plan;
  const committing = ask(claimant, 3, { method: "commit", planId });
  assertEquals(committing.map(({ type }) => type), ["set_deadline"]);
  const { id } = find(oneMore(), "reply");
  assertEquals([id, memberStatus(claimant.ring, "d")], [3, "valid"]);
});

Deno.test("stepClaimant() does not commit a plan that is older than the staged changes", () => {
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

Deno.test("stepClaimant() gives every plan its own id, even for the same change at another time", () => {
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

Deno.test("stepClaimant() of members that were all declared down and come back has one claimant", () => {
  // Each has said that it lives, and does not know yet that the others have.
  let ring = ringOf("c", "a", "b");
  for (const node of ["a", "b"]) ring = setStatus(ring, "c", node, "valid");
  ring = setOwnership(agreed(ring), "c", {
    owners: ["a", "b", "c", "a", "b", "c", "a", "b"],
  });
  for (const node of ["a", "b", "c"]) ring = setStatus(ring, "c", node, "down");
  const back = (self: string, nodes: readonly string[]) => {
    const claimant = createClaimant(self, ring, 4);
    stepClaimant(claimant, { type: "nodes_up", nodes });
    const effects = stepClaimant(claimant, {
      type: "ring_changed",
      ring: rejoin(ring, self),
    });
    return { claimant, effects };
  };
  // The claimant is there.
  const { claimant: a, effects } = back("a", ["a", "b", "c"]);
  assertEquals(effects, []);
  assertEquals(back("b", ["a", "b", "c"]).effects, []);
  // It goes before it has said so; a and b see each other.
  const { ring: taken } = find(
    stepClaimant(a, { type: "nodes_up", nodes: ["a", "b"] }),
    "update_ring",
  );
  assertEquals(taken.ownership.claimant, "a");
  assertEquals(back("b", ["a", "b"]).effects, []);
  // It alone is there.
  assertEquals(
    find(back("b", ["b"]).effects, "update_ring").ring.ownership.claimant,
    "b",
  );
});

Deno.test("stepClaimant() readmits a member without a commit", () => {
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

Deno.test("stepClaimant() refuses requests beyond its bound of waiting ones", () => {
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

Deno.test("stepClaimant() refuses to stage invalid changes, each with its own error code", () => {
  const claimant = createClaimant("a", cluster("a", "b"), 4);
  const change = { action: "leave", node: "x", replacement: null } as const;
  const effects = ask(claimant, 1, { method: "stage", change });
  const { code, details } = find(effects, "fail");
  assertEquals([code, details], ["not_member", { node: "x" }]);
  assertEquals(effects.some((effect) => effect.type === "update_ring"), false);
});

Deno.test("stepClaimant() drops a joining member at once", () => {
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

Deno.test("stepClaimant() discards staged changes when they are cleared", () => {
  const claimant = createClaimant("a", cluster("a", "b", "c"), 4);
  const change = { action: "leave", node: "b", replacement: null } as const;
  ask(claimant, 1, { method: "stage", change });
  const effects = ask(claimant, 2, { method: "clear" });
  assertEquals(find(effects, "update_ring").ring.ownership.staged, []);
  assertEquals(find(effects, "reply").result, { method: "clear", nodes: [] });
});

Deno.test("stepClaimant() does not wait for the agreement of a member that it removes by force", () => {
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

Deno.test("stepClaimant() of the next claimant commits what was staged with the previous one", () => {
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

Deno.test("stepClaimant() refuses nodes that cannot serve consistent buckets", () => {
  const ring = agreed(markConsistent(cluster("a", "b"), "a", MARK));
  const claimant = createClaimant("a", ring, 4);
  const failed = (request: ClaimantRequest, on = claimant) =>
    find(ask(on, 1, request), "fail").code;
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
