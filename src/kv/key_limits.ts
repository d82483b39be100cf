/**
 * Limits of buckets, keys and values of `kv`, and the bytes that a value is
 * stored under:
 *
 *     u16 bucket bytes · bucket in UTF-8 · key in UTF-8
 *
 * Buckets and keys are any well-formed Unicode, NUL included, told apart by
 * their code points (no normalization). They are not empty, as in riak_kv, where
 * an empty name is more often a forgotten variable than an intention. Together
 * they fill what a store takes as one key (`storeLimits.keyBytesMax`).
 *
 * @module
 */
import { shortAscii } from "../base/byte_text.ts";
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";

/** Longest bucket in bytes of UTF-8. */
export const BUCKET_BYTES_MAX = 256;
/** Longest key in bytes of UTF-8. */
export const KEY_BYTES_MAX = 742;
/** Longest storage key. */
export const STORAGE_KEY_BYTES_MAX = 2 + BUCKET_BYTES_MAX + KEY_BYTES_MAX;
/** Largest value in bytes: 8 MiB. */
export const VALUE_BYTES_MAX = 8 * 1024 * 1024;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Appends the length of the storage key of `bucket` and `key` as a u16, and the
 * storage key: the beginning of every `kv` command.
 *
 * @throws {WhorlError} `invalid_key`; nothing has been appended then.
 */
export function writeStorageKey(
  bucket: string,
  key: string,
  into: ByteWriter,
): void {
  writeParts(
    bucket,
    () => writeName("key", key, KEY_BYTES_MAX, into),
    into,
  );
}

/**
 * As {@linkcode writeStorageKey}, for a key of an application, which need not
 * be text.
 *
 * @throws {WhorlError} `invalid_key`; nothing has been appended then.
 */
export function writeModuleKey(
  bucket: string,
  key: string | Uint8Array,
  into: ByteWriter,
): void {
  if (typeof key === "string") return writeStorageKey(bucket, key, into);
  writeParts(bucket, () => {
    if (!(key instanceof Uint8Array)) {
      throw invalidKey("key", "must be text or bytes", `of type ${typeof key}`);
    }
    if (key.length < 1 || key.length > KEY_BYTES_MAX) {
      throw tooLong("key", KEY_BYTES_MAX, key.length);
    }
    into.raw(key);
    return key.length;
  }, into);
}

/** Appends a storage key; `writeKey` appends the key part and returns its length in bytes. */
function writeParts(
  bucket: string,
  writeKey: () => number,
  into: ByteWriter,
): void {
  const start = into.length;
  into.u16(0);
  into.u16(0);
  try {
    const bucketBytes = writeName("bucket", bucket, BUCKET_BYTES_MAX, into);
    into.setU16(start + 2, bucketBytes);
    const keyBytes = writeKey();
    into.setU16(start, 2 + bucketBytes + keyBytes);
  } catch (error) {
    into.length = start;
    throw error;
  }
}

/** Appends `bucket` as it is encoded in storage keys, without its length. @throws {WhorlError} `invalid_key`. */
export function writeBucket(bucket: string, into: ByteWriter): void {
  const start = into.length;
  try {
    writeName("bucket", bucket, BUCKET_BYTES_MAX, into);
  } catch (error) {
    into.length = start;
    throw error;
  }
}

/** The common prefix of the storage keys of `bucket`. */
export function bucketPrefix(bucket: Uint8Array): Uint8Array<ArrayBuffer> {
  const prefix = new Uint8Array(2 + bucket.length);
  prefix[0] = bucket.length >> 8;
  prefix[1] = bucket.length;
  prefix.set(bucket, 2);
  return prefix;
}

/** Bucket and key of a storage key, as views. */
export function storageKeyParts(
  storageKey: Uint8Array,
): { readonly bucket: Uint8Array; readonly key: Uint8Array } {
  const end = 2 + ((storageKey[0] as number) << 8 | (storageKey[1] as number));
  return { bucket: storageKey.subarray(2, end), key: storageKey.subarray(end) };
}

/** The key in `bytes[start, end)` as text. @throws {WhorlError} `invalid_key` if it is none. */
export function keyText(
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): string {
  const short = shortAscii(bytes, start, end);
  if (short !== undefined) return short;
  try {
    return decoder.decode(bytes.subarray(start, end));
  } catch (cause) {
    throw new WhorlError(
      "invalid_key",
      "Cannot read a key as it must be UTF-8",
      { cause },
    );
  }
}

function writeName(
  what: string,
  name: unknown,
  bytesMax: number,
  into: ByteWriter,
): number {
  if (typeof name !== "string") {
    throw invalidKey(what, "must be a string", `of type ${typeof name}`);
  }
  // Checked before encoding: a text that is far too long is not worth copying.
  if (name.length > bytesMax) throw tooLong(what, bytesMax, name.length);
  if (!name.isWellFormed()) {
    throw invalidKey(what, "must be well-formed Unicode", "a lone surrogate");
  }
  const written = into.rawText(name);
  if (written === 0) throw invalidKey(what, "must not be empty", "empty");
  if (written > bytesMax) throw tooLong(what, bytesMax, written);
  return written;
}

/**
 * Reads the u16 length and the storage key at the position of `from`, as a
 * view.
 *
 * @throws {WhorlError} `invalid_key` or `protocol_error` if it is not one.
 */
export function readStorageKey(from: ByteReader): Uint8Array {
  const key = from.raw(from.u16());
  checkStorageKey(key);
  return key;
}

/** @throws {WhorlError} `invalid_key` unless `key` has the form and the lengths of a storage key. */
export function checkStorageKey(key: Uint8Array): void {
  const bucketBytes = key.length < 2
    ? 0
    : ((key[0] as number) << 8) | (key[1] as number);
  const keyBytes = key.length - 2 - bucketBytes;
  if (bucketBytes < 1 || bucketBytes > BUCKET_BYTES_MAX) {
    throw invalidKey(
      "bucket",
      `must have 1 to ${BUCKET_BYTES_MAX} bytes`,
      bucketBytes,
    );
  }
  if (keyBytes < 1 || keyBytes > KEY_BYTES_MAX) {
    throw invalidKey(
      "key",
      `must have 1 to ${KEY_BYTES_MAX} bytes`,
      Math.max(0, keyBytes),
    );
  }
}

/**
 * The bucket and the key of a storage key.
 *
 * @throws {WhorlError} `invalid_key` if it is not one.
 */
export function parseStorageKey(
  storageKey: Uint8Array,
): { bucket: string; key: string } {
  checkStorageKey(storageKey);
  const keyStart = 2 + ((storageKey[0] as number) << 8) +
    (storageKey[1] as number);
  return {
    bucket: keyText(storageKey.subarray(2, keyStart)),
    key: keyText(storageKey.subarray(keyStart)),
  };
}

/** @throws {WhorlError} `value_too_large` if a value has more than {@linkcode VALUE_BYTES_MAX} bytes. */
export function checkValueBytes(byteLength: number): void {
  if (byteLength <= VALUE_BYTES_MAX) return;
  throw new WhorlError(
    "value_too_large",
    `Cannot store a value as it may have ${VALUE_BYTES_MAX} bytes: current value is ${byteLength}`,
    { details: { limit: VALUE_BYTES_MAX, bytes: byteLength } },
  );
}

function tooLong(what: string, bytesMax: number, bytes: number): WhorlError {
  return invalidKey(what, `must have 1 to ${bytesMax} bytes`, bytes);
}

function invalidKey(
  what: string,
  rule: string,
  value: string | number,
): WhorlError {
  return new WhorlError(
    "invalid_key",
    `Cannot use a ${what} as it ${rule}: current value is ${value}`,
    { details: { what, rule, value } },
  );
}
