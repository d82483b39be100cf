import { assert, assertEquals } from "@std/assert";
import { ReadCache } from "./read_cache.ts";

const value = (seed: number, length = 100) => new Uint8Array(length).fill(seed);

Deno.test("ReadCache.get() distinguishes a value, a known absence and an unknown key", () => {
  const cache = new ReadCache(1 << 20);
  cache.put("a", value(1));
  cache.put("b", null);
  assertEquals(cache.get("a"), value(1));
  assertEquals(cache.get("b"), null);
  assertEquals(cache.get("c"), undefined);
  cache.put("a", value(2));
  assertEquals(cache.get("a"), value(2));
  cache.put("a", null);
  assertEquals(cache.get("a"), null);
  cache.forget("a");
  assertEquals(cache.get("a"), undefined);
});

Deno.test("ReadCache stays within its budget and keeps recently used entries", () => {
  const cache = new ReadCache(256 * 1024);
  cache.put("hot", value(7));
  for (let i = 0; i < 20_000; i++) {
    cache.put(`cold ${i}`, value(i));
    assertEquals(cache.get("hot"), value(7));
    assert(cache.bytes <= 256 * 1024 + 64 * 1024, `${cache.bytes}`);
  }
  assertEquals(cache.get("cold 0"), undefined);
  assertEquals(cache.get("cold 19999"), value(19_999));
});

Deno.test("ReadCache does not evict everything for one large value", () => {
  const cache = new ReadCache(256 * 1024);
  cache.put("small", value(1));
  cache.put("large", value(2));
  cache.put("large", value(3, 200_000));
  assertEquals(cache.get("small"), value(1));
  assertEquals(cache.get("large"), undefined);
});

Deno.test("ReadCache with no budget keeps nothing", () => {
  const cache = new ReadCache(0);
  cache.put("a", value(1));
  cache.put("b", value(2));
  assertEquals(cache.get("a"), undefined);
  assertEquals(cache.get("b"), undefined);
});
