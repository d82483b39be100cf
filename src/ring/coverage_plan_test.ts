import { assertEquals, assertThrows } from "@std/assert";
import { partitionAtIndex } from "./chash.ts";
import { planCoverage } from "./coverage_plan.ts";

interface Golden {
  readonly rings: readonly {
    readonly nodes: readonly string[];
    readonly ringSize: number;
    readonly owners: readonly number[];
    readonly plans: readonly {
      readonly down: readonly string[];
      readonly nVal: number;
      readonly pvc: number;
      readonly reqId: number;
      readonly plan: {
        readonly vnodes: readonly {
          readonly index: string;
          readonly node: string;
        }[];
        readonly filters: readonly {
          readonly index: string;
          readonly keySpaces: readonly string[];
        }[];
      };
    }[];
  }[];
}

Deno.test("planCoverage() plans as riak_core does", async () => {
  const golden: Golden = JSON.parse(
    await Deno.readTextFile(
      new URL("../../tests/golden/coverage.json", import.meta.url),
    ),
  );
  let compared = 0;
  for (const { nodes, ringSize, owners, plans } of golden.rings) {
    const nodeOf = (partition: number) => nodes[owners[partition] as number];
    const numbers = (indices: readonly string[]) =>
      indices.map((index) => partitionAtIndex(index, ringSize))
        .sort((a, b) => a - b);
    for (const { down, nVal, pvc, reqId, plan } of plans) {
      const { vnodes, missing } = planCoverage({
        ringSize,
        n: nVal,
        primaryVnodeCoverage: pvc,
        start: reqId,
        available: (partition) => !down.includes(nodeOf(partition) as string),
      });
      assertEquals(missing, []);
      assertEquals(
        vnodes.map(({ partition }) => [partition, nodeOf(partition)]),
        plan.vnodes.map(({ index, node }) => [
          partitionAtIndex(index, ringSize),
          node,
        ]),
      );
      assertEquals(
        new Map(
          vnodes.filter(({ filtered }) => filtered).map((
            { partition, keySpaces },
          ) => [partition, keySpaces.toSorted((a, b) => a - b)]),
        ),
        new Map(
          plan.filters.map(({ index, keySpaces }) => [
            partitionAtIndex(index, ringSize),
            numbers(keySpaces),
          ]),
        ),
      );
      compared++;
    }
  }
  assertEquals(compared, 30);
});

Deno.test("planCoverage() says which key spaces nobody can answer for", () => {
  const { vnodes, missing } = planCoverage({
    ringSize: 8,
    n: 2,
    start: 0,
    available: (partition) => partition !== 3 && partition !== 4,
  });
  // The vnodes of 3 and 4 are those that hold key space 3.
  assertEquals(missing, [3]);
  const covered = vnodes.flatMap(({ keySpaces }) => keySpaces);
  assertEquals(covered.toSorted(), [0, 1, 2, 4, 5, 6, 7]);
});

Deno.test("planCoverage() asks only for the requested key spaces", () => {
  const plan = planCoverage({
    ringSize: 8,
    n: 3,
    start: 5,
    available: (partition) => partition !== 1,
    keySpaces: [7, 0],
  });
  assertEquals(plan, {
    vnodes: [{ partition: 0, keySpaces: [7, 0], filtered: true }],
    missing: [],
  });
});

Deno.test("planCoverage() does not ask a vnode for a key space it cannot be asked for", () => {
  const { vnodes, missing } = planCoverage({
    ringSize: 8,
    n: 2,
    start: 0,
    available: (partition, keySpace) => partition !== keySpace,
  });
  assertEquals(missing, []);
  for (const { partition, keySpaces } of vnodes) {
    assertEquals(keySpaces, [(partition + 7) % 8]);
  }
});

Deno.test("planCoverage() refuses invalid queries", () => {
  const query = { ringSize: 8, n: 3, start: 0, available: () => true };
  for (
    const change of [
      { n: 0 },
      { n: 9 },
      { n: 1.5 },
      { primaryVnodeCoverage: 0 },
      { primaryVnodeCoverage: 4 },
      { start: -1 },
      { start: 0.5 },
    ]
  ) {
    assertThrows(() => planCoverage({ ...query, ...change }), RangeError);
  }
});
