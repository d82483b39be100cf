/**
 * The folder with a node's persistent state: its identity, how often it has
 * started, its ring and its stores. One process at a time holds it, by a lock
 * that the system releases when that process ends for any reason.
 *
 *     LOCK              process id of the holder
 *     identity.json     node id, name, cluster, ring size, vnode masters
 *     incarnation.json  how often the folder was opened
 *     FORMAT            format of the folder; written last when it is created
 *     …                 records (`*.json`) and stores (`<module>-<n>.kv`)
 *
 * @module
 */
import { reasonOf, WhorlError } from "../base/errors.ts";
import { checkNodeName } from "../base/node_name.ts";
import type { Disk, DiskFile } from "../environment/disk.ts";
import {
  readRecordFile,
  refuseLink,
  replaceFile,
  syncFolderOf,
  writeRecordFile,
} from "./atomic_file.ts";

const directoryFormat = 1;

/**
 * The files that an unfinished creation may leave, before `FORMAT` is written.
 */
const beginnings = new Set([
  "LOCK",
  "identity.json",
  "identity.json.tmp",
  "incarnation.json",
  "incarnation.json.tmp",
  "FORMAT.tmp",
]);

/** The identity of a node; fixed when its folder is created. */
export interface NodeIdentity {
  /** Drawn at random when the folder was created: lowercase hex digits. */
  readonly nodeId: string;
  /** The node's name, as `name@host`. */
  readonly name: string;
  readonly cluster: string;
  /** Partitions in the ring. */
  readonly ringSize: number;
  /** How many vnode masters share the partitions; each has a store of its own. */
  readonly masters: number;
}

/** How to open a data directory. */
export interface DataDirectoryOptions {
  /** The folder; it is created if its parent exists. */
  readonly path: string;
  /**
   * The identity it must have, or gets when it is created; `nodeId` for a new
   * one is 32 lowercase hex digits.
   */
  readonly identity: NodeIdentity;
  /** The disk that holds it. */
  readonly disk: Disk;
}

/** A valid name of a file in the folder, which cannot lead outside it. */
const fileName = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** An open data directory. */
export class DataDirectory implements AsyncDisposable {
  /** The folder. */
  readonly path: string;
  /** The stored identity of its owner. */
  readonly identity: NodeIdentity;
  /** Whether this opening created it. */
  readonly isNew: boolean;
  /** How often it has been opened, this time included; durable. */
  readonly incarnation: number;
  readonly #disk: Disk;
  readonly #lock: DiskFile;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(
    path: string,
    identity: NodeIdentity,
    isNew: boolean,
    incarnation: number,
    disk: Disk,
    lock: DiskFile,
  ) {
    this.path = path;
    this.identity = identity;
    this.isNew = isNew;
    this.incarnation = incarnation;
    this.#disk = disk;
    this.#lock = lock;
  }

  /**
   * Opens or creates a data directory and holds it until it is closed.
   *
   * @throws {WhorlError} `store_locked` if another process has it, `store_foreign`
   * if it belongs to another node or holds other things, `store_format` if it is
   * newer, `store_corrupt` if a file in it is damaged, `store_unavailable` if it
   * cannot be read or written, `invalid_name`; each names the file.
   */
  static async open(options: DataDirectoryOptions): Promise<DataDirectory> {
    const { path, identity, disk } = options;
    checkNodeName(identity.name);
    let lock: DiskFile | undefined;
    try {
      const made = await makePrivateFolder(disk, path);
      // A folder with other files in it must not be locked.
      const before = await isUnfinished(disk, path);
      lock = await takeLock(disk, path);
      // A finished folder stays finished; an unfinished one may just have been
      // finished by its last holder.
      const isNew = before && await isUnfinished(disk, path);
      if (isNew) {
        if (!made) await keepName(disk, path);
        await create(disk, path, identity);
      } else await checkFormat(disk, path);
      const stored = await readIdentity(disk, path, identity);
      const incarnation = await countIncarnation(disk, path);
      return new DataDirectory(path, stored, isNew, incarnation, disk, lock);
    } catch (error) {
      lock?.close();
      throw asStoreError(error, path);
    }
  }

  /**
   * The owner of the data directory at `path`, or `undefined` if there is none.
   * Does not disturb a process that has it open.
   *
   * @throws {WhorlError} `store_corrupt`, `store_format`, `store_foreign` or
   * `store_unavailable`, naming the file.
   */
  static async identityAt(
    path: string,
    disk: Disk,
  ): Promise<NodeIdentity | undefined> {
    try {
      if (await disk.entry(path) === undefined) return undefined;
      return await readRecordFile(disk, `${path}/identity.json`) as
        | NodeIdentity
        | undefined;
    } catch (error) {
      throw asStoreError(error, path);
    }
  }

  /** The path of the store of vnode master `master` of `module`. */
  storePath(module: string, master: number): string {
    if (
      !Number.isInteger(master) || master < 0 ||
      master >= this.identity.masters
    ) {
      throw new RangeError(
        `Cannot name the store of master ${master}: there are ${this.identity.masters}`,
      );
    }
    return `${this.path}/${module}-${master}.kv`;
  }

  /**
   * A small record, such as the ring, or `undefined` if it was never written.
   *
   * @param name Lowercase letters, digits, `_` and `-`; at most 63.
   * @throws {WhorlError} `store_corrupt`, `store_format`, `store_foreign` or
   * `store_unavailable`, naming the file.
   */
  readRecord(name: string): Promise<unknown> {
    return readRecordFile(this.#disk, this.#recordPath(name));
  }

  /**
   * Replaces a small record, durably and as a whole, in the order of the calls.
   *
   * @param name Lowercase letters, digits, `_` and `-`; at most 63.
   * @param content A value that JSON can express.
   * @throws {WhorlError} `store_full` or `store_unavailable`, naming the file.
   */
  async writeRecord(name: string, content: unknown): Promise<void> {
    const path = this.#recordPath(name);
    const write = () => writeRecordFile(this.#disk, path, content);
    // The next write proceeds even if this one fails.
    const written = this.#writing.then(write, write);
    this.#writing = written;
    try {
      await written;
    } catch (error) {
      throw asStoreError(error, path);
    }
  }

  /**
   * Moves the store of a vnode master aside, with all of its files, so that the
   * next one starts empty. Nothing is deleted.
   *
   * @returns The suffix of its files.
   * @throws {WhorlError} `store_full` or `store_unavailable`, naming the folder.
   */
  async setStoreAside(module: string, master: number): Promise<string> {
    const store = this.storePath(module, master).slice(this.path.length + 1);
    try {
      const names = await this.#disk.names(this.path);
      let number = 1;
      const endOf = (): string => `.damaged-${number}`;
      while (names.some((name) => name.endsWith(endOf()))) number++;
      for (const name of names.sort().reverse()) {
        // The database is moved last: without it the remaining files are
        // ignored.
        if (!name.startsWith(store) || name.includes(".damaged-")) continue;
        await this.#disk.rename(
          `${this.path}/${name}`,
          `${this.path}/${name}${endOf()}`,
        );
      }
      await this.#disk.syncFolder(this.path);
      return endOf();
    } catch (error) {
      throw asStoreError(error, this.path);
    }
  }

  #recordPath(name: string): string {
    if (this.#closed) {
      throw new WhorlError(
        "closed",
        `Cannot use data directory ${this.path} as it is closed`,
      );
    }
    if (!fileName.test(name)) {
      throw new WhorlError(
        "invalid_name",
        `Cannot name a record as a name must be lowercase letters, digits, "_" and "-": current value is ${
          JSON.stringify(name.slice(0, 100))
        }`,
      );
    }
    return `${this.path}/${name}.json`;
  }

  /** Waits for records being written and releases the folder. Closing twice does nothing more. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // If it failed, its caller has the error.
    await Promise.allSettled([this.#writing]);
    this.#lock.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Returns whether it was made; then its name is durable. */
async function makePrivateFolder(disk: Disk, path: string): Promise<boolean> {
  let entry = await refuseLink(disk, path);
  if (entry === undefined) {
    if (await disk.makeFolder(path)) {
      await syncFolderOf(disk, path);
      return true;
    }
    // Another process was faster.
    entry = await refuseLink(disk, path);
  }
  if (entry?.type !== "folder") {
    throw new WhorlError(
      "store_unavailable",
      `Cannot open data directory ${path} as it must be a folder`,
      { details: { path } },
    );
  }
  return false;
}

/**
 * Makes the name of an unfinished folder durable: the opening that made it may
 * have failed or been cut short before that.
 */
async function keepName(disk: Disk, path: string): Promise<void> {
  try {
    await syncFolderOf(disk, path);
  } catch (error) {
    // Who may not read the parent has not made the folder.
    const denied = error instanceof Error &&
      ["PermissionDenied", "NotCapable"].includes(error.name);
    if (!denied) throw error;
  }
}

async function takeLock(disk: Disk, path: string): Promise<DiskFile> {
  const lockPath = `${path}/LOCK`;
  await refuseLink(disk, lockPath);
  const lock = await disk.open(lockPath, { mode: "create" });
  try {
    if (!await lock.tryLock()) {
      const holder = (await readText(disk, lockPath)).trim();
      throw new WhorlError(
        "store_locked",
        `Cannot open data directory ${path} as process ${
          holder || "unknown"
        } has it`,
        { details: { path, processId: Number(holder) || null } },
      );
    }
    await lock.truncate(0);
    await lock.write(new TextEncoder().encode(`${disk.processId}\n`));
  } catch (error) {
    lock.close();
    throw error;
  }
  return lock;
}

/**
 * Whether the folder is empty, or was left while it was being created.
 *
 * @throws {WhorlError} `store_foreign` if it holds other things and no `FORMAT`.
 */
async function isUnfinished(disk: Disk, path: string): Promise<boolean> {
  // Sorted, so that the same foreign file is named each time.
  const names = (await disk.names(path)).sort();
  if (names.includes("FORMAT")) return false;
  const stranger = names.find((name) => !beginnings.has(name));
  if (stranger !== undefined) {
    throw new WhorlError(
      "store_foreign",
      `Cannot open data directory ${path} as it must be empty or belong to a node: it holds ${stranger}`,
      { details: { path, stranger } },
    );
  }
  return true;
}

/** The text in a file, empty if there is none. */
async function readText(disk: Disk, path: string): Promise<string> {
  return new TextDecoder().decode(await disk.readFile(path));
}

async function create(
  disk: Disk,
  path: string,
  identity: NodeIdentity,
): Promise<void> {
  await disk.makePrivate(path);
  await writeRecordFile(disk, `${path}/identity.json`, identity);
  await writeRecordFile(disk, `${path}/incarnation.json`, { incarnation: 0 });
  await replaceFile(
    disk,
    `${path}/FORMAT`,
    new TextEncoder().encode(`whorl-data ${directoryFormat}\n`),
  );
}

async function checkFormat(disk: Disk, path: string): Promise<void> {
  const formatPath = `${path}/FORMAT`;
  await refuseLink(disk, formatPath);
  const text = await readText(disk, formatPath);
  const format = Number(/^whorl-data ([1-9]\d{0,8})\n$/.exec(text)?.[1]);
  if (!(format >= 1)) {
    throw new WhorlError(
      "store_corrupt",
      `Cannot open data directory ${path} as ${formatPath} does not tell its format`,
      { details: { path: formatPath } },
    );
  }
  if (format > directoryFormat) {
    throw new WhorlError(
      "store_format",
      `Cannot open data directory ${path} as its format must be ${directoryFormat} or older: current value is ${format}`,
      { details: { path, format } },
    );
  }
}

async function readIdentity(
  disk: Disk,
  path: string,
  wanted: NodeIdentity,
): Promise<NodeIdentity> {
  const identityPath = `${path}/identity.json`;
  const stored = await readRecordFile(disk, identityPath) as
    | NodeIdentity
    | undefined;
  if (stored === undefined) throw missing(identityPath);
  for (const field of ["name", "cluster"] as const) {
    if (stored[field] === wanted[field]) continue;
    throw new WhorlError(
      "store_foreign",
      `Cannot open data directory ${path} as ${field} ${
        wanted[field]
      }: it belongs to ${stored[field]}`,
      { details: { path, stored, wanted } },
    );
  }
  for (const field of ["ringSize", "masters"] as const) {
    if (stored[field] === wanted[field]) continue;
    throw new WhorlError(
      "invalid_config",
      `Cannot open data directory ${path} as ${field} is fixed when it is created: wanted is ${
        wanted[field]
      }, current value is ${stored[field]}`,
      { details: { path, stored, wanted } },
    );
  }
  return stored;
}

async function countIncarnation(
  disk: Disk,
  path: string,
): Promise<number> {
  const incarnationPath = `${path}/incarnation.json`;
  const stored = await readRecordFile(disk, incarnationPath) as
    | { incarnation: number }
    | undefined;
  // Starting again from 1 would let an older incarnation pass for a newer one.
  if (stored === undefined) throw missing(incarnationPath);
  const incarnation = stored.incarnation + 1;
  await writeRecordFile(disk, incarnationPath, { incarnation });
  return incarnation;
}

function missing(path: string): WhorlError {
  return new WhorlError("store_corrupt", `Cannot read ${path}: it is missing`, {
    details: { path },
  });
}

function asStoreError(cause: unknown, path: string): WhorlError {
  if (cause instanceof WhorlError) return cause;
  const reason = reasonOf(cause);
  const full = /no space left|quota exceeded|file too large/i.test(reason);
  return new WhorlError(
    full ? "store_full" : "store_unavailable",
    `Cannot use ${path}: ${reason}`,
    { details: { path }, cause },
  );
}
