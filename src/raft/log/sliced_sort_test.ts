import { assert, assertEquals } from "@std/assert";
import { sortedInSlices } from "./sliced_sort.ts";

function run(given: Iterable<number>): { sorted: number[]; slices: number } {
  const work = sortedInSlices(given);
  for (let slices = 1;; slices++) {
    const { done, value } = work.next();
    if (done) return { sorted: [...value], slices };
  }
}

Deno.test("sortedInSlices() sorts any count of numbers, including duplicates", () => {
  let chance = 7;
  for (const count of [0, 1, 2, 16_384, 16_385, 50_000, 131_072]) {
    const given = Array.from({ length: count }, () => {
      chance = (chance * 48_271) % 2_147_483_647;
      return chance % (count / 2 + 1 | 0) + 2 ** 40;
    });
    assertEquals(run(given).sorted, given.toSorted((a, b) => a - b));
  }
});

Deno.test("sortedInSlices() needs many slices for many numbers, and few if they are sorted", () => {
  const numbers = Array.from({ length: 200_000 }, (_, at) => at);
  assert(run(numbers).slices < 30);
  assert(run(numbers.toReversed()).slices > 50);
});
