/**
 * An encoder for Erlang's external term format. riak_core places a key by the
 * SHA-1 of these bytes, so they must be exactly those that `term_to_binary/1`
 * of OTP 25 produces (erts, "External Term Format").
 *
 * | value                                | term                                    |
 * | ------------------------------------ | --------------------------------------- |
 * | string, `Uint8Array`                 | binary (text as UTF-8)                  |
 * | whole number, bigint                 | integer of the smallest form that fits  |
 * | other finite number, `erlangFloat()` | float                                   |
 * | `erlangAtom()`, boolean              | atom, Latin-1 with tag 100 if it can be |
 * | `erlangTuple()`                      | tuple                                   |
 * | array                                | list; one of bytes is Erlang's "string" |
 *
 * Values without an exact counterpart (null, plain objects, maps, NaN, text
 * with a lone surrogate) are refused: a guess would place a key where no other
 * system looks for it.
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";

/** Lists and tuples nested deeper than this are refused, before they overflow the stack. */
export const TERM_DEPTH_MAX = 256;
/** The longest atom in Erlang, in characters. */
export const ATOM_LENGTH_MAX = 255;

const Tag = {
  version: 131,
  newFloat: 70,
  smallInteger: 97,
  integer: 98,
  atom: 100,
  smallTuple: 104,
  largeTuple: 105,
  nil: 106,
  string: 107,
  list: 108,
  binary: 109,
  smallBig: 110,
  largeBig: 111,
  atomUtf8: 118,
  smallAtomUtf8: 119,
} as const;

/** An Erlang atom. */
export class ErlangAtom {
  /** The characters of the atom, without quotes. */
  readonly name: string;
  /** The same as {@linkcode erlangAtom}. @throws {WhorlError} As that does. */
  constructor(name: string) {
    // A surrogate pair is one character to Erlang.
    const length = name.length <= ATOM_LENGTH_MAX
      ? name.length
      : [...name].length;
    if (length > ATOM_LENGTH_MAX) {
      refuse(`an atom of ${length} characters`, `at most ${ATOM_LENGTH_MAX}`);
    }
    requireWellFormed(name, "atom");
    this.name = name;
  }
}

/** An Erlang tuple. */
export class ErlangTuple {
  /** The elements in order. */
  readonly elements: readonly ErlangTerm[];
  /** The same as {@linkcode erlangTuple}, from an array. */
  constructor(elements: readonly ErlangTerm[]) {
    this.elements = elements;
  }
}

/** A number that is a float even when it is whole. */
export class ErlangFloat {
  /** The number. */
  readonly value: number;
  /** The same as {@linkcode erlangFloat}. */
  constructor(value: number) {
    this.value = value;
  }
}

/** A value with a counterpart in Erlang. */
export type ErlangTerm =
  | string
  | Uint8Array
  | number
  | bigint
  | boolean
  | ErlangAtom
  | ErlangTuple
  | ErlangFloat
  | readonly ErlangTerm[];

/**
 * The atom of that name.
 *
 * @throws {WhorlError} `invalid_argument` if it is longer than 255 characters
 * or not well-formed.
 */
export function erlangAtom(name: string): ErlangAtom {
  return new ErlangAtom(name);
}

/** The tuple of `elements`. */
export function erlangTuple(...elements: ErlangTerm[]): ErlangTuple {
  return new ErlangTuple(elements);
}

/** `value` as a float: `1.0`, where the number 1 alone would be the integer. */
export function erlangFloat(value: number): ErlangFloat {
  return new ErlangFloat(value);
}

/**
 * Encodes `term` as `term_to_binary/1` does.
 *
 * @throws {WhorlError} `invalid_argument` for a value without a counterpart.
 *
 * @example The term riak_core hashes for a key
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   encodeErlangTerm(erlangTuple("b", "k")).toHex(),
 *   "8368026d00000001626d000000016b",
 * );
 * ```
 */
export function encodeErlangTerm(term: ErlangTerm): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(64);
  writeTerm(into, term);
  return into.copy();
}

/**
 * Appends the version byte and the bytes of `term`.
 *
 * @throws {WhorlError} `invalid_argument` for a value without a counterpart;
 * what was written until then stays in `into`.
 */
export function writeTerm(into: ByteWriter, term: ErlangTerm): void {
  into.u8(Tag.version);
  writeBare(into, term, 0);
}

/**
 * Appends the bytes of `{Bucket, Key}`: what {@linkcode writeTerm} writes for
 * `erlangTuple(bucket, key)`, without making the tuple. Every request that
 * names a key takes this path.
 *
 * @throws {WhorlError} `invalid_argument` for a value without a counterpart.
 */
export function writeBucketKey(
  into: ByteWriter,
  bucket: ErlangTerm,
  key: ErlangTerm,
): void {
  into.reserve(3);
  const { bytes } = into;
  bytes[into.length++] = Tag.version;
  bytes[into.length++] = Tag.smallTuple;
  bytes[into.length++] = 2;
  if (typeof bucket === "string") writeText(into, bucket);
  else writeBare(into, bucket, 1);
  if (typeof key === "string") writeText(into, key);
  else writeBare(into, key, 1);
}

function writeBare(into: ByteWriter, term: ErlangTerm, depth: number): void {
  switch (typeof term) {
    case "string":
      return writeText(into, term);
    case "number":
      return writeNumber(into, term);
    case "bigint":
      return writeInteger(into, term);
    case "boolean":
      return writeAtom(into, term ? "true" : "false");
    case "object":
      if (term instanceof Uint8Array) {
        into.u8(Tag.binary);
        return into.blob(term);
      }
      if (term instanceof ErlangAtom) return writeAtom(into, term.name);
      if (term instanceof ErlangFloat) return writeFloat(into, term.value);
      if (depth > TERM_DEPTH_MAX) {
        refuse(`a term nested deeper than ${TERM_DEPTH_MAX}`, "less deep");
      }
      if (term instanceof ErlangTuple) {
        return writeTuple(into, term.elements, depth);
      }
      if (Array.isArray(term)) return writeList(into, term, depth);
  }
  refuse(nameOf(term), "one of the values listed in etf.ts");
}

function writeText(into: ByteWriter, text: string): void {
  const units = text.length;
  // UTF-8 takes at most three bytes per UTF-16 unit.
  into.reserve(5 + units * 3);
  const { bytes } = into;
  const start = into.length;
  let at = start + 5;
  for (let i = 0; i < units; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return writeNonAscii(into, text);
    bytes[at++] = unit;
  }
  bytes[start] = Tag.binary;
  bytes[start + 1] = units >>> 24;
  bytes[start + 2] = units >>> 16;
  bytes[start + 3] = units >>> 8;
  bytes[start + 4] = units;
  into.length = at;
}

function writeNonAscii(into: ByteWriter, text: string): void {
  requireWellFormed(text, "text");
  into.u8(Tag.binary);
  const lengthAt = into.length;
  into.u32(0);
  into.setU32(lengthAt, into.rawText(text));
}

function writeAtom(into: ByteWriter, name: string): void {
  let latin1 = true;
  for (let i = 0; i < name.length && latin1; i++) {
    latin1 = name.charCodeAt(i) <= 0xff;
  }
  if (latin1) {
    into.u8(Tag.atom);
    into.u16(name.length);
    for (let i = 0; i < name.length; i++) into.u8(name.charCodeAt(i));
    return;
  }
  // OTP 25 falls back to UTF-8 for the atoms Latin-1 cannot hold.
  const start = into.length;
  into.u8(Tag.atomUtf8);
  into.u16(0);
  const length = into.rawText(name);
  if (length > 0xff) return into.setU16(start + 1, length);
  into.bytes[start] = Tag.smallAtomUtf8;
  into.bytes[start + 1] = length;
  into.bytes.copyWithin(start + 2, start + 3, into.length);
  into.length--;
}

function writeNumber(into: ByteWriter, value: number): void {
  if (!Number.isInteger(value)) return writeFloat(into, value);
  if (value >= 0 && value <= 0xff) {
    into.u8(Tag.smallInteger);
    return into.u8(value);
  }
  if (value === (value | 0)) {
    into.u8(Tag.integer);
    return into.u32(value);
  }
  if (!Number.isSafeInteger(value)) {
    refuse(`the number ${value}`, "a bigint, as it is beyond 2^53 - 1");
  }
  writeInteger(into, BigInt(value));
}

function writeFloat(into: ByteWriter, value: number): void {
  if (!Number.isFinite(value)) refuse(`the number ${value}`, "finite");
  into.u8(Tag.newFloat);
  into.f64(value);
}

function writeInteger(into: ByteWriter, value: bigint): void {
  if (value >= -0x8000_0000n && value <= 0x7fff_ffffn) {
    return writeNumber(into, Number(value));
  }
  let magnitude = value < 0n ? -value : value;
  const digits = magnitude.toString(16);
  const length = (digits.length + 1) >> 1;
  if (length <= 0xff) {
    into.u8(Tag.smallBig);
    into.u8(length);
  } else {
    into.u8(Tag.largeBig);
    into.u32(length);
  }
  into.u8(value < 0n ? 1 : 0);
  for (let i = 0; i < length; i++) {
    into.u8(Number(magnitude & 0xffn));
    magnitude >>= 8n;
  }
}

function writeTuple(
  into: ByteWriter,
  elements: readonly ErlangTerm[],
  depth: number,
): void {
  if (elements.length <= 0xff) {
    into.u8(Tag.smallTuple);
    into.u8(elements.length);
  } else {
    into.u8(Tag.largeTuple);
    into.u32(elements.length);
  }
  for (const element of elements) writeBare(into, element, depth + 1);
}

function writeList(
  into: ByteWriter,
  elements: readonly ErlangTerm[],
  depth: number,
): void {
  if (elements.length === 0) return into.u8(Tag.nil);
  if (elements.length <= 0xffff && areBytes(elements)) {
    into.u8(Tag.string);
    into.u16(elements.length);
    for (const element of elements) into.u8(Number(element));
    return;
  }
  into.u8(Tag.list);
  into.u32(elements.length);
  for (const element of elements) writeBare(into, element, depth + 1);
  into.u8(Tag.nil);
}

function areBytes(elements: readonly ErlangTerm[]): boolean {
  // Not `every`, which skips the holes of a sparse array.
  for (const term of elements) {
    if (typeof term !== "number" && typeof term !== "bigint") return false;
    if (typeof term === "number" && !Number.isInteger(term)) return false;
    if (term < 0 || term > 0xff) return false;
  }
  return true;
}

function requireWellFormed(text: string, what: string): void {
  if (!text.isWellFormed()) {
    refuse(`a ${what} with a lone surrogate`, "well-formed Unicode");
  }
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== "object") return `a ${typeof value}`;
  const name = (Object.getPrototypeOf(value) as object | null)?.constructor
    .name;
  return name === undefined ? "an object" : `a value of class ${name}`;
}

function refuse(what: string, must: string): never {
  throw new WhorlError(
    "invalid_argument",
    `Cannot encode ${what} as an Erlang term: it must be ${must}`,
  );
}
