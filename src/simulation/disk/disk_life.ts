/**
 * A simulated disk as seen by one incarnation of a process: the files of the
 * machine, and what this process has opened, locked and requested. All of that
 * ends with the process, however it ends.
 *
 * @module
 */
import type { Runtime } from "../../../supervisors/runtime.ts";
import type {
  Disk,
  DiskEntry,
  DiskFile,
  DiskReader,
  KvDatabase,
  OpenFileOptions,
} from "../../environment/disk.ts";
import type { DiskConditions } from "./disk_conditions.ts";
import { databaseWords, fileError } from "./disk_failure.ts";
import { DiskOperations } from "./disk_operation.ts";
import { Folder, follow, type Inode } from "./folder.ts";
import { SimulatedDatabase } from "./simulated_database.ts";
import { OpenFile, OpenReader, SimulatedFile } from "./simulated_file.ts";
import { SimulatedKv } from "./simulated_kv.ts";

const sqliteMagic = new TextEncoder().encode("SQLite format 3\0");

/** The disk of one incarnation. */
export class DiskLife implements Disk {
  readonly processId: number;
  readonly hasKv = true;
  readonly #root: Folder;
  readonly #conditions: DiskConditions;
  readonly #operations: DiskOperations;
  readonly #open = new Set<OpenFile | OpenReader | SimulatedKv>();
  readonly #onClose = (closed: OpenFile | OpenReader | SimulatedKv): void =>
    void this.#open.delete(closed);

  /** @param runtime Of the process, for callbacks. */
  constructor(
    processId: number,
    root: Folder,
    conditions: DiskConditions,
    runtime: Runtime,
  ) {
    this.processId = processId;
    this.#root = root;
    this.#conditions = conditions;
    this.#operations = new DiskOperations(conditions, runtime);
  }

  /** Whether the process is dead. */
  get ended(): boolean {
    return this.#operations.ended;
  }

  /**
   * The process is dead: pending calls are done or not, and what it had open is
   * closed.
   */
  end(): void {
    this.#operations.end();
    for (const open of this.#open) open.abandon();
    this.#open.clear();
  }

  #read<T>(act: () => T): Promise<T> {
    return this.#operations.perform({
      kind: "read",
      act,
      fail: () => fileError("EIO"),
    });
  }

  #write<T>(call: string, act: () => T): Promise<T> {
    return this.#operations.perform({
      kind: "write",
      act,
      fail: () => {
        if (this.#conditions.drawDone()) act();
        return fileError("EIO", call);
      },
    });
  }

  open(path: string, { mode }: OpenFileOptions): Promise<DiskFile> {
    const call = `open '${path}'`;
    return this.#write(call, () => {
      const { folder, name, node } = follow(this.#root, path, "open");
      if (node instanceof Folder) throw fileError("EISDIR", call);
      if (node !== undefined && mode === "create_new") {
        throw fileError("EEXIST", call);
      }
      let file = node;
      if (file === undefined) {
        this.#refuseIfFull(call);
        file = new SimulatedFile();
        folder.set(name, file);
      }
      if (!(file instanceof SimulatedFile)) {
        throw new Error(`A simulated database is no file to open: ${path}`);
      }
      const open = new OpenFile(file, this.#operations, this.#onClose);
      this.#open.add(open);
      return open;
    });
  }

  #refuseIfFull(call: string): void {
    if (!this.#conditions.full) return;
    this.#conditions.counts.refusedFull++;
    throw fileError("ENOSPC", call);
  }

  openRead(path: string): Promise<DiskReader | undefined> {
    return this.#read(() => {
      const node = this.#find(path, "open");
      if (node === undefined) return undefined;
      if (!(node instanceof SimulatedFile)) {
        throw new Error(`Only a file is opened to be read: ${path}`);
      }
      const open = new OpenReader(node, this.#operations, this.#onClose);
      this.#open.add(open);
      return open;
    });
  }

  readFile(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return this.#read(() => {
      const node = this.#find(path, "readfile");
      if (node === undefined) return undefined;
      if (node instanceof Folder) {
        throw fileError("EISDIR", `readfile '${path}'`);
      }
      if (node instanceof SimulatedFile) return node.content.read();
      const bytes = new Uint8Array(node.sizeBytes);
      bytes.set(sqliteMagic);
      return bytes;
    });
  }

  entry(path: string): Promise<DiskEntry | undefined> {
    return this.#read(() => {
      const node = this.#find(path, "lstat");
      return node && { type: node.type, sizeBytes: node.sizeBytes };
    });
  }

  /** What exists at `path`; nothing if a folder on the way is missing. */
  #find(path: string, call: string): Inode | undefined {
    try {
      return follow(this.#root, path, call).node;
    } catch (error) {
      if ((error as { code?: unknown }).code === "ENOENT") return undefined;
      throw error;
    }
  }

  names(path: string): Promise<string[]> {
    return this.#read(() => this.#folder(path, "readdir").names());
  }

  #folder(path: string, call: string): Folder {
    const { node } = follow(this.#root, path, call);
    if (node instanceof Folder) return node;
    throw fileError(
      node === undefined ? "ENOENT" : "ENOTDIR",
      `${call} '${path}'`,
    );
  }

  makeFolder(path: string): Promise<boolean> {
    const call = `mkdir '${path}'`;
    return this.#write(call, () => {
      const { folder, name, node } = follow(this.#root, path, "mkdir");
      if (node !== undefined) return false;
      this.#refuseIfFull(call);
      folder.set(name, new Folder());
      return true;
    });
  }

  /** Everybody on this machine is the owner, so this does nothing. */
  makePrivate(path: string): Promise<void> {
    return this.#write(
      `chmod '${path}'`,
      () => void this.#folder(path, "chmod"),
    );
  }

  rename(from: string, to: string): Promise<void> {
    const call = `rename '${from}' -> '${to}'`;
    return this.#write(call, () => {
      const source = follow(this.#root, from, "rename");
      const target = follow(this.#root, to, "rename");
      if (source.node === undefined) throw fileError("ENOENT", call);
      if (target.node instanceof Folder) throw fileError("EISDIR", call);
      if (source.folder !== target.folder) {
        throw new Error(`A file is renamed within its folder only: ${call}`);
      }
      source.folder.rename(source.name, target.name);
    });
  }

  remove(path: string): Promise<void> {
    const call = `remove '${path}'`;
    return this.#write(call, () => {
      const { folder, name, node } = follow(this.#root, path, "remove");
      if (node instanceof Folder && node.names().length > 0) {
        throw fileError("ENOTEMPTY", call);
      }
      if (node !== undefined) folder.remove(name);
    });
  }

  syncFolder(path: string): Promise<void> {
    const conditions = this.#conditions;
    let folder: Folder | undefined;
    try {
      folder = this.#folder(path, "open");
    } catch (error) {
      return this.#read(() => {
        throw error;
      });
    }
    const changes = folder.changesMade;
    return this.#operations.perform({
      kind: "sync",
      act() {
        folder.sync(changes);
        conditions.counts.syncs++;
      },
      fail() {
        if (conditions.drawDone()) folder.sync(changes);
        return fileError("EIO");
      },
    });
  }

  openKv(path: string): Promise<KvDatabase> {
    const conditions = this.#conditions;
    const act = (): KvDatabase => {
      const database = this.#databaseAt(path);
      if (conditions.full) {
        conditions.counts.refusedFull++;
        throw new Error(databaseWords.full);
      }
      if (database.open()) conditions.counts.revivedCommits++;
      const kv = new SimulatedKv(database, this.#operations, this.#onClose);
      this.#open.add(kv);
      return kv;
    };
    return this.#operations.perform({
      kind: "write",
      act,
      fail: () => {
        if (conditions.drawDone()) this.#databaseAt(path);
        return new Error(databaseWords.failed);
      },
    });
  }

  /** The database at `path`, created if there is nothing or an empty file. */
  #databaseAt(path: string): SimulatedDatabase {
    const place = this.#placeOfDatabase(path);
    if (place === undefined || place.node instanceof Folder) {
      throw new Error(databaseWords.cannotOpen(path));
    }
    const { folder, name, node } = place;
    if (node instanceof SimulatedDatabase) return node;
    if (node !== undefined && node.sizeBytes > 0) {
      throw new Error(databaseWords.notOne);
    }
    const database = new SimulatedDatabase(
      this.#conditions.faultChance.fork("database"),
    );
    folder.set(name, database);
    return database;
  }

  #placeOfDatabase(path: string): ReturnType<typeof follow> | undefined {
    try {
      return follow(this.#root, path, "open");
    } catch (error) {
      // SQLite reports fewer errors than the operating system.
      if ((error as { code?: unknown }).code === undefined) throw error;
      return undefined;
    }
  }
}
