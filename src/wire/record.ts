/**
 * Records: how the frames of a link stand in its stream, so that bytes which
 * were changed on the way are noticed. TCP's own sum is sixteen bits wide, and
 * whatever rewrites packets makes it anew.
 *
 *     u24 length · u8 check of the length · u32 CRC-32 of the bytes · bytes
 *
 * A record is a piece of the stream of frames: what one write hands to the
 * socket. Many small frames share one, and a large one spans several, so that
 * a sum is paid for each write and not for each frame. The length has a check
 * of its own because the sum cannot help while its end is unknown: a length
 * that grew on the way would else be waited for. The format is described in
 * docs/wire_format.md.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { u32At } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";

/** Bytes of a record before those it vouches for. */
export const RECORD_HEADER_BYTES = 8;
/**
 * Most bytes that one record vouches for: 256 KiB. With less, large values
 * travel slower for the number of writes; with more, a receiver holds more that
 * it cannot use yet.
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
  // By zlib at every size: a table in JavaScript wins some nanoseconds below
  // 50 bytes, and takes three times as long at 128.
  into.setU32(at + 4, crc32(into.bytes.subarray(start, end)));
}

/**
 * How many bytes the record at `at` vouches for, or undefined while its length
 * is not there.
 *
 * @throws {WhorlError} `protocol_error` for a length that no record has.
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
      `Cannot receive bytes that are no record, or were changed on the way: its length is told as ${
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
 * @throws {WhorlError} `protocol_error` if its bytes are not those it was sealed with.
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
      `Cannot receive a record of ${length} bytes that were changed on the way: their CRC-32 is ${
        hex(found)
      }, and they were sent with ${hex(told)}`,
      { details: { badRecord: true, length, found, told } },
    );
  }
}

/** Whether an error is one of those that a record which was changed brings. */
export function isBadRecord(error: WhorlError): boolean {
  return error.details["badRecord"] === true;
}

/** Another one for every change of a single bit, and never that of zeros for zero. */
function lengthCheck(length: number): number {
  return ~(length >>> 16 ^ length >>> 8 ^ length) & 0xff;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
