import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { ByteReader } from "./byte_reader.ts";
import { ByteWriter } from "./byte_writer.ts";
import { isWhorlError, WhorlError } from "./errors.ts";

function refused(work: () => unknown): string {
  const error = assertThrows(work, WhorlError);
  assert(isWhorlError(error, "protocol_error"));
  return error.message;
}

Deno.test("ByteReader reads big-endian integers at both ends of their range", () => {
  const bytes = Uint8Array.fromHex(
    "00ff" + "0001ff00" + "00000001ff000000" + "000100000002" +
      "ffffffffffff" + "0000000100000002" + "001fffffffffffff" +
      "c004000000000000",
  );
  const from = new ByteReader(bytes);
  assertEquals([from.u8(), from.u8()], [0, 255]);
  assertEquals([from.u16(), from.u16()], [1, 0xff00]);
  assertEquals([from.u32(), from.u32()], [1, 0xff000000]);
  assertEquals([from.u48(), from.u48()], [2 ** 32 + 2, 2 ** 48 - 1]);
  assertEquals(from.u53(), 2 ** 32 + 2);
  assertEquals(from.u53(), Number.MAX_SAFE_INTEGER);
  assertEquals(from.f64(), -2.5);
  assertEquals(from.remaining, 0);
});

Deno.test("ByteReader.skip() returns where what it passes over begins", () => {
  const from = new ByteReader(new Uint8Array(9), 2);
  assertEquals([from.skip(3), from.skip(0), from.offset], [2, 5, 5]);
});

Deno.test("ByteReader refuses to read past its end, and stays where it was", () => {
  const reads: [number, (from: ByteReader) => unknown][] = [
    [1, (from) => from.u8()],
    [2, (from) => from.u16()],
    [4, (from) => from.u32()],
    [6, (from) => from.u48()],
    [8, (from) => from.u53()],
    [8, (from) => from.f64()],
    [5, (from) => from.raw(5)],
    [5, (from) => from.skip(5)],
    [5, (from) => from.rawText(5)],
  ];
  for (const [size, read] of reads) {
    // There are more bytes behind the end; they are somebody else's.
    const from = new ByteReader(new Uint8Array(32), 3, 3 + size - 1);
    assertEquals(
      refused(() => read(from)),
      `Cannot read ${size} bytes as the message is cut short: ${
        size - 1
      } bytes are left`,
    );
    assertEquals(from.offset, 3);
    const enough = new ByteReader(new Uint8Array(32), 3, 3 + size);
    read(enough);
    assertEquals(enough.remaining, 0);
  }
});

Deno.test("ByteReader refuses a length that says more than there is", () => {
  refused(() => new ByteReader(Uint8Array.of(0, 0, 0, 3, 1, 2)).blob());
  refused(() => new ByteReader(Uint8Array.of(255, 255, 255, 255, 1)).blob());
  refused(() => new ByteReader(Uint8Array.of(0, 2, 65)).text());
});

Deno.test("ByteReader.u53() refuses what a number cannot hold exactly", () => {
  assertEquals(
    refused(() => new ByteReader(Uint8Array.fromHex("0020000000000000")).u53()),
    "Cannot read a number above 2^53 - 1",
  );
});

Deno.test("ByteReader hands out views into the message", () => {
  const bytes = Uint8Array.of(9, 0, 0, 0, 2, 7, 8, 5, 6);
  const from = new ByteReader(bytes, 1);
  const blob = from.blob();
  const rest = from.rest();
  assertEquals([[...blob], [...rest]], [[7, 8], [5, 6]]);
  assertStrictEquals(blob.buffer, bytes.buffer);
  bytes[5] = 70;
  assertEquals(blob[0], 70);
  assertEquals(from.rest().length, 0);
});

Deno.test("ByteReader reads from a view that begins inside its memory", () => {
  const memory = Uint8Array.of(1, 1, 0, 9, 0, 1, 65);
  const from = new ByteReader(memory.subarray(2));
  assertEquals(from.u16(), 9);
  assertEquals(from.text(), "A");
  from.reset(memory.subarray(4), 0, 2);
  assertEquals(from.u16(), 1);
});

Deno.test("ByteReader.reset() reads something else, in the same bytes or in others", () => {
  const first = Uint8Array.of(1, 2, 3, 4);
  const from = new ByteReader(first);
  from.u32();
  from.reset(first, 1, 3);
  assertEquals(from.u16(), 0x0203);
  refused(() => from.u8());
  from.reset(Uint8Array.of(8, 9), 0, 2);
  assertEquals(from.u16(), 0x0809);
});

Deno.test("ByteReader refuses texts that are not UTF-8 and keeps a byte order mark", () => {
  assertEquals(
    refused(() => new ByteReader(Uint8Array.of(0, 1, 0xff)).text()),
    "Cannot read a text that is not UTF-8",
  );
  // Half of a two-byte character.
  refused(() => new ByteReader(Uint8Array.of(0xc3)).rawText(1));
  assertEquals(
    new ByteReader(Uint8Array.of(0xef, 0xbb, 0xbf, 65)).rawText(4),
    "\ufeffA",
  );
});

/** One write and the read that undoes it. */
const step = fc.oneof(
  fc.record({ kind: fc.constant("u8" as const), value: fc.nat(255) }),
  fc.record({ kind: fc.constant("u16" as const), value: fc.nat(0xffff) }),
  fc.record({ kind: fc.constant("u32" as const), value: fc.nat(0xffff_ffff) }),
  fc.record({ kind: fc.constant("u53" as const), value: fc.maxSafeNat() }),
  fc.record({ kind: fc.constant("f64" as const), value: fc.double() }),
  fc.record({
    kind: fc.constant("text" as const),
    value: fc.string({ unit: "binary" }).filter((text) => text.isWellFormed()),
  }),
  fc.record({
    kind: fc.constant("blob" as const),
    value: fc.uint8Array({ maxLength: 100 }),
  }),
);

Deno.test("ByteReader reads back whatever ByteWriter wrote, in order, to the last byte", () => {
  fc.assert(fc.property(
    fc.array(step, { maxLength: 40 }),
    fc.integer({ min: 1, max: 64 }),
    (steps, capacity) => {
      const into = new ByteWriter(capacity);
      for (const { kind, value } of steps) into[kind](value as never);
      const from = new ByteReader(into.view());
      for (const { kind, value } of steps) assertEquals(from[kind](), value);
      assertEquals(from.remaining, 0);
    },
  ));
});

Deno.test("ByteReader refuses every message that was cut short anywhere", () => {
  fc.assert(fc.property(
    fc.array(step, { minLength: 1, maxLength: 10 }),
    fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    (steps, share) => {
      const into = new ByteWriter();
      for (const { kind, value } of steps) into[kind](value as never);
      const cut = Math.floor(into.length * share);
      const from = new ByteReader(into.view(), 0, cut);
      refused(() => {
        for (const { kind } of steps) from[kind]();
      });
    },
  ));
});
