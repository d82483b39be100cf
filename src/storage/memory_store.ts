/**
 * A store in memory: fast, and gone with its process. It keeps the promises of
 * the interface except durability, and calls `committed` before `write` returns.
 *
 * @module
 */
import type {
  Entry,
  IntegrityReport,
  PartitionStore,
  ScanRange,
  Store,
  StoreState,
  StoreStats,
  Write,
} from "../environment/storage.ts";
import {
  bytesToText,
  lowerBound,
  mergeSorted,
  textToBytes,
} from "../base/byte_text.ts";
import { SlabHeap } from "./slab_heap.ts";
import {
  checkPartition,
  checkWrites,
  closedError,
} from "./store_limits_check.ts";

/** Opens an empty store. `storeId` is 16 lowercase hex digits. */
export function openMemoryStore(storeId: string): Store {
  return new MemoryStore(storeId);
}

class MemoryStore implements Store {
  readonly durable = false;
  readonly state: StoreState;
  readonly figures = { writes: 0, reads: 0 };
  readonly #partitions = new Map<number, MemoryPartition>();
  closed = false;

  constructor(storeId: string) {
    this.state = { storeId, epoch: 1, tailLost: false };
  }

  partition(partition: number): PartitionStore {
    const known = this.#partitions.get(partition);
    if (known !== undefined) return known;
    checkPartition(partition);
    const made = new MemoryPartition(partition, this);
    this.#partitions.set(partition, made);
    return made;
  }

  partitions(): Promise<number[]> {
    const found: number[] = [];
    for (const [partition, store] of this.#partitions) {
      if (store.size > 0) found.push(partition);
    }
    return Promise.resolve(found.sort((a, b) => a - b));
  }

  stats(): StoreStats {
    let cacheBytes = 0;
    for (const store of this.#partitions.values()) cacheBytes += store.bytes;
    return {
      commits: 0,
      writes: this.figures.writes,
      cacheHits: this.figures.reads,
      cacheMisses: 0,
      cacheBytes,
      pendingWrites: 0,
      absentKeysKnown: true,
    };
  }

  tailRepaired(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.closed = true;
    this.#partitions.clear();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Entries of a page: as many as are looked at before anybody else has a turn. */
const PAGE_ENTRIES = 512;

class MemoryPartition implements PartitionStore {
  readonly partition: number;
  readonly #store: MemoryStore;
  #places = new Map<string, number>();
  #heap = new SlabHeap();
  /** All keys ascending as of the last scan; may hold keys that were removed since. */
  #sorted: string[] = [];
  /** Keys that came since, in any order; complete only while `#isSorted`. */
  #fresh: string[] = [];
  /** Without a scan there is no order to maintain, and writes needn't pay for one. */
  #isSorted = false;

  constructor(partition: number, store: MemoryStore) {
    this.partition = partition;
    this.#store = store;
  }

  get size(): number {
    return this.#places.size;
  }

  get bytes(): number {
    return this.#heap.bytes;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    if (this.#store.closed) throw closedError("read");
    this.#store.figures.reads++;
    const place = this.#places.get(bytesToText(key));
    return place === undefined ? undefined : this.#heap.view(place);
  }

  write(
    writes: readonly Write[],
    committed: (error: Error | undefined) => void,
  ): void {
    if (this.#store.closed) throw closedError("write");
    checkWrites(writes);
    for (let i = 0; i < writes.length; i++) {
      const { key, value } = writes[i] as Write;
      this.#apply(bytesToText(key), value);
    }
    this.#store.figures.writes += writes.length;
    this.#moveFromSparseSlabs();
    committed(undefined);
  }

  #apply(key: string, value: Uint8Array | null): void {
    const before = this.#places.get(key);
    if (value === null) {
      if (before === undefined) return;
      this.#places.delete(key);
    } else {
      this.#places.set(key, this.#heap.put(value, key));
      if (before === undefined && this.#isSorted) this.#fresh.push(key);
    }
    if (before !== undefined) this.#heap.release(before);
  }

  #moveFromSparseSlabs(): void {
    for (;;) {
      const sparse = this.#heap.takeSparse();
      if (sparse === undefined) return;
      for (const key of sparse.owners) {
        const place = this.#places.get(key);
        if (place === undefined || !this.#heap.isIn(place, sparse.index)) {
          continue;
        }
        this.#places.set(key, this.#heap.put(this.#heap.view(place), key));
      }
      this.#heap.drop(sparse.index);
    }
  }

  /** All keys ascending; some may have been removed. Never changed in place, so a scan can hold on to it. */
  #keysInOrder(): readonly string[] {
    if (!this.#isSorted || this.#sorted.length > 2 * this.#places.size + 64) {
      this.#sorted = [...this.#places.keys()].sort();
      this.#fresh = [];
      this.#isSorted = true;
    } else if (this.#fresh.length > 0) {
      this.#sorted = mergeSorted(this.#sorted, this.#fresh.sort());
      this.#fresh = [];
    }
    return this.#sorted;
  }

  async *scan(range: ScanRange = {}): AsyncGenerator<Entry> {
    yield* this.#entries(range);
  }

  async *pages(range: ScanRange = {}): AsyncGenerator<readonly Entry[]> {
    let page: Entry[] = [];
    for (const entry of this.#entries(range)) {
      page.push(entry);
      if (page.length < PAGE_ENTRIES) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  *#entries(range: ScanRange): Generator<Entry> {
    if (this.#store.closed) throw closedError("read");
    const keys = this.#keysInOrder();
    const start = range.start === undefined
      ? 0
      : lowerBound(keys, bytesToText(range.start));
    const end = range.end === undefined
      ? keys.length
      : lowerBound(keys, bytesToText(range.end));
    let left = range.limit ?? Infinity;
    for (let i = 0; i < end - start && left > 0; i++) {
      const key = keys[range.reverse ? end - 1 - i : start + i] as string;
      const place = this.#places.get(key);
      if (place === undefined) continue;
      left--;
      yield { key: textToBytes(key), value: this.#heap.view(place) };
      if (this.#store.closed) throw closedError("read");
    }
  }

  deleteRange(start?: Uint8Array, end?: Uint8Array): Promise<void> {
    if (this.#store.closed) return Promise.reject(closedError("write"));
    if (start === undefined && end === undefined) {
      this.#places = new Map();
      this.#heap = new SlabHeap();
      this.#sorted = [];
      this.#fresh = [];
      return Promise.resolve();
    }
    const keys = this.#keysInOrder();
    const last = end === undefined
      ? keys.length
      : lowerBound(keys, bytesToText(end));
    let i = start === undefined ? 0 : lowerBound(keys, bytesToText(start));
    for (; i < last; i++) this.#apply(keys[i] as string, null);
    this.#moveFromSparseSlabs();
    return Promise.resolve();
  }

  count(): Promise<number> {
    return Promise.resolve(this.#places.size);
  }

  integrity(): Promise<IntegrityReport> {
    return Promise.resolve({
      checked: this.#places.size,
      corrupt: [],
      tailLost: false,
    });
  }
}
