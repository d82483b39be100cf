/**
 * Tests of preference lists against those made by riak_core
 * (tests/golden/preflist.json) and against the example in its own unit test.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { partitionIndex, partitionOf } from "./chash.ts";
import {
  activePreflist,
  fillActivePreflist,
  fillPreflist,
  fillPrimaryPreflist,
  type NamedRing,
  Preflist,
  preflist,
  type PreflistEntry,
  primaryPreflist,
} from "./preflist.ts";
import golden from "../../tests/golden/preflist.json" with { type: "json" };

function ring(nodes: string[], owners: number[], down: string[]): NamedRing {
  return {
    nodes,
    owners: Uint16Array.from(owners),
    up: Uint8Array.from(nodes, (node) => down.includes(node) ? 0 : 1),
  };
}

/** Entries as the golden data writes them. */
function recorded(entries: PreflistEntry[]): unknown[] {
  return entries.map(({ partition, node, kind }) => ({
    index: String(partitionIndex(partition, 64)),
    node,
    type: kind,
  }));
}

Deno.test("activePreflist(), primaryPreflist() and preflist() give what riak_core gives, whoever is down", () => {
  let compared = 0;
  for (const { nodes, owners, keys } of golden.rings) {
    for (const recordedKey of keys) {
      const first = partitionOf(recordedKey.bucket, recordedKey.key, 64);
      assertEquals(
        recorded(preflist(ring(nodes, owners, []), first, 3)),
        recordedKey.preflist.map((entry) => ({ ...entry, type: "primary" })),
      );
      for (const { down, apl, primaryApl } of recordedKey.apl) {
        const now = ring(nodes, owners, down);
        assertEquals(recorded(activePreflist(now, first, 3)), apl);
        assertEquals(recorded(primaryPreflist(now, first, 3)), primaryApl);
        compared++;
      }
    }
  }
  assertEquals(compared, 15 * 10 + 15 * 14);
});

Deno.test("activePreflist() gives the lists of riak_core's own example with 8 partitions", () => {
  const nodes = ["a", "b", "c", "d"];
  const owners = [0, 1, 2, 3, 0, 1, 2, 3];
  const cases: [string[], string[]][] = [
    [[], ["0:a", "1:b", "2:c"]],
    [["a"], ["1:b", "2:c", "0:d"]],
    [["a", "b"], ["2:c", "0:d", "1:c"]],
    [["c", "d"], ["0:a", "1:b", "2:a"]],
  ];
  for (const [down, expected] of cases) {
    // The last place of the ring, whose first owner is partition 0.
    const list = activePreflist(ring(nodes, owners, down), 0, 3);
    assertEquals(
      list.map(({ partition, node }) => `${partition}:${node}`),
      expected,
    );
  }
});

Deno.test("activePreflist() is shorter than n when the walk comes round", () => {
  const nodes = ["a", "b"];
  const owners = [0, 0, 0, 0, 0, 0, 0, 1];
  const list = activePreflist(ring(nodes, owners, ["a"]), 0, 3);
  assertEquals(list, [{ partition: 0, node: "b", kind: "fallback" }]);
  assertEquals(activePreflist(ring(nodes, owners, nodes), 5, 3), []);
});

Deno.test("fillActivePreflist() leaves nothing of an earlier list behind", () => {
  const nodes = ["a", "b", "c"];
  const owners = [0, 1, 2, 0, 1, 2, 0, 1];
  const into = new Preflist(3);
  fillActivePreflist(into, ring(nodes, owners, ["a"]), 6, 3);
  const entries = (): string[] =>
    Array.from(
      { length: into.length },
      (_, i) => `${into.partitions[i]}:${into.nodes[i]}:${into.fallbacks[i]}`,
    );
  assertEquals(entries(), ["7:1:0", "6:1:1", "0:2:1"]);
  fillPreflist(into, ring(nodes, owners, []), 6, 3);
  assertEquals(entries(), ["6:0:0", "7:1:0", "0:0:0"]);
  fillPrimaryPreflist(into, ring(nodes, owners, ["a"]), 6, 3);
  assertEquals(entries(), ["7:1:0"]);
});

Deno.test("fillPreflist() refuses an n that the ring or the list cannot hold", () => {
  const view = ring(["a"], Array(8).fill(0), []);
  for (const n of [0, -1, 1.5, NaN, 9]) {
    assertThrows(() => preflist(view, 0, n), RangeError, `value is ${n}`);
    assertThrows(() => activePreflist(view, 0, n), RangeError);
    assertThrows(() => primaryPreflist(view, 0, n), RangeError);
  }
  assertThrows(
    () => fillActivePreflist(new Preflist(2), view, 0, 3),
    RangeError,
    "n must be from 1 to 2",
  );
});
