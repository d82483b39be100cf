/**
 * Values of `ra_kv` and how they are kept: `u8 form`, then bytes as they are
 * (form 0) or MessagePack (form 1). The client that puts a value makes its hash,
 * the CRC-32 of all of that; whoever reads it compares.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { VALUE_BYTES_MAX } from "../kv/key_limits.ts";
import { decodeMsgpack, scanMsgpack, writeMsgpack } from "../wire/msgpack.ts";

/** What `ra_kv` stores: bytes, or whatever MessagePack can say. */
export type RaKvValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly RaKvValue[]
  | { readonly [name: string]: RaKvValue };

/** Largest value in bytes, its form included. */
export const RA_KV_VALUE_BYTES_MAX: number = VALUE_BYTES_MAX;

const Form = { bytes: 0, msgpack: 1 } as const;

/**
 * Appends `u32 hash · u32 bytes · value`.
 *
 * @throws {WhorlError} `value_too_large`, or `invalid_argument` for what
 * MessagePack cannot say. Nothing has been appended then.
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
  // MessagePack has no word for it, and nil would come back as null.
  if (value === undefined) throw unsayable("it is undefined");
  const start = into.length;
  writeMsgpack(value, into);
  try {
    // Dates, lone surrogates and keys called __proto__ can be written, but nobody would read them.
    const bytes = into.bytes.subarray(start, into.length);
    if (typeof value === "object") decodeMsgpack(bytes);
    else scanMsgpack(bytes);
  } catch (cause) {
    if (!isWhorlError(cause)) throw cause;
    throw unsayable(cause.message, cause);
  }
}

/** The value in `bytes`. What it holds may be views into them. @throws {WhorlError} `value_corrupt`. */
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

/** Whether what is read from `bytes` may have views into them: it is bytes, a list or a record. */
export function mayHoldBytes(bytes: Uint8Array): boolean {
  const tag = bytes[1] ?? 0;
  // The tags of MessagePack that begin no container and no binary.
  const isPlain = tag <= 0x7f || tag >= 0xe0 || tag >= 0xa0 && tag <= 0xc3 ||
    tag >= 0xca && tag <= 0xdb;
  return bytes[0] !== Form.msgpack || !isPlain;
}

/** Up to here a loop beats making a view and calling out of JavaScript. */
const LOOP_BYTES_MAX = 512;

/** The CRC-32 of each byte, to go on from. */
const CRC_TABLE: Uint32Array = new Uint32Array(256).map((_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) {
    crc = crc & 1 ? 0xedb8_8320 ^ crc >>> 1 : crc >>> 1;
  }
  return crc;
});

/** Hash of the value in `bytes[start, end)`, as it is kept: its CRC-32. */
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
    `Cannot store a value as it may have ${RA_KV_VALUE_BYTES_MAX} bytes: current value has ${bytes}`,
    { details: { limit: RA_KV_VALUE_BYTES_MAX, bytes } },
  );
}

function unsayable(reason: string, cause?: unknown): WhorlError {
  return new WhorlError(
    "invalid_argument",
    `Cannot store a value that MessagePack cannot say: ${reason}`,
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
