/**
 * A key of a consistent bucket as an object of `kv`: with one sibling, or none
 * if the key does not exist. Its only actor stands for the group, and its
 * counter is one more than the index of the entry with the value. So `kv`
 * clients need not know of ensembles, and the context that they pass back says
 * which index the writer has seen: 0 for a key that did not exist.
 *
 *     value   u8 format = 1 · u8 flags of the sibling · u48 modified, ms since 1970 · value
 *
 * is what the group stores, as bytes.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import {
  CONTEXT_ENTRY_BYTES,
  CONTEXT_HEADER_BYTES,
} from "../kv/causal_context.ts";
import {
  ACTOR_BYTES,
  ENTRY_BYTES,
  OBJECT_FORMAT,
  OBJECT_HEADER_BYTES,
  readU16,
  readU48,
  SIBLING_HEADER_BYTES,
  SiblingFlag,
  writeU16,
  writeU32,
  writeU48,
} from "../kv/kv_object_codec.ts";
import { RA_KV_VALUE_BYTES_MAX } from "../ra_kv/ra_kv_value.ts";

/** First byte of a value. */
const VALUE_FORMAT = 1;
/** Bytes of a value before the application's data. */
const VALUE_HEADER_BYTES = 8;
/**
 * Largest value of a consistent bucket in bytes: what a group stores, minus the
 * header.
 */
export const CONSISTENT_VALUE_BYTES_MAX: number = RA_KV_VALUE_BYTES_MAX - 1 -
  VALUE_HEADER_BYTES;
/**
 * In place of the vnode that made a version; no vnode has it, since theirs are
 * random.
 */
const ACTOR = new TextEncoder().encode("consistent/1");

/** A value as stored by a group. @throws {WhorlError} `value_too_large`. */
export function storedValue(
  flags: number,
  modifiedMs: number,
  value: Uint8Array,
): Uint8Array<ArrayBuffer> {
  if (value.length > CONSISTENT_VALUE_BYTES_MAX) {
    throw new WhorlError(
      "value_too_large",
      `Cannot store a value in a consistent bucket as it may have ${CONSISTENT_VALUE_BYTES_MAX} bytes: current value is ${value.length}`,
      {
        details: { limit: CONSISTENT_VALUE_BYTES_MAX, bytes: value.length },
      },
    );
  }
  const stored = new Uint8Array(VALUE_HEADER_BYTES + value.length);
  stored[0] = VALUE_FORMAT;
  stored[1] = flags;
  writeU48(stored, 2, modifiedMs);
  stored.set(value, VALUE_HEADER_BYTES);
  return stored;
}

/**
 * The object of a key whose value was stored by the group at `index`.
 *
 * @throws {WhorlError} `store_format` if a later version has stored it,
 * `value_corrupt` if it is malformed.
 */
export function objectOf(
  index: number,
  stored: Uint8Array,
): Uint8Array<ArrayBuffer> {
  if (stored[0] !== VALUE_FORMAT) {
    throw new WhorlError(
      "store_format",
      `Cannot read a value of a consistent bucket as this version knows format ${VALUE_FORMAT}: it is ${
        stored[0]
      }`,
    );
  }
  const flags = stored[1] as number;
  if (
    stored.length < VALUE_HEADER_BYTES || (flags & ~SiblingFlag.json) !== 0
  ) {
    throw new WhorlError(
      "value_corrupt",
      "Cannot read a value of a consistent bucket as it is not what was written",
    );
  }
  return object(
    index,
    { flags, modifiedMs: readU48(stored, 2) },
    stored.subarray(VALUE_HEADER_BYTES),
  );
}

/** The object of a key that does not exist. */
export function absentObject(): Uint8Array<ArrayBuffer> {
  return object(0, undefined, NOTHING);
}

/**
 * The answer to a write: the object without the value, which the writer has.
 */
export function writtenObject(index: number): Uint8Array<ArrayBuffer> {
  return object(index, { flags: 0, modifiedMs: 0 }, NOTHING);
}

const NOTHING = new Uint8Array(0);

function object(
  index: number,
  sibling: { readonly flags: number; readonly modifiedMs: number } | undefined,
  value: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const siblingAt = OBJECT_HEADER_BYTES + ENTRY_BYTES;
  const bytes = new Uint8Array(
    siblingAt +
      (sibling === undefined ? 0 : SIBLING_HEADER_BYTES + value.length),
  );
  const siblings = sibling === undefined ? 0 : 1;
  bytes[0] = OBJECT_FORMAT;
  writeU16(bytes, 2, 1);
  writeU16(bytes, 4, siblings);
  bytes.set(ACTOR, OBJECT_HEADER_BYTES);
  writeU48(bytes, OBJECT_HEADER_BYTES + ACTOR_BYTES, index + 1);
  writeU16(bytes, OBJECT_HEADER_BYTES + ACTOR_BYTES + 6, siblings);
  if (sibling === undefined) return bytes;
  bytes[siblingAt] = sibling.flags;
  writeU48(bytes, siblingAt + 1, sibling.modifiedMs);
  writeU32(bytes, siblingAt + 7, value.length);
  bytes.set(value, siblingAt + SIBLING_HEADER_BYTES);
  return bytes;
}

/**
 * The index of a key that `context` was read at; 0 if the key did not exist.
 *
 * @throws {WhorlError} `invalid_context` if it is not of a consistent bucket.
 */
export function indexInContext(context: Uint8Array): number {
  const isOurs = readU16(context, 2) === 1 &&
    context.length === CONTEXT_HEADER_BYTES + CONTEXT_ENTRY_BYTES &&
    ACTOR.every((byte, at) => context[CONTEXT_HEADER_BYTES + at] === byte);
  if (!isOurs) {
    throw new WhorlError(
      "invalid_context",
      "Cannot write with this context as the bucket is consistent, and the context is of another bucket",
    );
  }
  return readU48(context, CONTEXT_HEADER_BYTES + ACTOR_BYTES) - 1;
}
