/**
 * The stream of a link, made and read by hand.
 *
 * @module
 */
import { ByteWriter } from "../../base/byte_writer.ts";
import {
  checkRecord,
  RECORD_BYTES_MAX,
  RECORD_HEADER_BYTES,
  recordLength,
  sealRecord,
} from "../record.ts";

/** `frames` as they travel, in records of at most `lengthMax` bytes each. */
export function recordsOf(
  frames: Uint8Array,
  lengthMax = RECORD_BYTES_MAX,
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(frames.length + 64);
  for (let at = 0; at < frames.length; at += lengthMax) {
    into.u32(0);
    into.u32(0);
    const start = into.length;
    into.raw(frames.subarray(at, at + lengthMax));
    sealRecord(into, start, into.length);
  }
  return into.copy();
}

/**
 * The frames in the records that are whole in `bytes`, and how many bytes those took.
 *
 * @throws {WhorlError} `protocol_error` for a record that is none.
 */
export function openRecords(
  bytes: Uint8Array<ArrayBuffer>,
): { frames: Uint8Array<ArrayBuffer>; taken: number } {
  const frames = new ByteWriter(bytes.length + 1);
  let at = 0;
  for (;;) {
    const length = recordLength(bytes, at, bytes.length);
    const start = at + RECORD_HEADER_BYTES;
    if (length === undefined || start + length > bytes.length) break;
    checkRecord(bytes, at, length);
    frames.raw(bytes.subarray(start, start + length));
    at = start + length;
  }
  return { frames: frames.copy(), taken: at };
}
