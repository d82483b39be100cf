import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { partitionOf } from "../../src/ring/chash.ts";
import {
  SPREAD_REPLICAS_DEFAULT,
  spreadTo,
} from "../../src/vnode/handoff_spread.ts";

const size = fc.constantFrom(8, 16, 32, 64, 128, 256, 512, 1024);

function preflist(first: number, n: number, ringSize: number): number[] {
  return Array.from({ length: n }, (_, i) => (first + i) % ringSize);
}

Deno.test("spreadTo() sends the replicas of every key to its future preference list and nowhere else", () => {
  fc.assert(
    fc.property(
      size,
      size,
      fc.integer({ min: 1, max: 8 }),
      fc.string(),
      fc.string(),
      (ringSize, after, n, bucket, key) => {
        const firstBefore = partitionOf(bucket, key, ringSize);
        const firstAfter = partitionOf(bucket, key, after);
        const sent = preflist(firstBefore, n, ringSize).flatMap((partition) =>
          spreadTo({ partition, ringSize }, firstBefore, firstAfter, after)
        );
        const future = preflist(firstAfter, n, after);
        if (n <= SPREAD_REPLICAS_DEFAULT) assertEquals(sent, future);
        else assertEquals(new Set(sent), new Set(future));
      },
    ),
    { numRuns: 2_000 },
  );
});

Deno.test("spreadTo() sends what is where no preference list has it to the replicas that keys usually have", () => {
  fc.assert(
    fc.property(
      size.filter((each) => each > 8),
      size,
      fc.string(),
      fc.nat(2_000),
      (ringSize, after, key, past) => {
        const before = partitionOf("b", key, ringSize);
        const first = partitionOf("b", key, after);
        const stray = [
          (before + 8) % ringSize,
          (before + ringSize - 1) % ringSize,
          // Of a larger ring, which this one never was.
          ringSize + past,
        ];
        for (const partition of stray) {
          assertEquals(
            spreadTo({ partition, ringSize }, before, first, after),
            preflist(first, SPREAD_REPLICAS_DEFAULT, after),
          );
        }
      },
    ),
  );
});
