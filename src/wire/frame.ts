/**
 * Frames: how messages are delimited in a stream of bytes, on a socket between
 * nodes, a port to a worker and a pipe to a subprocess alike.
 *
 *     u32 length · u8 type · u8 flags · u64 correlation · payload
 *
 * `length` counts the bytes after it. The sender of a request chooses its
 * correlation, at most 2^53 - 1, and the answer repeats it. The format is
 * described in docs/wire_format.md.
 *
 * @module
 */
import type { ByteWriter } from "../base/byte_writer.ts";
import { u32At } from "../base/byte_reader.ts";
import { WhorlError } from "../base/errors.ts";

/** Bytes before the payload, the length field included. */
export const FRAME_HEADER_BYTES = 14;
/** Largest `length` before the other end has authenticated: 4 KiB. */
export const FRAME_BYTES_MAX_UNAUTHENTICATED = 4 * 1024;
/** Largest `length` from an authenticated peer: 16 MiB. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;

const LENGTH_FIELD_BYTES = 4;
const LENGTH_MIN = FRAME_HEADER_BYTES - LENGTH_FIELD_BYTES;

/**
 * Begins a frame in `into` and returns where it begins; write the payload next,
 * then call {@linkcode endFrame} with the result.
 */
export function beginFrame(
  into: ByteWriter,
  type: number,
  correlation: number,
  flags = 0,
): number {
  const start = into.length;
  into.u32(0);
  into.u8(type);
  into.u8(flags);
  into.u53(correlation);
  return start;
}

/**
 * Ends the frame that began at `start` by filling in its length.
 *
 * @throws {WhorlError} `frame_too_large`; then the frame is removed from
 * `into`.
 */
export function endFrame(into: ByteWriter, start: number): void {
  const length = into.length - start - LENGTH_FIELD_BYTES;
  if (length > FRAME_BYTES_MAX) {
    into.length = start;
    throw new WhorlError(
      "frame_too_large",
      `Cannot send a frame of ${length} bytes: the limit is ${FRAME_BYTES_MAX}`,
      { details: { length, limit: FRAME_BYTES_MAX } },
    );
  }
  into.setU32(start, length);
}

/** Where the whole frame at `start` ends. */
export function frameEndAt(bytes: Uint8Array, start: number): number {
  return start + LENGTH_FIELD_BYTES + u32At(bytes, start);
}

/** Appends a whole frame with a payload that is encoded already. */
export function writeFrame(
  into: ByteWriter,
  type: number,
  correlation: number,
  payload: Uint8Array,
  flags = 0,
): void {
  const start = beginFrame(into, type, correlation, flags);
  into.raw(payload);
  endFrame(into, start);
}

/**
 * What a receiver does with each frame. The payload is
 * `bytes[payloadStart, payloadEnd)`, valid only during the call.
 */
export type FrameHandler = (
  type: number,
  flags: number,
  correlation: number,
  bytes: Uint8Array<ArrayBuffer>,
  payloadStart: number,
  payloadEnd: number,
) => void;

/**
 * Hands every whole frame in `bytes[start, end)` to `handle` and returns where
 * the first incomplete one begins, which is `end` when there is none.
 *
 * @throws {WhorlError} `frame_too_large` or `protocol_error` for an invalid
 * frame; the frames before it have been handled.
 */
export function readFrames(
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  end: number,
  lengthMax: number,
  handle: FrameHandler,
): number {
  let at = start;
  while (end - at >= LENGTH_FIELD_BYTES) {
    const length = u32At(bytes, at);
    if (length > lengthMax) {
      throw new WhorlError(
        "frame_too_large",
        `Cannot receive a frame of ${length} bytes: the limit is ${lengthMax}`,
        { details: { length, limit: lengthMax } },
      );
    }
    if (length < LENGTH_MIN) {
      throw new WhorlError(
        "protocol_error",
        `Cannot receive a frame of ${length} bytes: the least is ${LENGTH_MIN}`,
      );
    }
    const next = at + LENGTH_FIELD_BYTES + length;
    if (next > end) break;
    const high = u32At(bytes, at + 6);
    if (high > 0x1f_ffff) {
      throw new WhorlError(
        "protocol_error",
        "Cannot receive a frame whose correlation is above 2^53 - 1",
      );
    }
    handle(
      bytes[at + 4] as number,
      bytes[at + 5] as number,
      high * 0x1_0000_0000 + u32At(bytes, at + 10),
      bytes,
      at + FRAME_HEADER_BYTES,
      next,
    );
    at = next;
  }
  return at;
}

/** The length that the frame at `at` announces, header included, or undefined while its length field is incomplete. */
export function announcedFrameBytes(
  bytes: Uint8Array<ArrayBuffer>,
  at: number,
  end: number,
): number | undefined {
  if (end - at < LENGTH_FIELD_BYTES) return undefined;
  return LENGTH_FIELD_BYTES + u32At(bytes, at);
}
