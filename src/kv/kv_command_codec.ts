/**
 * The bodies of `kv` commands. Each begins with the storage key, so that a
 * request can be routed without knowledge of the command, and the rest passes
 * through untouched:
 *
 *     key    u16 bytes · storage key (`key_limits.ts`)
 *     get    key                                    answer: object, or nothing
 *     put    key · u8 flags · u32 bytes · context · value    answer: object
 *     merge  key · object                           answer: nothing
 *
 * Flags are a sibling's (1 tombstone, 2 JSON). Decoded, all bytes are views
 * into the message. A body is validated completely when it is decoded, so that
 * an invalid one is refused before it reaches a vnode.
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { CommandCodec } from "../vnode/vnode.ts";
import { checkContext } from "./causal_context.ts";
import {
  checkStorageKey,
  checkValueBytes,
  readStorageKey,
  writeStorageKey,
} from "./key_limits.ts";
import { checkObject, SiblingFlag } from "./kv_object_codec.ts";

/** Asks for the object of a key. */
export interface KvGet {
  /** The storage key. */
  readonly key: Uint8Array;
}

/** Asks a coordinator to write a new version. */
export interface KvPut {
  /** The storage key. */
  readonly key: Uint8Array;
  /** {@linkcode SiblingFlag} bits. */
  readonly flags: number;
  /** What the writer has seen; `undefined` if nothing. */
  readonly context: Uint8Array | undefined;
  readonly value: Uint8Array;
}

/** Asks a replica to merge an object into its own. */
export interface KvMerge {
  /** The storage key. */
  readonly key: Uint8Array;
  readonly object: Uint8Array;
}

/** Appends the body of a get. @throws {WhorlError} `invalid_key`. */
export function writeGetBody(
  bucket: string,
  key: string,
  into: ByteWriter,
): void {
  writeStorageKey(bucket, key, into);
}

/**
 * Appends the body of a put.
 *
 * @param flags {@linkcode SiblingFlag} bits; a tombstone has an empty value.
 * @param context What the writer has seen; `undefined` if nothing.
 * @throws {WhorlError} `invalid_key` or `value_too_large`; nothing has been appended then.
 */
export function writePutBody(
  bucket: string,
  key: string,
  flags: number,
  context: Uint8Array | undefined,
  value: Uint8Array,
  into: ByteWriter,
): void {
  checkValueBytes(value.length);
  writeStorageKey(bucket, key, into);
  writePutRest(flags, context, value, into);
}

function writePutRest(
  flags: number,
  context: Uint8Array | undefined,
  value: Uint8Array,
  into: ByteWriter,
): void {
  into.u8(flags);
  if (context === undefined) into.u32(0);
  else into.blob(context);
  into.raw(value);
}

function writeKeyField(key: Uint8Array, into: ByteWriter): void {
  checkStorageKey(key);
  into.u16(key.length);
  into.raw(key);
}

/** How a get travels. */
export const kvGetCodec: CommandCodec<KvGet> = {
  encode: ({ key }, into) => writeKeyField(key, into),
  decode(from) {
    const key = readStorageKey(from);
    if (from.remaining > 0) {
      throw refusal(`${from.remaining} bytes follow the key`);
    }
    return { key };
  },
};

/** How a put travels. */
export const kvPutCodec: CommandCodec<KvPut> = {
  encode({ key, flags, context, value }, into) {
    writeKeyField(key, into);
    writePutRest(flags, context, value, into);
  },
  decode(from) {
    const key = readStorageKey(from);
    const flags = from.u8();
    const contextBytes = from.u32();
    let context: Uint8Array | undefined;
    if (contextBytes > 0) {
      context = from.raw(contextBytes);
      checkContext(context);
    }
    const value = from.rest();
    checkValueBytes(value.length);
    if (
      flags > SiblingFlag.json + SiblingFlag.tombstone - 1 ||
      (flags === SiblingFlag.tombstone && value.length > 0)
    ) throw refusal(`flags are ${flags}`);
    return { key, flags, context, value };
  },
};

/** Codec of a merge, and of an item of a handoff. */
export const kvMergeCodec: CommandCodec<KvMerge> = {
  encode({ key, object }, into) {
    writeKeyField(key, into);
    into.raw(object);
  },
  decode(from) {
    const key = readStorageKey(from);
    const object = from.rest();
    checkObject(object);
    return { key, object };
  },
};

/** Codec of an answer: the object, or no bytes if there is none. */
export const kvFoundCodec: CommandCodec<Uint8Array | undefined> = {
  encode(object, into: ByteWriter) {
    if (object !== undefined) into.raw(object);
  },
  decode: (from: ByteReader) => from.remaining === 0 ? undefined : from.rest(),
};

function refusal(reason: string): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot read the body of a kv command: ${reason}`,
  );
}
