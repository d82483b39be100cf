import { assertEquals } from "@std/assert";
import { compareBytes, equalBytes } from "./byte_order.ts";

Deno.test("compareBytes() orders as bytes, a prefix first; equalBytes() agrees", () => {
  const ascending = [[], [0], [0, 0], [0, 1], [1], [1, 255], [128], [255]]
    .map((bytes) => new Uint8Array(bytes));
  ascending.forEach((a, i) =>
    ascending.forEach((b, j) => {
      assertEquals(Math.sign(compareBytes(a, b)), Math.sign(i - j));
      assertEquals(equalBytes(a, b.slice()), i === j);
    })
  );
});
