/**
 * A store whose writes are shown to somebody: invariants such as "no dot is
 * issued twice" are about everything that was ever written, which the content
 * at the end does not tell.
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

/** Told of what happens to the stores of a cluster. */
export interface StoreWatch {
  /** A store was opened; it is the one of its `path` from now on. */
  opened(host: string, path: string, store: Store): void;
  /** A vnode has given writes to its store, which may yet be lost. */
  written(
    host: string,
    path: string,
    partition: number,
    writes: readonly Write[],
  ): void;
}

/** `store`, with its writes shown to `watch`. */
export function watchedStore(
  store: Store,
  host: string,
  path: string,
  watch: StoreWatch,
): Store {
  watch.opened(host, path, store);
  return new WatchedStore(
    store,
    (partition, writes) => watch.written(host, path, partition, writes),
  );
}

type Written = (partition: number, writes: readonly Write[]) => void;

class WatchedStore implements Store {
  readonly durable: boolean;
  readonly #store: Store;
  readonly #written: Written;
  readonly #partitions = new Map<number, PartitionStore>();

  constructor(store: Store, written: Written) {
    this.#store = store;
    this.#written = written;
    this.durable = store.durable;
  }

  get state(): StoreState {
    return this.#store.state;
  }

  partition(partition: number): PartitionStore {
    let watched = this.#partitions.get(partition);
    if (watched === undefined) {
      watched = new WatchedPartition(
        this.#store.partition(partition),
        this.#written,
      );
      this.#partitions.set(partition, watched);
    }
    return watched;
  }

  partitions(): Promise<number[]> {
    return this.#store.partitions();
  }

  stats(): StoreStats {
    return this.#store.stats();
  }

  tailRepaired(): Promise<void> {
    return this.#store.tailRepaired();
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#store.close();
  }
}

class WatchedPartition implements PartitionStore {
  readonly partition: number;
  readonly #store: PartitionStore;
  readonly #written: Written;

  constructor(store: PartitionStore, written: Written) {
    this.partition = store.partition;
    this.#store = store;
    this.#written = written;
  }

  get(
    key: Uint8Array,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    return this.#store.get(key);
  }

  write(
    writes: readonly Write[],
    committed: (error: Error | undefined) => void,
  ): void {
    this.#store.write(writes, committed);
    this.#written(this.partition, writes);
  }

  scan(range?: ScanRange): AsyncIterable<Entry> {
    return this.#store.scan(range);
  }

  deleteRange(start?: Uint8Array, end?: Uint8Array): Promise<void> {
    return this.#store.deleteRange(start, end);
  }

  count(): Promise<number> {
    return this.#store.count();
  }

  integrity(): Promise<IntegrityReport> {
    return this.#store.integrity();
  }
}
