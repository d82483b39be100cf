/**
 * Writes that go into one atomic commit. A batch accepts groups as long as they
 * fit into what Deno KV accepts. Its writes are built as journal records; large
 * values also change rows.
 *
 * @module
 */
import type { StoreWrite } from "../environment/storage.ts";
import {
  type ChunkSet,
  recordHeaderBytes,
  recordKind,
} from "./deno_kv_codec.ts";
import {
  chunkLimits,
  groupCommitLimits,
  journalValueBytesMax,
} from "./deno_kv_limits.ts";
import type { JournalPart } from "./journal_buffer.ts";
import { entryHeaderBytes } from "./journal_codec.ts";

/** A value that goes into chunks. */
export interface LargeValue {
  readonly set: ChunkSet;
  /** The store's own copy. */
  readonly value: Uint8Array;
  /** Whether its chunks go in commits before the one that makes it visible. */
  readonly ahead: boolean;
}

/**
 * What a write stores in its row at once; nothing if it removes the key, which
 * only the journal records then.
 */
export type RowValue =
  | { readonly record: Uint8Array | null; readonly large: null }
  | { readonly record: null; readonly large: LargeValue };

/** The row of a key is removed at once. */
export const removedRow: RowValue = { record: null, large: null };

/**
 * A write that is not in its row yet. Key and record are identified by their
 * place in a journal record, as a view of each would cost more than everything
 * else.
 */
export interface PendingWrite {
  readonly partition: number;
  /** The whole key as text, space and partition included. */
  readonly keyText: string;
  /** The position of the whole key and of the sealed record. */
  readonly slab: Uint8Array;
  readonly keyAt: number;
  readonly recordAt: number;
  readonly end: number;
  readonly row: RowValue | null;
  /** Number of the batch, ascending in the order of commits. */
  readonly batch: number;
  /** Whether there may be a write of an earlier batch that is not in its row either. */
  hides: boolean;
  /** A later write in the same batch replaces it. */
  superseded: boolean;
}

/** The whole key of a write. */
export function keyOf(write: PendingWrite): Uint8Array {
  return write.slab.subarray(write.keyAt, write.recordAt);
}

/** Bytes of its whole key. */
export function bytesOfKey(write: PendingWrite): number {
  return write.recordAt - write.keyAt;
}

/** The sealed record that belongs in the row, for a write that is in the journal. */
export function recordOf(write: PendingWrite): Uint8Array {
  return write.slab.subarray(write.recordAt, write.end);
}

/** Bytes of that record. */
export function bytesOfRecord(write: PendingWrite): number {
  return write.end - write.recordAt;
}

/** Whether the write removes its key. */
export function isRemoval(write: PendingWrite): boolean {
  return write.row === removedRow ||
    write.slab[write.recordAt + 4] === recordKind.removed;
}

/** The value a write gives its key. */
export function valueOf(write: PendingWrite): Uint8Array | undefined {
  const { row } = write;
  if (row !== null) {
    return row.large?.value ?? row.record?.subarray(recordHeaderBytes);
  }
  if (isRemoval(write)) return undefined;
  return write.slab.subarray(write.recordAt + recordHeaderBytes, write.end);
}

/** The space that a group of writes takes in a commit. */
export interface GroupCost {
  readonly writes: number;
  /** Changes other than journal records. */
  readonly mutations: number;
  readonly bytes: number;
  readonly keyBytes: number;
  /** Memory it holds until it is committed, in bytes. */
  readonly heldBytes: number;
  /** Whether its large values are written in earlier commits. */
  readonly ahead: boolean;
  /** Whether all of it goes to rows at once. */
  readonly inBulk: boolean;
}

/** A key of a chunk or a chunk set, encoded, with every byte counted twice. */
const setKeyBytes = 40;
/** A row's key beside the caller's part, encoded, with every byte counted twice. */
const rowKeyBytes = 12;

/**
 * An upper estimate of what `writes` take.
 *
 * @param valueBytes Bytes of all values together.
 * @param replacesLarge Whether they may replace values in chunks.
 * @param inBulk Whether all of them go to their rows at once.
 */
export function costOf(
  writes: readonly StoreWrite[],
  valueBytes: number,
  replacesLarge: boolean,
  inBulk: boolean,
): GroupCost {
  const ahead = valueBytes > chunkLimits.groupBytesMax;
  let mutations = 0;
  let keyBytes = 0;
  let bytes = valueBytes;
  for (let i = 0; i < writes.length; i++) {
    const { key, value } = writes[i] as StoreWrite;
    bytes += entryHeaderBytes + 3 + recordHeaderBytes + key.length;
    if (replacesLarge) {
      // The chunks of the value it replaces may turn into garbage.
      mutations++;
      keyBytes += setKeyBytes;
      bytes += 11 + key.length;
    }
    if (!inBulk && (value === null || !goesIntoRow(value, ahead))) continue;
    mutations++;
    keyBytes += key.length * 2 + rowKeyBytes;
    bytes += recordHeaderBytes;
    if (value === null || !goesIntoChunks(value, ahead)) continue;
    mutations++;
    keyBytes += setKeyBytes;
    // The manifest, and the key again in the record of the chunk set.
    bytes += 64 + key.length;
    if (ahead) {
      bytes -= value.length;
      continue;
    }
    const chunks = Math.ceil(value.length / chunkLimits.chunkBytes);
    mutations += chunks;
    keyBytes += chunks * setKeyBytes;
    bytes += chunks * recordHeaderBytes;
  }
  return {
    writes: writes.length,
    mutations,
    bytes: bytes + keyBytes,
    keyBytes,
    heldBytes: valueBytes + bytes + keyBytes,
    ahead,
    inBulk,
  };
}

/** Whether `value` is stored in its row at once, in a group whose large values go `ahead` or not. */
export function goesIntoRow(value: Uint8Array, ahead: boolean): boolean {
  return value.length > journalValueBytesMax || goesIntoChunks(value, ahead);
}

/** Whether `value` is stored in chunks, in a group whose large values go `ahead` or not. */
export function goesIntoChunks(value: Uint8Array, ahead: boolean): boolean {
  return value.length >
    (ahead ? chunkLimits.aheadBytesMin : chunkLimits.chunkBytes);
}

/** Groups of writes that become durable together. */
export class PendingBatch {
  readonly number: number;
  readonly writes: PendingWrite[] = [];
  /** The journal records they make. */
  readonly parts: JournalPart[] = [];
  readonly committed: ((error: Error | undefined) => void)[] = [];
  /** Whether a write goes to its row at once. */
  changesRows = false;
  /** No longer takes groups: its commit is under way. */
  started = false;
  /** Memory it holds, in bytes. */
  heldBytes = 0;
  bytes = 0;
  mutations = 0;
  keyBytes = 0;

  /** @param number Ascending in the order of commits. */
  constructor(number: number) {
    this.number = number;
  }

  /** Whether a group of that cost may join. */
  fits(cost: GroupCost): boolean {
    if (this.started) return false;
    if (this.writes.length === 0) return true;
    const { writesTarget, bytesTarget, mutationsMax, keyBytesMax } =
      groupCommitLimits;
    return this.writes.length + cost.writes <= writesTarget &&
      this.bytes + cost.bytes <= bytesTarget &&
      this.mutations + cost.mutations <= mutationsMax &&
      this.keyBytes + cost.keyBytes <= keyBytesMax;
  }

  /** Makes room for a group; its writes follow. */
  reserve(cost: GroupCost): void {
    this.mutations += cost.mutations;
    this.keyBytes += cost.keyBytes;
    this.bytes += cost.bytes;
    this.heldBytes += cost.heldBytes;
  }
}
