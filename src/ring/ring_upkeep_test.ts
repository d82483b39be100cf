import { assert, assertEquals } from "@std/assert";
import {
  currentMembers,
  memberStatus,
  partitionCounts,
  pendingTransfers,
  resizeSteps,
  type Ring,
} from "./ring.ts";
import {
  abortResize,
  addJoining,
  beginResize,
  completeTransfers,
  enterResizePhase,
  installResize,
  invite,
  markSeen,
  rejoin,
  resumeResize,
  setOrigins,
  setOwnership,
  setStatus,
  takeOverClaim,
} from "./ring_change.ts";
import {
  markConsistent,
  markTakenOver,
  takenOverBy,
} from "./consistent_buckets.ts";
import type { RingResize } from "./ring_generations.ts";
import { mergeRings } from "./ring_merge.ts";
import { ABORT_RESIZE, refuseBeside, refuseResize } from "./ring_resize.ts";
import { assumeDone, heirs, ownsNothing, tendRing } from "./ring_upkeep.ts";
import { commitStaged, computePlan } from "./staged_plan.ts";
import { aloneOf, facts } from "./testing/small_rings.ts";

const TARGET_N = 4;
const bucket = { bucket: "b", numbers: [1, 2, 3, 4], wallMs: 0 };

/** A settled cluster whose claimant is the first of `names`. */
function cluster(size: number, claimant: string, ...names: string[]): Ring {
  let ring = aloneOf(claimant, size);
  for (const name of names) ring = addJoining(ring, facts(name), 0);
  const { target } = computePlan(ring, TARGET_N);
  return assumeDone(commitStaged(ring, claimant, target, ""), claimant);
}

/**
 * `ring` as tended by the claimant `a`, which changes nothing when tending it
 * again.
 */
function tended(ring: Ring): Ring {
  const after = tendRing(ring, "a", TARGET_N).ring;
  assertEquals(tendRing(after, "a", TARGET_N), {
    ring: after,
    reasons: [],
    isNews: false,
  });
  return after;
}

function owned(ring: Ring): Record<string, number> {
  return Object.fromEntries(partitionCounts(ring.ownership.owners));
}

Deno.test("tendRing() leaves a settled ring unchanged", () => {
  const ring = cluster(16, "a", "b", "c");
  assertEquals(tended(ring), ring);
});

Deno.test("tendRing() makes a node that needs no commit a member with a share", () => {
  const ring = addJoining(cluster(16, "a", "b", "c"), facts("d"), 0, {
    autoJoin: true,
  });
  const after = tended(ring);
  assertEquals(memberStatus(after, "d"), "valid");
  const transfers = pendingTransfers(after);
  assertEquals(
    transfers.filter(({ nextOwner }) => nextOwner === "d").length,
    4,
  );
  assertEquals(owned(after), owned(ring));
});

Deno.test("tendRing() readmits a member that was wrongly declared dead, with its partitions", () => {
  const ring = cluster(16, "a", "b", "c");
  const back = rejoin(setStatus(ring, "a", "c", "down"), "c");
  const after = tended(back);
  assertEquals(memberStatus(after, "c"), "valid");
  assertEquals(after.ownership, ring.ownership);
});

Deno.test("tendRing() switches owners of complete transfers, and keeps the others", () => {
  const ring = setStatus(cluster(16, "a", "b", "c", "d"), "d", "d", "leaving");
  const leaving = tended(ring);
  const [first] = pendingTransfers(leaving);
  const { partition, nextOwner } = first!;
  const done = completeTransfers(leaving, "d", [partition], null, []);
  const after = tended(done);
  assertEquals(after.ownership.owners[partition], nextOwner);
  assertEquals(after.ownership.next, leaving.ownership.next.slice(1));
});

Deno.test("tendRing() reports moves as news only when none is left", () => {
  const ring = setStatus(cluster(16, "a", "b", "c", "d"), "d", "d", "leaving");
  const leaving = tendRing(ring, "a", TARGET_N);
  assertEquals(leaving.isNews, true);
  const transfers = pendingTransfers(leaving.ring);
  let tended = leaving;
  for (const { partition, owner } of transfers) {
    assertEquals(tended.isNews, tended === leaving, `before ${partition}`);
    tended = tendRing(
      completeTransfers(tended.ring, owner, [partition], null, []),
      "a",
      TARGET_N,
    );
  }
  const { partition, nextOwner } = transfers.at(-1)!;
  assertEquals([tended.reasons, tended.isNews], [[
    `partition ${partition} has moved to ${nextOwner}, the last to move`,
  ], true]);
});

Deno.test("tendRing() gives partitions of a removed member to others at once", () => {
  const ring = setStatus(cluster(16, "a", "b", "c", "d"), "a", "d", "invalid");
  const after = tended(ring);
  const { owners } = after.ownership;
  assertEquals(owners.includes("d"), false);
  // No live node has given up anything yet.
  ring.ownership.owners.forEach((owner, partition) => {
    if (owner !== "d") assertEquals(owners[partition], owner);
  });
  assertEquals(after.ownership.next.some(({ owner }) => owner === "d"), false);
});

Deno.test("tendRing() completes the transfers of a removed member at their targets", () => {
  const leaving = tended(
    setStatus(cluster(16, "a", "b", "c", "d"), "a", "d", "leaving"),
  );
  const after = tended(setStatus(leaving, "a", "d", "invalid"));
  for (const { partition, owner, nextOwner } of leaving.ownership.next) {
    if (owner === "d") {
      assertEquals(after.ownership.owners[partition], nextOwner);
    }
  }
});

Deno.test("tendRing() makes a leaving member hand over everything, and moves little else", () => {
  const ring = cluster(64, "a", "b", "c", "d", "e", "f", "g", "h");
  const after = tended(setStatus(ring, "b", "b", "leaving"));
  const { next } = after.ownership;
  const share = partitionCounts(ring.ownership.owners).get("b") as number;
  assertEquals(next.filter(({ owner }) => owner === "b").length, share);
  assert(next.length <= share * 2, `${next.length} of 64 move`);
  assertEquals(owned(after), owned(ring));
  assertEquals(memberStatus(after, "b"), "leaving");
});

Deno.test("tendRing() replans transfers to a removed member", () => {
  const ring = cluster(16, "a", "b", "c");
  const joining = tended(
    addJoining(ring, facts("d"), 0, { autoJoin: true }),
  );
  const after = tended(setStatus(joining, "a", "d", "invalid"));
  assertEquals(after.ownership.next, []);
  assertEquals(after.ownership.owners, ring.ownership.owners);
});

Deno.test("tendRing() redirects a leaving member's transfers to a member that is down, and lets other owners wait", () => {
  const ring = cluster(16, "a", "b", "c", "d");
  const leaving = tended(setStatus(ring, "a", "d", "leaving"));
  const stuck = leaving.ownership.next.filter(({ owner, nextOwner }) =>
    owner === "d" && nextOwner === "c"
  );
  assert(stuck.length > 0);
  const after = tended(setStatus(leaving, "a", "c", "down"));
  for (const { partition } of stuck) {
    const transfer = after.ownership.next.find((next) =>
      next.partition === partition
    );
    assertEquals(memberStatus(after, transfer!.nextOwner), "valid");
  }
  const joining = tended(addJoining(ring, facts("e"), 0, { autoJoin: true }));
  const waits = tended(setStatus(joining, "a", "e", "down"));
  assertEquals(waits.ownership.next, joining.ownership.next);
});

Deno.test("tendRing() removes an exited member, but not while anything depends on it", () => {
  const ring = cluster(16, "a", "b", "c", "d");
  const early = tended(setStatus(ring, "d", "d", "exiting"));
  assertEquals(memberStatus(early, "d"), "exiting");
  assertEquals(
    early.ownership.next.filter(({ owner }) => owner === "d").length,
    4,
  );
  const moved = assumeDone(early, "a");
  assertEquals(ownsNothing(moved, "d"), true);
  assertEquals(memberStatus(tended(moved), "d"), "invalid");
});

Deno.test("tendRing() keeps leaving members if nobody could take over", () => {
  let ring = cluster(16, "a", "b");
  ring = setStatus(setStatus(ring, "a", "a", "leaving"), "b", "b", "leaving");
  const after = tended(ring);
  assertEquals(memberStatus(after, "a"), "valid");
  assertEquals(memberStatus(after, "b"), "valid");
  assertEquals(after.ownership.next, []);
});

Deno.test("tendRing() keeps leaving members if an aborted resize alone gave others partitions", () => {
  let ring = invite(cluster(8, "a"), "a", facts("b"), 0);
  ring = beginResize(ring, "a", ring.ownership.owners.with(0, "b"));
  const after = tended(setStatus(ring, "a", "a", "leaving"));
  assertEquals(after.ownership.generations.resize, null);
  assertEquals(memberStatus(after, "a"), "valid");
});

Deno.test("tendRing() continues a resize at once when a member it waited for leaves", () => {
  let ring = cluster(8, "a");
  ring = setStatus(addJoining(ring, facts("b"), 0), "a", "b", "valid");
  ring = beginResize(ring, "a", ring.ownership.owners);
  const all = [...ring.ownership.owners.keys()];
  ring = completeTransfers(ring, "a", all, null, []);
  ring = markSeen(ring, "a", ring.clock);
  const after = tended(setStatus(ring, "a", "b", "exiting"));
  assertEquals(memberStatus(after, "b"), "invalid");
  assertEquals(after.ownership.generations.resize?.phase, "binding");
});

Deno.test("tendRing() gives a member that owns nothing its share, unless there is not enough to go round", () => {
  const names = Array.from({ length: 9 }, (_, i) => `m${i}`);
  let ring = cluster(8, "a", "b");
  ring = setStatus(addJoining(ring, facts("c"), 0), "a", "c", "valid");
  assert(tended(ring).ownership.next.length > 0);
  for (const name of names) {
    ring = setStatus(addJoining(ring, facts(name), 0), "a", name, "valid");
  }
  assertEquals(tended(ring).ownership.next, []);
});

Deno.test("tendRing() drops staged changes that no longer make sense", () => {
  const ring = setOwnership(cluster(16, "a", "b", "c"), "a", {
    staged: [{ action: "replace", node: "b", replacement: "x" }],
  });
  assertEquals(tended(ring).ownership.staged, []);
});

Deno.test("heirs() are valid, down, or joining members that already own partitions", () => {
  let ring = cluster(16, "a", "b", "c", "d");
  ring = addJoining(setStatus(ring, "a", "b", "down"), facts("j"), 0);
  ring = rejoin(setStatus(ring, "a", "c", "down"), "c");
  ring = setStatus(ring, "a", "d", "leaving");
  assertEquals(heirs(ring), ["a", "b", "c"]);
});

Deno.test("tendRing() aborts a resize for a joining node that brought its numbers, not for a member that uses the current ring's", () => {
  const came = (ring: Ring) =>
    setStatus(
      addJoining(ring, { ...facts("d"), origin: "1/8" }, 0),
      "b",
      "d",
      "valid",
    );
  const begun = (ring: Ring, size: number) =>
    beginResize(ring, "a", new Array<string>(size).fill("a"));
  const phaseOf = ({ ownership }: Ring) => ownership.generations.resize?.phase;
  const copying = begun(cluster(8, "a"), 16);
  const { ring, reasons } = tendRing(came(copying), "a", TARGET_N);
  assertEquals(phaseOf(ring), undefined);
  assertEquals(
    reasons[0],
    "the resize was given up as what d holds would be taken for parts of the resized ring",
  );
  // It was admitted too late to stop that one: the next has other numbers.
  const reading = enterResizePhase(
    enterResizePhase(copying, "a", "binding"),
    "a",
    "reading",
  );
  const late = tended(installResize(came(reading), "a"));
  assertEquals(memberStatus(late, "d"), "valid");
  // Its data goes where it belongs first; then it gets its share.
  assertEquals([owned(late), late.ownership.next], [{ a: 16 }, []]);
  const settled = assumeDone(tended(setOrigins(late, "d", [], 1)), "a");
  assertEquals(owned(settled), { a: 8, d: 8 });
  assertEquals(phaseOf(tended(begun(settled, 32))), "copying");
});

Deno.test("tendRing() decides anew what a report about a lost decision hides", () => {
  const ring = cluster(8, "a", "b");
  const all = [0, 1, 2, 3, 4, 5, 6, 7];
  const owner = ring.ownership.owners[0] as string;
  const target = owner === "a" ? "b" : "a";
  const moving = setOwnership(ring, "a", {
    next: [{ partition: 0, owner, nextOwner: target, term: 1, version: 99 }],
  });
  const given = [
    moving,
    beginResize(ring, "a", new Array<string>(16).fill("b")),
  ];
  for (const before of given) {
    // Its claimant decides once more, of which the next one does not hear.
    const { next } = before.ownership;
    const later = next.length > 0
      ? setOwnership(before, "a", {
        next: next.map((transfer) => ({ ...transfer, version: 100 })),
      })
      : enterResizePhase(before, "a", "binding");
    const told = completeTransfers(later, owner, [0], null, ["kv"]);
    const heard = mergeRings(takeOverClaim(before, "b"), told);
    assertEquals(heard.ownership.claimant, "b");
    // The owner does not report in vain, again and again.
    assertEquals(completeTransfers(heard, owner, [0], null, ["kv"]), heard);
    const tend = (ring: Ring) => tendRing(ring, "b", TARGET_N).ring;
    const anew = tend(heard);
    assertEquals(tend(anew), anew);
    let after = anew;
    for (const node of ["a", "b"]) {
      after = completeTransfers(after, node, all, null, ["kv"]);
    }
    const steps = next.length > 0
      ? pendingTransfers(after)
      : resizeSteps(after);
    assertEquals(steps.every(({ status }) => status === "complete"), true);
    assertEquals(mergeRings(after, told), after);
  }
});

Deno.test("tendRing() completes a resize that another part of the cluster has read with, if buckets are consistent", () => {
  const ring = markConsistent(cluster(8, "a"), "a", bucket);
  const copying = beginResize(ring, "a", new Array<string>(16).fill("a"));
  const binding = completeTransfers(
    enterResizePhase(copying, "a", "binding"),
    "a",
    [0, 1, 2, 3, 4, 5, 6, 7],
    null,
    ["kv"],
  );
  const waits = { mayInstall: false };
  const care = (ring: Ring) =>
    tendRing(ring, "a", TARGET_N, () => true, waits).ring;
  const reading = care(binding);
  assertEquals(takenOverBy(reading), { generation: 1, size: 16 });
  assertEquals(takenOverBy(ring), null);
  // The other part has aborted it, has never heard of it, or is behind.
  const heard = (other: Ring) => {
    const won = {
      ...other.ownership,
      term: other.ownership.term + 1,
      version: 99,
    };
    return mergeRings({ ...other, ownership: won }, reading);
  };
  for (const other of [abortResize(copying, "a"), ring, copying]) {
    const { generations } = care(heard(other)).ownership;
    assertEquals(generations.resize?.generation, 1);
    assertEquals(generations.resize?.owners.length, 16);
    assertEquals([generations.newest, generations.sizes], [1, [8, 16]]);
    const again = care(heard(other));
    assertEquals(refuseResize(again, ABORT_RESIZE)?.code, "not_resizing");
  }
  // It is read with the future ring: whoever is gone is down by then.
  assertEquals(
    refuseBeside(reading, "remove b", true)?.code,
    "pending_changes",
  );
  // Without consistent buckets, the owners have everything that was written.
  const plain = beginResize(cluster(8, "a"), "a", Array<string>(16).fill("a"));
  assertEquals(
    care(abortResize(plain, "a")).ownership.generations.resize,
    null,
  );
});

/**
 * `ring` once each of `nodes` has reported for the resize in progress, and all
 * know of it.
 */
function reported(ring: Ring, nodes: readonly string[]): Ring {
  const partitions = ring.ownership.owners.map((_, partition) => partition);
  let after = ring;
  for (const node of nodes) {
    after = completeTransfers(after, node, partitions, null, ["kv"]);
  }
  for (const node of currentMembers(after)) {
    after = markSeen(after, node, after.clock);
  }
  return after;
}

Deno.test("tendRing() restarts a resumed resize without an owner removed by force, since it waits for all", () => {
  const ring = markConsistent(cluster(8, "a", "b", "c"), "a", bucket);
  const owners = Array.from({ length: 16 }, (_, i) => "abc"[i % 3] as string);
  const copying = reported(beginResize(ring, "a", owners), ["a", "b", "c"]);
  const binding = reported(tendRing(copying, "a", TARGET_N).ring, []);
  const reading = tendRing(
    reported(binding, ["a", "b", "c"]),
    "a",
    TARGET_N,
    () => true,
    { mayInstall: false },
  ).ring;
  assertEquals(takenOverBy(reading), { generation: 1, size: 16 });
  // Another part has declared a dead, which it is, and heard of that only then.
  const down = takeOverClaim(setStatus(binding, "b", "a", "down"), "b");
  let current = mergeRings(abortResize(down, "b"), reading);
  const tend = () => {
    for (let i = 0; i < 8; i++) {
      current = tendRing(reported(current, ["b", "c"]), "b", TARGET_N).ring;
    }
    return current.ownership.generations;
  };
  assertEquals(tend().resize?.phase, "copying");
  assertEquals(refuseResize(current, ABORT_RESIZE)?.code, "not_resizing");
  assertEquals(refuseBeside(current, "remove a", true), null);
  current = setOwnership(current, "b", {
    staged: [{ action: "remove", node: "a", replacement: null }],
  });
  const { target, planId } = computePlan(current, TARGET_N);
  current = commitStaged(current, "b", target, planId);
  assertEquals(tend(), {
    current: 1,
    newest: 1,
    sizes: [8, 16],
    staged: null,
    resize: null,
  });
  assertEquals(Object.keys(owned(current)).sort(), ["b", "c"]);
});

Deno.test("tendRing() continues a resize once its owners are present, if another claimant has removed one or made it leave", () => {
  const ring = markConsistent(cluster(8, "a", "b", "c"), "a", bucket);
  const owners = Array.from({ length: 16 }, (_, i) => "abc"[i % 3] as string);
  const begun = beginResize(ring, "a", owners);
  const taken = markTakenOver(begun, "a", { generation: 1, size: 16 });
  const ownersOf = ({ ownership }: Ring) =>
    [
      ...new Set(ownership.generations.resize?.owners),
    ].sort();
  const removed = tended(setStatus(taken, "a", "c", "invalid"));
  assertEquals(ownersOf(removed), ["a", "b"]);
  const leaving = tended(setStatus(taken, "a", "c", "leaving"));
  assertEquals(leaving.ownership.generations.resize, null);
  assert(leaving.ownership.next.length > 0);
  assertEquals(ownersOf(tended(assumeDone(leaving, "a"))), ["a", "b"]);
});

Deno.test("tendRing() aborts a resize in favour of one that another part of the cluster has read with, and keeps one that is read", () => {
  const ring = markConsistent(cluster(8, "a"), "a", bucket);
  const begun = (before: Ring, size: number) =>
    beginResize(before, "a", new Array<string>(size).fill("a"));
  const taken = (other: Ring) =>
    markTakenOver(other, "a", { generation: 1, size: 16 });
  // A later one, and one with the same number, of an earlier version.
  const later = begun(abortResize(begun(ring, 16), "a"), 32);
  const owners = new Array<string>(32).fill("a");
  const sameNumber = resumeResize(ring, "a", 1, owners);
  for (const other of [later, sameNumber]) {
    for (const phase of ["copying", "binding"] as const) {
      const after = tended(taken(enterResizePhase(other, "a", phase)));
      const { resize, sizes } = after.ownership.generations;
      assertEquals([resize?.generation, resize?.phase], [1, "copying"]);
      assertEquals([resize?.owners.length, sizes[1]], [16, 16]);
    }
  }
  for (const other of [later, sameNumber]) {
    const reading = enterResizePhase(other, "a", "reading");
    const kept = tendRing(taken(reading), "a", TARGET_N, () => true, {
      mayInstall: false,
    }).ring;
    assertEquals(kept.ownership, reading.ownership);
    // The other one is void, and does not go on when this one is done.
    const { resize } = other.ownership.generations;
    const { generation } = resize as RingResize;
    assertEquals(takenOverBy(kept), { generation, size: 32 });
    const done = tended(kept);
    assertEquals(
      [done.size, done.ownership.generations.resize],
      [32, null],
    );
  }
});

Deno.test("tendRing() resumes an earlier resize only if all members can read that, and completes no other until then", () => {
  const ring = markConsistent(cluster(8, "a"), "a", bucket);
  const begun = (before: Ring, size: number) =>
    beginResize(before, "a", new Array<string>(size).fill("a"));
  const tend = (ring: Ring, mayGoBack: boolean) =>
    tendRing(ring, "a", TARGET_N, () => true, { mayGoBack }).ring;
  const taken = markTakenOver(begun(ring, 32), "a", {
    generation: 1,
    size: 16,
  });
  let waiting = tend(taken, false);
  for (const size of [32, 64]) {
    assertEquals(waiting.ownership.generations.resize, null);
    assertEquals(tend(waiting, false), waiting);
    assertEquals(takenOverBy(waiting), { generation: 1, size: 16 });
    waiting = tend(begun(waiting, size), false);
  }
  const { resize } = tend(waiting, true).ownership.generations;
  assertEquals([resize?.generation, resize?.owners.length], [1, 16]);
  // The next number is one that every version reads.
  const next = markTakenOver(ring, "a", { generation: 1, size: 16 });
  assertEquals(tend(next, false).ownership.generations.resize?.generation, 1);
});

Deno.test("tendRing() does not resume a resize whose vnodes would be mistaken for present ones", () => {
  const ring = markConsistent(cluster(8, "a"), "a", bucket);
  const resumed = (generation: number) =>
    tendRing(
      markTakenOver(ring, "a", { generation, size: 16 }),
      "a",
      TARGET_N,
    ).ring.ownership.generations.resize?.generation;
  assertEquals(resumed(63), 63);
  assertEquals(resumed(64), undefined);
});

/** A ring whose claimant has it read by `size` partitions that `b` owns, and says so `times` times. */
function readBy(before: Ring, size: number, times: number): Ring {
  const { claimant } = before.ownership;
  const begun = beginResize(before, claimant, Array<string>(size).fill("b"));
  let reading = enterResizePhase(begun, claimant, "reading");
  const { generation } = begun.ownership.generations.resize as RingResize;
  for (let time = 0; time < times; time++) {
    reading = markTakenOver(reading, claimant, { generation, size });
  }
  return reading;
}

Deno.test("tendRing() continues the same one of two resizes in phase reading, however and whenever the parts meet", () => {
  const ring = markConsistent(cluster(8, "z", "b"), "z", bucket);
  const took = takeOverClaim(ring, "b");
  const tend = (ring: Ring, mayInstall: boolean) =>
    tendRing(reported(ring, []), "b", TARGET_N, () => true, { mayInstall })
      .ring;
  for (const [other, size] of [[16, 32], [32, 16]] as const) {
    const won = readBy(took, size, 1);
    const generation = won.ownership.generations.newest;
    // The mark that outweighs the other is of the ownership that does not, or of that.
    for (const times of [1, 2]) {
      const lost = readBy(ring, other, times);
      const heard = mergeRings(lost, won);
      assertEquals(heard, mergeRings(won, lost));
      const kept = tend(heard, false);
      assertEquals(takenOverBy(kept), { generation, size });
      assertEquals(kept.ownership, won.ownership);
      assertEquals(tend(kept, false).meta, kept.meta);
      assertEquals(tend(kept, true).size, size);
    }
    // It is heard of only once this one is done.
    const late = mergeRings(tend(won, true), readBy(ring, other, 1));
    const settled = assumeDone(tend(late, true), "b");
    const { resize, current } = tend(settled, true).ownership.generations;
    assertEquals([resize, current], [null, generation]);
  }
});
