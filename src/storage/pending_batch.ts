/**
 * Writes that go into one atomic commit. A batch takes groups as long as they
 * fit what Deno KV takes; a later write to a key replaces an earlier one that
 * has not been committed, since nobody can see the state between.
 *
 * @module
 */
import { chunkLimits, groupCommitLimits } from "./deno_kv_limits.ts";
import type { Write } from "../environment/storage.ts";
import type { ChunkSet } from "./deno_kv_codec.ts";

/** A value that goes into chunks. */
export interface LargeValue {
  readonly set: ChunkSet;
  /** The store's own copy. */
  readonly value: Uint8Array;
  /** Whether its chunks go in commits before the one that makes it visible. */
  readonly ahead: boolean;
}

/** A write that is not durable yet. */
export interface PendingWrite {
  /** The whole key as text, space and partition included. */
  readonly keyText: string;
  /** The whole key. */
  readonly key: Uint8Array;
  /** The sealed record, or `null` for a removal or a large value. */
  readonly record: Uint8Array | null;
  readonly large: LargeValue | null;
  readonly batch: PendingBatch;
  /** A later write in the same batch counts instead. */
  superseded: boolean;
}

/** What a group of writes takes of a commit. */
export interface GroupCost {
  readonly mutations: number;
  readonly bytes: number;
  readonly keyBytes: number;
  /** Memory it holds until it is committed, in bytes. */
  readonly heldBytes: number;
  /** Whether its large values go ahead. */
  readonly ahead: boolean;
}

/** A key of a chunk or a chunk set, encoded, with every byte counted twice. */
const setKeyBytes = 40;

/**
 * Reckons what `writes` take, from above.
 *
 * @param valueBytes Bytes of all values together.
 * @param replacesLarge Whether they may replace values in chunks.
 */
export function costOf(
  writes: readonly Write[],
  valueBytes: number,
  replacesLarge: boolean,
): GroupCost {
  const ahead = valueBytes > chunkLimits.groupBytesMax;
  // Then each write may turn the chunks of the value it replaces into garbage.
  let mutations = replacesLarge ? writes.length * 2 : writes.length;
  let keyBytes = replacesLarge ? writes.length * setKeyBytes : 0;
  let bytes = 0;
  for (let i = 0; i < writes.length; i++) {
    const { key, value } = writes[i] as Write;
    keyBytes += key.length * 2 + 12;
    if (value === null) continue;
    bytes += 5;
    if (goesIntoChunks(value, ahead)) {
      mutations++;
      keyBytes += setKeyBytes;
      // The manifest, and the key again in the record of the chunk set.
      bytes += 64 + key.length;
      if (ahead) continue;
      const chunks = Math.ceil(value.length / chunkLimits.chunkBytes);
      mutations += chunks;
      keyBytes += chunks * setKeyBytes;
      bytes += chunks * 5;
    }
    bytes += value.length;
  }
  return {
    mutations,
    bytes: bytes + keyBytes,
    keyBytes,
    heldBytes: valueBytes + keyBytes,
    ahead,
  };
}

/** Whether `value` is stored in chunks, in a group whose large values go `ahead` or not. */
export function goesIntoChunks(value: Uint8Array, ahead: boolean): boolean {
  return value.length >
    (ahead ? chunkLimits.aheadBytesMin : chunkLimits.chunkBytes);
}

/** Groups of writes that become durable together. */
export class PendingBatch {
  readonly writes: PendingWrite[] = [];
  readonly committed: ((error: Error | undefined) => void)[] = [];
  /** No longer takes groups: its commit is under way. */
  started = false;
  /** Memory it holds, in bytes. */
  heldBytes = 0;
  #bytes = 0;
  #mutations = 0;
  #keyBytes = 0;

  /** Whether a group of that cost may join. */
  fits(cost: GroupCost): boolean {
    if (this.started) return false;
    if (this.writes.length === 0) return true;
    return this.writes.length < groupCommitLimits.mutationsTarget &&
      this.#mutations + cost.mutations <= groupCommitLimits.mutationsMax &&
      this.#bytes + cost.bytes <= groupCommitLimits.bytesMax &&
      this.#keyBytes + cost.keyBytes <= groupCommitLimits.keyBytesMax;
  }

  /** Makes room for a group; its writes follow. */
  reserve(cost: GroupCost): void {
    this.#mutations += cost.mutations;
    this.#keyBytes += cost.keyBytes;
    this.#bytes += cost.bytes;
    this.heldBytes += cost.heldBytes;
  }
}
