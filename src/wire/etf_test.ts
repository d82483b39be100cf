/**
 * Tests of the encoder for Erlang terms. Most expected bytes were made by
 * `term_to_binary/1` itself (tests/golden/chash.json, `terms`).
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import {
  encodeErlangTerm,
  erlangAtom,
  erlangFloat,
  type ErlangTerm,
  erlangTuple,
  TERM_DEPTH_MAX,
  writeBucketKey,
} from "./etf.ts";
import golden from "../../tests/golden/chash.json" with { type: "json" };

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const upTo = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => i + 1);

/** The golden terms that are plain to write in TypeScript, by their Erlang text. */
const TERMS: Record<string, ErlangTerm> = {
  "ok": erlangAtom("ok"),
  "a": erlangAtom("a"),
  "k1": erlangAtom("k1"),
  "rc_example": erlangAtom("rc_example"),
  "'Node@host'": erlangAtom("Node@host"),
  "'with space'": erlangAtom("with space"),
  "0": 0,
  "1": 1,
  "255": 255,
  "256": 256,
  "-1": -1,
  "65535": 65535,
  "2147483647": 2147483647,
  "-2147483648": -2147483648,
  "2147483648": 2147483648,
  "18446744073709551616": 2n ** 64n,
  "-1180591620717411303424": -(2n ** 70n),
  "1.5": 1.5,
  "0.0": erlangFloat(0),
  "-3.25e10": erlangFloat(-3.25e10),
  "[]": [],
  "[1,2,3]": [1, 2, 3],
  "[97,98,99]": [97n, 98n, 99n],
  "[a,b]": [erlangAtom("a"), erlangAtom("b")],
  "{}": erlangTuple(),
  "{a}": erlangTuple(erlangAtom("a")),
  "{a,1}": erlangTuple(erlangAtom("a"), 1),
  "{<<114,99,95,101,120,97,109,112,108,101>>,k1}": erlangTuple(
    "rc_example",
    erlangAtom("k1"),
  ),
  "{<<98>>,1}": erlangTuple(text("b"), 1),
  "{<<98>>,[115,116,114]}": erlangTuple("b", [115, 116, 114]),
  "{<<98>>,{nested,[1,{2}]}}": erlangTuple(
    "b",
    erlangTuple(erlangAtom("nested"), [1, erlangTuple(2)]),
  ),
  "<<>>": "",
  "<<120>>": "x",
  "true": true,
  "undefined": erlangAtom("undefined"),
  "naïve": erlangAtom("naïve"),
  "<<117,110,105,99,111,100,101,32,195,169>>": "unicode é",
  [`[${upTo(300)}]`]: upTo(300),
};
/** Golden terms of kinds that are refused: maps and bit strings. */
const REFUSED = ["#{}", "#{a => 1}", "<<5:3>>"];

Deno.test("encodeErlangTerm() writes the bytes that term_to_binary/1 of OTP 25 writes", () => {
  const seen: string[] = [];
  for (const { term, etfHex } of golden.terms) {
    if (REFUSED.includes(term)) continue;
    seen.push(term);
    assertEquals(encodeErlangTerm(TERMS[term]!).toHex(), etfHex, term);
  }
  assertEquals(seen.sort(), Object.keys(TERMS).sort());
});

Deno.test("encodeErlangTerm() chooses the smallest form of an integer at each border", () => {
  const cases: [number | bigint, string][] = [
    [-0, "8361" + "00"],
    [256n, "8362" + "00000100"],
    [-2147483649, "836e0401" + "01000080"],
    [Number.MAX_SAFE_INTEGER, "836e0700" + "ffffffffffff1f"],
    [2n ** 2040n - 1n, "836eff00" + "ff".repeat(255)],
    [2n ** 2040n, "836f0000010000" + "00".repeat(255) + "01"],
    [-(2n ** 2040n), "836f0000010001" + "00".repeat(255) + "01"],
  ];
  for (const [value, hex] of cases) {
    assertEquals(encodeErlangTerm(value).toHex(), hex, String(value));
  }
});

Deno.test("encodeErlangTerm() writes tuples and byte lists above their small limits in the large forms", () => {
  const small = encodeErlangTerm(erlangTuple(...Array(255).fill(1)));
  assertEquals(small.subarray(0, 3).toHex(), "8368ff");
  const large = encodeErlangTerm(erlangTuple(...Array(256).fill(1)));
  assertEquals(large.subarray(0, 6).toHex(), "836900000100");
  const string = encodeErlangTerm(Array(65535).fill(7));
  assertEquals(string.subarray(0, 4).toHex(), "836bffff");
  const list = encodeErlangTerm(Array(65536).fill(7));
  assertEquals(list.subarray(0, 6).toHex(), "836c00010000");
  assertEquals(list.at(-1), 106);
});

Deno.test("encodeErlangTerm() writes an atom beyond Latin-1 as UTF-8, short and long", () => {
  assertEquals(
    encodeErlangTerm(erlangAtom("Łódź")).toHex(),
    "837707c581c3b364c5ba",
  );
  const long = encodeErlangTerm(erlangAtom("Ł".repeat(200)));
  assertEquals(long.subarray(0, 6).toHex(), "83760190c581");
  assertEquals(long.length, 1 + 3 + 400);
});

Deno.test("writeBucketKey() writes what encodeErlangTerm() writes for the tuple", () => {
  const into = new ByteWriter(1);
  const parts: ErlangTerm[] = [
    "",
    "b",
    "ключ",
    text("raw\0"),
    erlangAtom("k"),
    erlangTuple(1),
  ];
  for (const bucket of parts) {
    for (const key of parts) {
      into.clear();
      writeBucketKey(into, bucket, key);
      assertEquals(into.copy(), encodeErlangTerm(erlangTuple(bucket, key)));
    }
  }
});

Deno.test("encodeErlangTerm() refuses by name what has no counterpart in Erlang", () => {
  let deep: ErlangTerm = [];
  for (let i = 0; i <= TERM_DEPTH_MAX + 1; i++) deep = [deep];
  const cases: [unknown, string][] = [
    [null, "null"],
    [undefined, "undefined"],
    [Symbol("s"), "a symbol"],
    [() => 1, "a function"],
    [{ a: 1 }, "a value of class Object"],
    [new Map(), "a value of class Map"],
    [new Uint16Array(1), "a value of class Uint16Array"],
    [Object.create(null), "an object"],
    [NaN, "the number NaN"],
    [-Infinity, "the number -Infinity"],
    [erlangFloat(NaN), "the number NaN"],
    [2 ** 53, "the number 9007199254740992"],
    ["\ud800", "a text with a lone surrogate"],
    // deno-lint-ignore no-sparse-arrays -- the hole is the case.
    [[1, , 3], "undefined"],
    [erlangTuple("a", null as unknown as ErlangTerm), "null"],
    [deep, `a term nested deeper than ${TERM_DEPTH_MAX}`],
  ];
  for (const [value, name] of cases) {
    const error = assertThrows(
      () => encodeErlangTerm(value as ErlangTerm),
      WhorlError,
    );
    assertEquals(error.code, "invalid_argument");
    assertEquals(error.message.includes(`Cannot encode ${name} as`), true);
  }
});

Deno.test("atom() refuses more than 255 characters and counts a surrogate pair as one", () => {
  assertThrows(() => erlangAtom("a".repeat(256)), WhorlError, "256 characters");
  assertThrows(() => erlangAtom("\udc00"), WhorlError, "lone surrogate");
  assertEquals(
    encodeErlangTerm(erlangAtom("😀".repeat(255))).length,
    1 + 3 + 4 * 255,
  );
});
