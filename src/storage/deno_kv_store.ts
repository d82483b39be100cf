/**
 * A durable store in one Deno KV file. Deno KV syncs the disk once per commit and
 * has no group commit, so this gathers: while one atomic commit is under way,
 * everything that is written goes into the next one. What is not committed yet
 * is visible in an overlay; what was used lately lies in a cache; and a filter
 * knows which keys are absent, so that a put of a new key reads nothing.
 *
 *     write ─► overlay + gathering batch ─► commit ─► cache, `committed` called
 *     get   ─► overlay ► cache ► filter ► disk, checked against its checksum
 *
 * After a commit that failed nobody knows what is stored; the store then takes
 * no more writes, until it is opened anew.
 *
 * @module
 */
import { invariant } from "../base/invariant.ts";
import { WhorlError } from "../base/errors.ts";
import type {
  PartitionStore,
  Store,
  StoreConfig,
  StoreState,
  StoreStats,
  Write,
} from "../environment/storage.ts";
import { bytesToText } from "./byte_key.ts";
import { ChunkSets } from "./chunk_sets.ts";
import {
  endKeyText,
  firstKeyText,
  hashKey,
  isSound,
  keyPrefixBytes,
  partitionOf,
  readManifest,
  recordHeaderBytes,
  recordKind,
  sealRecord,
  space,
  writeKeyPrefix,
} from "./deno_kv_codec.ts";
import { storeError } from "./deno_kv_errors.ts";
import { DenoKvFile } from "./deno_kv_file.ts";
import { groupCommitLimits } from "./deno_kv_limits.ts";
import { DenoKvPartition } from "./deno_kv_partition.ts";
import { KnownKeys } from "./known_keys.ts";
import {
  costOf,
  goesIntoChunks,
  PendingBatch,
  type PendingWrite,
} from "./pending_batch.ts";
import { ReadCache } from "./read_cache.ts";
import { storeLimits } from "../environment/storage.ts";
import {
  checkPartition,
  checkWrites,
  closedError,
} from "./store_limits_check.ts";

/** How to open a Deno KV store. */
export type DenoKvConfig = Extract<StoreConfig, { type: "deno_kv" }>;

const cacheBytesDefault = 32 * 1024 * 1024;
const keyFilterBytesDefault = 8 * 1024 * 1024;
/** Smaller commits meet too few pages twice for sorting to pay. */
const sortFrom = 128;
/** Keys and records of pending writes are cut from buffers of this size. */
const slabBytes = 64 * 1024;

/**
 * Opens or creates the store in `config.path` and shuts out whoever had it open.
 *
 * @throws {WhorlError} `store_corrupt`, `store_foreign`, `store_format`,
 * `store_full`, `store_locked`, `store_unavailable` or `invalid_config`, naming
 * the file.
 */
export async function openDenoKvStore(config: DenoKvConfig): Promise<Store> {
  const file = await DenoKvFile.open({
    path: config.path,
    expectedStoreId: config.expectedStoreId,
  });
  const store = new DenoKvStore(file, config);
  try {
    await store.start();
  } catch (error) {
    await store.close();
    throw storeError(error, "open", config.path);
  }
  return store;
}

/** A read from disk that others may wait for as well. */
interface DiskRead {
  value: Promise<Uint8Array | undefined>;
}

/** A Deno KV file with its overlay, cache and filter. */
export class DenoKvStore implements Store {
  readonly durable = true;
  readonly #file: DenoKvFile;
  readonly #chunks: ChunkSets;
  readonly #cache: ReadCache;
  readonly #keys: KnownKeys;
  readonly #partitions = new Map<number, DenoKvPartition>();
  /** The newest write of each key that is not durable yet. */
  readonly #overlay = new Map<string, PendingWrite>();
  /** Batches in order of commit; the first may be under way. */
  readonly #batches: PendingBatch[] = [];
  /** Reads from disk under way, by key; a write to the key takes them out, so that they don't fill the cache. */
  readonly #reads = new Map<string, DiskRead>();
  readonly #scratch = new Uint8Array(keyPrefixBytes + storeLimits.keyBytesMax);
  #slab = new Uint8Array(slabBytes);
  #slabFilled = 0;
  #heldBytes = 0;
  #committing: Promise<void> | undefined;
  #clearsTailLost: PromiseWithResolvers<void> | undefined;
  #failure: WhorlError | undefined;
  #closing: Promise<void> | undefined;
  #commits = 0;
  #writes = 0;
  #hits = 0;
  #misses = 0;

  constructor(file: DenoKvFile, config: DenoKvConfig) {
    this.#file = file;
    this.#chunks = new ChunkSets(file);
    this.#cache = new ReadCache(config.cacheBytesMax ?? cacheBytesDefault);
    this.#keys = new KnownKeys(
      file,
      config.keyFilterBytesMax ?? keyFilterBytesDefault,
    );
  }

  /** Learns what must be known before the first write, and begins to learn the rest. */
  async start(): Promise<void> {
    await this.#chunks.loadSets();
    if (this.#chunks.hasGarbage) this.#wake();
    await this.#keys.start();
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
    const candidates = new Set<number>();
    for (const write of this.#overlay.values()) {
      candidates.add(partitionOf(write.key));
    }
    let start = firstKeyText(space.data, 0);
    const end = String.fromCharCode(space.data + 1);
    while (start < end) {
      const [entry] = await this.#file.page(start, end, 1);
      if (entry === undefined) break;
      const partition = partitionOf(entry.key);
      candidates.add(partition);
      start = endKeyText(space.data, partition);
    }
    const found: number[] = [];
    for (const partition of candidates) {
      // One with pending writes may be about to lose its last key, or gain its first.
      for await (
        const _ of (this.partition(partition) as DenoKvPartition).visit({
          limit: 1,
        })
      ) {
        found.push(partition);
        break;
      }
    }
    return found.sort((a, b) => a - b);
  }

  stats(): StoreStats {
    let pendingWrites = 0;
    for (const batch of this.#batches) pendingWrites += batch.writes.length;
    return {
      commits: this.#commits,
      writes: this.#writes,
      cacheHits: this.#hits,
      cacheMisses: this.#misses,
      cacheBytes: this.#cache.bytes,
      pendingWrites,
      absentKeysKnown: this.#keys.complete,
    };
  }

  /** The value of `key`, as {@linkcode PartitionStore.get}. */
  get(
    partition: number,
    key: Uint8Array,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    this.refuseIfClosed("read");
    // No stored key is longer.
    if (key.length > storeLimits.keyBytesMax) return undefined;
    const scratch = this.#scratch;
    const length = keyPrefixBytes + key.length;
    writeKeyPrefix(scratch, 0, space.data, partition);
    scratch.set(key, keyPrefixBytes);
    const keyText = bytesToText(scratch, 0, length);
    const pending = this.#overlay.get(keyText);
    if (pending !== undefined) {
      this.#hits++;
      return valueOf(pending);
    }
    const cached = this.#cache.get(keyText);
    if (cached !== undefined) {
      this.#hits++;
      return cached ?? undefined;
    }
    if (!this.#keys.mayHave(scratch.subarray(0, length))) {
      this.#hits++;
      return undefined;
    }
    this.#misses++;
    const known = this.#reads.get(keyText);
    if (known !== undefined) return known.value;
    const read = {} as DiskRead;
    this.#reads.set(keyText, read);
    read.value = this.#readFromDisk(keyText, scratch.slice(0, length), read);
    return read.value;
  }

  async #readFromDisk(
    keyText: string,
    key: Uint8Array,
    read: DiskRead,
  ): Promise<Uint8Array | undefined> {
    const isCurrent = () => this.#reads.get(keyText) === read;
    try {
      const record = await this.#file.get(key);
      const value = record === null
        ? undefined
        : await this.decode(key, record, isCurrent);
      if (isCurrent()) this.#cache.put(keyText, value ?? null);
      return value;
    } finally {
      if (isCurrent()) this.#reads.delete(keyText);
    }
  }

  /**
   * The value in a record that was read from disk. If the chunks of a value are
   * gone because its key was written meanwhile, the new value counts.
   *
   * @param isCurrent Whether the key has certainly not been written since the record was read.
   * @throws {WhorlError} `value_corrupt` if it is not what was stored under `key`.
   */
  async decode(
    key: Uint8Array,
    record: unknown,
    isCurrent: () => boolean,
  ): Promise<Uint8Array | undefined> {
    const inline = this.decodeInline(key, record);
    if (inline !== undefined) return inline;
    const manifest = readManifest(record as Uint8Array, partitionOf(key));
    const value = await this.#chunks.loadValue(manifest);
    if (value !== undefined) return value;
    if (isCurrent()) throw this.#valueCorrupt(key);
    return await this.get(partitionOf(key), key.subarray(keyPrefixBytes));
  }

  /** The value in a record, or `undefined` if it is a manifest. @throws {WhorlError} `value_corrupt`. */
  decodeInline(key: Uint8Array, record: unknown): Uint8Array | undefined {
    if (!isSound(record, hashKey(key))) throw this.#valueCorrupt(key);
    const sound = record as Uint8Array;
    if (sound[4] === recordKind.inline) {
      return sound.subarray(recordHeaderBytes);
    }
    if (sound[4] === recordKind.manifest) return undefined;
    throw this.#valueCorrupt(key);
  }

  #valueCorrupt(key: Uint8Array): WhorlError {
    const partition = partitionOf(key);
    const shown = key.subarray(keyPrefixBytes).toHex();
    return new WhorlError(
      "value_corrupt",
      `Cannot read key ${shown} of partition ${partition} in store ${this.#file.path} as the value does not match its checksum`,
      { details: { path: this.#file.path, partition, key: shown } },
    );
  }

  /** Applies a group of writes, as {@linkcode PartitionStore.write}. */
  write(
    partition: number,
    writes: readonly Write[],
    committed: (error: Error | undefined) => void,
  ): void {
    this.refuseIfClosed("write");
    if (this.#failure !== undefined) throw this.#failure;
    const valueBytes = checkWrites(writes);
    const cost = costOf(writes, valueBytes, this.#chunks.inUse);
    if (
      this.#heldBytes > 0 &&
      this.#heldBytes + cost.heldBytes > groupCommitLimits.pendingBytesMax
    ) {
      throw new WhorlError(
        "overload",
        `Cannot write to store ${this.#file.path} as ${groupCommitLimits.pendingBytesMax} bytes may wait to be committed: current value is ${this.#heldBytes}`,
        { details: { path: this.#file.path, heldBytes: this.#heldBytes } },
      );
    }
    let batch = this.#batches[this.#batches.length - 1];
    if (batch === undefined || !batch.fits(cost)) {
      batch = new PendingBatch();
      this.#batches.push(batch);
    }
    batch.reserve(cost);
    this.#heldBytes += cost.heldBytes;
    for (let i = 0; i < writes.length; i++) {
      this.#addWrite(partition, writes[i] as Write, batch, cost.ahead);
    }
    batch.committed.push(committed);
    this.#writes += writes.length;
    this.#wake();
  }

  #addWrite(
    partition: number,
    { key, value }: Write,
    batch: PendingBatch,
    ahead: boolean,
  ): void {
    const large = value !== null && goesIntoChunks(value, ahead);
    const inlineBytes = value === null || large
      ? 0
      : recordHeaderBytes + value.length;
    const keyBytes = keyPrefixBytes + key.length;
    if (this.#slabFilled + keyBytes + inlineBytes > this.#slab.length) {
      this.#slab = new Uint8Array(Math.max(slabBytes, keyBytes + inlineBytes));
      this.#slabFilled = 0;
    }
    const slab = this.#slab;
    const at = this.#slabFilled;
    const recordAt = at + keyBytes;
    this.#slabFilled = recordAt + inlineBytes;
    writeKeyPrefix(slab, at, space.data, partition);
    slab.set(key, at + keyPrefixBytes);
    const keyText = bytesToText(slab, at, recordAt);
    const fullKey = slab.subarray(at, recordAt);
    const keyHash = hashKey(fullKey);
    let record: Uint8Array | null = null;
    if (inlineBytes > 0) {
      slab[recordAt + 4] = recordKind.inline;
      slab.set(value as Uint8Array, recordAt + recordHeaderBytes);
      record = slab.subarray(recordAt, this.#slabFilled);
      sealRecord(record, keyHash);
    }
    if (value !== null) this.#keys.add(keyHash);
    const before = this.#overlay.get(keyText);
    if (before?.batch === batch) before.superseded = true;
    const write: PendingWrite = {
      keyText,
      key: fullKey,
      record,
      large: value !== null && large
        ? {
          set: this.#chunks.allocate(partition, value.length),
          value: value.slice(),
          ahead,
        }
        : null,
      batch,
      superseded: false,
    };
    this.#overlay.set(keyText, write);
    batch.writes.push(write);
    if (this.#reads.size > 0) this.#reads.delete(keyText);
  }

  /** Starts committing, once all that is written in this turn has been gathered. */
  #wake(): void {
    this.#committing ??= Promise.resolve().then(() => this.#commitAll());
  }

  async #commitAll(): Promise<void> {
    try {
      for (;;) {
        const batch = this.#batches[0];
        if (batch !== undefined) await this.#commitBatch(batch);
        if (this.#clearsTailLost !== undefined) {
          await this.#file.clearTailLost();
          this.#clearsTailLost.resolve();
          this.#clearsTailLost = undefined;
        }
        // One set after each batch, so that garbage doesn't wait for a quiet hour.
        if (this.#chunks.hasGarbage) await this.#chunks.removeGarbage();
        else if (this.#batches.length === 0) break;
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#committing = undefined;
  }

  async #commitBatch(batch: PendingBatch): Promise<void> {
    batch.started = true;
    const { writes } = batch;
    for (const { large, key, superseded } of writes) {
      if (large?.ahead && !superseded) {
        await this.#chunks.writeAhead(large, key);
      }
    }
    // In the order of the tree, a page is changed once: 10 % less work in large
    // commits. No key occurs twice, so the order means nothing else.
    if (writes.length >= sortFrom) writes.sort(byKeyText);
    await this.#file.commit((operation) => {
      for (let i = 0; i < writes.length; i++) {
        const write = writes[i] as PendingWrite;
        if (write.superseded) continue;
        if (write.record !== null) operation.set([write.key], write.record);
        else if (write.large === null) operation.delete([write.key]);
        if (this.#chunks.inUse) this.#chunks.add(operation, write);
      }
    });
    this.#commits++;
    this.#batches.shift();
    this.#heldBytes -= batch.heldBytes;
    for (let i = 0; i < writes.length; i++) {
      const write = writes[i] as PendingWrite;
      if (write.superseded) continue;
      this.#chunks.noteCommitted(write);
      if (this.#overlay.get(write.keyText) !== write) continue;
      this.#overlay.delete(write.keyText);
      this.#cache.put(write.keyText, valueOf(write) ?? null);
    }
    const { committed } = batch;
    for (let i = 0; i < committed.length; i++) {
      tell(committed[i] as PendingBatch["committed"][number], undefined);
    }
  }

  #fail(error: unknown): void {
    const failure = error instanceof WhorlError ? error : new WhorlError(
      "internal",
      `Cannot write to store ${this.#file.path}: ${error}`,
      { details: { path: this.#file.path }, cause: error },
    );
    this.#failure = failure;
    // The overlay stays: reads go on to see what was written, known durable or not.
    for (const batch of this.#batches.splice(0)) {
      for (const committed of batch.committed) tell(committed, failure);
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

  /** Writes that are not durable yet, from `start` up to `end`, ascending by key. */
  pendingBetween(start: string, end: string): PendingWrite[] {
    const found: PendingWrite[] = [];
    for (const write of this.#overlay.values()) {
      if (write.keyText >= start && write.keyText < end) found.push(write);
    }
    return found.sort(byKeyText);
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
    while (this.#committing !== undefined) await this.#committing;
    await this.#keys.stop();
    invariant(this.#batches.length === 0, "a closing store has committed all");
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

/** Tells one writer. What it throws is its own bug, and must not pass for a failure of the disk. */
function tell(
  committed: (error: Error | undefined) => void,
  outcome: Error | undefined,
): void {
  try {
    committed(outcome);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

function byKeyText(a: PendingWrite, b: PendingWrite): number {
  return a.keyText < b.keyText ? -1 : a.keyText > b.keyText ? 1 : 0;
}

/** The value a pending write gives its key. */
export function valueOf(write: PendingWrite): Uint8Array | undefined {
  if (write.large !== null) return write.large.value;
  return write.record?.subarray(recordHeaderBytes);
}
