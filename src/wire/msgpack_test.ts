import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  decodeMsgpack,
  encodeMsgpack,
  encodeMsgpackBriefly,
  MSGPACK_DEPTH_MAX,
  MSGPACK_ELEMENTS_MAX,
  scanMsgpack,
  wellFormed,
  writeMsgpack,
} from "./msgpack.ts";

function refuses(bytes: readonly number[] | Uint8Array, reason: string): void {
  const error = assertThrows(
    () => decodeMsgpack(Uint8Array.from(bytes)),
    WhorlError,
    reason,
  );
  assertEquals((error as WhorlError).code, "protocol_error");
}

const plainData = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }).filter((n) => !Object.is(n, -0)),
    fc.string({ unit: "binary" }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("value"), { maxLength: 20 }),
    fc.dictionary(
      fc.string().filter((key) => key !== "__proto__"),
      tie("value"),
      { noNullPrototype: true, maxKeys: 20 },
    ),
  ),
})).value;

Deno.test("decodeMsgpack() undoes encodeMsgpack() for plain data", () => {
  fc.assert(
    fc.property(plainData, (value) => {
      assertEquals(decodeMsgpack(encodeMsgpack(value)), value);
    }),
    { numRuns: 300 },
  );
});

Deno.test("encodeMsgpackBriefly() gives the bytes of encodeMsgpack(), which the next message leaves alone", () => {
  fc.assert(
    fc.property(fc.array(plainData, { minLength: 2 }), (values) => {
      const given = values.map(encodeMsgpackBriefly);
      assertEquals(given, values.map(encodeMsgpack));
    }),
  );
  // Beyond what is cut from a slab.
  const large = new Uint8Array(70_000).fill(7);
  assertEquals(decodeMsgpack(encodeMsgpackBriefly(large)), large);
});

Deno.test("encodeMsgpackBriefly() refuses what encodeMsgpack() refuses", () => {
  let deep: unknown = 1;
  for (let i = 0; i <= MSGPACK_DEPTH_MAX; i++) deep = [deep];
  for (const value of [deep, 1n, () => {}]) {
    for (const encode of [encodeMsgpack, encodeMsgpackBriefly]) {
      const error = assertThrows(() => encode(value), WhorlError);
      assertEquals((error as WhorlError).code, "invalid_argument");
    }
  }
});

Deno.test("decodeMsgpack() refuses every message that is cut short or continued", () => {
  fc.assert(
    fc.property(plainData, fc.nat(), (value, at) => {
      const bytes = encodeMsgpack(value);
      assertThrows(
        () => decodeMsgpack(bytes.subarray(0, at % bytes.length)),
        WhorlError,
      );
      assertThrows(
        () => decodeMsgpack(new Uint8Array([...bytes, 0])),
        WhorlError,
      );
    }),
    { numRuns: 200 },
  );
});

Deno.test("decodeMsgpack() answers any bytes with a value or a protocol_error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decodeMsgpack(bytes);
      } catch (error) {
        if (!isWhorlError(error, "protocol_error")) throw error;
      }
    }),
    { numRuns: 3000 },
  );
});

Deno.test("decodeMsgpack() refuses forty nested arrays of 16 million elements", () => {
  refuses(
    Array.from({ length: 40 }, () => [0xdd, 0, 0xff, 0xff, 0xff]).flat(),
    "announces 16777215 values",
  );
});

Deno.test("decodeMsgpack() refuses five bytes that announce 2^25 elements", () => {
  refuses([0xdd, 0x02, 0, 0, 0], "announces 33554432 values");
  refuses([0xdf, 0xff, 0xff, 0xff, 0xff], "announces");
  refuses([0xdc, 0xff, 0xff], "announces 65535 values");
});

Deno.test("decodeMsgpack() refuses announcements that later bytes would have to pay twice", () => {
  // Each level announces all that is left, so no level pays for its elements.
  const bytes = new Uint8Array(5000).fill(0xc0);
  for (let level = 0; level < 30; level++) {
    const count = 5000 - (level + 1) * 3 - 1;
    bytes.set([0xdc, count >> 8, count & 0xff], level * 3);
  }
  refuses(bytes, "announces");
});

Deno.test("decodeMsgpack() refuses a million nested arrays", () => {
  refuses(new Uint8Array(1_000_000).fill(0x91), "deeper than 32");
});

Deno.test("decodeMsgpack() refuses more values than the limit", () => {
  const count = MSGPACK_ELEMENTS_MAX;
  const bytes = new Uint8Array(5 + count);
  bytes.set([
    0xdd,
    count >>> 24,
    count >>> 16 & 255,
    count >>> 8 & 255,
    count & 255,
  ]);
  refuses(bytes, "more than 100000 values");
  scanMsgpack(bytes, { elementsMax: count + 1 });
});

Deno.test("decodeMsgpack() refuses what is not plain data", () => {
  refuses([0xc1], "type 0xc1");
  refuses([0xd6, 0xff, 0, 0, 0, 0], "type 0xd6"); // a date
  refuses([0x81, 0x01, 0x01], "key is not text");
  refuses([0x81, 0x90, 0x01], "key is not text");
  refuses([0xa2, 0xc3, 0x28], "not UTF-8");
  refuses([0xcf, 0x00, 0x20, 0, 0, 0, 0, 0, 0], "beyond 2^53");
  refuses([0xd3, 0x80, 0x00, 0, 0, 0, 0, 0, 0], "beyond 2^53");
  refuses(
    [0x81, 0xa9, ...new TextEncoder().encode("__proto__"), 0x80],
    "Cannot decode",
  );
});

Deno.test("encodeMsgpack() refuses what is too deep or in a circle", () => {
  const circle: unknown[] = [];
  circle.push(circle);
  const error = assertThrows(() => encodeMsgpack(circle), WhorlError);
  assertEquals((error as WhorlError).code, "invalid_argument");
  assertThrows(() => encodeMsgpack(10n), WhorlError);
});

Deno.test("writeMsgpack() appends to what is there", () => {
  const writer = new ByteWriter(1);
  writer.u8(7);
  writeMsgpack({ a: [1, "x"] }, writer);
  assertEquals(writer.view()[0], 7);
  assertEquals(decodeMsgpack(writer.view().subarray(1)), { a: [1, "x"] });
});

Deno.test("wellFormed() makes text of every string in plain data, keys included, and changes nothing else", () => {
  const bytes = Uint8Array.of(1, 2);
  const value = {
    "a\ud800": ["\udc00b", 1, null, true, bytes],
    of: { "\udfff": { text: "\ud83d\ude00 \ud83d" } },
  };
  const before = structuredClone(value);
  assertEquals(wellFormed(value), {
    "a\ufffd": ["\ufffdb", 1, null, true, bytes],
    of: { "\ufffd": { text: "\u{1f600} \ufffd" } },
  });
  assertEquals(value, before);
  assertEquals(wellFormed("\ud800"), "\ufffd");
});

Deno.test("wellFormed() makes plain data fit to travel whatever its texts hold", () => {
  const odd = fc.string({
    unit: fc.constantFrom("a", "\u{1f600}", "\ud800", "\udc00"),
    maxLength: 6,
  });
  const data = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      odd,
      fc.integer(),
      fc.array(tie("value"), { maxLength: 5 }),
      fc.dictionary(odd, tie("value"), { noNullPrototype: true, maxKeys: 5 }),
    ),
  })).value;
  fc.assert(
    fc.property(data, (value) => {
      const fit = wellFormed(value);
      assertEquals(decodeMsgpack(encodeMsgpack(fit)), fit);
      // Plain data that is text already stays as it is.
      assertEquals(wellFormed(fit), fit);
    }),
    { numRuns: 300 },
  );
});

Deno.test("wellFormed() refuses what is in a circle, too deep, or throws when it is read", () => {
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  let deep: unknown = "text";
  for (let i = 0; i < MSGPACK_DEPTH_MAX; i++) deep = [deep];
  assertEquals(wellFormed(deep), deep);
  const trap = {
    get text(): never {
      throw new RangeError("from a getter");
    },
  };
  for (const value of [circle, [deep], trap]) {
    const error = assertThrows(() => wellFormed(value), WhorlError);
    assertEquals((error as WhorlError).code, "invalid_argument");
  }
});
