/**
 * The bytes of a versioned object: a dotted version vector set (see
 * `causality/dvv_set.ts` for the idea) whose values are stored with it.
 *
 *     object  u8 format = 1 · u8 zero · u16 entries · u16 siblings
 *             · entry* · sibling*
 *     entry   12 bytes actor · u48 counter · u16 siblings of this actor
 *     sibling u8 flags (1 tombstone, 2 JSON) · u48 modified, ms since 1970
 *             · u32 bytes · value
 *
 * Integers are big-endian. Entries ascend by actor, siblings stand in the order
 * of their entries, newest first, so equal sets have equal bytes, and the
 * entries of two objects alone determine their causal relation. An actor is the
 * 8 bytes of a vnode's identity and a u32 epoch. The format is described in
 * docs/object_format.md.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";

/** First byte of an object. */
export const OBJECT_FORMAT = 1;
/** Bytes before the first entry. */
export const OBJECT_HEADER_BYTES = 6;
/** The object without entries, of which all others hold all. */
export const EMPTY_OBJECT: Uint8Array = Uint8Array.of(
  OBJECT_FORMAT,
  0,
  0,
  0,
  0,
  0,
);
/** Bytes of an actor. */
export const ACTOR_BYTES = 12;
/** Bytes of an entry. */
export const ENTRY_BYTES = 20;
/** Bytes of a sibling before its value. */
export const SIBLING_HEADER_BYTES = 11;
/** Largest counter and largest time. */
export const U48_MAX = 2 ** 48 - 1;

/** Bits of a sibling's flags. */
export const SiblingFlag = {
  /** A deletion; its value is empty. */
  tombstone: 1,
  /** The value is JSON text, else plain bytes. */
  json: 2,
} as const;
const FLAGS_KNOWN = SiblingFlag.tombstone | SiblingFlag.json;

/** One of the concurrent values of an object. */
export interface Sibling {
  readonly flags: number;
  /** When the coordinator accepted it, in milliseconds since 1970 by its wall clock. */
  readonly lastModified: number;
  /** A view into the object. */
  readonly value: Uint8Array;
}

/** Number of entries in the history of the object that begins at `start`. */
export function entryCount(object: Uint8Array, start = 0): number {
  return readU16(object, start + 2);
}

/** Number of siblings of an object, tombstones included. */
export function siblingCount(object: Uint8Array, start = 0): number {
  return readU16(object, start + 4);
}

/** Where the siblings of an object begin. */
export function siblingsStart(object: Uint8Array, start = 0): number {
  return start + OBJECT_HEADER_BYTES + entryCount(object, start) * ENTRY_BYTES;
}

/** Where the sibling after the one at `at` begins. */
export function nextSibling(object: Uint8Array, at: number): number {
  return at + SIBLING_HEADER_BYTES + readU32(object, at + 7);
}

/** The siblings of an object, newest first for each actor; their values are views. */
export function readSiblings(object: Uint8Array): Sibling[] {
  const siblings: Sibling[] = [];
  const count = siblingCount(object);
  let at = siblingsStart(object);
  for (let i = 0; i < count; i++) {
    const next = nextSibling(object, at);
    siblings.push({
      flags: object[at] as number,
      lastModified: readU48(object, at + 1),
      value: object.subarray(at + SIBLING_HEADER_BYTES, next),
    });
    at = next;
  }
  return siblings;
}

/**
 * Checks that `bytes` are exactly one object, in canonical form.
 *
 * @throws {WhorlError} `store_format` if they are in a newer format,
 * `protocol_error` if they are not an object.
 */
export function checkObject(bytes: Uint8Array): void {
  if (bytes.length < OBJECT_HEADER_BYTES) throw notAnObject("it is cut short");
  if (bytes[0] !== OBJECT_FORMAT) {
    throw new WhorlError(
      "store_format",
      `Cannot read an object of format ${
        bytes[0]
      } as this version knows format ${OBJECT_FORMAT}`,
    );
  }
  if (bytes[1] !== 0) throw notAnObject("a reserved byte is set");
  let at = OBJECT_HEADER_BYTES;
  const entriesEnd = siblingsStart(bytes);
  if (entriesEnd > bytes.length) throw notAnObject("it is cut short");
  let owed = 0;
  for (; at < entriesEnd; at += ENTRY_BYTES) {
    if (
      at > OBJECT_HEADER_BYTES &&
      compareActors(bytes, at - ENTRY_BYTES, bytes, at) >= 0
    ) throw notAnObject("its actors do not ascend");
    const counter = readU48(bytes, at + ACTOR_BYTES);
    const siblings = readU16(bytes, at + ACTOR_BYTES + 6);
    if (counter === 0 || siblings > counter) {
      throw notAnObject("an actor has more siblings than dots");
    }
    owed += siblings;
  }
  if (owed !== siblingCount(bytes)) {
    throw notAnObject("its counts of siblings do not agree");
  }
  for (; owed > 0; owed--) {
    if (at + SIBLING_HEADER_BYTES > bytes.length) {
      throw notAnObject("it is cut short");
    }
    const flags = bytes[at] as number;
    const next = nextSibling(bytes, at);
    if (flags & ~FLAGS_KNOWN) throw notAnObject("it has unknown flags");
    if (
      flags & SiblingFlag.tombstone &&
      (flags !== SiblingFlag.tombstone || next !== at + SIBLING_HEADER_BYTES)
    ) throw notAnObject("a tombstone has a value");
    at = next;
  }
  if (at !== bytes.length) {
    throw notAnObject(
      at > bytes.length ? "it is cut short" : "bytes follow it",
    );
  }
}

function notAnObject(reason: string): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot read bytes as an object: ${reason}`,
  );
}

/** Compares the actor at `i` of `a` with the one at `j` of `b`: negative if it sorts first, 0 if they are equal. */
export function compareActors(
  a: Uint8Array,
  i: number,
  b: Uint8Array,
  j: number,
): number {
  for (let k = 0; k < ACTOR_BYTES; k++) {
    const difference = (a[i + k] as number) - (b[j + k] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** A u16 at `at`. Plain arithmetic, since a DataView would have to be created for each object. */
export function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

/** A u32 at `at`. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0;
}

/** A u48 at `at`. */
export function readU48(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at) * 0x1_0000_0000 + readU32(bytes, at + 2);
}

/** Writes a u16 at `at`. */
export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Writes a u32 at `at`. */
export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Writes a u48 at `at`. */
export function writeU48(bytes: Uint8Array, at: number, value: number): void {
  writeU16(bytes, at, Math.floor(value / 0x1_0000_0000));
  writeU32(bytes, at + 2, value >>> 0);
}
