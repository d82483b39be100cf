import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { InvariantError } from "../base/invariant.ts";
import { ByteRing } from "./byte_ring.ts";

Deno.test("ByteRing gives back what was put in, in order, however it is cut", () => {
  fc.assert(fc.property(
    fc.array(fc.tuple(fc.nat(9_000), fc.nat(9_000)), { maxLength: 40 }),
    (steps) => {
      const ring = new ByteRing();
      let written = 0, read = 0;
      for (const [put, wanted] of steps) {
        // Framed by bytes that must not get in.
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

Deno.test("ByteRing.take() refuses to give more than is kept", () => {
  const ring = new ByteRing();
  ring.append(Uint8Array.of(1, 2, 3), 0, 3);
  assertThrows(() => ring.take(new Uint8Array(4), 4), InvariantError);
});
