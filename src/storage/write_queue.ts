/**
 * The writes of a Deno KV store until they are on disk. Each is built as a
 * journal entry, added to the table that reads check first, and gathered into a
 * batch for one atomic commit.
 *
 * @module
 */
import { briefBytes } from "../base/byte_slab.ts";
import { bytesToText } from "../base/byte_text.ts";
import { WhorlError } from "../base/errors.ts";
import type { StoreWrite } from "../environment/storage.ts";
import type { ChunkSets } from "./chunk_sets.ts";
import {
  hashKey,
  keyPrefixBytes,
  recordHeaderBytes,
  recordKind,
  sealRecord,
  space,
  writeKeyPrefix,
} from "./deno_kv_codec.ts";
import { groupCommitLimits } from "./deno_kv_limits.ts";
import { JournalBuffer } from "./journal_buffer.ts";
import { entryHeaderBytes, writeEntryHeader } from "./journal_codec.ts";
import type { KnownKeys } from "./known_keys.ts";
import {
  costOf,
  goesIntoChunks,
  goesIntoRow,
  type GroupCost,
  PendingBatch,
  type PendingWrite,
  removedRow,
  type RowValue,
} from "./pending_batch.ts";
import { checkWrites } from "./store_limits_check.ts";
import type { UnfoldedWrites } from "./unfolded_writes.ts";
import type { ValueReads } from "./value_reads.ts";

/** What the queue needs from its store. */
export interface WriteQueueHost {
  /** The path of the store's file, for errors. */
  readonly path: string;
  readonly table: UnfoldedWrites;
  readonly chunks: ChunkSets;
  readonly keys: KnownKeys;
  readonly reads: ValueReads;
}

const nothing = new Uint8Array();

/** Batches in order of commit. */
export class WriteQueue {
  readonly #host: WriteQueueHost;
  readonly #batches: PendingBatch[] = [];
  readonly #buffer = new JournalBuffer();
  #newestBatch = 0;
  #heldBytes = 0;

  constructor(host: WriteQueueHost) {
    this.#host = host;
  }

  /** The batch to be committed next, or being committed. */
  get first(): PendingBatch | undefined {
    return this.#batches[0];
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0;
  }

  /** Writes that are not durable yet. */
  get writeCount(): number {
    let count = 0;
    for (const { writes } of this.#batches) count += writes.length;
    return count;
  }

  /**
   * Adds a group of writes, which become durable together; `committed` is kept
   * with them.
   *
   * @param inBulk Whether the values go to their rows at once.
   * @throws {WhorlError} `overload` if too many bytes wait to be committed, or what makes a write invalid.
   */
  add(
    partition: number,
    writes: readonly StoreWrite[],
    committed: (error: Error | undefined) => void,
    inBulk: boolean,
  ): void {
    const { chunks } = this.#host;
    const cost = costOf(writes, checkWrites(writes), chunks.inUse, inBulk);
    this.#refuseIfFull(cost);
    let batch = this.#batches[this.#batches.length - 1];
    if (batch === undefined || !batch.fits(cost)) {
      batch = new PendingBatch(++this.#newestBatch);
      this.#batches.push(batch);
    }
    batch.reserve(cost);
    this.#heldBytes += cost.heldBytes;
    for (let i = 0; i < writes.length; i++) {
      this.#addWrite(partition, writes[i] as StoreWrite, batch, cost);
    }
    batch.committed.push(committed);
  }

  #refuseIfFull(cost: GroupCost): void {
    const heldBytes = this.#heldBytes;
    const { pendingBytesMax } = groupCommitLimits;
    // One group always fits, however large.
    if (heldBytes === 0 || heldBytes + cost.heldBytes <= pendingBytesMax) {
      return;
    }
    const { path } = this.#host;
    throw new WhorlError(
      "overload",
      `Cannot write to store ${path} as ${pendingBytesMax} bytes may wait to be committed: current value is ${heldBytes}`,
      { details: { path, heldBytes } },
    );
  }

  #addWrite(
    partition: number,
    { key, value }: StoreWrite,
    batch: PendingBatch,
    { ahead, inBulk }: GroupCost,
  ): void {
    const { table, keys, reads } = this.#host;
    const inRow = inBulk || (value !== null && goesIntoRow(value, ahead));
    const content = value === null || inRow ? nothing : value;
    const keyBytes = keyPrefixBytes + key.length;
    const recordBytes = recordHeaderBytes + content.length;
    const part = this.#buffer.reserve(
      batch.parts,
      entryHeaderBytes + keyBytes + recordBytes,
    );
    const { slab, end } = part;
    const recordAt = end - recordBytes;
    const keyAt = recordAt - keyBytes;
    writeKeyPrefix(slab, keyAt, space.data, partition);
    slab.set(key, keyAt + keyPrefixBytes);
    const keyText = bytesToText(slab, keyAt, recordAt);
    const keyHash = hashKey(slab.subarray(keyAt, recordAt));
    writeEntryHeader(
      slab,
      keyAt - entryHeaderBytes,
      keyHash,
      keyBytes,
      recordBytes,
    );
    slab[recordAt + 4] = inRow
      ? recordKind.inRow
      : value === null
      ? recordKind.removed
      : recordKind.inline;
    slab.set(content, recordAt + recordHeaderBytes);
    sealRecord(slab.subarray(recordAt, end), keyHash);
    if (value !== null) keys.add(keyHash);
    const write: PendingWrite = {
      partition,
      keyText,
      slab,
      keyAt,
      recordAt,
      end,
      row: inRow ? this.#rowValue(partition, value, keyHash, ahead) : null,
      batch: batch.number,
      hides: false,
      superseded: false,
    };
    const before = table.set(write);
    if (before !== undefined) {
      const together = before.batch === batch.number;
      write.hides = before.hides || !together;
      before.superseded = together;
    }
    batch.writes.push(write);
    if (inRow) batch.changesRows = true;
    reads.noteWritten(keyText);
  }

  #rowValue(
    partition: number,
    value: Uint8Array | null,
    keyHash: number,
    ahead: boolean,
  ): RowValue {
    if (value === null) return removedRow;
    if (goesIntoChunks(value, ahead)) {
      const set = this.#host.chunks.allocate(partition, value.length);
      return { record: null, large: { set, value: value.slice(), ahead } };
    }
    const record = briefBytes(recordHeaderBytes + value.length);
    record[4] = recordKind.inline;
    record.set(value, recordHeaderBytes);
    sealRecord(record, keyHash);
    return { record, large: null };
  }

  /** The first batch is durable. */
  removeFirst(): void {
    const batch = this.#batches.shift();
    this.#heldBytes -= batch?.heldBytes ?? 0;
  }

  /** Removes all batches, none of which will be committed. */
  removeAll(): PendingBatch[] {
    return this.#batches.splice(0);
  }
}
