/**
 * The format of a snapshot's two files.
 *
 *     state   WHORLSNP · u16 format · pieces · end
 *     piece   u32 length, 1 or more · u32 CRC-32 of the bytes · bytes
 *     end     u32 0 · u32 CRC-32 of what follows · u53 pieces · u53 bytes of all pieces
 *
 *     live    WHORLLIV · u16 format · meta · u32 ranges · ranges · u32 CRC-32 of all before
 *     range   varint gap to the one before, from its last index · varint length - 1
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { ByteReader, u32At } from "../../base/byte_reader.ts";
import { bytesToText } from "../../base/byte_text.ts";
import { ByteWriter } from "../../base/byte_writer.ts";
import type { SnapshotMeta } from "../raft_entry.ts";
import { readSnapshotMeta, writeSnapshotMeta } from "./group_manifest_codec.ts";
import { IndexRanges } from "./index_ranges.ts";

/** The format of both files. */
export const SNAPSHOT_FORMAT = 1;
/** Bytes before the first piece. */
export const STATE_HEADER_BYTES = 10;
/** Bytes of a piece's header. */
export const PIECE_HEADER_BYTES = 8;
/** Bytes of the end, with its header. */
export const STATE_END_BYTES: number = PIECE_HEADER_BYTES + 16;

/** Approximate bytes of each piece in which the `live` file is encoded. */
const LIVE_PIECE_BYTES = 64 * 1024;

const STATE_MAGIC = "WHORLSNP";
const LIVE_MAGIC = "WHORLLIV";

/** The header of a state file. */
export function encodeStateHeader(): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(STATE_HEADER_BYTES);
  into.rawText(STATE_MAGIC);
  into.u16(SNAPSHOT_FORMAT);
  return into.copy();
}

/** The format in the header of a file; `undefined` if it is not a state file. */
export function decodeStateHeader(bytes: Uint8Array): number | undefined {
  if (
    bytes.length < STATE_HEADER_BYTES ||
    bytesToText(bytes, 0, STATE_MAGIC.length) !== STATE_MAGIC
  ) return undefined;
  const format = (bytes[8] as number) << 8 | (bytes[9] as number);
  return format === 0 ? undefined : format;
}

/** The header of a piece. */
export function encodePieceHeader(
  piece: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(PIECE_HEADER_BYTES);
  into.u32(piece.length);
  into.u32(crc32(piece));
  return into.copy();
}

/** The end of a state file. */
export function encodeStateEnd(
  pieces: number,
  bytes: number,
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(STATE_END_BYTES);
  into.u32(0);
  into.u32(0);
  into.u53(pieces);
  into.u53(bytes);
  into.setU32(4, crc32(into.view().subarray(PIECE_HEADER_BYTES)));
  return into.copy();
}

/** Whether `bytes` are the end of a state with that many pieces and bytes. */
export function isStateEnd(
  bytes: Uint8Array,
  pieces: number,
  stateBytes: number,
): boolean {
  const end = encodeStateEnd(pieces, stateBytes);
  return bytes.length === end.length &&
    end.every((byte, i) => byte === bytes[i]);
}

function writeVarint(into: ByteWriter, value: number): void {
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) {
    into.u8(left % 0x80 + 0x80);
  }
  into.u8(left);
}

function readVarint(from: ByteReader): number {
  let value = 0;
  for (let scale = 1;; scale *= 0x80) {
    const byte = from.u8();
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
}

/** Encodes the `live` file of a snapshot in pieces. Each must be used before the next one is requested. */
export function* encodeLive(
  meta: SnapshotMeta,
  live: IndexRanges,
): Generator<Uint8Array<ArrayBuffer>> {
  const into = new ByteWriter(LIVE_PIECE_BYTES + 64);
  into.rawText(LIVE_MAGIC);
  into.u16(SNAPSHOT_FORMAT);
  writeSnapshotMeta(into, meta);
  into.u32(live.rangeCount);
  let before = 0;
  let crc = 0;
  for (const [first, last] of live.ranges()) {
    writeVarint(into, first - before);
    writeVarint(into, last - first);
    before = last;
    if (into.length < LIVE_PIECE_BYTES) continue;
    crc = crc32(into.view(), crc);
    yield into.view();
    into.clear();
  }
  into.u32(crc32(into.view(), crc));
  yield into.view();
}

/** The description of a snapshot. */
export interface SnapshotDescription {
  readonly format: number;
  readonly meta: SnapshotMeta;
  readonly live: IndexRanges;
}

/**
 * Decodes a `live` file; `undefined` if it is damaged. Yields now and then, as
 * a million scattered live entries take 40 ms.
 */
export function* decodeLive(
  bytes: Uint8Array<ArrayBuffer>,
): Generator<void, SnapshotDescription | undefined> {
  const end = bytes.length - 4;
  if (
    end < LIVE_MAGIC.length ||
    bytesToText(bytes, 0, LIVE_MAGIC.length) !== LIVE_MAGIC ||
    u32At(bytes, end) !== crc32(bytes.subarray(0, end))
  ) return undefined;
  const from = new ByteReader(bytes, LIVE_MAGIC.length, end);
  const format = from.u16();
  const meta = readSnapshotMeta(from);
  const count = from.u32();
  const live = yield* IndexRanges.ofRangesInSlices(
    count,
    readRanges(from, count),
  );
  return { format, meta, live };
}

function* readRanges(
  from: ByteReader,
  count: number,
): Generator<readonly [first: number, last: number]> {
  let before = 0;
  for (let i = 0; i < count; i++) {
    const first = before + readVarint(from);
    before = first + readVarint(from);
    yield [first, before];
  }
}
