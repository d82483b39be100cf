/**
 * The format of the write-ahead log: a file header, then batches. A batch holds
 * the records of all groups that one sync makes durable:
 *
 *     header    u32 magic · u32 CRC-32 of the rest of the header and the table
 *               u32 salt of the file · u53 number of the batch · u32 records · u32 bytes of bodies
 *     table     a line for each record
 *     bodies    of the records, concatenated
 *
 *     line      u8 kind · u48 uid · u48 index · u48 term · u32 length · u32 CRC-32 of the body · u8 0
 *
 * The lines are together so that one checksum covers them all. Each body has
 * its own checksum, which it keeps in its segment: a broken body belongs to one
 * known entry, and with a broken table the whole batch is unusable. Each file
 * has a random salt, so that nothing a client wrote can pass for a batch.
 * docs/raft_log_format.md describes the format.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { u32At } from "../../base/byte_reader.ts";
import { bytesToText } from "../../base/byte_text.ts";

/** Kinds of records. The numbers are part of the format. */
export const RecordKind = {
  /** An entry with its index, term and body. */
  entry: 1,
  /** A term, with the node voted for as the body, empty for none. */
  vote: 2,
  /** The applied index of the machine. */
  applied: 3,
} as const;

/** One of {@linkcode RecordKind}. */
export type RecordKind = typeof RecordKind[keyof typeof RecordKind];

/** The format of these files. */
export const WAL_FORMAT = 1;
/** Bytes of a file before its first batch. */
export const FILE_HEADER_BYTES = 64;
/** Bytes of a batch before its table. */
export const BATCH_HEADER_BYTES = 28;
/** Bytes of a line. */
export const LINE_BYTES = 28;

const FILE_MAGIC = "WHORLWAL";
const FILE_CONTENT_BYTES = 60;
/** The first bytes of a batch. */
export const BATCH_MAGIC = 0x57_42_41_54;
/** Offset in a batch of the part that its checksum covers. */
const COVERED_FROM = 8;
const U32 = 0x1_0000_0000;

/** The header of a file. */
export interface WalFileHeader {
  readonly format: number;
  /** Id of the folder it belongs to; 16 lowercase hex digits. */
  readonly storeId: string;
  readonly salt: number;
  /** Its number, as in its name. */
  readonly number: number;
}

/** A batch found in a file. */
export interface FoundBatch {
  readonly number: number;
  readonly count: number;
  /** Where its table begins. */
  readonly table: number;
  /** Where its bodies begin. */
  readonly bodies: number;
  /** Where it ends. */
  readonly end: number;
}

/** One line of a table; reused for many lines. */
export interface FoundLine {
  kind: number;
  uid: number;
  index: number;
  term: number;
  length: number;
  crc: number;
}

function setU48(view: DataView, at: number, value: number): void {
  view.setUint16(at, Math.floor(value / U32));
  view.setUint32(at + 2, value >>> 0);
}

function u48At(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8 | (bytes[at + 1] as number)) * U32 +
    u32At(bytes, at + 2);
}

/** Encodes the header of a file. */
export function encodeFileHeader(
  { storeId, salt, number }: Omit<WalFileHeader, "format">,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FILE_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(FILE_MAGIC));
  view.setUint16(8, WAL_FORMAT);
  bytes.set(Uint8Array.fromHex(storeId), 10);
  view.setUint32(18, salt);
  setU48(view, 22, number);
  view.setUint32(
    FILE_CONTENT_BYTES,
    crc32(bytes.subarray(0, FILE_CONTENT_BYTES)),
  );
  return bytes;
}

/** Decodes the header of a file; `undefined` if it is invalid. */
export function decodeFileHeader(bytes: Uint8Array): WalFileHeader | undefined {
  if (
    bytes.length < FILE_HEADER_BYTES ||
    bytesToText(bytes, 0, FILE_MAGIC.length) !== FILE_MAGIC ||
    u32At(bytes, FILE_CONTENT_BYTES) !==
      crc32(bytes.subarray(0, FILE_CONTENT_BYTES))
  ) return undefined;
  return {
    format: (bytes[8] as number) << 8 | (bytes[9] as number),
    storeId: bytes.slice(10, 18).toHex(),
    salt: u32At(bytes, 18),
    number: u48At(bytes, 22),
  };
}

/** Writes a line at `at`. */
export function setLine(
  view: DataView,
  at: number,
  kind: RecordKind,
  uid: number,
  index: number,
  term: number,
  length: number,
  crc: number,
): void {
  view.setUint8(at, kind);
  setU48(view, at + 1, uid);
  setU48(view, at + 7, index);
  setU48(view, at + 13, term);
  view.setUint32(at + 19, length);
  view.setUint32(at + 23, crc);
  view.setUint8(at + 27, 0);
}

/** Reads the line at `at` into `line`. */
export function readLine(
  bytes: Uint8Array,
  at: number,
  line: FoundLine,
): void {
  line.kind = bytes[at] as number;
  line.uid = u48At(bytes, at + 1);
  line.index = u48At(bytes, at + 7);
  line.term = u48At(bytes, at + 13);
  line.length = u32At(bytes, at + 19);
  line.crc = u32At(bytes, at + 23);
}

/** Writes the header of the batch in `bytes`, whose table is complete. */
export function sealBatch(
  bytes: Uint8Array,
  view: DataView,
  salt: number,
  number: number,
  count: number,
  bodyBytes: number,
): void {
  view.setUint32(0, BATCH_MAGIC);
  view.setUint32(8, salt);
  view.setUint32(12, Math.floor(number / U32));
  view.setUint32(16, number >>> 0);
  view.setUint32(20, count);
  view.setUint32(24, bodyBytes);
  const end = BATCH_HEADER_BYTES + count * LINE_BYTES;
  view.setUint32(4, crc32(bytes.subarray(COVERED_FROM, end)));
}

/**
 * The batch at `at`, if its header and table are valid and it is complete. Its
 * bodies may be broken.
 *
 * @param salt `undefined` for any.
 */
export function readBatch(
  bytes: Uint8Array,
  at: number,
  salt: number | undefined,
): FoundBatch | undefined {
  const table = at + BATCH_HEADER_BYTES;
  if (
    table > bytes.length || u32At(bytes, at) !== BATCH_MAGIC ||
    salt !== undefined && u32At(bytes, at + 8) !== salt
  ) return undefined;
  const count = u32At(bytes, at + 20);
  const bodies = table + count * LINE_BYTES;
  const end = bodies + u32At(bytes, at + 24);
  if (
    count === 0 || end > bytes.length ||
    u32At(bytes, at + 4) !== crc32(bytes.subarray(at + COVERED_FROM, bodies))
  ) return undefined;
  const number = u32At(bytes, at + 12) * U32 + u32At(bytes, at + 16);
  return { number, count, table, bodies, end };
}

/** The first valid batch, of any number, that begins in `[from, until)`. */
export function findBatch(
  bytes: Uint8Array,
  from: number,
  until: number,
  salt: number | undefined,
): FoundBatch | undefined {
  const first = BATCH_MAGIC >>> 24;
  const looked = bytes.subarray(from, until);
  for (
    let at = looked.indexOf(first);
    at >= 0;
    at = looked.indexOf(first, at + 1)
  ) {
    const found = readBatch(bytes, from + at, salt);
    if (found !== undefined) return found;
  }
  return undefined;
}
