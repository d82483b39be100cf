/**
 * What holds for every coverage plan: the properties riak_core checks
 * (`prop_cover_partitions`, `prop_distribution`, `prop_find_coverage_partitions`
 * and `prop_pvc` of `riak_core_coverage_plan.erl`), and that a plan asks few.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type CoveragePlan,
  planCoverage,
} from "../../src/ring/coverage_plan.ts";

const RUNS = { numRuns: 300 };

/** A ring with any owners, some of them down, and a query on it. */
const cases = fc.record({
  bits: fc.integer({ min: 3, max: 8 }),
  n: fc.integer({ min: 1, max: 5 }),
  coverage: fc.integer({ min: 1, max: 5 }),
  start: fc.nat({ max: 2 ** 31 }),
  /** Bits of it say who is down. */
  nodes: fc.integer({ min: 1, max: 12 }),
  down: fc.nat({ max: 2 ** 12 - 1 }),
  seed: fc.nat({ max: 1 << 20 }),
}).map(({ bits, n, coverage, start, nodes, down, seed }) => {
  const ringSize = 1 << bits;
  const owners = Array.from(
    { length: ringSize },
    (_, partition) =>
      seed % 3 === 0 ? partition % nodes : (partition * 7919 + seed) % nodes,
  );
  return {
    ringSize,
    n,
    primaryVnodeCoverage: Math.min(coverage, n),
    start,
    available: (partition: number) =>
      (down & (1 << (owners[partition] as number))) === 0,
  };
});
type Case = Parameters<typeof planCoverage>[0] & {
  primaryVnodeCoverage: number;
  available: (partition: number) => boolean;
};

/** How often each key space is asked for. */
function coverageOf({ vnodes }: CoveragePlan, ringSize: number): number[] {
  const counts = Array<number>(ringSize).fill(0);
  for (const { keySpaces } of vnodes) {
    for (const keySpace of keySpaces) (counts[keySpace] as number)++;
  }
  return counts;
}

/** Vnodes of `keySpace` that are up. */
function holders({ ringSize, n, available }: Case, keySpace: number): number {
  let count = 0;
  for (let i = 0; i < n; i++) {
    if (available((keySpace + i) % ringSize)) count++;
  }
  return count;
}

Deno.test("a plan asks as many vnodes for each key space as must report it, or all that can", () => {
  fc.assert(
    fc.property(cases, (query) => {
      const plan = planCoverage(query);
      const missing: number[] = [];
      coverageOf(plan, query.ringSize).forEach((count, keySpace) => {
        const wanted = query.primaryVnodeCoverage;
        const able = holders(query, keySpace);
        assertEquals(count, Math.min(wanted, able));
        if (able < wanted) missing.push(keySpace);
      });
      assertEquals(plan.missing, missing);
    }),
    RUNS,
  );
});

Deno.test("a plan asks each vnode once, only those that can be asked, and for no more than they hold", () => {
  fc.assert(
    fc.property(cases, (query) => {
      const { vnodes } = planCoverage(query);
      const asked = vnodes.map(({ partition }) => partition);
      assertEquals(asked, [...new Set(asked)].sort((a, b) => a - b));
      for (const { partition, keySpaces, filtered } of vnodes) {
        assert(query.available(partition));
        assert(keySpaces.length > 0);
        assertEquals(filtered, keySpaces.length < query.n);
        assertEquals(new Set(keySpaces).size, keySpaces.length);
        for (const keySpace of keySpaces) {
          const back = (partition - keySpace + query.ringSize) % query.ringSize;
          assert(back < query.n, `${partition} does not hold ${keySpace}`);
        }
      }
    }),
    RUNS,
  );
});

Deno.test("with all vnodes up a plan asks as few of them as possible", () => {
  fc.assert(
    fc.property(cases, (query) => {
      const { ringSize, n, primaryVnodeCoverage } = query;
      const all = { ...query, available: () => true };
      const fewest = Math.ceil(ringSize / n);
      const once = planCoverage({ ...all, primaryVnodeCoverage: 1 });
      assertEquals(once.vnodes.length, fewest);
      const { vnodes } = planCoverage(all);
      assert(vnodes.length >= ringSize * primaryVnodeCoverage / n);
      assert(vnodes.length <= fewest * primaryVnodeCoverage);
    }),
    RUNS,
  );
});

Deno.test("over all starting points every vnode is asked equally often", () => {
  fc.assert(
    fc.property(
      cases.filter(({ ringSize }) => ringSize <= 64),
      (query) => {
        const { ringSize } = query;
        const asked = Array<number>(ringSize).fill(0);
        for (let start = 0; start < ringSize; start++) {
          const { vnodes } = planCoverage({
            ...query,
            start,
            available: () => true,
          });
          for (const { partition } of vnodes) (asked[partition] as number)++;
        }
        assertEquals(new Set(asked).size, 1, `${asked}`);
      },
    ),
    { numRuns: 50 },
  );
});
