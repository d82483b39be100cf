/**
 * The journal of a Deno KV store: how writes lie in it, byte by byte. A journal
 * record holds the writes of one commit, in their order, of all partitions. It
 * is checked as a whole; if that fails, each entry can still vouch for itself:
 * its key by the key's hash, its record by the seal that it will carry in its
 * row as well. So one rotten byte costs one key, and which key is known.
 *
 *     record   u32 checksum · u8 kind 6 · u53 generation · u16 index · u32 entries · entry…
 *     entry    u32 hash of key · u16 bytes of key · u16 bytes of record · key · record
 *
 * @module
 */
import { briefBytes } from "../base/byte_slab.ts";
import {
  hashKey,
  isSound,
  recordHeaderBytes,
  recordKind,
  sealRecord,
  space,
} from "./deno_kv_codec.ts";

/** Bytes of a journal record before its first entry. */
export const journalHeaderBytes = recordHeaderBytes + 8 + 2 + 4;

/** Bytes of an entry before its key. */
export const entryHeaderBytes = 8;

/** A place of a journal record: writes go to one generation while the one before is folded. */
export interface JournalPlace {
  readonly generation: number;
  readonly index: number;
}

/**
 * Key of the record at that place. Every other generation reuses the same
 * places, so that the journal's pages are neither removed nor increase in
 * number. The key is allocated in a shared slab, as each commit creates one and
 * drops it.
 */
export function journalKey(
  { generation, index }: JournalPlace,
): Uint8Array<ArrayBuffer> {
  const key = briefBytes(4);
  key[0] = space.journal;
  key[1] = generation % 2;
  key[2] = index >>> 8;
  key[3] = index;
  return key;
}

/** Begins an entry at `offset`; key and record follow. */
export function writeEntryHeader(
  into: Uint8Array,
  offset: number,
  keyHash: number,
  keyBytes: number,
  recordBytes: number,
): void {
  into[offset] = keyHash >>> 24;
  into[offset + 1] = keyHash >>> 16;
  into[offset + 2] = keyHash >>> 8;
  into[offset + 3] = keyHash;
  into[offset + 4] = keyBytes >>> 8;
  into[offset + 5] = keyBytes;
  into[offset + 6] = recordBytes >>> 8;
  into[offset + 7] = recordBytes;
}

/** Completes a journal record whose entries follow its header. */
export function sealJournalRecord(
  record: Uint8Array<ArrayBuffer>,
  place: JournalPlace,
  entries: number,
  key: Uint8Array,
): void {
  const view = new DataView(
    record.buffer,
    record.byteOffset + recordHeaderBytes,
    journalHeaderBytes - recordHeaderBytes,
  );
  record[4] = recordKind.journal;
  view.setUint32(0, Math.floor(place.generation / 0x1_0000_0000));
  view.setUint32(4, place.generation >>> 0);
  view.setUint16(8, place.index);
  view.setUint32(10, entries);
  sealRecord(record, hashKey(key));
}

/** The position of an entry in its journal record. */
export interface JournalEntry {
  readonly keyAt: number;
  readonly recordAt: number;
  readonly end: number;
  readonly keyHash: number;
  /** Whether the record is the one that was written under the key. */
  readonly sound: boolean;
}

/** The readable content of a journal record. */
export interface JournalReading {
  /** The entries with an undamaged key, in the order of the writes. */
  readonly entries: readonly JournalEntry[];
  /** Whether there were writes whose keys are unreadable as well. */
  readonly incomplete: boolean;
}

const nothing: JournalReading = { entries: [], incomplete: true };

/** Reads the record at `place`, damaged or not. */
export function readJournalRecord(
  record: unknown,
  place: JournalPlace,
): JournalReading {
  if (!(record instanceof Uint8Array) || record.length < journalHeaderBytes) {
    return nothing;
  }
  const whole = isSound(record, hashKey(journalKey(place)));
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  // Whether damaged or not, a record of an earlier generation is not one that
  // was written since.
  const generation = view.getUint32(5) * 0x1_0000_0000 + view.getUint32(9);
  if (generation !== place.generation || view.getUint16(13) !== place.index) {
    return nothing;
  }
  const entries: JournalEntry[] = [];
  let at = journalHeaderBytes;
  while (at + entryHeaderBytes <= record.length) {
    const keyHash = view.getUint32(at);
    const keyAt = at + entryHeaderBytes;
    const recordAt = keyAt + view.getUint16(at + 4);
    const end = recordAt + view.getUint16(at + 6);
    if (
      end > record.length ||
      !whole && hashKey(record.subarray(keyAt, recordAt)) !== keyHash
    ) break;
    const sound = whole || isSound(record.subarray(recordAt, end), keyHash);
    entries.push({ keyAt, recordAt, end, keyHash, sound });
    at = end;
  }
  return {
    entries,
    incomplete: at !== record.length || entries.length !== view.getUint32(15),
  };
}

/**
 * A record that fails the check for the key with `keyHash`: it stands for a
 * value that was damaged in the journal.
 */
export function makeRottenRecord(keyHash: number): Uint8Array<ArrayBuffer> {
  const record = new Uint8Array(recordHeaderBytes);
  record[4] = recordKind.inline;
  sealRecord(record, keyHash);
  record[0] = (record[0] as number) ^ 0xff;
  return record;
}
