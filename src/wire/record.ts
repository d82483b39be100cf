/**
 * Records: checksummed pieces of a link's stream, so that corruption on the way
 * is noticed. TCP's own checksum has only sixteen bits, and every device that
 * rewrites packets recomputes it.
 *
 *     u24 length · u8 check of the length · u32 CRC-32 of the bytes · bytes
 *
 * A record holds what one write hands to the socket. Many small frames share a
 * record and a large frame spans several, so the cost of a checksum is paid per
 * write, not per frame. The length has a check of its own, because the CRC
 * covers bytes whose end is not known before: the receiver would wait for the
 * rest of a record whose length was corrupted upwards. The format is described
 * in docs/wire_format.md.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { u32At } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";

/** Bytes of a record's header. */
export const RECORD_HEADER_BYTES = 8;
/**
 * Most bytes in one record: 256 KiB. A smaller bound slows large values down by
 * the number of writes; a larger one makes receivers hold more bytes that they
 * cannot use yet.
 */
export const RECORD_BYTES_MAX: number = 256 * 1024;

/**
 * Makes `into[start, end)` a record, by writing its header into the
 * {@linkcode RECORD_HEADER_BYTES} before `start`.
 */
export function sealRecord(into: ByteWriter, start: number, end: number): void {
  const at = start - RECORD_HEADER_BYTES;
  const length = end - start;
  into.setU32(at, (length << 8 | lengthCheck(length)) >>> 0);
  // zlib at every size: a table in JavaScript saves some nanoseconds below 50
  // bytes, and takes three times as long at 128.
  into.setU32(at + 4, crc32(into.bytes.subarray(start, end)));
}

/**
 * How many bytes the record at `at` holds, or undefined while its length field
 * is incomplete.
 *
 * @throws {WhorlError} `protocol_error` for an invalid length.
 */
export function recordLength(
  bytes: Uint8Array,
  at: number,
  end: number,
): number | undefined {
  if (end - at < 4) return undefined;
  const field = u32At(bytes, at);
  const length = field >>> 8;
  if ((field & 0xff) !== lengthCheck(length)) {
    throw new WhorlError(
      "protocol_error",
      `Cannot receive bytes that are not a record, or were changed on the way: the length field is ${
        hex(field)
      }`,
      { details: { badRecord: true, field } },
    );
  }
  if (length === 0 || length > RECORD_BYTES_MAX) {
    throw new WhorlError(
      "protocol_error",
      `Cannot receive a record of ${length} bytes: it must have 1 to ${RECORD_BYTES_MAX}`,
      { details: { badRecord: true, length } },
    );
  }
  return length;
}

/**
 * Checks the whole record at `at`, whose length is `length`.
 *
 * @throws {WhorlError} `protocol_error` if its bytes do not match its checksum.
 */
export function checkRecord(
  bytes: Uint8Array<ArrayBuffer>,
  at: number,
  length: number,
): void {
  const start = at + RECORD_HEADER_BYTES;
  const told = u32At(bytes, at + 4);
  const found = crc32(bytes.subarray(start, start + length));
  if (found !== told) {
    throw new WhorlError(
      "protocol_error",
      `Cannot receive a record of ${length} bytes that were changed on the way: the CRC-32 is ${
        hex(found)
      } here, and was ${hex(told)} when they were sent`,
      { details: { badRecord: true, length, found, told } },
    );
  }
}

/** Whether an error is due to a corrupted record. */
export function isBadRecord(error: WhorlError): boolean {
  return error.details["badRecord"] === true;
}

/** Any change of a single bit in the length changes it, and a field of all zeros is invalid. */
function lengthCheck(length: number): number {
  return ~(length >>> 16 ^ length >>> 8 ^ length) & 0xff;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
