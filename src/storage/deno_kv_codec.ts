/**
 * Keys and records in a Deno KV store, format 2 (`docs/disk_format.md`). A key
 * is one byte array: a space, a partition, the rest. A record starts with a
 * CRC-32 over its key and its own bytes, so that both a damaged value and a
 * valid value under the wrong key are detected.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { WhorlError } from "../base/errors.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { bytesToText, textToBytes } from "../base/byte_text.ts";

/** The format this code writes, and the only one it reads: format 1, without a journal, was never released. */
export const storeFormat = 2;

/** First byte of a key: the kind of entry. */
export const space = {
  head: 0,
  data: 1,
  chunk: 2,
  chunkSet: 3,
  journal: 4,
} as const;

/** Bytes of a data key before the caller's key. */
export const keyPrefixBytes = 3;

/** Fifth byte of a record: its kind. */
export const recordKind = {
  inline: 1,
  manifest: 2,
  chunk: 3,
  chunkSet: 4,
  head: 5,
  journal: 6,
  /** In a journal entry: the key was removed. */
  removed: 7,
  /**
   * In a journal entry: the same commit wrote the key's row, so earlier entries
   * of the key no longer count.
   */
  inRow: 8,
} as const;

/** Bytes of a record before its content: the checksum and the kind. */
export const recordHeaderBytes = 5;

/** The key of the head record, which identifies the store. */
export const headKey: Uint8Array<ArrayBuffer> = new Uint8Array([space.head]);

/**
 * The key of the fence. An opener writes it, and every commit requires that no
 * other opener has written it since. Writing it needs no knowledge of the head,
 * so an opener succeeds even against another process that commits without
 * pause.
 */
export const fenceKey: Uint8Array<ArrayBuffer> = new Uint8Array([
  space.head,
  1,
]);

/** Prepends space and partition to a key. */
export function writeKeyPrefix(
  into: Uint8Array,
  offset: number,
  keySpace: number,
  partition: number,
): void {
  into[offset] = keySpace;
  into[offset + 1] = partition >>> 8;
  into[offset + 2] = partition;
}

/** The first key of `partition` in `keySpace`, as text. */
export function firstKeyText(keySpace: number, partition: number): string {
  return String.fromCharCode(keySpace, partition >>> 8, partition & 255);
}

/** The first key after `partition` in `keySpace`, as text. */
export function endKeyText(keySpace: number, partition: number): string {
  return partition === 65_535
    ? String.fromCharCode(keySpace + 1)
    : firstKeyText(keySpace, partition + 1);
}

/** The partition in a key. */
export function partitionOf(key: Uint8Array): number {
  return (key[1] as number) << 8 | (key[2] as number);
}

/**
 * CRC-32 of a key; its record's checksum starts from it, and it is the key's
 * hash.
 */
export function hashKey(key: Uint8Array): number {
  return crc32(key);
}

/** Writes the checksum into `record`, whose other bytes are complete. */
export function sealRecord(record: Uint8Array, keyHash: number): void {
  const checksum = crc32(record.subarray(4), keyHash);
  record[0] = checksum;
  record[1] = checksum >>> 8;
  record[2] = checksum >>> 16;
  record[3] = checksum >>> 24;
}

/** Whether `record` is what was stored under the key with `keyHash`. */
export function isSound(record: unknown, keyHash: number): boolean {
  if (!(record instanceof Uint8Array) || record.length < recordHeaderBytes) {
    return false;
  }
  const stored = ((record[0] as number) | (record[1] as number) << 8 |
    (record[2] as number) << 16 | (record[3] as number) << 24) >>> 0;
  return crc32(record.subarray(4), keyHash) === stored;
}

/** A record with `content` and its checksum. */
export function makeRecord(
  kind: number,
  content: Uint8Array,
  key: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const record = new Uint8Array(recordHeaderBytes + content.length);
  record[4] = kind;
  record.set(content, recordHeaderBytes);
  sealRecord(record, hashKey(key));
  return record;
}

/** A value in chunks: their location and how they are joined. */
export interface ChunkSet {
  readonly partition: number;
  /** Epoch and counter that identify the set; never reused in a store. */
  readonly epoch: number;
  readonly counter: number;
  readonly chunks: number;
}

const numberKeyBytes = keyPrefixBytes + 12;

function setKeyInto(set: ChunkSet, keySpace: number, bytes: number): Uint8Array<
  ArrayBuffer
> {
  const key = new Uint8Array(bytes);
  writeKeyPrefix(key, 0, keySpace, set.partition);
  const view = new DataView(key.buffer);
  view.setUint16(3, Math.floor(set.epoch / 0x1_0000_0000));
  view.setUint32(5, set.epoch >>> 0);
  view.setUint16(9, Math.floor(set.counter / 0x1_0000_0000));
  view.setUint32(11, set.counter >>> 0);
  return key;
}

/** Key of the record of a chunk set. */
export function chunkSetKey(set: ChunkSet): Uint8Array<ArrayBuffer> {
  return setKeyInto(set, space.chunkSet, numberKeyBytes);
}

/** Key of chunk `index` of a set. */
export function chunkKey(
  set: ChunkSet,
  index: number,
): Uint8Array<ArrayBuffer> {
  const key = setKeyInto(set, space.chunk, numberKeyBytes + 2);
  key[numberKeyBytes] = index >>> 8;
  key[numberKeyBytes + 1] = index;
  return key;
}

/** Chunk `index` of `value`, with its checksum. */
export function makeChunk(
  set: ChunkSet,
  index: number,
  value: Uint8Array,
  chunkBytes: number,
): Uint8Array<ArrayBuffer> {
  return makeRecord(
    recordKind.chunk,
    value.subarray(index * chunkBytes, (index + 1) * chunkBytes),
    chunkKey(set, index),
  );
}

const cold = new ByteWriter(2048);

/** The record under the value's own key if the value is stored in chunks. */
export function makeManifest(
  set: ChunkSet,
  value: Uint8Array,
  key: Uint8Array,
): Uint8Array<ArrayBuffer> {
  cold.clear();
  cold.u53(set.epoch);
  cold.u53(set.counter);
  cold.u16(set.chunks);
  cold.u32(value.length);
  cold.u32(crc32(value));
  return makeRecord(recordKind.manifest, cold.view(), key);
}

/** The content of a manifest. */
export interface Manifest {
  readonly set: ChunkSet;
  /** Bytes of the value. */
  readonly length: number;
  /** CRC-32 of the whole value. */
  readonly checksum: number;
}

/** Reads an undamaged manifest that is stored in `partition`. */
export function readManifest(
  record: Uint8Array,
  partition: number,
): Manifest {
  const from = new ByteReader(record, recordHeaderBytes);
  const set = {
    partition,
    epoch: from.u53(),
    counter: from.u53(),
    chunks: from.u16(),
  };
  return { set, length: from.u32(), checksum: from.u32() };
}

/** Joins chunks, or returns `undefined` if they are not the value. */
export function joinChunks(
  manifest: Manifest,
  chunks: readonly unknown[],
): Uint8Array<ArrayBuffer> | undefined {
  const value = new Uint8Array(manifest.length);
  let filled = 0;
  for (let i = 0; i < chunks.length; i++) {
    const chunk = chunks[i];
    if (!isSound(chunk, hashKey(chunkKey(manifest.set, i)))) return undefined;
    const content = (chunk as Uint8Array).subarray(recordHeaderBytes);
    if (filled + content.length > value.length) return undefined;
    value.set(content, filled);
    filled += content.length;
  }
  const whole = filled === value.length &&
    crc32(value) === manifest.checksum;
  return whole ? value : undefined;
}

/**
 * The state of a chunk set: part of a value, not yet part of one, or to be
 * removed.
 */
export type ChunkSetState = "pending" | "live" | "garbage";
const states: readonly ChunkSetState[] = ["pending", "live", "garbage"];

/** The record of a chunk set of the value under `dataKey`. */
export function makeChunkSetRecord(
  set: ChunkSet,
  state: ChunkSetState,
  dataKey: Uint8Array,
): Uint8Array<ArrayBuffer> {
  cold.clear();
  cold.u8(states.indexOf(state));
  cold.u16(set.chunks);
  cold.raw(dataKey);
  return makeRecord(recordKind.chunkSet, cold.view(), chunkSetKey(set));
}

/** Reads the record of a chunk set, or returns `undefined` if it is damaged. */
export function readChunkSetRecord(
  key: Uint8Array,
  record: unknown,
): { set: ChunkSet; state: ChunkSetState; keyText: string } | undefined {
  if (key.length !== numberKeyBytes || !isSound(record, hashKey(key))) {
    return undefined;
  }
  const view = new DataView(key.buffer, key.byteOffset);
  const from = new ByteReader(record as Uint8Array, recordHeaderBytes);
  const state = states[from.u8()];
  if (state === undefined) return undefined;
  const set = {
    partition: partitionOf(key),
    epoch: view.getUint16(3) * 0x1_0000_0000 + view.getUint32(5),
    counter: view.getUint16(9) * 0x1_0000_0000 + view.getUint32(11),
    chunks: from.u16(),
  };
  return { set, state, keyText: bytesToText(from.rest()) };
}

/** Which journal records count: all that were written and not folded into rows. */
export interface JournalExtent {
  /** The oldest generation that is not folded. */
  readonly generation: number;
  /** Records in it if it is being folded and writes go to the next one; 0 otherwise. */
  readonly folding: number;
  /** Records in the generation that writes go to. */
  readonly records: number;
}

/** The head record of a store. */
export interface Head {
  readonly format: number;
  /** 16 lowercase hex digits. */
  readonly storeId: string;
  readonly epoch: number;
  /** Number of the commit that wrote it. */
  readonly commit: number;
  readonly tailLost: boolean;
  readonly journal: JournalExtent;
}

const magic = "whorl-store";

/** Offset of the commit number in a head record. */
const headCommitOffset = recordHeaderBytes + magic.length + 2 + 8 + 8;

/** The head as a record with its checksum. */
export function makeHead(head: Head): Uint8Array<ArrayBuffer> {
  cold.clear();
  cold.rawText(magic);
  cold.u16(head.format);
  cold.raw(textToBytes(hexToText(head.storeId)));
  cold.u53(head.epoch);
  cold.u53(head.commit);
  cold.u53(head.journal.generation);
  cold.u16(head.journal.folding);
  cold.u16(head.journal.records);
  cold.u8(head.tailLost ? 1 : 0);
  return makeRecord(recordKind.head, cold.view(), headKey);
}

const headKeyHash = hashKey(headKey);

/**
 * Sets the commit number and journal extent of a head record in place, as every
 * commit does.
 */
export function renumberHead(
  record: Uint8Array<ArrayBuffer>,
  commit: number,
  journal: JournalExtent,
): void {
  const view = new DataView(record.buffer, record.byteOffset);
  view.setUint32(headCommitOffset, Math.floor(commit / 0x1_0000_0000));
  view.setUint32(headCommitOffset + 4, commit >>> 0);
  view.setUint32(
    headCommitOffset + 8,
    Math.floor(journal.generation / 0x1_0000_0000),
  );
  view.setUint32(headCommitOffset + 12, journal.generation >>> 0);
  view.setUint16(headCommitOffset + 16, journal.folding);
  view.setUint16(headCommitOffset + 18, journal.records);
  sealRecord(record, headKeyHash);
}

/**
 * Reads the head of the store in `path`.
 *
 * @throws {WhorlError} `store_corrupt`, `store_format` if it is older or newer,
 * or `store_foreign` if the file is something else.
 */
export function readHead(record: unknown, path: string): Head {
  const details = { path };
  if (
    !(record instanceof Uint8Array) ||
    record.length < recordHeaderBytes + magic.length + 2 ||
    bytesToText(
        record,
        recordHeaderBytes,
        recordHeaderBytes + magic.length,
      ) !== magic
  ) {
    throw new WhorlError(
      record instanceof Uint8Array ? "store_corrupt" : "store_foreign",
      `Cannot open store ${path} as its head is not one of Whorl`,
      { details },
    );
  }
  if (!isSound(record, headKeyHash)) {
    throw new WhorlError(
      "store_corrupt",
      `Cannot open store ${path} as its head does not match its checksum`,
      { details },
    );
  }
  const from = new ByteReader(record, recordHeaderBytes + magic.length);
  const format = from.u16();
  if (format !== storeFormat) {
    throw new WhorlError(
      "store_format",
      `Cannot open store ${path} as its format must be ${storeFormat}: current value is ${format}`,
      { details: { path, format } },
    );
  }
  return {
    format,
    storeId: from.raw(8).toHex(),
    epoch: from.u53(),
    commit: from.u53(),
    journal: {
      generation: from.u53(),
      folding: from.u16(),
      records: from.u16(),
    },
    tailLost: (from.u8() & 1) !== 0,
  };
}

function hexToText(hex: string): string {
  return bytesToText(Uint8Array.fromHex(hex));
}
