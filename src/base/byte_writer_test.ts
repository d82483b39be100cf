import {
  assert,
  assertEquals,
  assertNotStrictEquals,
  assertThrows,
} from "@std/assert";
import { ByteWriter } from "./byte_writer.ts";

Deno.test("ByteWriter writes big-endian integers", () => {
  const into = new ByteWriter();
  into.u8(0x01);
  into.u16(0x0203);
  into.u32(0xf405_0607);
  into.u48(2 ** 32 + 2);
  into.u48(2 ** 48 - 1);
  into.u53(2 ** 32 + 2);
  into.u53(Number.MAX_SAFE_INTEGER);
  into.f64(-2.5);
  assertEquals(
    into.view().toHex(),
    "01" + "0203" + "f4050607" + "000100000002" + "ffffffffffff" +
      "0000000100000002" + "001fffffffffffff" + "c004000000000000",
  );
});

Deno.test("ByteWriter keeps the lowest bits of what is too large", () => {
  const into = new ByteWriter();
  into.u8(0x1_02);
  into.u16(0x1_0203);
  into.u32(2 ** 32 + 4);
  assertEquals(into.view().toHex(), "02" + "0203" + "00000004");
});

Deno.test("ByteWriter grows as needed and keeps what was written", () => {
  const into = new ByteWriter(1);
  const expected: number[] = [];
  for (let i = 0; i < 1_000; i++) {
    into.u16(i);
    expected.push(i >> 8, i & 255);
  }
  into.raw(new Uint8Array(5_000).fill(7));
  assertEquals([...into.view()], [...expected, ...Array(5_000).fill(7)]);
});

Deno.test("ByteWriter.reserve() makes room for what follows to be written in place", () => {
  const into = new ByteWriter(8);
  into.u32(1);
  into.reserve(100);
  const memory = into.bytes;
  assert(memory.length >= 104);
  into.raw(new Uint8Array(100));
  assertEquals(into.bytes === memory, true);
});

Deno.test("ByteWriter.rawRange() copies short and long ranges alike", () => {
  const source = Uint8Array.from({ length: 300 }, (_, i) => i);
  for (const [start, end] of [[0, 0], [3, 4], [10, 58], [10, 59], [0, 300]]) {
    const into = new ByteWriter(4);
    into.u8(99);
    into.rawRange(source, start!, end!);
    assertEquals([...into.view()], [99, ...source.slice(start, end)]);
  }
});

Deno.test("ByteWriter.text() counts bytes, not characters", () => {
  const into = new ByteWriter(1);
  into.text("aß😀");
  assertEquals(into.view().toHex(), "0007" + "61" + "c39f" + "f09f9880");
  into.clear();
  assertEquals(into.rawText("ß"), 2);
  assertEquals(into.view().toHex(), "c39f");
});

Deno.test("ByteWriter.text() takes 65,535 bytes, refuses one more, and then has written nothing", () => {
  const into = new ByteWriter();
  into.text("a".repeat(65_535));
  assertEquals(into.length, 2 + 65_535);
  const before = into.length;
  assertThrows(
    () => into.text("ß".repeat(32_768)),
    RangeError,
    "Cannot write a text of 65536 bytes: the limit is 65535",
  );
  assertEquals(into.length, before);
});

Deno.test("ByteWriter.setU8(), setU16() and setU32() overwrite in place", () => {
  const into = new ByteWriter();
  into.raw(new Uint8Array(9));
  into.setU8(0, 1);
  into.setU16(2, 0x0203);
  into.setU32(5, 0x0405_0607);
  assertEquals(into.view().toHex(), "010002030004050607");
  assertEquals(into.length, 9);
});

Deno.test("ByteWriter.clear() keeps the memory, copy() does not share it", () => {
  const into = new ByteWriter(16);
  into.blob(Uint8Array.of(1, 2));
  const copy = into.copy();
  const view = into.view();
  const memory = into.bytes;
  into.clear();
  assertEquals(into.length, 0);
  into.u32(0xffff_ffff);
  assertEquals(into.bytes === memory, true);
  assertEquals([...copy], [0, 0, 0, 2, 1, 2]);
  assertEquals(view[0], 255);
  assertNotStrictEquals(copy.buffer, memory.buffer);
});
