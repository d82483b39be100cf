import { assertEquals } from "@std/assert";
import { planCompaction, type SegmentLife } from "./compaction_plan.ts";

const limits = { entriesMax: 100, bytesMax: 10_000 };

/** A full segment, of which this part is live. */
function part(live: number, full = 1): SegmentLife {
  const count = 100 * full;
  return {
    count,
    bodyBytes: 50 * count,
    liveCount: count * live,
    liveBytes: 50 * count * live,
    isBelow: true,
  };
}

Deno.test("planCompaction() merges neighbours of which less than half is live, up to a full segment", () => {
  const plan = planCompaction([
    part(0.3),
    part(0.3),
    part(0.3),
    part(0.3),
    part(0.9),
    part(0.1),
    part(0.6),
  ], limits);
  assertEquals(plan, [[0, 2], [3, 3], [5, 5]]);
});

Deno.test("planCompaction() merges small segments, but rewrites none on its own", () => {
  assertEquals(planCompaction([part(1, 0.1)], limits), []);
  assertEquals(
    planCompaction([part(1, 0.1), part(1, 0.2), part(1), part(1, 0.1)], limits),
    [[0, 1]],
  );
});

Deno.test("planCompaction() considers bytes as well as entries", () => {
  const large = { ...part(0.9), liveBytes: 1_000 };
  assertEquals(planCompaction([large], limits), [[0, 0]]);
  const heavy = { ...part(0.4), bodyBytes: 9_000, liveBytes: 6_000 };
  assertEquals(planCompaction([heavy, heavy], limits), [[0, 0], [1, 1]]);
});

Deno.test("planCompaction() leaves alone what is not below the snapshot", () => {
  const above = { ...part(0.1), isBelow: false };
  assertEquals(planCompaction([part(0.1), above, part(0.1)], limits), [
    [0, 0],
    [2, 2],
  ]);
  assertEquals(planCompaction([], limits), []);
});
