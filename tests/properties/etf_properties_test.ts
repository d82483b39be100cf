/**
 * Laws of the encoder for Erlang terms: a reader written from the format's
 * description alone gets back what was written, and different terms never
 * share their bytes.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteReader } from "../../src/base/byte_reader.ts";
import { WhorlError } from "../../src/base/errors.ts";
import {
  encodeErlangTerm,
  ErlangAtom,
  ErlangFloat,
  type ErlangTerm,
  ErlangTuple,
} from "../../src/wire/etf.ts";

const text = fc.string({ unit: "binary", maxLength: 300 })
  .filter((s) => s.isWellFormed());

const { term } = fc.letrec<{ term: ErlangTerm }>((tie) => ({
  term: fc.oneof(
    { depthSize: "small" },
    text,
    fc.uint8Array({ maxLength: 40 }),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.bigInt({ min: -(2n ** 2100n), max: 2n ** 2100n }),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.double({ noNaN: true, noDefaultInfinity: true })
      .map((value) => new ErlangFloat(value)),
    text.filter((name) => [...name].length <= 255).map((name) =>
      new ErlangAtom(name)
    ),
    fc.array(fc.nat({ max: 255 }), { maxLength: 20 }),
    fc.array(tie("term"), { maxLength: 5 }),
    fc.array(tie("term"), { maxLength: 300 }).map((list) =>
      new ErlangTuple(list)
    ),
  ),
}));

/** The term as one of few forms, in which equal terms are equal values. */
type Plain =
  | { int: bigint }
  | { float: number }
  | { atom: string }
  | { binary: string }
  | { tuple: Plain[] }
  | { list: Plain[] };

function plain(value: ErlangTerm): Plain {
  switch (typeof value) {
    case "string":
      return { binary: new TextEncoder().encode(value).toHex() };
    case "bigint":
      return { int: value };
    case "boolean":
      return { atom: String(value) };
    case "number":
      // An unsafe whole number is refused, and fc.double() may make one.
      return Number.isInteger(value)
        ? { int: BigInt(value) }
        : { float: value };
  }
  if (value instanceof Uint8Array) return { binary: value.toHex() };
  if (value instanceof ErlangAtom) return { atom: value.name };
  if (value instanceof ErlangFloat) return { float: value.value };
  if (value instanceof ErlangTuple) return { tuple: value.elements.map(plain) };
  return { list: value.map(plain) };
}

function read(from: ByteReader): Plain {
  const tag = from.u8();
  switch (tag) {
    case 70:
      return { float: from.f64() };
    case 97:
      return { int: BigInt(from.u8()) };
    case 98:
      return { int: BigInt(from.u32() | 0) };
    case 100:
      return { atom: String.fromCharCode(...from.raw(from.u16())) };
    case 118:
      return { atom: from.rawText(from.u16()) };
    case 119:
      return { atom: from.rawText(from.u8()) };
    case 104:
    case 105: {
      const length = tag === 104 ? from.u8() : from.u32();
      return { tuple: Array.from({ length }, () => read(from)) };
    }
    case 106:
      return { list: [] };
    case 107:
      return {
        list: [...from.raw(from.u16())].map((byte) => ({ int: BigInt(byte) })),
      };
    case 108: {
      const list = Array.from({ length: from.u32() }, () => read(from));
      assertEquals(from.u8(), 106, "a proper list ends with nil");
      return { list };
    }
    case 109:
      return { binary: from.blob().toHex() };
    case 110:
    case 111: {
      const length = tag === 110 ? from.u8() : from.u32();
      const negative = from.u8() === 1;
      const digits = from.raw(length).toReversed().toHex();
      return { int: BigInt(`0x${digits}`) * (negative ? -1n : 1n) };
    }
    default:
      throw new Error(`No such tag: ${tag}`);
  }
}

/** Whether the term has a whole number that is not safe, outside of a bigint. */
function hasUnsafe(value: ErlangTerm): boolean {
  if (typeof value === "number") {
    return Number.isInteger(value) && !Number.isSafeInteger(value);
  }
  if (value instanceof ErlangTuple) return value.elements.some(hasUnsafe);
  return Array.isArray(value) && value.some(hasUnsafe);
}

Deno.test("encodeErlangTerm() writes what a reader of the format reads back", () => {
  fc.assert(fc.property(term, (value) => {
    if (hasUnsafe(value)) {
      assertThrows(
        () => encodeErlangTerm(value),
        WhorlError,
        "beyond 2^53 - 1",
      );
      return;
    }
    const from = new ByteReader(encodeErlangTerm(value));
    assertEquals(from.u8(), 131);
    assertEquals(read(from), plain(value));
    assertEquals(from.remaining, 0);
  }));
});
