/**
 * The format of a segment: immutable entries of one group.
 *
 *     header    WHORLSEG · u16 format · u53 uid of the group · u53 number · zeros · u32 CRC-32, 64 bytes in all
 *     bodies    concatenated, in the order of their indexes
 *     index     a line for each: u53 index · u32 offset · u32 length · u32 CRC-32 of the body
 *
 * The group's manifest has the checksum of the index, the number of its lines,
 * the total bytes of the bodies and the terms. So an incomplete segment is
 * never read, and opening a segment takes one read.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { u32At } from "../../base/byte_reader.ts";
import { bytesToText } from "../../base/byte_text.ts";

/** The format of segments. */
export const SEGMENT_FORMAT = 1;
/** Bytes before the bodies. */
export const SEGMENT_HEADER_BYTES = 64;
/** Bytes of a line of the index. */
export const INDEX_LINE_BYTES = 20;

const MAGIC = "WHORLSEG";
const CONTENT_BYTES = 60;
const U32 = 0x1_0000_0000;

/** The header of segment `number` of the group `uid`. */
export function encodeSegmentHeader(
  uid: number,
  number: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC));
  view.setUint16(8, SEGMENT_FORMAT);
  setU53(view, 10, uid);
  setU53(view, 18, number);
  view.setUint32(CONTENT_BYTES, crc32(bytes.subarray(0, CONTENT_BYTES)));
  return bytes;
}

/** Decodes a header; `undefined` if it is invalid. */
export function decodeSegmentHeader(
  bytes: Uint8Array,
):
  | { readonly format: number; readonly uid: number; readonly number: number }
  | undefined {
  if (
    bytes.length < SEGMENT_HEADER_BYTES ||
    bytesToText(bytes, 0, MAGIC.length) !== MAGIC ||
    u32At(bytes, CONTENT_BYTES) !== crc32(bytes.subarray(0, CONTENT_BYTES))
  ) return undefined;
  return {
    format: (bytes[8] as number) << 8 | (bytes[9] as number),
    uid: u53At(bytes, 10),
    number: u53At(bytes, 18),
  };
}

function setU53(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / U32));
  view.setUint32(at + 4, value >>> 0);
}

function u53At(bytes: Uint8Array, at: number): number {
  return u32At(bytes, at) * U32 + u32At(bytes, at + 4);
}

/** The index of a segment that is being written. */
export class SegmentIndexWriter {
  #bytes = new Uint8Array(256 * INDEX_LINE_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Adds a line; `offset` is from the beginning of the file. */
  add(index: number, offset: number, length: number, crc: number): void {
    const at = this.#length;
    if (at === this.#bytes.length) {
      const larger = new Uint8Array(2 * at);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    setU53(this.#view, at, index);
    this.#view.setUint32(at + 8, offset);
    this.#view.setUint32(at + 12, length);
    this.#view.setUint32(at + 16, crc);
    this.#length = at + INDEX_LINE_BYTES;
  }

  /** All lines. */
  view(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** The index of a segment, kept as the bytes that were read. */
export class SegmentIndex {
  readonly #bytes: Uint8Array;
  /** Number of lines. */
  readonly count: number;

  /** @param bytes The lines, with a checksum that was verified. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.count = bytes.length / INDEX_LINE_BYTES;
  }

  /** Memory in bytes. */
  get bytes(): number {
    return this.#bytes.length;
  }

  /** Index of the entry in `line`. */
  indexAt(line: number): number {
    return u53At(this.#bytes, line * INDEX_LINE_BYTES);
  }

  /** Offset of its body in the file. */
  offsetAt(line: number): number {
    return u32At(this.#bytes, line * INDEX_LINE_BYTES + 8);
  }

  /** Length of its body in bytes. */
  lengthAt(line: number): number {
    return u32At(this.#bytes, line * INDEX_LINE_BYTES + 12);
  }

  /** CRC-32 of its body. */
  crcAt(line: number): number {
    return u32At(this.#bytes, line * INDEX_LINE_BYTES + 16);
  }

  /** The first line whose entry is at or behind `index`; `count` if there is none. */
  lineFrom(index: number): number {
    const { count } = this;
    if (count === 0 || this.indexAt(0) >= index) return 0;
    // If no index is missing, this is its position.
    const guess = index - this.indexAt(0);
    if (guess < count && this.indexAt(guess) === index) return guess;
    let low = 0;
    let high = Math.min(count, guess);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.indexAt(middle) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
