import { assertEquals } from "@std/assert";
import { noVersion, type VersionVector } from "../causality/version_vector.ts";
import { memberStatus, partitionCounts, type Ring } from "../ring/ring.ts";
import {
  addJoining,
  completeTransfers,
  enterResizePhase,
  invite,
  markSeen,
  putFacts,
  putRingMeta,
  setOwnership,
  setStatus,
} from "../ring/ring_change.ts";
import type { StagedPlan } from "../ring/staged_plan.ts";
import {
  type ClaimantEffect,
  type ClaimantRequest,
  type ClaimantState,
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
} from "./testing/claimant_bench.ts";
import { ringStatus } from "./cluster_status.ts";
import { encodeClaim, WHORL_CAPABILITIES } from "./capability.ts";
import { markConsistent, markTakenOver } from "../ring/consistent_buckets.ts";
import { boundVnodes } from "../ring/ring_generations.ts";
import { BINDING_LOOK_MS, BINDING_REST_MS } from "./resize_binding.ts";

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

/** All of `nodes` have done what the phase of the resize is for, and each knows of the others. */
function reported(ring: Ring, nodes: readonly string[]): Ring {
  const partitions = ring.ownership.owners.map((_, partition) => partition);
  return agreed(nodes.reduce(
    (told, node) => completeTransfers(told, node, partitions, null, ["kv"]),
    ring,
  ));
}

function phaseOf({ ring }: ClaimantState): string | undefined {
  return ring.ownership.generations.resize?.phase;
}

function isHeld({ ring }: ClaimantState, node: string): boolean {
  return boundVnodes(ring, node).length > 0;
}

/** All are up, and have copied and then hold writes: reads go by the resized ring from now on. */
function readsByNew(claimant: ClaimantState, members: readonly string[]): void {
  stepClaimant(claimant, { type: "nodes_up", nodes: members });
  hears(claimant, reported(claimant.ring, members));
  hears(claimant, reported(claimant.ring, members));
}

/** Tells `claimant` that its ring is this one by now. */
function hears(claimant: ClaimantState, ring: Ring): ClaimantEffect[] {
  return stepClaimant(claimant, { type: "ring_changed", ring });
}

Deno.test("stepClaimant() moves a resize to its next phase when all members have done their part", () => {
  const before = cluster("a", "b", "c");
  const claimant = resizing(before, 16);
  const members = ["a", "b", "c"];
  stepClaimant(claimant, { type: "nodes_up", nodes: members });
  const { resize } = claimant.ring.ownership.generations;
  assertEquals(claimant.ring.ownership.owners, before.ownership.owners);
  assertEquals([...partitionCounts(resize?.owners ?? []).values()].sort(), [
    5,
    5,
    6,
  ]);
  assertEquals(hears(claimant, reported(claimant.ring, ["a", "b"])), []);
  const copied = hears(claimant, reported(claimant.ring, ["c"]));
  assertEquals(copied.map(({ type }) => type), [
    "update_ring",
    "set_resize_timer",
  ]);
  assertEquals([phaseOf(claimant), isHeld(claimant, "b")], ["binding", true]);
  // What was reported before says nothing of this phase.
  assertEquals(hears(claimant, agreed(claimant.ring)), []);
  assertEquals(hears(claimant, reported(claimant.ring, ["a", "c"])), []);
  hears(claimant, reported(claimant.ring, ["b"]));
  assertEquals([phaseOf(claimant), isHeld(claimant, "b")], ["reading", true]);
  // Some may still read by the present owners.
  assertEquals(hears(claimant, claimant.ring), []);
  hears(claimant, agreed(claimant.ring));
  assertEquals(claimant.ring.size, 16);
  assertEquals(claimant.ring.ownership.owners, resize?.owners);
  assertEquals(claimant.ring.ownership.generations.resize, null);
});

Deno.test("stepClaimant() begins to hold writes for a resize when all members are up and know the ring", () => {
  const claimant = resizing(cluster("a", "b", "c"), 16);
  const members = ["a", "b", "c"];
  stepClaimant(claimant, { type: "nodes_up", nodes: ["a", "b"] });
  const copied = reported(claimant.ring, members);
  assertEquals(hears(claimant, copied), []);
  const news = putRingMeta(copied, "c", "x", 1, 0);
  assertEquals(hears(claimant, news), []);
  stepClaimant(claimant, { type: "nodes_up", nodes: members });
  assertEquals(phaseOf(claimant), "copying");
  hears(claimant, agreed(news));
  assertEquals(phaseOf(claimant), "binding");
});

Deno.test("stepClaimant() holds writes for a resize no longer than its bound, and tries again later", () => {
  const claimant = resizing(cluster("a", "b", "c"), 16);
  const members = ["a", "b", "c"];
  stepClaimant(claimant, { type: "nodes_up", nodes: members });
  hears(claimant, reported(claimant.ring, members));
  hears(claimant, reported(claimant.ring, ["a", "b"]));
  const overdue = stepClaimant(claimant, { type: "resize_timer" });
  assertEquals(find(overdue, "set_resize_timer").afterMs, BINDING_REST_MS);
  assertEquals([phaseOf(claimant), isHeld(claimant, "a")], ["copying", false]);
  // They rest, however much is there.
  hears(claimant, reported(claimant.ring, members));
  assertEquals(phaseOf(claimant), "copying");
  const again = stepClaimant(claimant, { type: "resize_timer" });
  assertEquals(find(again, "set_resize_timer").afterMs, BINDING_LOOK_MS);
  assertEquals(phaseOf(claimant), "binding");
});

Deno.test("stepClaimant() that takes a held resize over lets no writes be before all know of that", () => {
  const claimant = resizing(cluster("a", "b", "c"), 16);
  const members = ["a", "b", "c"];
  stepClaimant(claimant, { type: "nodes_up", nodes: members });
  hears(claimant, reported(claimant.ring, members));
  assertEquals(phaseOf(claimant), "binding");
  const ring = setStatus(claimant.ring, "c", "a", "down");
  const next = createClaimant("b", ring, 4);
  hears(next, ring);
  assertEquals(next.ring.ownership.claimant, "b");
  // The former claimant may have told some to read by the resized ring.
  stepClaimant(next, { type: "resize_timer" });
  assertEquals(phaseOf(next), "binding");
  hears(next, agreed(next.ring));
  stepClaimant(next, { type: "resize_timer" });
  assertEquals(phaseOf(next), "copying");
});

Deno.test("stepClaimant() does not abort a resize whose ring some members already read by", () => {
  const claimant = resizing(cluster("a", "b", "c"), 16);
  const members = ["a", "b", "c"];
  readsByNew(claimant, members);
  assertEquals(phaseOf(claimant), "reading");
  const refusal = find(ask(claimant, 7, { method: "resize", size: 0 }), "fail");
  assertEquals(refusal.code, "not_resizing");
});

Deno.test("stepClaimant() aborts a resize when the abort is committed, and then starts another", () => {
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

Deno.test("stepClaimant() refuses invalid resizes, and changes during a resize, each with its own error code", () => {
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

Deno.test("stepClaimant() starts no resize while an invited node has not published which ring it comes from", () => {
  const ring = cluster("a", "b", "c");
  const claimant = createClaimant("a", ring, 4);
  const resize = { method: "resize", size: 16 } as const;
  find(ask(claimant, 1, resize), "reply");
  claimant.ring = agreed(claimant.ring);
  const planId = planIdOf(claimant);
  const commit = { method: "commit", planId } as const;
  const invited = invite(claimant.ring, "a", facts("d"), 0);
  hears(claimant, agreed(invited));
  assertEquals(find(ask(claimant, 2, commit), "fail").code, "pending_changes");
  const fresh = createClaimant("a", invite(ring, "a", facts("d"), 0), 4);
  assertEquals(find(ask(fresh, 1, resize), "fail").code, "pending_changes");
  // One that does not come is forgotten before long.
  const gone = createClaimant(
    "a",
    agreed(setStatus(invited, "a", "d", "invalid")),
    4,
  );
  find(ask(gone, 1, { method: "commit", planId: planIdOf(gone) }), "reply");
  assertEquals(phaseOf(gone), "copying");
  // It has resized its own ring to the size of the cluster: what it has then is of generation 1.
  const from = { ...facts("d"), origin: "1/8" };
  hears(claimant, agreed(addJoining(invited, from, 0)));
  find(ask(claimant, 3, { ...commit, planId: planIdOf(claimant) }), "reply");
  const { generations } = claimant.ring.ownership;
  assertEquals(generations.resize?.generation, 9);
});

Deno.test("stepClaimant() stages no resize beside a join, and the plan of a resize lists the joins that it leaves out", () => {
  const ring = cluster("a", "b", "c");
  const resize = { method: "resize", size: 16 } as const;
  const early = createClaimant("a", agreed(addJoining(ring, facts("d"), 0)), 4);
  const refused = find(ask(early, 1, resize), "fail");
  assertEquals([refused.code, refused.details["nodes"]], [
    "pending_changes",
    ["d"],
  ]);
  // The join is committed, and then there may be a resize.
  find(ask(early, 2, { method: "commit", planId: planIdOf(early) }), "reply");
  const planOf = (claimant: ClaimantState): StagedPlan => {
    claimant.ring = agreed(claimant.ring);
    const { result } = find(ask(claimant, 9, { method: "plan" }), "reply");
    return (result as { plan: StagedPlan }).plan;
  };
  const late = createClaimant("a", ring, 4);
  find(ask(late, 1, resize), "reply");
  assertEquals(planOf(late).postponedJoins, undefined);
  hears(late, addJoining(late.ring, facts("d"), 0));
  const plan = planOf(late);
  assertEquals(plan.changes, [{ action: "resize-ring", ringSizes: [8, 16] }]);
  assertEquals(plan.postponedJoins, ["d"]);
  find(ask(late, 2, { method: "commit", planId: plan.planId }), "reply");
  // It is neither in the way of the resize nor of giving it up.
  find(ask(late, 3, { method: "resize", size: 0 }), "reply");
  const abort = planOf(late);
  assertEquals(abort.postponedJoins, ["d"]);
  find(ask(late, 4, { method: "commit", planId: abort.planId }), "reply");
  const after = planOf(late);
  assertEquals(after.changes, [{ action: "join", node: "d" }]);
  assertEquals(after.postponedJoins, undefined);
});

/** `d` comes by the word of a claimant that nobody else has heard of: what it holds is of generation 1, of 8 partitions. */
function comesLate(ring: Ring, options: { autoJoin?: boolean } = {}): Ring {
  return addJoining(ring, { ...facts("d"), origin: "1/8" }, 0, options);
}

Deno.test("stepClaimant() lets nobody in whose vnodes have the numbers of the resized ring, of whom it hears late", () => {
  for (const autoJoin of [false, true]) {
    const claimant = resizing(cluster("a", "b", "c"), 16);
    // The claimant before `a` has invited it, and `a` has not known.
    const effects = hears(claimant, comesLate(claimant.ring, { autoJoin }));
    assertEquals(find(effects, "update_ring").isNews, true);
    assertEquals(memberStatus(claimant.ring, "d"), "invalid");
    assertEquals(phaseOf(claimant), "copying");
    // The same if it hears of it when the ring has its new size already.
    const members = ["a", "b", "c"];
    readsByNew(claimant, members);
    hears(claimant, agreed(claimant.ring));
    assertEquals(claimant.ring.size, 16);
    hears(claimant, comesLate(claimant.ring, { autoJoin }));
    assertEquals(memberStatus(claimant.ring, "d"), "invalid");
    assertEquals(claimant.ring.ownership.next, []);
  }
});

Deno.test("stepClaimant() lets those in whose vnodes are numbered otherwise, or are of the ring as it is", () => {
  const claimant = resizing(cluster("a", "b", "c"), 16);
  for (const origin of ["0/8", "2/8", "1/16", null]) {
    const node = { ...facts("d"), origin };
    const { ring } = claimant;
    const isTaken = origin === "1/16";
    hears(claimant, addJoining(ring, node, 0, { autoJoin: true }));
    // While it is resized, what comes of that may yet be given up.
    assertEquals(
      [origin, memberStatus(claimant.ring, "d")],
      [origin, isTaken ? "invalid" : "valid"],
    );
    hears(claimant, ring);
  }
  const done = resizing(cluster("a"), 16);
  stepClaimant(done, { type: "nodes_up", nodes: ["a"] });
  hears(done, reported(done.ring, ["a"]));
  hears(done, reported(done.ring, ["a"]));
  hears(done, agreed(done.ring));
  assertEquals(done.ring.size, 16);
  const same = { ...facts("d"), origin: "1/16" };
  hears(done, addJoining(done.ring, same, 0, { autoJoin: true }));
  assertEquals(memberStatus(done.ring, "d"), "valid");
});

Deno.test("stepClaimant() gives a resize up whose partitions have the numbers of a member's own vnodes", () => {
  const claimant = resizing(cluster("a", "b", "c"), 16);
  // The claimant of another part of the cluster has let it in.
  const valid = setStatus(comesLate(claimant.ring), "b", "d", "valid");
  hears(claimant, valid);
  assertEquals(claimant.ring.ownership.generations.resize, null);
  assertEquals(memberStatus(claimant.ring, "d"), "valid");
});

Deno.test("stepClaimant() admits and releases no member while the ring is resized, and does so afterwards", () => {
  const before = cluster("a", "b", "c");
  const claimant = resizing(before, 16);
  const joined = addJoining(claimant.ring, facts("d"), 0, { autoJoin: true });
  stepClaimant(claimant, { type: "ring_changed", ring: joined });
  assertEquals(memberStatus(claimant.ring, "d"), "valid");
  assertEquals(claimant.ring.ownership.next, []);
  const members = ["a", "b", "c", "d"];
  readsByNew(claimant, members);
  hears(claimant, agreed(claimant.ring));
  assertEquals(claimant.ring.size, 16);
  const { next } = claimant.ring.ownership;
  assertEquals(next.filter(({ nextOwner }) => nextOwner === "d").length, 4);
});

Deno.test("stepClaimant() ends a resize when those who are joining know that it is read, as they take requests", () => {
  for (const isInvited of [true, false]) {
    const claimant = resizing(cluster("a", "b", "c"), 16);
    const members = ["a", "b", "c"];
    readsByNew(claimant, members);
    assertEquals(phaseOf(claimant), "reading");
    const { ring } = claimant;
    const come = isInvited
      ? invite(ring, "a", facts("d"), 0)
      : addJoining(ring, facts("d"), 0);
    const seen = members.reduce(
      (ring, node) => markSeen(ring, node, ring.clock),
      come,
    );
    // What it goes by may be the ring of before, by which it would read.
    const lagging = {
      ...seen,
      seen: new Map(seen.seen).set("d", before(ring, "d")),
    };
    hears(claimant, lagging);
    assertEquals(phaseOf(claimant), "reading");
    hears(claimant, markSeen(lagging, "d", lagging.clock));
    assertEquals([phaseOf(claimant), claimant.ring.size], [undefined, 16]);
    // One that is gone is let go.
    const again = createClaimant("a", lagging, 4);
    find(
      ask(again, 5, {
        method: "stage",
        change: { action: "leave", node: "d", replacement: null },
      }),
      "reply",
    );
    hears(again, agreed(again.ring));
    assertEquals(again.ring.size, 16);
  }
});

Deno.test("stepClaimant() holds no writes for a resize while who is joining does not know the ring, and says who that is", () => {
  const claimant = resizing(cluster("a", "b", "c"), 16);
  const members = ["a", "b", "c"];
  stepClaimant(claimant, { type: "nodes_up", nodes: members });
  const come = addJoining(claimant.ring, facts("d"), 0);
  const full = reported(come, members);
  const lagging = {
    ...full,
    seen: new Map(full.seen).set("d", before(come, "d")),
  };
  hears(claimant, lagging);
  assertEquals(phaseOf(claimant), "copying");
  assertEquals(ringStatus(claimant.ring, members).resize?.waitingOn, ["d"]);
  hears(claimant, markSeen(lagging, "d", lagging.clock));
  assertEquals(phaseOf(claimant), "binding");
  assertEquals(
    ringStatus(claimant.ring, members).resize?.waitingOn,
    members,
  );
});

/** What `node` has seen of `ring` when it is new there. */
function before({ seen }: Ring, node: string): VersionVector {
  return seen.get(node) ?? noVersion;
}

Deno.test("stepClaimant() aborts a resize when a member is removed by force", () => {
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

const CONSISTENT = { bucket: "accounts", numbers: [1, 2, 3, 4], wallMs: 5 };

Deno.test("stepClaimant() waits for the groups of consistent buckets, to have copied and then to be open", () => {
  const before = agreed(markConsistent(cluster("a", "b"), "a", CONSISTENT));
  const claimant = resizing(before, 16);
  const members = ["a", "b"];
  stepClaimant(claimant, { type: "nodes_up", nodes: members });
  const takenOver = (generation: number, step: "copied" | "open") =>
    stepClaimant(claimant, { type: "taken_over", generation, step });
  hears(claimant, reported(claimant.ring, members));
  assertEquals(phaseOf(claimant), "copying");
  takenOver(7, "open");
  assertEquals(phaseOf(claimant), "copying");
  takenOver(1, "copied");
  assertEquals(phaseOf(claimant), "binding");
  hears(claimant, reported(agreed(claimant.ring), members));
  hears(claimant, agreed(claimant.ring));
  assertEquals(phaseOf(claimant), "reading");
  takenOver(1, "copied");
  assertEquals(phaseOf(claimant), "reading");
  takenOver(1, "open");
  assertEquals([phaseOf(claimant), claimant.ring.size], [undefined, 16]);
});

Deno.test("stepClaimant() ends a resize that consistent buckets are read by, whoever is gone", () => {
  const before = agreed(
    markConsistent(cluster("a", "b", "c"), "a", CONSISTENT),
  );
  const claimant = resizing(before, 16);
  stepClaimant(claimant, { type: "nodes_up", nodes: ["a", "b", "c"] });
  const removed = { action: "remove", node: "c", replacement: null } as const;
  const stage = (id: number) =>
    ask(claimant, id, { method: "stage", change: removed });
  find(stage(3), "reply");
  ask(claimant, 4, { method: "clear" });
  claimant.ring = agreed(enterResizePhase(claimant.ring, "a", "reading"));
  assertEquals(find(stage(5), "fail").code, "pending_changes");
  // A claimant of another part of the cluster may have removed it.
  const gone = agreed(setStatus(claimant.ring, "a", "c", "invalid"));
  hears(claimant, gone);
  assertEquals(phaseOf(claimant), "reading");
  stepClaimant(claimant, { type: "taken_over", generation: 1, step: "open" });
  assertEquals([phaseOf(claimant), claimant.ring.size], [undefined, 16]);
  assertEquals(claimant.ring.ownership.owners.includes("c"), false);
});

Deno.test("stepClaimant() does not resize a ring with consistent buckets while a member's version cannot", () => {
  const old = {
    ...facts("b"),
    capabilities: encodeClaim(WHORL_CAPABILITIES)
      .replace("consistent_buckets=v2,", "consistent_buckets="),
  };
  const ring = agreed(
    markConsistent(putFacts(cluster("a", "b"), old, 1), "a", CONSISTENT),
  );
  const claimant = createClaimant("a", ring, 4);
  const failed = find(ask(claimant, 1, { method: "resize", size: 16 }), "fail");
  assertEquals([failed.code, failed.details["nodes"]], ["not_capable", ["b"]]);
});

Deno.test("stepClaimant() resumes an earlier resize once the last member that could not read that is upgraded", () => {
  const old = {
    ...facts("b"),
    capabilities: encodeClaim(WHORL_CAPABILITIES)
      .replace("resize=v3,", "resize="),
  };
  const ring = agreed(
    markConsistent(putFacts(cluster("a", "b"), old, 1), "a", CONSISTENT),
  );
  const claimant = resizing(ring, 32);
  const generation = () =>
    claimant.ring.ownership.generations.resize?.generation;
  assertEquals(generation(), 2);
  const taken = { generation: 1, size: 16 };
  hears(claimant, agreed(markTakenOver(claimant.ring, "b", taken)));
  assertEquals(generation(), undefined);
  hears(claimant, agreed(putFacts(claimant.ring, facts("b"), 2)));
  assertEquals(generation(), 1);
});
