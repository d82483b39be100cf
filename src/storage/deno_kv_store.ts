/**
 * A durable store in one Deno KV file. Deno KV syncs the disk once per commit and
 * has no group commit, so this gathers: while one atomic commit is under way,
 * everything that is written goes into the next one. And a row of its own for
 * each write is dear (19-33 µs of processor time at random keys), so a commit
 * writes all of them as a few journal records (0.5-3 µs a write); later they are
 * folded into rows in the order of keys (6-12 µs a row), each key once however
 * often it was written. What is not in its row lies in a table; what was used
 * lately lies in a cache; and a filter knows which keys are absent, so that a put
 * of a new key reads nothing.
 *
 *     write ─► table + gathering batch ─► commit of journal records ─► `committed` called
 *     fold  ─► rows in passing, in the same commits ─► cache; last part: journal dropped
 *     get   ─► table ► cache ► filter ► row, checked against its checksum
 *
 * Every commit is fenced by the head record, which also says which journal
 * records count. So after a crash, rows and journal together hold exactly what
 * was acknowledged. If the journal fills faster than it is folded, writers
 * wait.
 *
 * After a failed commit the content of the file is unknown; the store then
 * refuses writes until it is opened again.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { invariant } from "../base/invariant.ts";
import { WhorlError } from "../base/errors.ts";
import type { KvAtomicOperation } from "../environment/disk.ts";
import type { StorageEnvironment } from "../environment/environment.ts";
import type {
  PartitionStore,
  Store,
  StoreConfig,
  StoreState,
  StoreStats,
  StoreWrite,
  StoreWriteOptions,
} from "../environment/storage.ts";
import { ChunkSets } from "./chunk_sets.ts";
import {
  endKeyText,
  firstKeyText,
  partitionOf,
  space,
} from "./deno_kv_codec.ts";
import { storeError } from "./deno_kv_errors.ts";
import { DenoKvFile } from "./deno_kv_file.ts";
import {
  groupCommitLimits,
  type JournalLimits,
  journalLimits,
} from "./deno_kv_limits.ts";
import { DenoKvPartition } from "./deno_kv_partition.ts";
import { Fold } from "./fold.ts";
import { Journal } from "./journal.ts";
import { journalKey, sealJournalRecord } from "./journal_codec.ts";
import {
  foldingBatch,
  replayedBatch,
  replayJournal,
} from "./journal_replay.ts";
import { KnownKeys } from "./known_keys.ts";
import type { PartitionHost } from "./partition_host.ts";
import {
  isRemoval,
  keyOf,
  type PendingBatch,
  type PendingWrite,
  recordOf,
  removedRow,
  valueOf,
} from "./pending_batch.ts";
import { ReadCache } from "./read_cache.ts";
import { checkPartition, closedError } from "./store_limits_check.ts";
import { UnfoldedWrites } from "./unfolded_writes.ts";
import { ValueReads } from "./value_reads.ts";
import { WriteQueue } from "./write_queue.ts";

/** How to open a Deno KV store. */
export type DenoKvConfig = Extract<StoreConfig, { type: "deno_kv" }>;

const cacheBytesDefault = 32 * 1024 * 1024;
const keyFilterBytesDefault = 8 * 1024 * 1024;

/**
 * Settings that a test may change: with its usual limits a store folds too
 * rarely to be tested.
 */
export interface DenoKvTuning {
  /** @default {journalLimits} */
  readonly journal?: Partial<JournalLimits>;
  /**
   * Called when a commit is durable, before its writers are told.
   *
   * @default {nothing}
   */
  readonly onCommit?: (() => void) | undefined;
}

/**
 * Opens or creates the store in `config.path` and shuts out any previous
 * opener.
 *
 * @throws {WhorlError} `store_corrupt`, `store_foreign`, `store_format`,
 * `store_full`, `store_locked`, `store_unavailable` or `invalid_config`, naming
 * the file.
 */
export async function openDenoKvStore(
  config: DenoKvConfig,
  environment: StorageEnvironment,
  tuning: DenoKvTuning = {},
): Promise<Store> {
  const file = await DenoKvFile.open({
    path: config.path,
    environment,
    expectedStoreId: config.expectedStoreId,
    existed: config.existed,
    onCommit: tuning.onCommit,
  });
  const store = new DenoKvStore(file, config, environment, tuning);
  try {
    await store.start();
  } catch (error) {
    await store.close();
    throw storeError(error, "open", config.path);
  }
  return store;
}

/** A Deno KV file with its table, cache and filter. */
export class DenoKvStore implements Store, PartitionHost {
  readonly durable = true;
  readonly reads: ValueReads;
  readonly #file: DenoKvFile;
  readonly #runtime: Runtime;
  readonly #chunks: ChunkSets;
  readonly #cache: ReadCache;
  readonly #keys: KnownKeys;
  readonly #partitions = new Map<number, DenoKvPartition>();
  readonly #limits: JournalLimits;
  /** The newest write of each key that is not in its row. */
  readonly #table = new UnfoldedWrites();
  readonly #journal: Journal;
  readonly #queue: WriteQueue;
  /**
   * Whether the table holds everything in the journal; a fold before that would
   * drop writes.
   */
  #replayed = false;
  /** The fold under way, if the journal has a generation to fold. */
  #fold: Fold | undefined;
  /** Folds at once, without waiting for commits to fold along with. */
  #foldsAll = false;
  #idleTimer: TimerHandle | undefined;
  #idleSince = 0;
  /** Number of the last batch that is durable. */
  #durableBatch = 0;
  #committing: Promise<void> | undefined;
  #clearsTailLost: PromiseWithResolvers<void> | undefined;
  #failure: WhorlError | undefined;
  #closing: Promise<void> | undefined;
  #commits = 0;
  #writes = 0;

  constructor(
    file: DenoKvFile,
    config: DenoKvConfig,
    runtime: Runtime,
    tuning: DenoKvTuning,
  ) {
    this.#file = file;
    this.#runtime = runtime;
    this.#limits = { ...journalLimits, ...tuning.journal };
    this.#journal = new Journal(file.journal, this.#limits);
    this.#chunks = new ChunkSets(file);
    this.#cache = new ReadCache(config.cacheBytesMax ?? cacheBytesDefault);
    this.#keys = new KnownKeys(
      file,
      config.keyFilterBytesMax ?? keyFilterBytesDefault,
    );
    const parts = {
      table: this.#table,
      chunks: this.#chunks,
      keys: this.#keys,
    };
    this.reads = new ValueReads({
      ...parts,
      file,
      cache: this.#cache,
      refuseIfClosed: (action) => this.refuseIfClosed(action),
    });
    this.#queue = new WriteQueue({
      ...parts,
      path: file.path,
      reads: this.reads,
    });
  }

  /**
   * Reads what must be known before the first write, and begins to read the
   * rest.
   */
  async start(): Promise<void> {
    await this.#chunks.loadSets();
    await this.#keys.start();
    const { rotten, incomplete } = await replayJournal(this.#file, {
      table: this.#table,
      keys: this.#keys,
      journal: this.#journal,
    });
    if (this.#journal.isFolding) {
      this.#fold = new Fold(this.#table, foldingBatch);
    }
    this.#replayed = true;
    if (incomplete) this.#file.setTailLost();
    if (rotten || incomplete) {
      // Folded at once, so that this opening reports the damage and no later
      // one does, and readers get rows, which are checked at each read.
      await this.#foldAll();
      if (this.#failure !== undefined) throw this.#failure;
    } else if (this.#chunks.hasGarbage) this.#wake();
    this.#foldWhenIdle();
  }

  get state(): StoreState {
    const { storeId, epoch, tailLost } = this.#file.head;
    return { storeId, epoch, tailLost };
  }

  partition(partition: number): PartitionStore {
    const known = this.#partitions.get(partition);
    if (known !== undefined) return known;
    checkPartition(partition);
    const made = new DenoKvPartition(partition, this);
    this.#partitions.set(partition, made);
    return made;
  }

  async partitions(): Promise<number[]> {
    this.refuseIfClosed("read");
    const found = new Set<number>();
    // A write that is not folded may have removed the last key of these
    // partitions.
    const unsure = new Set<number>();
    for (const partition of this.#table.partitions()) {
      (this.#table.holdsValues(partition) ? found : unsure).add(partition);
    }
    let start = firstKeyText(space.data, 0);
    const end = String.fromCharCode(space.data + 1);
    while (start < end) {
      const [entry] = await this.#file.page(start, end, 1);
      if (entry === undefined) break;
      const partition = partitionOf(entry.key);
      if (!unsure.has(partition)) found.add(partition);
      start = endKeyText(space.data, partition);
    }
    for (const partition of unsure) {
      for await (
        const _ of (this.partition(partition) as DenoKvPartition).visit({
          limit: 1,
        })
      ) {
        found.add(partition);
        break;
      }
    }
    return [...found].sort((a, b) => a - b);
  }

  stats(): StoreStats {
    return {
      commits: this.#commits,
      writes: this.#writes,
      cacheHits: this.reads.hits,
      cacheMisses: this.reads.misses,
      cacheBytes: this.#cache.bytes + this.#journal.bytes,
      pendingWrites: this.#queue.writeCount,
      absentKeysKnown: this.#keys.complete,
    };
  }

  /** Applies a group of writes, as {@linkcode PartitionStore.write}. */
  write(
    partition: number,
    writes: readonly StoreWrite[],
    committed: (error: Error | undefined) => void,
    { inBulk = false }: StoreWriteOptions = {},
  ): void {
    this.refuseIfClosed("write");
    if (this.#failure !== undefined) throw this.#failure;
    this.#queue.add(partition, writes, committed, inBulk);
    this.#writes += writes.length;
    this.#wake();
  }

  /** Starts committing, once all writes of this turn have been gathered. */
  #wake(): void {
    this.#committing ??= Promise.resolve().then(() => this.#commitAll());
  }

  async #commitAll(): Promise<void> {
    try {
      for (;;) {
        if (!this.#queue.isEmpty) await this.#commitNext();
        else if (this.#foldsAll && !this.#journal.isEmpty) {
          await this.#commitNext();
        } else this.#foldsAll = false;
        if (this.#clearsTailLost !== undefined) {
          await this.#file.clearTailLost();
          this.#clearsTailLost.resolve();
          this.#clearsTailLost = undefined;
        }
        // One set after each batch, so that garbage does not wait until the
        // store is idle.
        if (this.#chunks.hasGarbage) await this.#chunks.removeGarbage();
        else if (this.#queue.isEmpty && !this.#foldsAll) break;
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#committing = undefined;
    this.#foldWhenIdle();
  }

  /** Makes the next batch durable, some rows of the fold, or both. */
  async #commitNext(): Promise<void> {
    invariant(this.#replayed, "the journal is known before it is changed");
    const journal = this.#journal;
    let batch = this.#queue.first;
    // Writes that come now must not speed up a fold that was begun because the
    // store was idle.
    if (batch !== undefined && this.#closing === undefined) {
      this.#foldsAll = false;
    }
    if (
      !journal.isFolding &&
      (batch === undefined || !journal.hasRoomFor(batch.parts))
    ) {
      journal.beginFold();
      this.#fold = new Fold(this.#table, this.#durableBatch);
    }
    // Then its writers wait for the fold, unless the fold waits for them: it
    // skips keys that they overwrite.
    if (
      batch !== undefined && !journal.hasRoomFor(batch.parts) &&
      this.#fold?.waits === false
    ) batch = undefined;
    if (batch !== undefined) await this.#prepare(batch);
    const rows = this.#takeRows(batch);
    const foldEnds = this.#fold?.isOver(batch?.number ?? this.#durableBatch) ??
      false;
    let place = journal.nextPlace;
    if (batch !== undefined) journal.append(batch.parts);
    if (foldEnds) journal.endFold();
    await this.#file.commit((operation) => {
      // Rows first: if the batch changes a row as well, its version is newer.
      for (let i = 0; i < rows.length; i++) {
        const write = rows[i] as PendingWrite;
        if (isRemoval(write)) operation.delete([keyOf(write)]);
        else operation.set([keyOf(write)], recordOf(write));
      }
      if (batch === undefined) return;
      for (const { slab, start, end, entries } of batch.parts) {
        const record = slab.subarray(start, end);
        const key = journalKey(place);
        sealJournalRecord(record, place, entries, key);
        operation.set([key], record);
        place = { ...place, index: place.index + 1 };
      }
      if (batch.changesRows || this.#chunks.inUse) {
        this.#changeRows(operation, batch);
      }
    }, journal.extent);
    this.#commits++;
    if (foldEnds) this.#fold = undefined;
    for (let i = 0; i < rows.length; i++) {
      this.#rowCounts(rows[i] as PendingWrite);
    }
    if (batch !== undefined) this.#noteCommitted(batch);
  }

  async #prepare(batch: PendingBatch): Promise<void> {
    batch.started = true;
    if (!batch.changesRows) return;
    for (const write of batch.writes) {
      if (write.row?.large?.ahead && !write.superseded) {
        await this.#chunks.writeAhead(write.row.large, keyOf(write));
      }
    }
  }

  /** The rows to be folded along with `batch`, or alone. */
  #takeRows(batch: PendingBatch | undefined): PendingWrite[] {
    const fold = this.#fold;
    if (fold === undefined) return [];
    const { bytesMax, keyBytesMax, mutationsMax } = groupCommitLimits;
    const rows = batch === undefined
      ? this.#limits.foldRowsMax
      : this.#journal.rowsInPassing(batch.parts, fold.left);
    return fold.next({
      rows: Math.min(rows, mutationsMax - (batch?.mutations ?? 0)),
      bytes: bytesMax - (batch?.bytes ?? 0),
      keyBytes: keyBytesMax - (batch?.keyBytes ?? 0),
    });
  }

  /** Adds the changes of a batch other than its journal records. */
  #changeRows(operation: KvAtomicOperation, batch: PendingBatch): void {
    for (const write of batch.writes) {
      if (write.superseded) continue;
      const { row } = write;
      if (row?.record) operation.set([keyOf(write)], row.record);
      else if (row === removedRow) operation.delete([keyOf(write)]);
      if (this.#chunks.inUse) this.#chunks.add(operation, write);
    }
  }

  #noteCommitted(batch: PendingBatch): void {
    this.#durableBatch = batch.number;
    this.#queue.removeFirst();
    if (batch.changesRows || this.#chunks.inUse) {
      for (const write of batch.writes) {
        if (write.superseded) continue;
        this.#chunks.noteCommitted(write);
        if (write.row !== null) this.#rowCounts(write);
      }
    }
    const { committed } = batch;
    for (let i = 0; i < committed.length; i++) {
      this.#tell(committed[i] as PendingBatch["committed"][number], undefined);
    }
  }

  /** Forgets a write that is in its row, unless there is a newer one. */
  #rowCounts(write: PendingWrite): void {
    const { partition, keyText } = write;
    if (this.#table.get(partition, keyText) !== write) return;
    this.#table.delete(partition, keyText);
    // A replayed write may be damaged, and has not been used recently.
    if (write.batch > replayedBatch) {
      this.#cache.put(keyText, valueOf(write) ?? null);
    }
  }

  /** Folds everything, and resolves when that is done or has failed. */
  async #foldAll(): Promise<void> {
    this.#foldsAll = true;
    this.#wake();
    while (this.#committing !== undefined) await this.#committing;
  }

  /**
   * Calls one writer's callback. An error it throws is the writer's bug, and
   * must not count as a failure of the disk.
   */
  #tell(
    committed: (error: Error | undefined) => void,
    outcome: Error | undefined,
  ): void {
    try {
      committed(outcome);
    } catch (error) {
      this.#runtime.defer(() => {
        throw error;
      });
    }
  }

  /** After a while, checks whether nothing was written, and folds then. */
  #foldWhenIdle(): void {
    if (
      this.#journal.isEmpty || this.#idleTimer !== undefined ||
      this.#closing !== undefined || this.#failure !== undefined
    ) return;
    this.#idleSince = this.#commits;
    this.#idleTimer = this.#runtime.setTimer(this.#limits.idleMs, () => {
      this.#idleTimer = undefined;
      if (this.#committing !== undefined || this.#commits > this.#idleSince) {
        this.#foldWhenIdle();
      } else {
        this.#foldsAll = true;
        this.#wake();
      }
    });
  }

  #forgetIdleTimer(): void {
    if (this.#idleTimer !== undefined) {
      this.#runtime.clearTimer(this.#idleTimer);
    }
    this.#idleTimer = undefined;
  }

  #fail(error: unknown): void {
    const failure = error instanceof WhorlError ? error : new WhorlError(
      "internal",
      `Cannot write to store ${this.#file.path}: ${error}`,
      { details: { path: this.#file.path }, cause: error },
    );
    this.#failure = failure;
    // A fold would drop journal records of which it is unknown whether they
    // count.
    this.#forgetIdleTimer();
    // The table stays: reads still return what was written, whether it is known
    // to be durable or not.
    for (const batch of this.#queue.removeAll()) {
      for (const committed of batch.committed) this.#tell(committed, failure);
    }
    this.#clearsTailLost?.reject(failure);
    this.#clearsTailLost = undefined;
  }

  /** Entries of the disk from `start` up to `end`, which are texts of whole keys. */
  page(
    ...args: Parameters<DenoKvFile["page"]>
  ): ReturnType<DenoKvFile["page"]> {
    this.refuseIfClosed("read");
    return this.#file.page(...args);
  }

  /** Up to `limit` writes of `partition` that are not in their rows, from `start` up to `end`, in order. */
  unfolded(
    ...args: Parameters<UnfoldedWrites["range"]>
  ): ReturnType<UnfoldedWrites["range"]> {
    return this.#table.range(...args);
  }

  tailRepaired(): Promise<void> {
    if (this.#closing !== undefined) {
      return Promise.reject(closedError("write"));
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (!this.state.tailLost) return Promise.resolve();
    this.#clearsTailLost ??= Promise.withResolvers();
    this.#wake();
    return this.#clearsTailLost.promise;
  }

  /** @throws {WhorlError} `closed` once closing has begun. */
  refuseIfClosed(action: "read" | "write"): void {
    if (this.#closing !== undefined) throw closedError(action);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // `committed` callbacks can't write any more, so this ends.
    this.#forgetIdleTimer();
    while (this.#committing !== undefined) await this.#committing;
    if (
      this.#replayed && this.#failure === undefined &&
      this.#table.size <= this.#limits.closeEntriesMax
    ) await this.#foldAll();
    await this.#keys.stop();
    invariant(this.#queue.isEmpty, "a closing store has committed all");
    try {
      if (this.#failure === undefined) await this.#keys.save();
    } finally {
      await this.#file.close();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
