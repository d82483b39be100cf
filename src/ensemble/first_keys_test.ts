import { assertEquals } from "@std/assert";
import { FirstKeys } from "./first_keys.ts";

function pageOf(keys: readonly string[], bytesMax: number): unknown[] {
  const first = new FirstKeys(bytesMax, 2);
  for (const key of keys) first.add(new TextEncoder().encode(key));
  const { keys: page, bytes, isCut } = first.page();
  return [page.map((key) => new TextDecoder().decode(key)), bytes, isCut];
}

Deno.test("FirstKeys returns all keys, ascending, if they fit", () => {
  assertEquals(pageOf(["c", "a", "b"], 9), [["a", "b", "c"], 9, false]);
  assertEquals(pageOf([], 9), [[], 0, false]);
});

Deno.test("FirstKeys returns as many of the first keys as fit, whatever the order of additions", () => {
  assertEquals(pageOf(["c", "a", "b"], 8), [["a", "b"], 6, true]);
  const many = Array.from({ length: 90 }, (_, i) => `k${(i * 37) % 90 + 10}`);
  assertEquals(pageOf(many, 15), [["k10", "k11", "k12"], 15, true]);
});

Deno.test("FirstKeys returns at least one key", () => {
  assertEquals(pageOf(["long", "longer"], 3), [["long"], 6, true]);
});
