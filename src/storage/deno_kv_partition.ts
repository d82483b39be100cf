/**
 * One partition of a Deno KV store, and its scan in key order: pages of rows,
 * each merged with the writes that were not in their rows when the page was
 * requested.
 *
 * @module
 */
import { NO_BYTES } from "../base/byte_slab.ts";
import { isWhorlError } from "../base/errors.ts";
import {
  type Awaitable,
  type IntegrityReport,
  type PartitionStore,
  type RowSteps,
  type RowView,
  type ScanEntry,
  type ScanRange,
  storeLimits,
  type StoreWrite,
  type StoreWriteOptions,
} from "../environment/storage.ts";
import { bytesToText } from "../base/byte_text.ts";
import {
  endKeyText,
  firstKeyText,
  keyPrefixBytes,
  space,
} from "./deno_kv_codec.ts";
import type { StoredEntry } from "./deno_kv_file.ts";
import { nextPageLimit, pageLimits } from "./deno_kv_limits.ts";
import type { PartitionHost } from "./partition_host.ts";
import {
  isRemoval,
  keyOf as keyOfWrite,
  type PendingWrite,
  valueOf,
} from "./pending_batch.ts";

const corruptKeysMax = 1_000;

/** A key that exists, stored or about to be stored. */
export type Visited =
  | { readonly stored: StoredEntry }
  | { readonly pending: PendingWrite };

/** The keys and values of one partition. */
export class DenoKvPartition implements PartitionStore {
  readonly partition: number;
  readonly #store: PartitionHost;
  readonly #first: string;
  readonly #end: string;

  constructor(partition: number, store: PartitionHost) {
    this.partition = partition;
    this.#store = store;
    this.#first = firstKeyText(space.data, partition);
    this.#end = endKeyText(space.data, partition);
  }

  get(key: Uint8Array): Awaitable<Uint8Array | undefined> {
    return this.#store.reads.get(this.partition, key);
  }

  write(
    writes: readonly StoreWrite[],
    committed: (error: Error | undefined) => void,
    options?: StoreWriteOptions,
  ): void {
    this.#store.write(this.partition, writes, committed, options);
  }

  async *scan(range: ScanRange = {}): AsyncGenerator<ScanEntry> {
    const page: ScanEntry[] = [];
    const steps = this.#steps(range, (row) => {
      const { keyBytes, keyStart, keyEnd } = row;
      page.push({
        key: keyBytes.subarray(keyStart, keyEnd),
        value: row.valueBytes.subarray(row.valueStart, row.valueEnd),
      });
    });
    for await (const _ of steps) {
      // One by one, since `yield*` creates a promise of its own for each.
      for (const entry of page) yield entry;
      page.length = 0;
    }
  }

  rows(range: ScanRange, visit: (row: RowView) => void): RowSteps {
    const steps = this.#steps(range, visit);
    return { next: async () => !(await steps.next()).done };
  }

  /**
   * Visits the rows of a range, and yields to other work after as many rows as
   * fit in one turn.
   */
  async *#steps(
    range: ScanRange,
    visit: (row: RowView) => void,
  ): AsyncGenerator<void> {
    const { limit = Infinity, onCorrupt } = range;
    let left = limit;
    if (left <= 0) return;
    const row = new StoredRow();
    for await (const visited of this.#visitPages(range)) {
      let bytes = 0;
      for (const one of visited) {
        const key = keyOf(one);
        let value: Awaitable<Uint8Array | undefined>;
        try {
          value = "pending" in one
            ? valueOf(one.pending)
            : this.#decode(one.stored);
          if (value instanceof Promise) value = await value;
        } catch (error) {
          if (
            onCorrupt === undefined || !isWhorlError(error, "value_corrupt")
          ) throw error;
          onCorrupt(key.subarray(keyPrefixBytes));
          continue;
        }
        // A large value may have been removed since its manifest was read.
        if (value === undefined) continue;
        row.show(key, value);
        visit(row);
        bytes += value.length;
        left--;
        if (left > 0 && bytes < pageLimits.bytesTarget) continue;
        yield;
        if (left <= 0) return;
        bytes = 0;
      }
      yield;
    }
  }

  #decode(stored: StoredEntry): Awaitable<Uint8Array | undefined> {
    const { key, record } = stored;
    // The key may have been written since its page was read. So if chunks of a
    // large value are missing, the key is read again.
    const { reads } = this.#store;
    return reads.decodeInline(key, record) ??
      reads.decode(key, record, () => false);
  }

  /** Keys that exist in `range`, in order. */
  async *visit(range: ScanRange = {}): AsyncGenerator<Visited> {
    for await (const page of this.#visitPages(range)) {
      for (const visited of page) yield visited;
    }
  }

  /** As {@linkcode DenoKvPartition.visit}, page by page; one may be empty. Asks the disk for no more than `limit` at once. */
  async *#visitPages(
    range: ScanRange,
  ): AsyncGenerator<readonly Visited[]> {
    const { reverse = false, limit = Infinity } = range;
    const prefix = this.#first;
    let start = prefix +
      (range.start === undefined ? "" : bytesToText(range.start));
    let end = range.end === undefined
      ? this.#end
      : prefix + bytesToText(range.end);
    let pageLimit = Math.max(1, Math.min(pageLimits.firstPage, limit));
    this.#store.refuseIfClosed("read");
    while (start < end) {
      // A write that is not folded now may be folded before the page arrives,
      // and whether the page includes it depends on the moment.
      const pending = this.#store.unfolded(
        this.partition,
        start,
        end,
        pageLimit,
        reverse,
      );
      const page = await this.#store.page(start, end, pageLimit, reverse);
      // Both are complete up to the end of the shorter one.
      const lastStored = page.length < pageLimit ? undefined : page.at(-1);
      const lastPending = pending.length < pageLimit
        ? undefined
        : pending.at(-1);
      const bound = firstOf(
        lastStored?.keyText,
        lastPending?.keyText,
        reverse,
      );
      yield merge(page, pending, reverse, bound);
      if (bound === undefined) return;
      if (reverse) end = bound;
      else start = bound + "\0";
      let bytes = 0;
      for (const { record } of page) {
        bytes += record instanceof Uint8Array ? record.length : 0;
      }
      pageLimit = nextPageLimit(page.length, bytes);
    }
  }

  async deleteRange(
    start?: Uint8Array,
    end?: Uint8Array,
    known: Iterable<Uint8Array> = [],
  ): Promise<void> {
    this.#store.refuseIfClosed("write");
    const range = {
      ...(start === undefined ? {} : { start }),
      ...(end === undefined ? {} : { end }),
    };
    await this.#removeAll(known);
    await this.#removeAll(this.#keysIn(range));
  }

  async *#keysIn(range: ScanRange): AsyncGenerator<Uint8Array> {
    for await (const visited of this.visit(range)) {
      yield keyOf(visited).subarray(keyPrefixBytes);
    }
  }

  async #removeAll(
    keys: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const { groupWritesMax, groupKeyBytesMax } = storeLimits;
    let underWay: Promise<void> | undefined;
    let group: StoreWrite[] = [];
    let keyBytes = 0;
    for await (const key of keys) {
      if (
        group.length === groupWritesMax ||
        keyBytes + key.length > groupKeyBytesMax
      ) {
        // The next batch is gathered while this one is committed.
        await underWay;
        underWay = this.#commit(group);
        group = [];
        keyBytes = 0;
      }
      group.push({ key, value: null });
      keyBytes += key.length;
    }
    await underWay;
    if (group.length > 0) await this.#commit(group);
  }

  #commit(writes: readonly StoreWrite[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.write(
      writes,
      (error) => error === undefined ? resolve() : reject(error),
      { inBulk: true },
    );
    return promise;
  }

  async count(): Promise<number> {
    let count = 0;
    for await (const _ of this.visit()) count++;
    return count;
  }

  async integrity(): Promise<IntegrityReport> {
    let checked = 0;
    const corrupt: Uint8Array[] = [];
    const onCorrupt = (key: Uint8Array) => {
      checked++;
      if (corrupt.length < corruptKeysMax) corrupt.push(key.slice());
    };
    for await (const _ of this.scan({ onCorrupt })) checked++;
    return { checked, corrupt, tailLost: this.#store.state.tailLost };
  }
}

/** A row, with its key in the file. */
class StoredRow implements RowView {
  keyBytes: Uint8Array = NO_BYTES;
  keyStart: number = keyPrefixBytes;
  keyEnd = 0;
  valueBytes: Uint8Array = this.keyBytes;
  valueStart = 0;
  valueEnd = 0;

  show(key: Uint8Array, value: Uint8Array): void {
    this.keyBytes = key;
    this.keyEnd = key.length;
    this.valueBytes = value;
    this.valueEnd = value.length;
  }
}

function keyOf(visited: Visited): Uint8Array {
  return "pending" in visited
    ? keyOfWrite(visited.pending)
    : visited.stored.key;
}

function firstOf(
  a: string | undefined,
  b: string | undefined,
  reverse: boolean,
): string | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return (a < b) === reverse ? b : a;
}

/**
 * Merges a page with pending writes, both in the order of the scan; a pending
 * write replaces the stored row. Keys beyond `bound` are left for later.
 */
function merge(
  page: readonly StoredEntry[],
  pending: readonly PendingWrite[],
  reverse: boolean,
  bound: string | undefined,
): Visited[] {
  const merged: Visited[] = [];
  let i = 0;
  let j = 0;
  const counts = (entry: { readonly keyText: string } | undefined) =>
    entry !== undefined &&
    (bound === undefined ||
      (reverse ? entry.keyText >= bound : entry.keyText <= bound));
  for (;;) {
    const stored = counts(page[i]) ? page[i] : undefined;
    const write = counts(pending[j]) ? pending[j] : undefined;
    if (
      write !== undefined && (stored === undefined ||
        (reverse
          ? write.keyText >= stored.keyText
          : write.keyText <= stored.keyText))
    ) {
      j++;
      if (stored?.keyText === write.keyText) i++;
      if (!isRemoval(write)) merged.push({ pending: write });
    } else if (stored !== undefined) {
      i++;
      merged.push({ stored });
    } else return merged;
  }
}
