/**
 * How a Deno KV store reads the value of a key: from the table of writes that are
 * not in their rows, from the cache, or from disk, which the key filter spares for
 * keys that are absent. Concurrent reads of one key from disk share one read.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { bytesToText } from "../base/byte_text.ts";
import { type Awaitable, storeLimits } from "../environment/storage.ts";
import type { ChunkSets } from "./chunk_sets.ts";
import {
  hashKey,
  isSound,
  keyPrefixBytes,
  partitionOf,
  readManifest,
  recordHeaderBytes,
  recordKind,
  space,
  writeKeyPrefix,
} from "./deno_kv_codec.ts";
import type { DenoKvFile } from "./deno_kv_file.ts";
import type { KnownKeys } from "./known_keys.ts";
import { valueOf } from "./pending_batch.ts";
import type { ReadCache } from "./read_cache.ts";
import type { UnfoldedWrites } from "./unfolded_writes.ts";

/** What reads need from their store. */
export interface ValueReadsHost {
  readonly file: DenoKvFile;
  readonly table: UnfoldedWrites;
  readonly chunks: ChunkSets;
  readonly cache: ReadCache;
  readonly keys: KnownKeys;
  /** @throws {WhorlError} `closed` once closing has begun. */
  refuseIfClosed(action: "read"): void;
}

/** A read from disk that several callers may await. */
interface DiskRead {
  value: Promise<Uint8Array | undefined>;
}

/** The reads of one store. */
export class ValueReads {
  readonly #host: ValueReadsHost;
  /** Reads from disk under way, by key. */
  readonly #fromDisk = new Map<string, DiskRead>();
  readonly #scratch = new Uint8Array(keyPrefixBytes + storeLimits.keyBytesMax);
  #hits = 0;
  #misses = 0;

  constructor(host: ValueReadsHost) {
    this.#host = host;
  }

  /** Reads that were answered without the disk. */
  get hits(): number {
    return this.#hits;
  }

  /** Reads from disk. */
  get misses(): number {
    return this.#misses;
  }

  /** The value of `key`, as {@linkcode PartitionStore.get}. */
  get(partition: number, key: Uint8Array): Awaitable<Uint8Array | undefined> {
    const { table, cache, keys } = this.#host;
    this.#host.refuseIfClosed("read");
    // No stored key is longer.
    if (key.length > storeLimits.keyBytesMax) return undefined;
    const scratch = this.#scratch;
    const length = keyPrefixBytes + key.length;
    writeKeyPrefix(scratch, 0, space.data, partition);
    scratch.set(key, keyPrefixBytes);
    const keyText = bytesToText(scratch, 0, length);
    const pending = table.get(partition, keyText);
    if (pending !== undefined) {
      this.#hits++;
      return valueOf(pending);
    }
    const cached = cache.get(keyText);
    if (cached !== undefined) {
      this.#hits++;
      return cached ?? undefined;
    }
    if (!keys.mayHave(scratch.subarray(0, length))) {
      this.#hits++;
      return undefined;
    }
    this.#misses++;
    const known = this.#fromDisk.get(keyText);
    if (known !== undefined) return known.value;
    const read = {} as DiskRead;
    this.#fromDisk.set(keyText, read);
    read.value = this.#readFromDisk(keyText, scratch.slice(0, length), read);
    return read.value;
  }

  async #readFromDisk(
    keyText: string,
    key: Uint8Array,
    read: DiskRead,
  ): Promise<Uint8Array | undefined> {
    const { file, cache } = this.#host;
    const isCurrent = () => this.#fromDisk.get(keyText) === read;
    try {
      const record = await file.get(key);
      const value = record === null
        ? undefined
        : await this.decode(key, record, isCurrent);
      if (isCurrent()) cache.put(keyText, value ?? null);
      return value;
    } finally {
      if (isCurrent()) this.#fromDisk.delete(keyText);
    }
  }

  /**
   * Notes that a key is written: a read of it that is under way must not fill
   * the cache.
   */
  noteWritten(keyText: string): void {
    if (this.#fromDisk.size > 0) this.#fromDisk.delete(keyText);
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
    const value = await this.#host.chunks.loadValue(manifest);
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
    const { path } = this.#host.file;
    const partition = partitionOf(key);
    const shown = key.subarray(keyPrefixBytes).toHex();
    return new WhorlError(
      "value_corrupt",
      `Cannot read key ${shown} of partition ${partition} in store ${path} as the value does not match its checksum`,
      { details: { path, partition, key: shown } },
    );
  }
}
