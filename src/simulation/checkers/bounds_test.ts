import { assertEquals } from "@std/assert";
import { checkBounds } from "./bounds.ts";

const sample = (atMs: number, length: number, queue = "q") => ({
  queue,
  atMs,
  length,
  bound: 10,
});

Deno.test("checkBounds() passes queues up to their bound", () => {
  assertEquals(checkBounds([sample(1, 0), sample(2, 10), sample(3, 3)]), []);
});

Deno.test("checkBounds() names each queue over its bound, when first and when worst", () => {
  const violations = checkBounds([
    sample(1, 10),
    sample(2, 11),
    sample(3, 15),
    sample(4, 12),
    sample(5, 11, "r"),
    sample(6, Number.NaN, "s"),
    sample(7, -1, "t"),
  ]);
  assertEquals(violations.map(({ message }) => message), [
    "q held 11 at 2 ms and may hold 10; at worst 15 at 3 ms",
    "r held 11 at 5 ms and may hold 10",
    "s held NaN at 6 ms and may hold 10",
    "t held -1 at 7 ms and may hold 10",
  ]);
});
