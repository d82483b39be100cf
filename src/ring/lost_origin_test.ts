import { assertEquals } from "@std/assert";
import { markConsistent } from "./consistent_buckets.ts";
import { lostOrigin } from "./lost_origin.ts";
import type { Ring } from "./ring.ts";
import {
  abortResize,
  beginResize,
  enterResizePhase,
  installResize,
} from "./ring_change.ts";
import type { RingResizePhase } from "./ring_generations.ts";
import { aloneOf } from "./testing/small_rings.ts";

function resized(ring: Ring, size: number): Ring {
  return installResize(onItsWay(ring, size, "copying"), "a");
}

/** `ring` on its way to `size` partitions, in `phase`. */
function onItsWay(ring: Ring, size: number, phase: RingResizePhase): Ring {
  const begun = beginResize(ring, "a", new Array<string>(size).fill("a"));
  return phase === "copying" ? begun : enterResizePhase(begun, "a", phase);
}

Deno.test("lostOrigin() is null while a ring goes from phase to phase, and when a resize was aborted", () => {
  const ring = aloneOf("a", 8);
  const copying = onItsWay(ring, 16, "copying");
  const binding = enterResizePhase(copying, "a", "binding");
  const reading = enterResizePhase(binding, "a", "reading");
  const steps = [ring, copying, binding, reading, resized(ring, 16)];
  steps.forEach((before, i) => {
    for (const after of steps.slice(i)) {
      assertEquals(lostOrigin(before, after), null);
    }
  });
  assertEquals(lostOrigin(binding, copying), null);
  for (const before of [copying, binding]) {
    assertEquals(lostOrigin(before, abortResize(before, "a")), null);
  }
});

Deno.test("lostOrigin() is the generation that the ring of the winning claimant lacks, or has with another size", () => {
  const ring = aloneOf("a", 8);
  const copying = onItsWay(ring, 16, "copying");
  const reading = onItsWay(ring, 16, "reading");
  const done = resized(ring, 16);
  const of16 = { generation: 1, size: 16 };
  assertEquals(lostOrigin(copying, ring), of16);
  assertEquals(lostOrigin(done, ring), of16);
  assertEquals(lostOrigin(copying, onItsWay(ring, 32, "copying")), of16);
  assertEquals(lostOrigin(done, resized(ring, 32)), of16);
  // What was read by it may be nowhere else.
  const again = resized(abortResize(copying, "a"), 32);
  for (const before of [reading, done]) {
    assertEquals(lostOrigin(before, abortResize(copying, "a")), of16);
    assertEquals(lostOrigin(before, copying), of16);
    assertEquals(lostOrigin(before, again), of16);
  }
  // Their groups have taken over, and serve.
  const numbers = [1, 2, 3, 4];
  const marked = markConsistent(copying, "a", {
    bucket: "b",
    numbers,
    wallMs: 0,
  });
  assertEquals(lostOrigin(done, marked), null);
});
