/**
 * The disk as Whorl uses it: small files that are replaced or written in place,
 * their folders, and key-value databases. One interface for the real disk and a
 * simulated one.
 *
 * A path is absolute or relative to the working directory, with `/` between
 * names. Failures throw the error of the system; only a missing file is an
 * answer and not an error, since it is an ordinary case.
 *
 * @module
 */

/** How to open a file. It is opened for writing, and only its owner may open it. */
export interface OpenFileOptions {
  /**
   * `create` creates the file if it is missing, `create_new` fails if it
   * exists.
   */
  readonly mode: "create" | "create_new";
}

/** An open file. */
export interface DiskFile {
  /**
   * Appends all of `bytes` to what was written before, starting at the
   * beginning of the file. A file is written by this or by `writeAt`, not by
   * both.
   */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /**
   * Writes all of `bytes` at `offset`, synchronously, to the memory of the
   * system: it survives the process at once, and power loss after the next
   * sync.
   */
  writeAt(bytes: Uint8Array<ArrayBuffer>, offset: number): void;
  /** Truncates the file, or extends it with zeros, to `length` bytes. */
  truncate(length: number): Promise<void>;
  /** Makes what was written before the call durable, including the metadata of the file. */
  sync(): Promise<void>;
  /** Makes what was written before the call durable. */
  syncData(): Promise<void>;
  /**
   * Takes an exclusive lock on the file; false if it is locked already. The
   * lock ends when the file is closed, or when the process ends, however it
   * ends.
   */
  tryLock(): Promise<boolean>;
  /** Closes it; unsynced data stays in the memory of the system. */
  close(): void;
}

/** A file that is open for reading. It stays readable when its name is removed. */
export interface DiskReader {
  /**
   * Fills `into` from `offset` on, as far as the file goes. Several reads may
   * be under way at a time.
   *
   * @returns Number of bytes read; fewer than requested only at the end of the
   * file.
   */
  readAt(into: Uint8Array<ArrayBuffer>, offset: number): Promise<number>;
  /** Closes it once reads under way are done. */
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
  /** Id of the process, so that the holder of a lock can be named. */
  readonly processId: number;
  /** Whether this process may use databases; otherwise {@linkcode Disk.openKv} refuses. */
  readonly hasKv: boolean;
  /** Opens a file for writing. */
  open(path: string, options: OpenFileOptions): Promise<DiskFile>;
  /** Opens a file for reading, or returns `undefined` if there is none. */
  openRead(path: string): Promise<DiskReader | undefined>;
  /** The whole content of a file, or `undefined` if there is none. */
  readFile(path: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** The kind of entry at `path`, without following a link; `undefined` if there is none. */
  entry(path: string): Promise<DiskEntry | undefined>;
  /** Names in a folder, in no particular order. */
  names(path: string): Promise<string[]>;
  /** Creates a folder that only its owner may enter; false if the name is taken. */
  makeFolder(path: string): Promise<boolean>;
  /** Restricts a folder to its owner, where the system knows of owners. */
  makePrivate(path: string): Promise<void>;
  /** Renames a file within its folder, replacing what has the new name. Visible at once, durable after {@linkcode Disk.syncFolder}. */
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

/** Which keys to visit: all, of any shape, or those from `start` up to, not including, `end`. */
export type KvRange =
  | { readonly prefix: readonly [] }
  | { readonly start: KvKey; readonly end: KvKey };

/** What stands under a key. */
export interface KvEntry {
  /** The key as requested; in a list, the key that was found, which may be foreign. */
  readonly key: readonly unknown[];
  /** `null` if there is nothing. */
  readonly value: unknown;
  /** Increases with every commit; `null` if there is no entry. */
  readonly versionstamp: string | null;
}

/** What became of a commit. */
export type KvCommitResult =
  | { readonly ok: true; readonly versionstamp: string }
  /** A check failed, and nothing was done. */
  | { readonly ok: false };

/** Changes that are committed together or not at all. `commit` copies keys and values, which must not be changed before. */
export interface KvAtomicOperation {
  /** Requires that the entry of a key still has this versionstamp, `null` for no entry. */
  check(
    check: { readonly key: KvKey; readonly versionstamp: string | null },
  ): KvAtomicOperation;
  /** Sets the value of a key. */
  set(key: KvKey, value: Uint8Array): KvAtomicOperation;
  /** Removes a key. */
  delete(key: KvKey): KvAtomicOperation;
  /** Commits; durable when it resolves. If it rejects, the outcome is unknown. */
  commit(): Promise<KvCommitResult>;
}

/** An open key-value database: the part of `Deno.Kv` that Whorl uses. */
export interface KvDatabase {
  /** What stands under a key. */
  get(
    key: KvKey,
    options?: { readonly consistency?: "strong" },
  ): Promise<KvEntry>;
  /** The entries of up to 10 keys, as of one moment. */
  getMany(keys: readonly KvKey[]): Promise<readonly KvEntry[]>;
  /** Sets the value of a key, in a commit of its own. */
  set(
    key: KvKey,
    value: Uint8Array,
  ): Promise<{ readonly versionstamp: string }>;
  /** Entries in `range`, in order; each batch of `batchSize`, up to 1,000, as of one moment. */
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
