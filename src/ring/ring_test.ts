import { assertEquals, assertThrows } from "@std/assert";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  activeMembers,
  currentMembers,
  futureOwners,
  membersBehind,
  type MemberStatus,
  memberStatus,
  pendingTransfers,
  readyMembers,
  type Ring,
  ringReady,
  ringVersion,
  type TransferProgress,
} from "./ring.ts";
import {
  addJoining,
  completeTransfers,
  decideAnew,
  isAutoJoining,
  markSeen,
  rejoin,
  setOwnership,
  setStatus,
  takeOverClaim,
  transfersTowards,
} from "./ring_change.ts";
import { mergeRings } from "./ring_merge.ts";
import { aloneOf, facts } from "./testing/small_rings.ts";

function fresh(name = "a", size = 8): Ring {
  return aloneOf(name, size);
}

Deno.test("freshRing() gives everything to one valid member, which is the claimant", () => {
  const ring = fresh();
  assertEquals(ring.ownership.owners, new Array(8).fill("a"));
  assertEquals(ring.ownership.claimant, "a");
  assertEquals(memberStatus(ring, "a"), "valid");
  assertEquals(ringReady(ring), true);
});

Deno.test("freshRing() refuses ring sizes that are no power of two from 8 to 1024", () => {
  for (const size of [0, 4, 7, 9, 100, 2048, 8.5, NaN]) {
    const error = assertThrows(() => fresh("a", size), WhorlError);
    assertEquals(isWhorlError(error, "invalid_ring_size"), true);
  }
  for (const size of [8, 64, 1024]) assertEquals(fresh("a", size).size, size);
});

Deno.test("the member sets match riak_core's", () => {
  // riak_core_ring: active_members/1, ready_members/1, claiming_members/1.
  let ring = fresh("m-valid");
  const statuses: MemberStatus[] = [
    "joining",
    "leaving",
    "exiting",
    "down",
    "invalid",
  ];
  for (const status of statuses) {
    ring = setStatus(ring, "m-valid", `m-${status}`, status);
  }
  assertEquals(activeMembers(ring), [
    "m-exiting",
    "m-joining",
    "m-leaving",
    "m-valid",
  ]);
  assertEquals(readyMembers(ring), ["m-leaving", "m-valid"]);
  assertEquals(currentMembers(ring).includes("m-invalid"), false);
});

Deno.test("ringReady() holds once every valid, leaving and exiting member has seen the ring", () => {
  let ring = setStatus(fresh(), "a", "b", "valid");
  ring = setStatus(ring, "a", "c", "joining");
  ring = setStatus(ring, "a", "d", "down");
  assertEquals(membersBehind(ring), ["b"]);
  ring = markSeen(ring, "b", ring.clock);
  assertEquals(ringReady(ring), true);
  assertEquals(ringReady(setStatus(ring, "a", "c", "valid")), false);
});

Deno.test("mergeRings() shows the stronger of concurrent statuses", () => {
  // riak_core_ring:merge_status/2, strongest first.
  const order: MemberStatus[] = [
    "invalid",
    "down",
    "joining",
    "valid",
    "exiting",
    "leaving",
  ];
  const base = addJoining(addJoining(fresh(), facts("b"), 0), facts("x"), 0);
  for (const [i, strong] of order.entries()) {
    for (const weak of order.slice(i)) {
      const left = setStatus(base, "a", "x", strong);
      const right = setStatus(base, "b", "x", weak);
      assertEquals(memberStatus(mergeRings(left, right), "x"), strong);
      assertEquals(memberStatus(mergeRings(right, left), "x"), strong);
    }
  }
});

Deno.test("mergeRings() prefers a later status to a stronger earlier one", () => {
  const base = addJoining(fresh(), facts("b"), 0);
  const down = setStatus(base, "a", "b", "down");
  const later = setStatus(down, "a", "b", "valid");
  assertEquals(memberStatus(mergeRings(down, later), "b"), "valid");
});

Deno.test("mergeRings() takes the ownership of the later claimant", () => {
  const base = setStatus(addJoining(fresh(), facts("b"), 0), "a", "b", "valid");
  // The old claimant continues, unaware that it was replaced.
  const old = setOwnership(
    setOwnership(base, "a", { owners: new Array(8).fill("a") }),
    "a",
    { owners: new Array(8).fill("a") },
  );
  const followed = takeOverClaim(setStatus(base, "b", "a", "down"), "b");
  const merged = mergeRings(old, followed);
  assertEquals(merged.ownership.claimant, "b");
  assertEquals(ringVersion(merged) > ringVersion(old), true);
});

Deno.test("completeTransfers() completes when every registered module has moved", () => {
  let ring = addJoining(fresh(), facts("b"), 0);
  const target = ["b", "b", ...new Array(6).fill("a")];
  ring = setOwnership(ring, "a", { next: transfersTowards(ring, target) });
  assertEquals(futureOwners(ring), target);
  ring = completeTransfers(ring, "a", [0], "kv", ["kv", "counter"]);
  assertEquals(pendingTransfers(ring).map((t) => t.status), [
    "awaiting",
    "awaiting",
  ]);
  ring = completeTransfers(ring, "a", [0], "counter", ["kv", "counter"]);
  assertEquals(pendingTransfers(ring)[0]?.status, "complete");
  assertEquals(pendingTransfers(ring)[0]?.completedModules, ["counter", "kv"]);
  assertEquals(pendingTransfers(ring)[1]?.status, "awaiting");
  // A repetition changes nothing, so gossip comes to rest.
  assertEquals(completeTransfers(ring, "a", [0], "kv", ["kv"]), ring);
});

Deno.test("mergeRings() keeps a transfer complete, whichever copy comes first", () => {
  let ring = addJoining(fresh(), facts("b"), 0);
  const target = ["b", ...new Array(7).fill("a")];
  ring = setOwnership(ring, "a", { next: transfersTowards(ring, target) });
  const half = completeTransfers(ring, "a", [0], "kv", ["kv", "counter"]);
  const whole = completeTransfers(half, "a", [0], "counter", [
    "kv",
    "counter",
  ]);
  for (const merged of [mergeRings(half, whole), mergeRings(whole, half)]) {
    assertEquals(pendingTransfers(merged)[0]?.status, "complete");
  }
});

Deno.test("completeTransfers() completes at once on a node without modules (riak_core#403)", () => {
  let ring = addJoining(fresh(), facts("b"), 0);
  ring = setOwnership(ring, "a", {
    next: transfersTowards(ring, new Array(8).fill("b")),
  });
  ring = completeTransfers(ring, "a", [0, 1, 2, 3, 4, 5, 6, 7], null, []);
  assertEquals(
    pendingTransfers(ring).every((t) => t.status === "complete"),
    true,
  );
});

Deno.test("completeTransfers() ignores a node that does not own the partition", () => {
  let ring = addJoining(fresh(), facts("b"), 0);
  ring = setOwnership(ring, "a", {
    next: transfersTowards(ring, new Array(8).fill("b")),
  });
  assertEquals(completeTransfers(ring, "b", [0], null, []), ring);
});

Deno.test("progress of one transfer does not count for the next of the same partition", () => {
  let ring = addJoining(addJoining(fresh(), facts("b"), 0), facts("c"), 0);
  const to = (node: string) => [node, ...new Array(7).fill("a")];
  ring = setOwnership(ring, "a", { next: transfersTowards(ring, to("b")) });
  ring = completeTransfers(ring, "a", [0], null, []);
  // The same partition, still at the same owner, is sent elsewhere.
  ring = setOwnership(ring, "a", { next: transfersTowards(ring, to("c")) });
  assertEquals(pendingTransfers(ring)[0]?.status, "awaiting");
});

/** A ring whose partition 0 moves to `to`; always in the same term and version. */
function movingTo(to: string): Ring {
  let ring = addJoining(addJoining(fresh(), facts("b"), 0), facts("c"), 0);
  const target = [to, ...new Array(7).fill("a")];
  ring = takeOverClaim(ring, to);
  return setOwnership(ring, to, { next: transfersTowards(ring, target) });
}

Deno.test("completeTransfers() reports nothing that the ring has decided otherwise since", () => {
  const [toB, toC] = [movingTo("b"), movingTo("c")];
  // This node has moved its data to b, and has just heard that c wins.
  const heard = mergeRings(toB, toC);
  assertEquals(heard.ownership.claimant, "c");
  assertEquals(completeTransfers(heard, "a", [0], "kv", ["kv"], toB), heard);
  const again = setOwnership(toB, "b", { committedPlan: "1" });
  const told = completeTransfers(again, "a", [0], "kv", ["kv"], toB);
  assertEquals(pendingTransfers(told)[0]?.status, "complete");
});

Deno.test("pendingTransfers() counts reports about the very decision, whichever claimant wins", () => {
  const [toB, toC] = [movingTo("b"), movingTo("c")];
  const [ofB, ofC] = [toB, toC].map(({ ownership: { next } }) => next[0]);
  assertEquals([ofC?.term, ofC?.version], [ofB?.term, ofB?.version]);
  const done = completeTransfers(toB, "a", [0], "kv", ["kv"]);
  assertEquals(pendingTransfers(done)[0]?.status, "complete");
  for (const ring of [mergeRings(done, toC), mergeRings(toC, done)]) {
    const [transfer] = pendingTransfers(ring);
    assertEquals([transfer?.nextOwner, transfer?.status], ["c", "awaiting"]);
    assertEquals(transfer?.completedModules, []);
    // Reports of both cannot be told apart, so it is decided anew.
    const both = completeTransfers(ring, "a", [0], "kv", ["kv"]);
    assertEquals(both.progress.get(0)?.decisions.length, 2);
    assertEquals(pendingTransfers(both)[0]?.completedModules, []);
    assertEquals(pendingTransfers(both)[0]?.status, "awaiting");
    assertEquals(completeTransfers(both, "a", [0], "kv", ["kv"]), both);
    const anew = completeTransfers(
      decideAnew(both, "c"),
      "a",
      [0],
      "kv",
      ["kv"],
    );
    assertEquals(pendingTransfers(anew)[0]?.status, "complete");
  }
});

Deno.test("completeTransfers() completes a transfer for a claimant that knows no marks", () => {
  const modules = ["counter", "kv"];
  const heard = mergeRings(
    completeTransfers(movingTo("b"), "a", [0], "kv", modules),
    movingTo("c"),
  );
  assertEquals(heard.progress.get(0)?.complete, false);
  // Such a claimant decides nothing anew, and goes by this alone.
  const told = completeTransfers(heard, "a", [0], null, modules);
  assertEquals(told.progress.get(0)?.complete, true);
  assertEquals(pendingTransfers(told)[0]?.status, "awaiting");
});

Deno.test("pendingTransfers() counts reports of versions that do not say what they are about", () => {
  const done = completeTransfers(movingTo("b"), "a", [0], "kv", ["kv"]);
  const report = done.progress.get(0) as TransferProgress;
  assertEquals(report.decisions.length, 1);
  const ring = {
    ...done,
    progress: new Map([[0, { ...report, decisions: [] }]]),
  };
  const [transfer] = pendingTransfers(ring);
  assertEquals([transfer?.status, transfer?.completedModules], [
    "complete",
    ["kv"],
  ]);
});

Deno.test("transfersTowards() keeps a pending transfer to the same node", () => {
  let ring = addJoining(addJoining(fresh(), facts("b"), 0), facts("c"), 0);
  const first = ["b", ...new Array(7).fill("a")];
  ring = setOwnership(ring, "a", { next: transfersTowards(ring, first) });
  ring = completeTransfers(ring, "a", [0], null, []);
  const second = ["b", "c", ...new Array(6).fill("a")];
  ring = setOwnership(ring, "a", { next: transfersTowards(ring, second) });
  assertEquals(pendingTransfers(ring).map((t) => t.status), [
    "complete",
    "awaiting",
  ]);
});

Deno.test("rejoin() asks to be admitted without a commit", () => {
  const ring = rejoin(setStatus(fresh(), "a", "b", "down"), "b");
  assertEquals(isAutoJoining(ring, "b"), true);
  assertEquals(isAutoJoining(addJoining(fresh(), facts("c"), 0), "c"), false);
});
