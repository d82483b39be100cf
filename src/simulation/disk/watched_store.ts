/**
 * A store whose writes are reported to a watch: invariants such as "no dot is
 * issued twice" are about everything that was ever written, which the final
 * content does not show.
 *
 * @module
 */
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
  StoreWriteOptions,
} from "../../environment/storage.ts";
import type { DiskDamage } from "../durable_writes.ts";

/** Notified of what happens to the stores of a cluster. */
export interface StoreWatch {
  /**
   * A store was opened; from now on it is the one at its `path`. It is used
   * once this has resolved.
   */
  opened(
    host: string,
    path: string,
    store: Store,
    damage: DiskDamage,
  ): Promise<void>;
  /**
   * A vnode has passed writes to its store, which may still fail. The returned
   * function gets their outcome, before the vnode does.
   */
  written(
    host: string,
    path: string,
    partition: number,
    writes: readonly StoreWrite[],
  ): (error: Error | undefined) => void;
  /** A vnode has deleted a range of keys. */
  deleted(host: string, path: string, partition: number): void;
}

/**
 * `store`, with its writes reported to `watch`.
 *
 * @param damage What its disk has done so far.
 */
export async function watchedStore(
  store: Store,
  host: string,
  path: string,
  watch: StoreWatch,
  damage: DiskDamage,
): Promise<Store> {
  await watch.opened(host, path, store, damage);
  return new WatchedStore(store, {
    written: (partition, writes) =>
      watch.written(host, path, partition, writes),
    deleted: (partition) => watch.deleted(host, path, partition),
  });
}

interface Watcher {
  written(
    partition: number,
    writes: readonly StoreWrite[],
  ): (error: Error | undefined) => void;
  deleted(partition: number): void;
}

class WatchedStore implements Store {
  readonly durable: boolean;
  readonly #store: Store;
  readonly #watcher: Watcher;
  readonly #partitions = new Map<number, PartitionStore>();

  constructor(store: Store, watcher: Watcher) {
    this.#store = store;
    this.#watcher = watcher;
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
        this.#watcher,
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
  readonly #watcher: Watcher;

  constructor(store: PartitionStore, watcher: Watcher) {
    this.partition = store.partition;
    this.#store = store;
    this.#watcher = watcher;
  }

  get(
    key: Uint8Array,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    return this.#store.get(key);
  }

  write(
    writes: readonly StoreWrite[],
    committed: (error: Error | undefined) => void,
    options?: StoreWriteOptions,
  ): void {
    let outcome: { readonly error: Error | undefined } | undefined;
    let told = (error: Error | undefined): void => void (outcome = { error });
    // A refused write did not happen.
    this.#store.write(writes, (error) => {
      told(error);
      committed(error);
    }, options);
    told = this.#watcher.written(this.partition, writes);
    if (outcome !== undefined) told(outcome.error);
  }

  scan(range?: ScanRange): AsyncIterable<ScanEntry> {
    return this.#store.scan(range);
  }

  rows(range: ScanRange, visit: (row: RowView) => void): RowSteps {
    return this.#store.rows(range, visit);
  }

  deleteRange(
    start?: Uint8Array,
    end?: Uint8Array,
    known?: Iterable<Uint8Array>,
  ): Promise<void> {
    this.#watcher.deleted(this.partition);
    return this.#store.deleteRange(start, end, known);
  }

  count(): Promise<number> {
    return this.#store.count();
  }

  integrity(): Promise<IntegrityReport> {
    return this.#store.integrity();
  }
}
