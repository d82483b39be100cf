import { assertEquals } from "@std/assert";
import { compareBytes, equalBytes, equalsRange } from "./byte_order.ts";

Deno.test("compareBytes() orders as bytes, a prefix first; equalBytes() and equalsRange() agree", () => {
  const ascending = [[], [0], [0, 0], [0, 1], [1], [1, 255], [128], [255]]
    .map((bytes) => new Uint8Array(bytes));
  ascending.forEach((a, i) =>
    ascending.forEach((b, j) => {
      assertEquals(Math.sign(compareBytes(a, b)), Math.sign(i - j));
      assertEquals(equalBytes(a, b.slice()), i === j);
      const within = Uint8Array.of(7, ...b, 7);
      assertEquals(equalsRange(a, within, 1, 1 + b.length), i === j);
    })
  );
});
