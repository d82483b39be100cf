/**
 * Values too large for one record. Their chunks are stored apart, under a set
 * number that is never reused; a manifest under the value's own key names the
 * set. So a reader gets the old value or the new one, never a mix.
 *
 * A set has a record of its own, which says `pending` before the first chunk of
 * a value that doesn't fit one commit is written, `live` from the commit that
 * writes the manifest, and `garbage` from the commit that replaces it. What a
 * crash leaves pending or garbage is removed when the store opens.
 *
 * @module
 */
import {
  chunkKey,
  type ChunkSet,
  chunkSetKey,
  joinChunks,
  makeChunk,
  makeChunkSetRecord,
  makeManifest,
  type Manifest,
  readChunkSetRecord,
  space,
} from "./deno_kv_codec.ts";
import type { KvAtomicOperation } from "../environment/disk.ts";
import type { DenoKvFile } from "./deno_kv_file.ts";
import { chunkLimits, pageLimits } from "./deno_kv_limits.ts";
import { keyOf, type LargeValue, type PendingWrite } from "./pending_batch.ts";

/** The chunk sets of one store. */
export class ChunkSets {
  readonly #file: DenoKvFile;
  /**
   * By key, the sets of committed values. There are few, since each has 60 KB
   * or more.
   */
  readonly #live = new Map<string, ChunkSet>();
  readonly #garbage: ChunkSet[] = [];
  #counter = 0;

  constructor(file: DenoKvFile) {
    this.#file = file;
  }

  /** Reads which sets exist. */
  async loadSets(): Promise<void> {
    let start = String.fromCharCode(space.chunkSet);
    const end = String.fromCharCode(space.chunkSet + 1);
    for (;;) {
      const page = await this.#file.page(start, end, pageLimits.entriesMax);
      for (const { key, record } of page) {
        // A damaged record says nothing about its set. The value is still read
        // through its manifest; only its chunks are left behind when it is
        // replaced.
        const known = readChunkSetRecord(key, record);
        if (known === undefined) continue;
        if (known.state === "live") this.#live.set(known.keyText, known.set);
        else this.#garbage.push(known.set);
      }
      const last = page[page.length - 1];
      if (page.length < pageLimits.entriesMax || last === undefined) return;
      start = last.keyText + "\0";
    }
  }

  /** Whether any value is, or is about to be, stored in chunks. */
  get inUse(): boolean {
    return this.#live.size > 0 || this.#counter > 0;
  }

  /** A set for a value of `length` bytes. */
  allocate(partition: number, length: number): ChunkSet {
    return {
      partition,
      epoch: this.#file.head.epoch,
      counter: ++this.#counter,
      chunks: Math.ceil(length / chunkLimits.chunkBytes),
    };
  }

  /** Stores the chunks of a value ahead of the commit that makes it visible. */
  async writeAhead(large: LargeValue, key: Uint8Array): Promise<void> {
    const { set, value } = large;
    for (let from = 0; from < set.chunks; from += chunkLimits.chunksPerCommit) {
      await this.#file.commit((operation) => {
        if (from === 0) {
          operation.set(
            [chunkSetKey(set)],
            makeChunkSetRecord(set, "pending", key),
          );
        }
        const to = Math.min(set.chunks, from + chunkLimits.chunksPerCommit);
        this.#addChunks(operation, set, value, from, to);
      });
    }
  }

  #addChunks(
    operation: KvAtomicOperation,
    set: ChunkSet,
    value: Uint8Array,
    from: number,
    to: number,
  ): void {
    for (let i = from; i < to; i++) {
      operation.set(
        [chunkKey(set, i)],
        makeChunk(set, i, value, chunkLimits.chunkBytes),
      );
    }
  }

  /**
   * Adds to a commit the changes of chunks that `write` causes: for its value,
   * and for the value it replaces.
   */
  add(operation: KvAtomicOperation, write: PendingWrite): void {
    const replaced = this.#live.get(write.keyText);
    if (replaced !== undefined) {
      operation.set(
        [chunkSetKey(replaced)],
        makeChunkSetRecord(replaced, "garbage", keyOf(write)),
      );
    }
    const large = write.row?.large;
    if (large === undefined || large === null) return;
    const key = keyOf(write);
    const { set, value, ahead } = large;
    if (!ahead) this.#addChunks(operation, set, value, 0, set.chunks);
    operation
      .set([chunkSetKey(set)], makeChunkSetRecord(set, "live", key))
      .set([key], makeManifest(set, value, key));
  }

  /** Notes that the commit with `write` is durable. */
  noteCommitted(write: PendingWrite): void {
    if (!this.inUse) return;
    const replaced = this.#live.get(write.keyText);
    if (replaced !== undefined) {
      this.#live.delete(write.keyText);
      this.#garbage.push(replaced);
    }
    const large = write.row?.large;
    if (large !== undefined && large !== null) {
      this.#live.set(write.keyText, large.set);
    }
  }

  /** Whether there are chunks to remove. */
  get hasGarbage(): boolean {
    return this.#garbage.length > 0;
  }

  /** Removes one set that no value uses any more. */
  async removeGarbage(): Promise<void> {
    const set = this.#garbage.pop();
    if (set === undefined) return;
    const { removalsPerCommit } = chunkLimits;
    for (let from = 0; from < set.chunks; from += removalsPerCommit) {
      await this.#file.commit((operation) => {
        const to = Math.min(set.chunks, from + removalsPerCommit);
        for (let i = from; i < to; i++) operation.delete([chunkKey(set, i)]);
        if (to === set.chunks) operation.delete([chunkSetKey(set)]);
      });
    }
  }

  /**
   * The value that a manifest describes, or `undefined` if its chunks are
   * missing or changed.
   */
  async loadValue(manifest: Manifest): Promise<Uint8Array | undefined> {
    const keys: Uint8Array[] = [];
    for (let i = 0; i < manifest.set.chunks; i++) {
      keys.push(chunkKey(manifest.set, i));
    }
    return joinChunks(manifest, await this.#file.getMany(keys));
  }
}
