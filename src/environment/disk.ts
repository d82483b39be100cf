/**
 * What Whorl asks of the disk of a machine: small files that are replaced or
 * written in place, the folders they lie in, and databases of keys and values.
 * One interface, the real disk and a simulated one.
 *
 * A path is absolute or relative to where the process was started, with `/`
 * between names. What fails does so with the error of the system; only a file
 * that is not there is no error but an answer, as it is an ordinary thing.
 *
 * @module
 */

/** What a file is opened for. It is opened to be written, and only its owner may open it. */
export interface OpenFileOptions {
  /**
   * What to do about a file of that name: `create` makes one unless it is
   * there, `create_new` fails if it is.
   */
  readonly mode: "create" | "create_new";
}

/** An open file. */
export interface DiskFile {
  /**
   * Writes all of `bytes` behind what was written before, at first to the
   * beginning. A file is written by this or by `writeAt`, not by both.
   */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /**
   * Writes all of `bytes` from `offset` on, before it returns: to the memory of
   * the system, so that it outlives the process at once and power loss after
   * the next sync.
   */
  writeAt(bytes: Uint8Array<ArrayBuffer>, offset: number): void;
  /** Cuts the file off, or fills it up with zeros, to `length` bytes. */
  truncate(length: number): Promise<void>;
  /** Makes what was written before the call durable, with all that is told of the file. */
  sync(): Promise<void>;
  /** Makes what was written before the call durable. */
  syncData(): Promise<void>;
  /**
   * Locks the file against everybody else who asks; false if somebody else has
   * it. The lock ends when the file is closed, or when the process ends,
   * however it ends.
   */
  tryLock(): Promise<boolean>;
  /** Closes it; what was not synced stays in the memory of the system. */
  close(): void;
}

/** A file that is open to be read. It stays what it is when its name is taken away. */
export interface DiskReader {
  /**
   * Fills `into` with what stands from `offset` on, as far as the file goes.
   * Several reads may be under way at a time.
   *
   * @returns How many bytes there were; fewer than asked for only at the end of the file.
   */
  readAt(into: Uint8Array<ArrayBuffer>, offset: number): Promise<number>;
  /** Closes it; reads under way are done before. */
  close(): void;
}

/** What stands under a name. */
export interface DiskEntry {
  /** `other` is a device, a socket and the like. */
  readonly type: "file" | "folder" | "link" | "other";
  /** Of a file, in bytes. */
  readonly sizeBytes: number;
}

/** The files of one machine, as one process sees them. */
export interface Disk {
  /** Number of the process, so that the holder of a lock can be named. */
  readonly processId: number;
  /** Whether this process may use databases; otherwise {@linkcode Disk.openKv} refuses. */
  readonly hasKv: boolean;
  /** Opens a file to be written. */
  open(path: string, options: OpenFileOptions): Promise<DiskFile>;
  /** Opens a file to be read, `undefined` if there is none. */
  openRead(path: string): Promise<DiskReader | undefined>;
  /** The whole content of a file, or `undefined` if there is none. */
  readFile(path: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** What stands under `path` itself, not what a link there leads to; `undefined` if nothing does. */
  entry(path: string): Promise<DiskEntry | undefined>;
  /** Names in a folder, in no order. */
  names(path: string): Promise<string[]>;
  /** Makes a folder that only its owner may enter; false if something of that name is there. */
  makeFolder(path: string): Promise<boolean>;
  /** Lets only its owner enter a folder, where the system knows of owners. */
  makePrivate(path: string): Promise<void>;
  /** Gives a file another name in the same folder, in place of what has that name. At once seen by all, durable after {@linkcode Disk.syncFolder}. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, if there is one. */
  remove(path: string): Promise<void>;
  /** Makes the names in a folder durable. */
  syncFolder(path: string): Promise<void>;
  /**
   * Opens or creates the database in a file.
   *
   * @throws {WhorlError} `store_unavailable` if this process may not use such databases.
   */
  openKv(path: string): Promise<KvDatabase>;
}

/** A key: bytes, ordered as bytes. */
export type KvKey = readonly [Uint8Array];

/** Which keys to visit: all of any shape, or those from `start` up to, not including, `end`. */
export type KvRange =
  | { readonly prefix: readonly [] }
  | { readonly start: KvKey; readonly end: KvKey };

/** What stands under a key. */
export interface KvEntry {
  /** As asked for; in a list whatever was found, which may be a stranger's. */
  readonly key: readonly unknown[];
  /** `null` if there is nothing. */
  readonly value: unknown;
  /** Grows with every commit; `null` if there is nothing. */
  readonly versionstamp: string | null;
}

/** What became of a commit. */
export type KvCommitResult =
  | { readonly ok: true; readonly versionstamp: string }
  /** A check failed, and nothing was done. */
  | { readonly ok: false };

/** Changes that are committed all or none. Keys and values are copied by `commit`, and must not be changed before. */
export interface KvAtomicOperation {
  /** Demands that what stands under a key still has that versionstamp, `null` for nothing. */
  check(
    check: { readonly key: KvKey; readonly versionstamp: string | null },
  ): KvAtomicOperation;
  /** Puts a value under a key. */
  set(key: KvKey, value: Uint8Array): KvAtomicOperation;
  /** Removes what stands under a key. */
  delete(key: KvKey): KvAtomicOperation;
  /** Commits; durable when it resolves. If it rejects, nobody knows whether it was done. */
  commit(): Promise<KvCommitResult>;
}

/** An open database of keys and values; what Whorl uses of `Deno.Kv`, which is one. */
export interface KvDatabase {
  /** What stands under a key. */
  get(
    key: KvKey,
    options?: { readonly consistency?: "strong" },
  ): Promise<KvEntry>;
  /** What stands under each of up to 10 keys, as of one moment. */
  getMany(keys: readonly KvKey[]): Promise<readonly KvEntry[]>;
  /** Puts a value under a key, in a commit of its own. */
  set(
    key: KvKey,
    value: Uint8Array,
  ): Promise<{ readonly versionstamp: string }>;
  /** Entries in `range`, in order; `batchSize` of them, up to 1,000, as of one moment. */
  list(
    range: KvRange,
    options: {
      readonly limit: number;
      readonly reverse: boolean;
      readonly batchSize: number;
    },
  ): AsyncIterable<KvEntry>;
  /** Begins a commit. */
  atomic(): KvAtomicOperation;
  /** Closes it. @throws {Error} If it is closed. */
  close(): void;
}
