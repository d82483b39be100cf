/**
 * What a vnode may ask of durable memory. One interface, several stores, one
 * conformance suite. Keys are bytes and are ordered as bytes; values are bytes.
 *
 * A _store_ is what one vnode master opens: one file, or one map. A _partition
 * store_ is the part of it that belongs to one partition, and is what a vnode
 * sees. Writes of all partitions of a store gather into one commit.
 *
 * @module
 */

/** Either a value now or a promise of it: memory answers at once, a disk later. */
export type Awaitable<T> = T | Promise<T>;

/** One change. `value: null` removes the key. */
export interface Write {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** Which part of the keys to visit. Bounds compare as bytes. */
export interface ScanRange {
  /** First key to visit. @default {the smallest} */
  readonly start?: Uint8Array;
  /** First key not to visit. @default {past the largest} */
  readonly end?: Uint8Array;
  /** Visit from the end backwards. @default {false} */
  readonly reverse?: boolean;
  /** Stop after so many. @default {no limit} */
  readonly limit?: number;
}

/** A key and its value, both valid until the consumer asks for the next one. */
export interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** What looking through the stored values found. */
export interface IntegrityReport {
  /** Values looked at. */
  readonly checked: number;
  /** Keys whose value does not match its checksum, at most 1,000 of them. */
  readonly corrupt: readonly Uint8Array[];
  /** True if the store lost its newest commits (see `StoreState`). */
  readonly tailLost: boolean;
}

/** The keys and values of one partition. */
export interface PartitionStore {
  /** The partition they belong to. */
  readonly partition: number;
  /**
   * The value of `key`, or `undefined`. Sees every {@linkcode PartitionStore.write}
   * made before it, committed or not. Answers at once when the value is in
   * memory. The bytes belong to the store: copy what you keep, change nothing.
   *
   * @throws {WhorlError} `value_corrupt` if the stored bytes do not match their
   * checksum, `store_unavailable` if the disk does not answer.
   */
  get(key: Uint8Array): Awaitable<Uint8Array | undefined>;
  /**
   * Applies all of `writes` or none, in order with every other write of this
   * store. Visible to `get` at once; `committed` is called when they are
   * durable to the store's promise (for memory: before this returns), or with the error
   * that prevented it, after which the outcome is unknown and the store accepts
   * no more writes until it is opened anew. The store copies what it keeps.
   *
   * @throws {WhorlError} `value_too_large` or `store_unavailable`, with nothing applied.
   */
  write(
    writes: readonly Write[],
    committed: (error: Error | undefined) => void,
  ): void;
  /** Visits keys in order, as of some moment at or after the call. */
  scan(range?: ScanRange): AsyncIterable<Entry>;
  /** Removes all keys from `start` up to, not including, `end`; both default to everything. Durable when it resolves. */
  deleteRange(start?: Uint8Array, end?: Uint8Array): Promise<void>;
  /** How many keys there are; exact when nothing is being written. */
  count(): Promise<number>;
  /** Reads everything and compares it with its checksums. */
  integrity(): Promise<IntegrityReport>;
}

/** What is known of a store when it opens. */
export interface StoreState {
  /** Identity of the store, chosen at random when it was created: 16 lowercase hex digits. */
  readonly storeId: string;
  /**
   * How often it has been opened, counting this time; durable before `open`
   * resolves. An older opener that is still running is shut out: its commits
   * fail with `store_fenced`.
   */
  readonly epoch: number;
  /** True if commits that had been acknowledged are missing. */
  readonly tailLost: boolean;
}

/** Figures of a store since it was opened. */
export interface StoreStats {
  readonly commits: number;
  readonly writes: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  readonly cacheBytes: number;
  readonly pendingWrites: number;
}

/** One open store with the partitions of one vnode master. */
export interface Store extends AsyncDisposable {
  readonly state: StoreState;
  /** Survives the process, and power loss once committed. */
  readonly durable: boolean;
  /** The part that belongs to `partition`; the same object for the same number. */
  partition(partition: number): PartitionStore;
  /** Partitions that hold at least one key, ascending. */
  partitions(): Promise<number[]>;
  stats(): StoreStats;
  /** Commits what is pending and closes. */
  close(): Promise<void>;
}

/** How to open a store. Plain data, so that it can be sent to a worker or a subprocess. */
export type StoreConfig =
  | { readonly type: "memory" }
  | {
    readonly type: "deno_kv";
    /** The file; its folder must exist. */
    readonly path: string;
    /** Memory for recently used values, in bytes. @default {33554432} */
    readonly cacheBytesMax?: number;
  };
