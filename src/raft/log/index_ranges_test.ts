import { assertEquals } from "@std/assert";
import { IndexRanges } from "./index_ranges.ts";

Deno.test("IndexRanges.of() builds ranges from indexes in any order, with repetitions", () => {
  const ranges = IndexRanges.of([9, 3, 1, 2, 3, 11, 10]);
  assertEquals([...ranges.ranges()], [[1, 3], [9, 11]]);
  assertEquals([...ranges], [1, 2, 3, 9, 10, 11]);
  assertEquals([ranges.count, ranges.rangeCount], [6, 2]);
  assertEquals([...IndexRanges.of([])], []);
  assertEquals(IndexRanges.none.has(1), false);
});

Deno.test("IndexRanges counts and finds the same as a set", () => {
  const members = [2, 3, 4, 7, 20, 21];
  const ranges = IndexRanges.of(members);
  for (let first = 0; first < 25; first++) {
    assertEquals(ranges.has(first), members.includes(first));
    for (let last = first - 1; last < 25; last++) {
      assertEquals(
        ranges.countBetween(first, last),
        members.filter((index) => index >= first && index <= last).length,
      );
    }
  }
});
