import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Repairs, REPAIRS_KEPT, repairShares } from "./repairs.ts";

/** The partitions that hold key space `keySpace`. */
function holders(keySpace: number, ringSize: number, n: number): number[] {
  return Array.from(
    { length: Math.min(n, ringSize) },
    (_, i) => (keySpace + i) % ringSize,
  );
}

Deno.test("repairShares() asks the two neighbours on either side for what they share, with three replicas", () => {
  assertEquals(repairShares(0, 8, 3), [
    { sourcePartition: 6, keySpaces: [6] },
    { sourcePartition: 7, keySpaces: [6, 7] },
    { sourcePartition: 1, keySpaces: [0, 7] },
    { sourcePartition: 2, keySpaces: [0] },
  ]);
  assertEquals(repairShares(3, 8, 1), []);
});

Deno.test("repairShares() requests each key space from every other partition that holds it, and nothing else", () => {
  const rings = fc.record({
    ringSize: fc.integer({ min: 1, max: 40 }),
    n: fc.integer({ min: 1, max: 6 }),
    at: fc.nat(),
  });
  fc.assert(
    fc.property(rings, ({ ringSize, n, at }) => {
      const partition = at % ringSize;
      const shares = repairShares(partition, ringSize, n);
      const expected = new Set<string>();
      for (let keySpace = 0; keySpace < ringSize; keySpace++) {
        const held = holders(keySpace, ringSize, n);
        if (!held.includes(partition)) continue;
        for (const source of held) {
          if (source !== partition) expected.add(`${source}:${keySpace}`);
        }
      }
      const asked = shares.flatMap(({ sourcePartition, keySpaces }) =>
        keySpaces.map((keySpace) => `${sourcePartition}:${keySpace}`)
      );
      assertEquals(asked.length, new Set(asked).size);
      assertEquals(new Set(asked), expected);
      for (const { keySpaces } of shares) {
        assertEquals(keySpaces, [...keySpaces].sort((a, b) => a - b));
      }
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("Repairs ends a repair when every neighbour has sent, once each", () => {
  const repairs = new Repairs();
  const repair = repairs.begin("kv", 0, repairShares(0, 8, 3));
  assertEquals(repairs.begin("kv", 0, []), repair);
  assertEquals(repairs.shareArrived("kv", 0, 5, "b", 9), undefined);
  assertEquals(repairs.shareArrived("other", 0, 6, "b", 9), undefined);
  for (const source of [6, 7, 1]) {
    assertEquals(repairs.shareArrived("kv", 0, source, "b", 2), undefined);
    assertEquals(repairs.shareArrived("kv", 0, source, "b", 2), undefined);
  }
  assertEquals(repairs.statuses(() => "c")[0], {
    module: "kv",
    partition: 0,
    state: "running",
    done: ["b/6", "b/7", "b/1"],
    pending: ["c/2"],
    items: 6,
    reason: null,
  });
  assertEquals(repairs.shareArrived("kv", 0, 2, "b", 2), repair);
  assertEquals([repair.state, repair.items, repairs.running], ["done", 8, []]);
  assert(repairs.begin("kv", 0, repairShares(0, 8, 3)) !== repair);
});

Deno.test("Repairs completes at once if no other partition shares key spaces", () => {
  const repairs = new Repairs();
  assertEquals(repairs.begin("kv", 0, []).state, "done");
});

Deno.test("Repairs.giveUp() abandons repairs of lost partitions", () => {
  const repairs = new Repairs();
  const shares = repairShares(0, 8, 3);
  for (const partition of [1, 2]) repairs.begin("kv", partition, shares);
  repairs.giveUp((partition) => partition === 1, "moved");
  assertEquals(
    repairs.statuses(() => "c").map(({ partition, state, reason }) => [
      partition,
      state,
      reason,
    ]),
    [[2, "running", null], [1, "failed", "moved"]],
  );
});

Deno.test("Repairs remembers REPAIRS_KEPT ended repairs, and all running ones", () => {
  const repairs = new Repairs();
  repairs.begin("kv", 0, repairShares(0, 8, 3));
  for (let i = 0; i < REPAIRS_KEPT + 5; i++) repairs.begin("kv", 1, []);
  assertEquals(repairs.statuses(() => "c").length, REPAIRS_KEPT);
  assertEquals(repairs.running.map(({ partition }) => partition), [0]);
});
