import { assertEquals, assertNotStrictEquals } from "@std/assert";
import { briefBytes, briefCopy } from "./byte_slab.ts";

Deno.test("briefBytes() gives zero bytes of every size that nobody else has", () => {
  const given: Uint8Array[] = [];
  for (const size of [0, 1, 100, 4096, 4097, 65_536, 1_000_000]) {
    for (let i = 0; i < 40; i++) {
      const bytes = briefBytes(size);
      assertEquals(bytes.length, size);
      assertEquals(bytes.every((byte) => byte === 0), true);
      bytes.fill(given.length % 255 + 1);
      given.push(bytes);
      if (size > 4096) break;
    }
  }
  given.forEach((bytes, i) =>
    assertEquals(bytes.every((byte) => byte === i % 255 + 1), true)
  );
});

Deno.test("briefCopy() copies", () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const copy = briefCopy(bytes);
  bytes[0] = 9;
  assertNotStrictEquals(copy, bytes);
  assertEquals(copy, new Uint8Array([1, 2, 3]));
});
