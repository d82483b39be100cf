/**
 * Values of `ra_kv` and their stored form: `u8 form`, then plain bytes (form 0)
 * or MessagePack (form 1). The client that puts a value computes its hash, the
 * CRC-32 of all these bytes, and readers compare it.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { VALUE_BYTES_MAX } from "../kv/key_limits.ts";
import { decodeMsgpack, scanMsgpack, writeMsgpack } from "../wire/msgpack.ts";

/** What `ra_kv` stores: bytes, or anything MessagePack can represent. */
export type RaKvValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly RaKvValue[]
  | { readonly [name: string]: RaKvValue };

/** Largest value in bytes, including its form. */
export const RA_KV_VALUE_BYTES_MAX: number = VALUE_BYTES_MAX;

const Form = { bytes: 0, msgpack: 1 } as const;

/**
 * Appends `u32 hash · u32 bytes · value`.
 *
 * @throws {WhorlError} `value_too_large`, or `invalid_argument` for what
 * MessagePack cannot represent. Then nothing was appended.
 */
export function writeValueField(into: ByteWriter, value: RaKvValue): void {
  const start = into.length;
  try {
    into.u32(0);
    into.u32(0);
    if (value instanceof Uint8Array) {
      checkBytes(1 + value.length);
      into.u8(Form.bytes);
      into.raw(value);
    } else {
      into.u8(Form.msgpack);
      writePlain(into, value);
    }
    const length = into.length - start - 8;
    checkBytes(length);
    into.setU32(start, valueHash(into.bytes, start + 8, into.length));
    into.setU32(start + 4, length);
  } catch (error) {
    into.length = start;
    throw error;
  }
}

function writePlain(into: ByteWriter, value: unknown): void {
  // MessagePack cannot represent undefined, and nil would come back as null.
  if (value === undefined) throw unrepresentable("it is undefined");
  const start = into.length;
  writeMsgpack(value, into);
  try {
    // Dates, lone surrogates and keys called __proto__ can be encoded, but
    // readers would refuse them.
    const bytes = into.bytes.subarray(start, into.length);
    if (typeof value === "object") decodeMsgpack(bytes);
    else scanMsgpack(bytes);
  } catch (cause) {
    if (!isWhorlError(cause)) throw cause;
    throw unrepresentable(cause.message, cause);
  }
}

/**
 * Decodes the value in `bytes`; it may contain views into them. @throws
 * {WhorlError} `value_corrupt`.
 */
export function readValue(bytes: Uint8Array): RaKvValue {
  const form = bytes[0];
  const content = bytes.subarray(1);
  if (form === Form.bytes) return content;
  try {
    if (form === Form.msgpack) return decodeMsgpack(content) as RaKvValue;
  } catch (cause) {
    if (!isWhorlError(cause)) throw cause;
    throw corrupt(cause.message, cause);
  }
  throw corrupt(`its form is ${form}`);
}

/** Whether the value in `bytes` may contain views into them: it is bytes, a list or a record. */
export function mayHoldBytes(bytes: Uint8Array): boolean {
  const tag = bytes[1] ?? 0;
  // The MessagePack tags of neither containers nor binaries.
  const isPlain = tag <= 0x7f || tag >= 0xe0 || tag >= 0xa0 && tag <= 0xc3 ||
    tag >= 0xca && tag <= 0xdb;
  return bytes[0] !== Form.msgpack || !isPlain;
}

/** Up to this size a loop is faster than creating a view and leaving JavaScript. */
const LOOP_BYTES_MAX = 512;

/** The CRC-32 of each single byte. */
const CRC_TABLE: Uint32Array = new Uint32Array(256).map((_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) {
    crc = crc & 1 ? 0xedb8_8320 ^ crc >>> 1 : crc >>> 1;
  }
  return crc;
});

/** Hash of the stored value in `bytes[start, end)`: its CRC-32. */
export function valueHash(
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): number {
  if (end - start > LOOP_BYTES_MAX) return crc32(bytes.subarray(start, end));
  let crc = -1;
  for (let at = start; at < end; at++) {
    crc = (CRC_TABLE[(crc ^ (bytes[at] as number)) & 255] as number) ^
      crc >>> 8;
  }
  return (crc ^ -1) >>> 0;
}

function checkBytes(bytes: number): void {
  if (bytes <= RA_KV_VALUE_BYTES_MAX) return;
  throw new WhorlError(
    "value_too_large",
    `Cannot store a value as it may have at most ${RA_KV_VALUE_BYTES_MAX} bytes: current value has ${bytes}`,
    { details: { limit: RA_KV_VALUE_BYTES_MAX, bytes } },
  );
}

function unrepresentable(reason: string, cause?: unknown): WhorlError {
  return new WhorlError(
    "invalid_argument",
    `Cannot store a value that MessagePack cannot represent: ${reason}`,
    cause === undefined ? {} : { cause },
  );
}

function corrupt(reason: string, cause?: unknown): WhorlError {
  return new WhorlError(
    "value_corrupt",
    `Cannot read a value as it is damaged: ${reason}`,
    cause === undefined ? {} : { cause },
  );
}
