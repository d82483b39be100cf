import { assertEquals } from "@std/assert";
import { pendingTransfers, resizeSteps, type Ring } from "./ring.ts";
import {
  abortResize,
  addJoining,
  beginResize,
  completeTransfers,
  enterResizePhase,
  freshRing,
  installResize,
  resumeResize,
  stageSize,
} from "./ring_change.ts";
import { allReported, refuseResize } from "./ring_resize.ts";
import { mergeRings } from "./ring_merge.ts";
import {
  ageOfVnode,
  boundVnodes,
  firstVnode,
  firstVnodeOf,
  GENERATIONS_KEPT,
  generationsAlone,
  partitionOfVnode,
  type RingResizePhase,
  vnodeSizes,
} from "./ring_generations.ts";

function twoMembers(): Ring {
  const ring = freshRing({
    clusterName: "default",
    size: 8,
    seed: "0000000000000001",
    node: { name: "a", address: "h:1", nodeId: "id-a" },
    wallMs: 5,
  });
  return addJoining(ring, { name: "b", address: "h:2", nodeId: "id-b" }, 6);
}

const sixteen = new Array<string>(16).fill("a");

Deno.test("firstVnodeOf() keeps the vnodes of 64 generations apart", () => {
  assertEquals(firstVnodeOf(0), 0);
  assertEquals(firstVnodeOf(1) + 5, 1029);
  assertEquals(partitionOfVnode(1029), 5);
  assertEquals(firstVnodeOf(63) + 1023, 65_535);
  assertEquals(firstVnodeOf(64), 0);
});

Deno.test("ageOfVnode() relates vnodes to the ring during a resize and after it", () => {
  let ring = twoMembers();
  assertEquals(ageOfVnode(ring, 7), "present");
  assertEquals(ageOfVnode(ring, 1024), "unknown");
  ring = beginResize(ring, "a", sixteen);
  assertEquals(ageOfVnode(ring, 7), "present");
  assertEquals(ageOfVnode(ring, 1024), "future");
  ring = installResize(ring, "a");
  assertEquals(ring.size, 16);
  assertEquals(firstVnode(ring), 1024);
  assertEquals(ageOfVnode(ring, 7), "former");
  assertEquals(ageOfVnode(ring, 1024), "present");
  assertEquals([...vnodeSizes(ring)], [[0, 8], [1024, 16]]);
});

Deno.test("abortResize() uses up the generation, so that its data is never taken for another's", () => {
  let ring = beginResize(twoMembers(), "a", sixteen);
  ring = abortResize(ring, "a");
  assertEquals(ring.size, 8);
  assertEquals(ageOfVnode(ring, 1024), "aborted");
  ring = beginResize(ring, "a", sixteen);
  assertEquals(ageOfVnode(ring, 1024), "aborted");
  const first = firstVnodeOf(9);
  assertEquals(ageOfVnode(ring, first), "future");
  assertEquals([...vnodeSizes(ring)], [[0, 8], [first, 16]]);
});

Deno.test("abortResize() uses up the generation of a resumed resize, and no later one", () => {
  const thirtyTwo = new Array<string>(32).fill("a");
  let ring = beginResize(twoMembers(), "a", sixteen);
  ring = beginResize(abortResize(ring, "a"), "a", thirtyTwo);
  ring = resumeResize(abortResize(ring, "a"), "a", 1, sixteen);
  assertEquals(ring.ownership.generations.sizes, [8, 16, 0]);
  assertEquals(
    generationsAlone(ring.ownership.generations).sizes,
    [8, 0, 0],
  );
  ring = abortResize(ring, "a");
  assertEquals(ring.ownership.generations.sizes, [8, 0, 0]);
  assertEquals(ageOfVnode(ring, firstVnodeOf(1)), "aborted");
});

Deno.test("beginResize() gives a number to rings of one size only, even by claimants that do not know of each other", () => {
  const sizes = [8, 16, 32, 64, 128, 256, 512, 1024];
  const begun = (ring: Ring, size: number) =>
    beginResize(ring, "a", new Array<string>(size).fill("a"));
  const numbers = new Map<number, Set<number>>();
  for (const size of sizes) {
    // It may have given up others, and come from another ring.
    let ring = twoMembers();
    for (const other of sizes) {
      for (const before of [ring, abortResize(begun(ring, other), "a")]) {
        const { resize, newest, sizes } =
          begun(before, size).ownership.generations;
        const generation = resize?.generation ?? -1;
        assertEquals([newest, sizes.at(-1)], [generation, size]);
        assertEquals(sizes.length, generation + 1);
        const first = firstVnodeOf(generation);
        numbers.set(first, (numbers.get(first) ?? new Set()).add(size));
      }
      ring = installResize(begun(ring, other), "a");
      if (ring.ownership.generations.newest > 40) ring = twoMembers();
    }
  }
  assertEquals([...numbers.values()].every(({ size }) => size === 1), true);
});

/** The numbers that resizes to `size` get, each aborted, until another one is refused. */
function numbersUsed(given: Ring, size: number): number[] {
  const owners = new Array<string>(size).fill("a");
  const generations: number[] = [];
  let ring = given;
  while (refuseResize(ring, size) === null) {
    ring = beginResize(ring, "a", owners);
    generations.push(ring.ownership.generations.resize?.generation ?? -1);
    ring = abortResize(ring, "a");
  }
  const refusal = refuseResize(ring, size);
  assertEquals(refusal?.code, "not_capable");
  return generations;
}

function upTo(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

Deno.test("beginResize() takes the next number once half of them are used up, until refuseResize() refuses", () => {
  assertEquals(numbersUsed(twoMembers(), 16), [1, 9, 17, 25, ...upTo(33, 63)]);
  // Some sizes have to skip more than others, and there is no 64.
  const resized = installResize(beginResize(twoMembers(), "a", sixteen), "a");
  assertEquals(numbersUsed(resized, 1024), [7, 15, 23, 31, ...upTo(34, 63)]);
  for (const size of [8, 32, 64, 128, 256, 512, 1024]) {
    const longest = numbersUsed(resized, size);
    assertEquals(longest.length, 34);
    assertEquals(longest.at(-1), 63);
  }
});

Deno.test("beginResize() never takes a number whose vnodes are numbered like those of generation 0", () => {
  let ring = twoMembers();
  const sizes = new Map<number, Set<number>>();
  for (let i = 0; ring.ownership.generations.newest < 200; i++) {
    const size = [8, 16, 8, 1024][i % 4] as number;
    if (size === ring.size) continue;
    ring = beginResize(ring, "a", new Array<string>(size).fill("a"));
    const { newest } = ring.ownership.generations;
    const first = firstVnodeOf(newest);
    sizes.set(first, (sizes.get(first) ?? new Set()).add(size));
    ring = i % 3 === 0 ? abortResize(ring, "a") : installResize(ring, "a");
  }
  assertEquals(sizes.has(0), false);
  assertEquals([...sizes.values()].every(({ size }) => size === 1), true);
});

Deno.test("beginResize() forgets a generation when its numbers are reused", () => {
  let ring = twoMembers();
  while (ring.ownership.generations.newest <= GENERATIONS_KEPT) {
    const owners = new Array<string>(ring.size === 8 ? 16 : 8).fill("a");
    ring = installResize(beginResize(ring, "a", owners), "a");
  }
  assertEquals(ring.ownership.generations.current, 72);
  assertEquals(ring.ownership.generations.sizes.length, 64);
  assertEquals(firstVnode(ring), firstVnodeOf(8));
  assertEquals(ageOfVnode(ring, firstVnodeOf(8)), "present");
  assertEquals(ageOfVnode(ring, firstVnodeOf(9)), "former");
});

Deno.test("resizeSteps() counts reports about this resize and no other", () => {
  let ring = beginResize(twoMembers(), "a", sixteen);
  ring = completeTransfers(ring, "a", [3], "kv", ["kv"]);
  assertEquals(resizeSteps(ring).map(({ status }) => status), [
    "awaiting",
    "awaiting",
    "awaiting",
    "complete",
    ...new Array(4).fill("awaiting"),
  ]);
  assertEquals(pendingTransfers(ring), []);
  ring = beginResize(abortResize(ring, "a"), "a", sixteen);
  assertEquals(
    resizeSteps(ring).every(({ status }) => status === "awaiting"),
    true,
  );
});

Deno.test("enterResizePhase() begins a phase without reports, and holds writes of the current owners", () => {
  let ring = beginResize(twoMembers(), "a", sixteen);
  const partitions = [0, 1, 2, 3, 4, 5, 6, 7];
  const vnodes = (node: string): number[] => boundVnodes(ring, node);
  assertEquals(vnodes("a"), []);
  for (const phase of ["binding", "reading"] as const) {
    ring = completeTransfers(ring, "a", partitions, "kv", ["kv"]);
    assertEquals(allReported(ring), true);
    ring = enterResizePhase(ring, "a", phase);
    assertEquals(allReported(ring), false);
    assertEquals([vnodes("a"), vnodes("b")], [partitions, []]);
  }
  ring = installResize(ring, "a");
  assertEquals(vnodes("a"), []);
});

Deno.test("enterResizePhase() drops a staged abort once reads may use the resized ring", () => {
  const begun = beginResize(twoMembers(), "a", sixteen);
  const staged = stageSize(begun, "a", 0);
  const stagedIn = (phase: RingResizePhase): number | null =>
    enterResizePhase(staged, "a", phase).ownership.generations.staged;
  assertEquals(stagedIn("binding"), 0);
  assertEquals(stagedIn("reading"), null);
});

Deno.test("mergeRings() takes the size from the later ownership", () => {
  const before = twoMembers();
  const begun = beginResize(stageSize(before, "a", 16), "a", sixteen);
  const installed = installResize(begun, "a");
  for (const [a, b] of [[begun, installed], [installed, before]] as const) {
    assertEquals(mergeRings(a, b).size, 16);
    assertEquals(mergeRings(b, a), mergeRings(a, b));
  }
});
