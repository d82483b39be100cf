import { assertEquals } from "@std/assert";
import { seededChance } from "../base/chance.ts";
import { assignLargest } from "./assignment.ts";

Deno.test("assignLargest() gives up the largest cell when the rest lose more", () => {
  const gains = [[9, 8, 0], [8, 1, 0], [0, 0, 1]].map((r) =>
    Int32Array.from(r)
  );
  assertEquals([...assignLargest(gains)], [1, 0, 2]);
});

Deno.test("assignLargest() finds the same gain as trying every pairing", () => {
  const chance = seededChance("assignment");
  for (let round = 0; round < 200; round++) {
    const size = 1 + chance.below(6);
    const gains = Array.from(
      { length: size },
      () => Int32Array.from({ length: size }, () => chance.below(12)),
    );
    const columns = assignLargest(gains);
    assertEquals(new Set(columns).size, size);
    const total = columns.reduce(
      (sum, column, row) => sum + gains[row]![column]!,
      0,
    );
    assertEquals(total, largestTotal(gains, 0, new Set()));
  }
});

function largestTotal(
  gains: readonly Int32Array[],
  row: number,
  taken: Set<number>,
): number {
  if (row === gains.length) return 0;
  let best = -Infinity;
  for (let column = 0; column < gains.length; column++) {
    if (taken.has(column)) continue;
    taken.add(column);
    best = Math.max(
      best,
      gains[row]![column]! + largestTotal(gains, row + 1, taken),
    );
    taken.delete(column);
  }
  return best;
}
