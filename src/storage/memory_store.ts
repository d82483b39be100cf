/**
 * A store in memory: fast, and lost with its process. It keeps the guarantees
 * of the interface except durability, and calls `committed` before `write`
 * returns.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import type {
  IntegrityReport,
  PartitionStore,
  RowSteps,
  RowView,
  ScanEntry,
  ScanRange,
  Store,
  StoreState,
  StoreStats,
  StoreWrite,
} from "../environment/storage.ts";
import { RowPass, RowTable } from "./row_table.ts";
import {
  checkPartition,
  checkWrites,
  closedError,
} from "./store_limits_check.ts";

/**
 * Opens an empty store.
 *
 * @param storeId 16 lowercase hex digits.
 * @param runtime Yields to other work while many keys are sorted for a scan.
 * Without it they are sorted at once.
 */
export function openMemoryStore(storeId: string, runtime?: Runtime): Store {
  return new MemoryStore(storeId, runtime);
}

class MemoryStore implements Store {
  readonly durable = false;
  readonly state: StoreState;
  readonly figures = { writes: 0, reads: 0 };
  readonly #partitions = new Map<number, MemoryPartition>();
  readonly #runtime: Runtime | undefined;
  closed = false;

  constructor(storeId: string, runtime: Runtime | undefined) {
    this.#runtime = runtime;
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

  /** Yields to other work. */
  pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.#runtime === undefined) resolve();
    else this.#runtime.setTimer(0, resolve);
    return promise;
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

/**
 * Sorting steps that a scan takes before it yields to other work: some ten
 * milliseconds.
 */
const ORDER_STEPS = 4;
/** Rows that are visited before the scan yields to other work. */
const STEP_ROWS = 512;

class MemoryPartition implements PartitionStore {
  readonly partition: number;
  readonly #store: MemoryStore;
  readonly #rows = new RowTable();

  constructor(partition: number, store: MemoryStore) {
    this.partition = partition;
    this.#store = store;
  }

  get size(): number {
    return this.#rows.size;
  }

  get bytes(): number {
    return this.#rows.bytes;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    if (this.#store.closed) throw closedError("read");
    this.#store.figures.reads++;
    return this.#rows.get(key);
  }

  write(
    writes: readonly StoreWrite[],
    committed: (error: Error | undefined) => void,
  ): void {
    if (this.#store.closed) throw closedError("write");
    checkWrites(writes);
    for (let i = 0; i < writes.length; i++) {
      const { key, value } = writes[i] as StoreWrite;
      if (value === null) this.#rows.delete(key);
      else this.#rows.set(key, value);
    }
    this.#store.figures.writes += writes.length;
    this.#rows.moveFromSparseSlabs();
    committed(undefined);
  }

  async *scan(range: ScanRange = {}): AsyncGenerator<ScanEntry> {
    for (let steps = 1; !this.#rows.putInOrder(); steps++) {
      if (steps % ORDER_STEPS === 0) await this.#store.pause();
    }
    const pass = this.#pass(range);
    while (pass.step()) {
      yield {
        key: pass.keyBytes.slice(pass.keyStart, pass.keyEnd),
        value: pass.valueBytes.subarray(pass.valueStart, pass.valueEnd),
      };
      if (this.#store.closed) throw closedError("read");
    }
  }

  rows(range: ScanRange, visit: (row: RowView) => void): RowSteps {
    let pass: RowPass | undefined;
    let steps = 0;
    return {
      next: () => {
        if (this.#store.closed) throw closedError("read");
        if (pass === undefined) {
          if (!this.#rows.putInOrder()) {
            return ++steps % ORDER_STEPS > 0 ||
              this.#store.pause().then(() => true);
          }
          pass = this.#pass(range);
        }
        for (let i = 0; i < STEP_ROWS; i++) {
          if (!pass.step()) return false;
          visit(pass);
        }
        return true;
      },
    };
  }

  #pass(range: ScanRange): RowPass {
    if (this.#store.closed) throw closedError("read");
    return new RowPass(this.#rows, range);
  }

  deleteRange(start?: Uint8Array, end?: Uint8Array): Promise<void> {
    if (this.#store.closed) return Promise.reject(closedError("write"));
    this.#rows.deleteRange({
      ...(start === undefined ? {} : { start }),
      ...(end === undefined ? {} : { end }),
    });
    this.#rows.moveFromSparseSlabs();
    return Promise.resolve();
  }

  count(): Promise<number> {
    return Promise.resolve(this.#rows.size);
  }

  integrity(): Promise<IntegrityReport> {
    return Promise.resolve({
      checked: this.#rows.size,
      corrupt: [],
      tailLost: false,
    });
  }
}
