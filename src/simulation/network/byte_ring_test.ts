import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { InvariantError } from "../../base/invariant.ts";
import { ByteRing } from "./byte_ring.ts";

Deno.test("ByteRing returns its bytes in order, however they are split", () => {
  fc.assert(fc.property(
    fc.array(fc.tuple(fc.nat(9_000), fc.nat(9_000)), { maxLength: 40 }),
    (steps) => {
      const ring = new ByteRing();
      let written = 0, read = 0;
      for (const [put, wanted] of steps) {
        // Surrounded by bytes that must not get in.
        const source = new Uint8Array(put + 2).fill(255);
        for (let i = 0; i < put; i++) source[i + 1] = (written + i) % 251;
        ring.append(source, 1, put);
        written += put;
        const count = Math.min(wanted, written - read);
        const into = new Uint8Array(count);
        ring.take(into, count);
        assertEquals(into, Uint8Array.from(into, (_, i) => (read + i) % 251));
        read += count;
        assertEquals([ring.start, ring.end], [read, written]);
      }
    },
  ));
});

Deno.test("ByteRing.take() refuses to return more bytes than it has", () => {
  const ring = new ByteRing();
  ring.append(Uint8Array.of(1, 2, 3), 0, 3);
  assertThrows(() => ring.take(new Uint8Array(4), 4), InvariantError);
});

Deno.test("ByteRing.flip() flips one bit, wherever it is, and nothing else", () => {
  const ring = new ByteRing();
  // Past the middle of the first 2 KiB, so that the following bytes wrap.
  ring.append(new Uint8Array(1_500), 0, 1_500);
  ring.take(new Uint8Array(1_500), 1_500);
  ring.append(new Uint8Array(1_000), 0, 1_000);
  ring.flip(1_500, 0);
  ring.flip(1_500, 999 * 8 + 7);
  const into = new Uint8Array(1_000);
  ring.take(into, 1_000);
  const expected = new Uint8Array(1_000);
  expected[0] = 1;
  expected[999] = 128;
  assertEquals(into, expected);
  assertThrows(() => ring.flip(2_500, 0), InvariantError);
  assertThrows(() => ring.flip(2_499, 0), InvariantError);
});
