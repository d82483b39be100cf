/**
 * The durable storage of vnodes: one interface, several stores, one conformance
 * suite. Keys are bytes, ordered as bytes; values are bytes.
 *
 * A _store_ is what one vnode master opens: one file, or one map. A _partition
 * store_ is the part of it that belongs to one partition, and is what a vnode
 * sees. Writes of all partitions of a store gather into one commit.
 *
 * @module
 */

/** The limits of a store; the same for every kind, so that a vnode tested on one works on the others. */
export const storeLimits = {
  /** Longest key in bytes. Deno KV stores 2,048, where a zero byte counts twice. */
  keyBytesMax: 1_000,
  /** Largest value in bytes: 16 MiB, an object of 8 MiB with room for a sibling. */
  valueBytesMax: 16 * 1024 * 1024,
  /** Most writes in one call of {@linkcode PartitionStore.write}. */
  groupWritesMax: 256,
  /** Most bytes of all keys in one call together. */
  groupKeyBytesMax: 30_000,
  /** Most bytes of all values in one call together. */
  groupValueBytesMax: 32 * 1024 * 1024,
  /** Largest partition number. */
  partitionMax: 65_535,
} as const;

/** A value or a promise of it: memory answers at once, a disk later. */
export type Awaitable<T> = T | Promise<T>;

/** One change. `value: null` removes the key. */
export interface StoreWrite {
  /** The key to change, of 1 to {@linkcode storeLimits.keyBytesMax} bytes. */
  readonly key: Uint8Array;
  /** Its new value, or `null` to remove it. */
  readonly value: Uint8Array | null;
}

/** A range of keys to visit. Bounds compare as bytes. */
export interface ScanRange {
  /** First key to visit. @default {the smallest} */
  readonly start?: Uint8Array;
  /** First key not to visit. @default {past the largest} */
  readonly end?: Uint8Array;
  /** Visit from the end backwards. @default {false} */
  readonly reverse?: boolean;
  /** Stop after so many. @default {no limit} */
  readonly limit?: number;
  /**
   * Called with each key whose value does not match its checksum; that key is
   * then left out and the scan goes on. @default {the scan throws `value_corrupt`}
   */
  readonly onCorrupt?: (key: Uint8Array) => void;
}

/** A key and its value, both valid until the consumer asks for the next one. */
export interface ScanEntry {
  /** The key, as it was written. */
  readonly key: Uint8Array;
  /** Its value, verified against its checksum. */
  readonly value: Uint8Array;
}

/** A key and its value in place in memory; the same object for every row, valid until the visitor returns. */
export interface RowView {
  /** Memory that the key is in. */
  readonly keyBytes: Uint8Array;
  /** Where it begins there. */
  readonly keyStart: number;
  /** The first byte after it. */
  readonly keyEnd: number;
  /** Memory that the value is in; the value was verified against its checksum. */
  readonly valueBytes: Uint8Array;
  /** Where it begins there. */
  readonly valueStart: number;
  /** The first byte after it. */
  readonly valueEnd: number;
}

/** A stepwise iteration over rows. It holds nothing open between steps. */
export interface RowSteps {
  /**
   * Visits the next rows, some hundreds at most, and returns whether there may
   * be more, synchronously if they are in memory. Must not be called again
   * before it has answered, nor after it has failed.
   */
  next(): Awaitable<boolean>;
}

/** The result of checking all stored values. */
export interface IntegrityReport {
  /** Values looked at. */
  readonly checked: number;
  /** Keys whose value does not match its checksum, at most 1,000 of them. */
  readonly corrupt: readonly Uint8Array[];
  /** True if the store lost its newest commits (see `StoreState`). */
  readonly tailLost: boolean;
}

/** How a group is written. */
export interface StoreWriteOptions {
  /**
   * Whether this is one of many groups in key order, as when a partition moves:
   * a store may then write values to their final place at once instead of to a
   * journal. The meaning is the same.
   *
   * @default {false}
   */
  readonly inBulk?: boolean;
}

/** The keys and values of one partition. */
export interface PartitionStore {
  /** The partition they belong to. */
  readonly partition: number;
  /**
   * The value of `key`, or `undefined`. Sees every {@linkcode
   * PartitionStore.write} made before it, committed or not. Returns the value
   * synchronously if it is in memory. The bytes must not be changed, and the
   * store never changes them either; copy what you keep for long, since a view
   * may keep 64 KiB alive.
   *
   * @throws {WhorlError} `value_corrupt` if the stored bytes do not match their
   * checksum, `store_corrupt` or `store_unavailable` if the disk does not
   * answer, `closed` after the store was closed.
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
    writes: readonly StoreWrite[],
    committed: (error: Error | undefined) => void,
    options?: StoreWriteOptions,
  ): void;
  /**
   * Visits keys in order. Sees every write made before the call. A key that is
   * written during the scan is visited in its old or its new state, at most
   * once; one that exists all the time is visited.
   *
   * @throws {WhorlError} As {@linkcode PartitionStore.get}.
   */
  scan(range?: ScanRange): AsyncIterable<ScanEntry>;
  /**
   * Visits keys as {@linkcode PartitionStore.scan} does, in place and many at a
   * time, at a tenth of the cost per key. Begins when `next` is first called.
   *
   * @param visit Called with each row in its turn.
   * @throws {WhorlError} As {@linkcode PartitionStore.get}, from `next`.
   */
  rows(range: ScanRange, visit: (row: RowView) => void): RowSteps;
  /**
   * Removes all keys from `start` up to, not including, `end`; both default to
   * everything. Durable when it resolves. Not atomic: a crash may leave a part,
   * and keys written meanwhile may stay.
   *
   * @param known Keys in the range that the caller knows to exist: the store
   * need not look for them.
   * @throws {WhorlError} As {@linkcode PartitionStore.write}.
   */
  deleteRange(
    start?: Uint8Array,
    end?: Uint8Array,
    known?: Iterable<Uint8Array>,
  ): Promise<void>;
  /** Number of keys; exact if nothing is being written. */
  count(): Promise<number>;
  /** Reads all values and verifies their checksums. */
  integrity(): Promise<IntegrityReport>;
}

/** The state of a store when it opens. */
export interface StoreState {
  /** Identity of the store, chosen at random when it was created: 16 lowercase hex digits. */
  readonly storeId: string;
  /**
   * How often it has been opened, including this time; durable before `open`
   * resolves. An older opener that is still running is fenced off: its commits
   * fail with `store_fenced`.
   */
  readonly epoch: number;
  /**
   * True if acknowledged commits are missing, or that cannot be ruled out.
   * Stays true over restarts until {@linkcode Store.tailRepaired}.
   */
  readonly tailLost: boolean;
}

/** Figures of a store since it was opened. */
export interface StoreStats {
  /** Commits that reached the disk. */
  readonly commits: number;
  /** Changes requested, removals included. */
  readonly writes: number;
  /** Reads answered at once, whether the key was there or not. */
  readonly cacheHits: number;
  /** Reads that went to the disk. */
  readonly cacheMisses: number;
  /** Memory in use for recently used values. */
  readonly cacheBytes: number;
  /** Single changes not durable yet. */
  readonly pendingWrites: number;
  /** Whether absent keys are known without the disk; a store learns them in the background after it opens. */
  readonly absentKeysKnown: boolean;
}

/** One open store with the partitions of one vnode master. */
export interface Store extends AsyncDisposable {
  /** What was known when it opened; `tailLost` goes false with {@linkcode Store.tailRepaired}. */
  readonly state: StoreState;
  /** Whether it survives the process, and power loss once committed. */
  readonly durable: boolean;
  /** The part of `partition`; the same object for the same number. */
  partition(partition: number): PartitionStore;
  /** Partitions that hold at least one key, ascending. */
  partitions(): Promise<number[]>;
  /** Figures since it was opened, cheap enough to ask for every second. */
  stats(): StoreStats;
  /**
   * Records, durably, that the data of the lost tail has been fetched from
   * peers again. Does nothing if no tail was lost.
   *
   * @throws {WhorlError} As {@linkcode PartitionStore.write}.
   */
  tailRepaired(): Promise<void>;
  /**
   * Commits what is pending and closes; closing twice does nothing more. A
   * write that could not be committed has reported that to its caller.
   *
   * @throws {WhorlError} `store_unavailable` if the disk fails at the very end.
   */
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
    /** Memory for knowing which keys are absent, in bytes. @default {8388608}, which serves 5 million keys */
    readonly keyFilterBytesMax?: number;
    /**
     * Whether a store existed here: if it has to be created, all its data is
     * lost, which counts as a lost tail. @default {false}
     */
    readonly existed?: boolean;
    /** The identity the store must have. @default {any} */
    readonly expectedStoreId?: string;
  };
