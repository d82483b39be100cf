/**
 * A partition store that tells which keys are written, while somebody wants to
 * know: a handoff sends those again.
 *
 * @module
 */
import type {
  Awaitable,
  Entry,
  IntegrityReport,
  PartitionStore,
  ScanRange,
  Write,
} from "../environment/storage.ts";

/** The store of a vnode's partition; see the module's text. */
export class WatchedPartition implements PartitionStore {
  /** Called with what is about to be written. */
  watch: ((writes: readonly Write[]) => void) | undefined;
  readonly #store: PartitionStore;

  constructor(store: PartitionStore) {
    this.#store = store;
  }

  get partition(): number {
    return this.#store.partition;
  }

  get(key: Uint8Array): Awaitable<Uint8Array | undefined> {
    return this.#store.get(key);
  }

  write(
    writes: readonly Write[],
    committed: (error: Error | undefined) => void,
  ): void {
    this.watch?.(writes);
    this.#store.write(writes, committed);
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
