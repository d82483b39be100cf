import { assertEquals } from "@std/assert";
import { markConsistent } from "./consistent_buckets.ts";
import { lostOrigins } from "./lost_origin.ts";
import type { Ring } from "./ring.ts";
import {
  abortResize,
  beginResize,
  enterResizePhase,
  installResize,
  resumeResize,
  setOrigins,
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

Deno.test("lostOrigins() are none while a ring goes from phase to phase, and when a resize was aborted", () => {
  const ring = aloneOf("a", 8);
  const copying = onItsWay(ring, 16, "copying");
  const binding = enterResizePhase(copying, "a", "binding");
  const reading = enterResizePhase(binding, "a", "reading");
  const steps = [ring, copying, binding, reading, resized(ring, 16)];
  steps.forEach((before, i) => {
    for (const after of steps.slice(i)) {
      assertEquals(lostOrigins(before, after), []);
    }
  });
  assertEquals(lostOrigins(binding, copying), []);
  for (const before of [copying, binding]) {
    assertEquals(lostOrigins(before, abortResize(before, "a")), []);
  }
});

Deno.test("lostOrigins() are the generation that the ring of the winning claimant lacks, or has with another size", () => {
  const ring = aloneOf("a", 8);
  const copying = onItsWay(ring, 16, "copying");
  const reading = onItsWay(ring, 16, "reading");
  const done = resized(ring, 16);
  const of16 = { generation: 1, size: 16 };
  assertEquals(lostOrigins(copying, ring), [of16]);
  assertEquals(lostOrigins(done, ring), [of16]);
  assertEquals(lostOrigins(done, resized(ring, 32)), [of16]);
  // From an earlier version, whose numbers do not tell the size.
  const owners = new Array<string>(32).fill("a");
  const sameNumber = resumeResize(ring, "a", 1, owners);
  assertEquals(lostOrigins(copying, sameNumber), [of16]);
  assertEquals(lostOrigins(done, installResize(sameNumber, "a")), [of16]);
  // What was read by it may be nowhere else.
  const again = resized(abortResize(copying, "a"), 32);
  for (const before of [reading, done]) {
    assertEquals(lostOrigins(before, abortResize(copying, "a")), [of16]);
    assertEquals(lostOrigins(before, copying), [of16]);
    assertEquals(lostOrigins(before, again), [of16]);
  }
  // Their groups have taken over, and serve.
  const numbers = [1, 2, 3, 4];
  const marked = markConsistent(copying, "a", {
    bucket: "b",
    numbers,
    wallMs: 0,
  });
  assertEquals(lostOrigins(done, marked), []);
});

Deno.test("lostOrigins() are the generation of the owners and that of a resize if the ring has neither", () => {
  const ring = aloneOf("a", 8);
  const done = resized(ring, 16);
  for (const phase of ["copying", "reading"] as const) {
    assertEquals(lostOrigins(onItsWay(done, 32, phase), ring), [
      { generation: 1, size: 16 },
      { generation: 2, size: 32 },
    ]);
  }
});

Deno.test("lostOrigins() are former generations, too, that the ring lacks, counts as aborted, or has with another size", () => {
  const ring = aloneOf("a", 8);
  const of16 = { generation: 1, size: 16 };
  const of32 = { generation: 2, size: 32 };
  const before = resized(resized(ring, 16), 32);
  // That of the owners comes first.
  assertEquals(lostOrigins(before, ring), [of32, of16]);
  assertEquals(lostOrigins(before, resized(ring, 1024)), [of32, of16]);
  const owners = new Array<string>(64).fill("a");
  const sameNumber = installResize(resumeResize(ring, "a", 1, owners), "a");
  assertEquals(lostOrigins(before, sameNumber), [of32, of16]);
  assertEquals(lostOrigins(before, resized(ring, 16)), [of32]);
  // What is given up belongs to nobody.
  const without = resized(
    abortResize(onItsWay(ring, 16, "copying"), "a"),
    32,
  );
  assertEquals(lostOrigins(without, resized(ring, 1024)), [of32]);
});

Deno.test("lostOrigins() end with the newest generation if it was aborted and the ring has never heard of it", () => {
  const ring = aloneOf("a", 8);
  const of16 = { generation: 1, size: 16 };
  const aborted = abortResize(onItsWay(ring, 16, "binding"), "a");
  assertEquals(lostOrigins(aborted, ring), [of16]);
  // A ring that has given a later number counts it as aborted.
  assertEquals(lostOrigins(aborted, resized(ring, 32)), []);
  assertEquals(lostOrigins(aborted, onItsWay(ring, 16, "copying")), []);
  const done = resized(ring, 32);
  const again = abortResize(onItsWay(done, 64, "copying"), "a");
  const of32 = { generation: 2, size: 32 };
  const of64 = { generation: 3, size: 64 };
  assertEquals(lostOrigins(again, ring), [of32, of64]);
  assertEquals(lostOrigins(again, done), [of64]);
  // The next resize does not use its number.
  const told = setOrigins(ring, "a", [of16], 0);
  const { generations } = onItsWay(told, 16, "copying").ownership;
  assertEquals(generations.resize?.generation, 9);
});

Deno.test("lostOrigins() take an aborted generation for as large as any where its number does not tell the size", () => {
  const ring = aloneOf("a", 8);
  let before = ring;
  for (const generation of [1, 9, 17, 25, 33]) {
    before = abortResize(onItsWay(before, 16, "copying"), "a");
    const size = generation === 33 ? 1_024 : 16;
    assertEquals(lostOrigins(before, ring), [{ generation, size }]);
  }
});

Deno.test("lostOrigins() begin with the generation of the owners, then that of a resize, then the latest former one", () => {
  const ring = aloneOf("a", 8);
  const before = onItsWay(resized(resized(ring, 16), 32), 64, "reading");
  assertEquals(lostOrigins(before, ring).map(({ size }) => size), [
    32,
    64,
    16,
  ]);
});

Deno.test("lostOrigins() are not former generations whose numbers are used again", () => {
  let ring = aloneOf("a", 8);
  while (ring.ownership.generations.current < 100) {
    const after = resized(ring, ring.size === 8 ? 16 : 8);
    assertEquals(lostOrigins(ring, after), []);
    ring = after;
  }
});
