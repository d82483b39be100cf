/**
 * The real disk: files and folders of the system this process runs on, and Deno
 * KV.
 *
 * @module
 */
import { close, open, read } from "node:fs";
import { WhorlError } from "../base/errors.ts";
import type {
  Disk,
  DiskEntry,
  DiskFile,
  DiskReader,
  KvDatabase,
  OpenFileOptions,
} from "../environment/disk.ts";

const { NotFound, AlreadyExists } = Deno.errors;
/**
 * Windows has no file modes and cannot open a folder, and NTFS journals names
 * itself.
 */
const isWindows = Deno.build.os === "windows";

/** Bytes of a file that are read in one go, */
const READ_BYTES = 1024 * 1024;
/** and of one that has grown meanwhile. */
const BEYOND_BYTES = 64 * 1024;

class SystemFile implements DiskFile {
  readonly #file: Deno.FsFile;
  /** The system's write position, if it is known. */
  #position: number | undefined = 0;

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#position = undefined;
    for (let from = 0; from < bytes.length;) {
      from += await this.#file.write(bytes.subarray(from));
    }
  }

  writeAt(bytes: Uint8Array<ArrayBuffer>, offset: number): void {
    // A log is written in sequence, so that mostly no seek is needed.
    if (this.#position !== offset) {
      this.#file.seekSync(offset, Deno.SeekMode.Start);
    }
    this.#position = undefined;
    let from = this.#file.writeSync(bytes);
    while (from < bytes.length) {
      from += this.#file.writeSync(bytes.subarray(from));
    }
    this.#position = offset + bytes.length;
  }

  truncate(length: number): Promise<void> {
    return this.#file.truncate(length);
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  syncData(): Promise<void> {
    return this.#file.syncData();
  }

  tryLock(): Promise<boolean> {
    return this.#file.tryLock(true);
  }

  close(): void {
    this.#file.close();
  }
}

/**
 * Uses Node's calls, which read at a given position without moving one that all
 * reads share.
 */
class SystemReader implements DiskReader {
  readonly #descriptor: number;
  #underWay = 0;
  #isClosed = false;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  async readAt(
    into: Uint8Array<ArrayBuffer>,
    offset: number,
  ): Promise<number> {
    if (this.#isClosed) throw new Deno.errors.BadResource("Bad resource ID");
    this.#underWay++;
    try {
      let count = 0;
      while (count < into.length) {
        const more = await this.#read(into, count, offset + count);
        if (more === 0) break;
        count += more;
      }
      return count;
    } finally {
      this.#underWay--;
      this.#closeUnlessRead();
    }
  }

  #read(
    into: Uint8Array<ArrayBuffer>,
    from: number,
    position: number,
  ): Promise<number> {
    return new Promise((resolve, reject) =>
      read(
        this.#descriptor,
        into,
        from,
        into.length - from,
        position,
        (error, count) => error ? reject(error) : resolve(count),
      )
    );
  }

  close(): void {
    if (this.#isClosed) throw new Deno.errors.BadResource("Bad resource ID");
    this.#isClosed = true;
    this.#closeUnlessRead();
  }

  /**
   * The system soon reuses the number of a closed file, so no read may still
   * use it.
   */
  #closeUnlessRead(): void {
    if (this.#isClosed && this.#underWay === 0) close(this.#descriptor);
  }
}

/** What `action` resolves to, or `otherwise` if it fails with an error of that kind. */
async function unless<T, U>(
  kind: new (...args: never) => Error,
  action: Promise<T>,
  otherwise: U,
): Promise<T | U> {
  try {
    return await action;
  } catch (error) {
    if (error instanceof kind) return otherwise;
    throw error;
  }
}

/**
 * Large files are read in pieces: reading 64 MiB at once, a file of the
 * write-ahead log, blocks the thread for 40 ms.
 */
async function readWhole(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const { size } = await Deno.stat(path);
  if (size <= READ_BYTES) return await Deno.readFile(path);
  const file = await Deno.open(path, { read: true });
  try {
    return await readAll(file);
  } finally {
    file.close();
  }
}

/**
 * Reads `file` itself, since its path may by now name a different file. The
 * file may grow: its size only determines the first buffer.
 */
async function readAll(file: Deno.FsFile): Promise<Uint8Array<ArrayBuffer>> {
  const { size } = await file.stat();
  let bytes = new Uint8Array(size);
  let at = 0;
  for (;;) {
    const isFull = at === bytes.length;
    const piece = isFull
      ? new Uint8Array(BEYOND_BYTES)
      : bytes.subarray(at, at + READ_BYTES);
    const count = await file.read(piece);
    if (count === null) return isFull ? bytes : bytes.slice(0, at);
    if (isFull) {
      const longer = new Uint8Array(at + count);
      longer.set(bytes);
      longer.set(piece.subarray(0, count), at);
      bytes = longer;
    }
    at += count;
  }
}

/** The disk of the machine this process runs on. */
export const systemDisk: Disk = {
  processId: Deno.pid,
  hasKv: typeof Deno.openKv === "function",

  async open(path: string, { mode }: OpenFileOptions): Promise<DiskFile> {
    return new SystemFile(
      await Deno.open(path, {
        read: true,
        write: true,
        create: true,
        createNew: mode === "create_new",
        mode: 0o600,
      }),
    );
  },

  openRead: (path) =>
    new Promise((resolve, reject) =>
      open(path, "r", (error, descriptor) => {
        if (descriptor !== undefined) resolve(new SystemReader(descriptor));
        else if (error?.code === "ENOENT") resolve(undefined);
        else reject(error);
      })
    ),

  readFile: (path) => unless(NotFound, readWhole(path), undefined),

  async entry(path: string): Promise<DiskEntry | undefined> {
    const info = await unless(NotFound, Deno.lstat(path), undefined);
    return info && {
      type: info.isFile
        ? "file"
        : info.isDirectory
        ? "folder"
        : info.isSymlink
        ? "link"
        : "other",
      sizeBytes: info.size,
    };
  },

  async names(path: string): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(path)) names.push(name);
    return names;
  },

  makeFolder: (path) =>
    unless(
      AlreadyExists,
      Deno.mkdir(path, { mode: 0o700 }).then(() => true),
      false,
    ),

  makePrivate: (path) =>
    isWindows ? Promise.resolve() : Deno.chmod(path, 0o700),

  rename: (from, to) => Deno.rename(from, to),

  remove: (path) => unless(NotFound, Deno.remove(path), undefined),

  async syncFolder(path: string): Promise<void> {
    if (isWindows) return;
    const folder = await Deno.open(path, { read: true });
    try {
      await folder.sync();
    } finally {
      folder.close();
    }
  },

  openKv(path: string): Promise<KvDatabase> {
    if (!systemDisk.hasKv) {
      return Promise.reject(
        new WhorlError(
          "store_unavailable",
          `Cannot open store ${path} as Deno KV is switched off: run with --unstable-kv, or put "unstable": ["kv"] into the deno.json of the program that is started`,
          { details: { path } },
        ),
      );
    }
    return Deno.openKv(path);
  },
};
