import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { partitionOf } from "../ring/chash.ts";
import { partitionOfKey, sourcePartitions } from "./group_sources.ts";

Deno.test("sourcePartitions() names one source where the ring grows, and several where it shrinks", () => {
  assertEquals(sourcePartitions(1, 16, 8), [1]);
  assertEquals(sourcePartitions(2, 16, 8), [1]);
  assertEquals(sourcePartitions(3, 16, 8), [2]);
  assertEquals(sourcePartitions(0, 16, 8), [0]);
  assertEquals(sourcePartitions(15, 16, 8), [0]);
  assertEquals(sourcePartitions(1, 8, 16), [1, 2]);
  assertEquals(sourcePartitions(0, 8, 16), [15, 0]);
  assertEquals(sourcePartitions(3, 8, 32), [9, 10, 11, 12]);
});

Deno.test("a key that a partition has comes from one of its sources", () => {
  const size = fc.integer({ min: 3, max: 10 }).map((bits) => 2 ** bits);
  fc.assert(fc.property(size, size, fc.string(), (size, before, key) => {
    const partition = partitionOf("accounts", key, size);
    const source = partitionOf("accounts", key, before);
    const sources = sourcePartitions(partition, size, before);
    assertEquals(sources.includes(source), true);
    assertEquals(
      sourcePartitions(source, before, size).includes(partition),
      true,
    );
  }));
});

Deno.test("partitionOfKey() hashes bucket and key of a storage key", () => {
  const bytes = new TextEncoder().encode("\0\x04shopcart1");
  assertEquals(partitionOfKey(bytes, 64), partitionOf("shop", "cart1", 64));
});
