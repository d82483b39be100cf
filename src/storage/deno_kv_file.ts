/**
 * One open Deno KV file: its identity, its ownership, and reads and commits
 * with Whorl's own errors. Every commit checks and renews the head record, so
 * that a later opener shuts this one out, and has a number that the watermark
 * beside the file records.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type {
  Disk,
  KvAtomicOperation,
  KvDatabase,
} from "../environment/disk.ts";
import type { StorageEnvironment } from "../environment/environment.ts";
import { syncFolderOf } from "./atomic_file.ts";
import { bytesToText, textToBytes } from "../base/byte_text.ts";
import {
  type FoundWatermark,
  readWatermark,
  WatermarkFile,
} from "./commit_watermark.ts";
import {
  fenceKey,
  type Head,
  headKey,
  type JournalExtent,
  makeHead,
  readHead,
  renumberHead,
  storeFormat,
} from "./deno_kv_codec.ts";
import { storeError } from "./deno_kv_errors.ts";
import { denoKvLimits } from "./deno_kv_limits.ts";

/** A key and its stored record, which may be damaged. */
export interface StoredEntry {
  readonly key: Uint8Array;
  readonly keyText: string;
  readonly record: unknown;
}

/** The required properties of a file, before it is opened. */
export interface DenoKvFileOptions {
  readonly path: string;
  /** @default {any} */
  readonly expectedStoreId?: string | undefined;
  /**
   * Whether the store existed before, so that a file which is created now has
   * lost its content.
   *
   * @default {false}
   */
  readonly existed?: boolean | undefined;
  /** Called when a commit is durable. @default {nothing} */
  readonly onCommit?: (() => void) | undefined;
  readonly environment: StorageEnvironment;
}

/** The path of the watermark of the store in `path`. */
export function watermarkPath(path: string): string {
  return `${path}.mark`;
}

/**
 * How often an opener tries to take a store over from a process that commits at
 * the same moment. Each try waits for the disk, so all take seconds at most.
 */
const takeOverTries = 1_000;

/** The value of the fence's key; only its versionstamp matters. */
const fence = new Uint8Array([1]);

/** An open file, owned by this opener until another one opens it. */
export class DenoKvFile {
  readonly path: string;
  /** The disk that holds it. */
  readonly disk: Disk;
  /** Number of the last commit before this opening, 0 if this opening created the file. */
  readonly commitBefore: number;
  readonly #kv: KvDatabase;
  readonly #mark: WatermarkFile;
  #head: Head;
  #headRecord: Uint8Array<ArrayBuffer>;
  #headStamp: string;
  /** Versionstamp of the fence that this opener has written. */
  readonly #fenceStamp: string;
  #commit: number;
  #journal: JournalExtent;
  readonly #onCommit: (() => void) | undefined;
  readonly #outstanding = new Set<Promise<unknown>>();

  private constructor(
    path: string,
    disk: Disk,
    commitBefore: number,
    kv: KvDatabase,
    mark: WatermarkFile,
    head: Head,
    stamp: string,
    fenceStamp: string,
    onCommit: (() => void) | undefined,
  ) {
    this.path = path;
    this.disk = disk;
    this.#onCommit = onCommit;
    this.commitBefore = commitBefore;
    this.#kv = kv;
    this.#mark = mark;
    this.#head = head;
    this.#headRecord = makeHead(head);
    this.#headStamp = stamp;
    this.#fenceStamp = fenceStamp;
    this.#commit = head.commit;
    this.#journal = head.journal;
  }

  /** Number of the last commit that is durable. */
  get commitNumber(): number {
    return this.#commit;
  }

  /** The identity in the file. */
  get head(): Head {
    return this.#head;
  }

  /** Which journal records count, durably. */
  get journal(): JournalExtent {
    return this.#journal;
  }

  /**
   * Opens or creates the file and takes it over from any previous opener.
   *
   * @throws {WhorlError} `store_corrupt`, `store_foreign`, `store_format`,
   * `store_full`, `store_locked` or `store_unavailable`, naming the file.
   */
  static async open(options: DenoKvFileOptions): Promise<DenoKvFile> {
    const { path, environment } = options;
    const { disk } = environment;
    // Deno KV treats some paths as something other than a file.
    if (path === "" || path === ":memory:" || /^[a-z]+:\/\//i.test(path)) {
      throw new WhorlError(
        "invalid_config",
        `Cannot open store as its path must be a file: current value is ${
          JSON.stringify(path)
        }`,
        { details: { path } },
      );
    }
    let kv: KvDatabase | undefined;
    try {
      const before = await inspect(disk, path);
      let mark = await readWatermark(disk, watermarkPath(path));
      if (before === 0 && mark !== undefined && mark.epoch > 0) {
        throw new WhorlError(
          "store_corrupt",
          `Cannot open store ${path} as the file is missing or empty while its watermark tells of ${mark.commit} commits: restore it, or remove ${
            watermarkPath(path)
          } to begin with an empty store`,
          { details: { path, commits: mark.commit } },
        );
      }
      kv = await disk.openKv(path);
      for (let tries = 1;; tries++) {
        try {
          return await takeOver(kv, options, before, mark);
        } catch (error) {
          // The process that has it is committing, and is the one to be shut
          // out.
          const contended = storeError(error, "open", path);
          if (contended.code !== "store_locked" || tries === takeOverTries) {
            throw error;
          }
          mark = await readWatermark(disk, watermarkPath(path));
        }
      }
    } catch (error) {
      kv?.close();
      throw storeError(error, "open", path);
    }

    async function takeOver(
      kv: KvDatabase,
      { expectedStoreId, existed, onCommit }: DenoKvFileOptions,
      sizeBefore: number,
      mark: FoundWatermark | undefined,
    ): Promise<DenoKvFile> {
      const found = await kv.get([headKey]);
      const known = found.value === null
        ? undefined
        : readHead(found.value, path);
      const creating = mark?.epoch === 0;
      if (
        known === undefined && sizeBefore > 0 && !creating &&
        // Created by an opener that died before it wrote its first watermark.
        !(mark === undefined && await isEmpty(kv))
      ) {
        throw new WhorlError(
          mark === undefined ? "store_foreign" : "store_corrupt",
          `Cannot open store ${path} as the database in it has no head of Whorl`,
          { details: { path } },
        );
      }
      const storeId = known?.storeId ?? mark?.storeId ??
        environment.secretBytes(8).toHex();
      if (expectedStoreId !== undefined && storeId !== expectedStoreId) {
        throw new WhorlError(
          "store_foreign",
          `Cannot open store ${path} as it must be ${expectedStoreId}: current value is ${storeId}`,
          { details: { path, storeId, expectedStoreId } },
        );
      }
      if (mark !== undefined && mark.storeId !== storeId) {
        throw new WhorlError(
          "store_foreign",
          `Cannot open store ${path} as its watermark belongs to store ${mark.storeId}: current value is ${storeId}`,
          { details: { path, storeId, markStoreId: mark.storeId } },
        );
      }
      let latest = known;
      let headStamp = found.versionstamp;
      let fenceStamp: string | null = null;
      if (known !== undefined) {
        // From here on no commit of an older opener succeeds, so the head no
        // longer changes and includes everything acknowledged.
        fenceStamp = (await kv.set([fenceKey], fence)).versionstamp;
        const standing = await kv.get([headKey], { consistency: "strong" });
        latest = readHead(standing.value, path);
        headStamp = standing.versionstamp;
        mark = await readWatermark(disk, watermarkPath(path)) ?? mark;
      }
      const tailLost = latest === undefined
        ? existed === true
        : latest.tailLost || mark === undefined || latest.commit < mark.commit;
      // The watermark's epoch counts as well: the database may have lost its own.
      const epoch = Math.max(latest?.epoch ?? 0, mark?.epoch ?? 0) + 1;
      const commit = Math.max(latest?.commit ?? 0, mark?.commit ?? 0);
      // Before the head exists, the watermark has epoch 0, which means "being
      // created".
      const file = await WatermarkFile.open(
        watermarkPath(path),
        {
          storeId,
          epoch: latest === undefined ? 0 : epoch,
          commit: mark?.commit ?? latest?.commit ?? 0,
        },
        environment,
        mark,
      );
      try {
        const head: Head = {
          format: storeFormat,
          storeId,
          epoch,
          commit: commit + 1,
          tailLost,
          journal: latest?.journal ?? { generation: 1, folding: 0, records: 0 },
        };
        const taking = kv.atomic()
          .check({ key: [headKey], versionstamp: headStamp })
          .check({ key: [fenceKey], versionstamp: fenceStamp })
          .set([headKey], makeHead(head));
        if (fenceStamp === null) taking.set([fenceKey], fence);
        const result = await taking.commit();
        if (!result.ok) {
          throw new WhorlError(
            "store_locked",
            `Cannot open store ${path} as another process is opening it`,
            { details: { path } },
          );
        }
        if (latest === undefined) await syncFolderOf(disk, path);
        await file.reset({ storeId, epoch, commit: head.commit });
        return new DenoKvFile(
          path,
          disk,
          latest?.commit ?? 0,
          kv,
          file,
          head,
          result.versionstamp,
          fenceStamp ?? result.versionstamp,
          onCommit,
        );
      } catch (error) {
        await file.close();
        throw error;
      }
    }
  }

  /**
   * Makes what `fill` adds durable, all or nothing. One at a time.
   *
   * @param journal Which journal records count from then on.
   * @throws {WhorlError} `store_fenced` if another opener has come, `store_full`,
   * `store_corrupt`, `store_unavailable`; the outcome is unknown then.
   */
  async commit(
    fill: (operation: KvAtomicOperation) => void,
    journal: JournalExtent = this.#journal,
  ): Promise<void> {
    const commit = this.#commit + 1;
    renumberHead(this.#headRecord, commit, journal);
    const operation = this.#kv.atomic()
      .check({ key: [headKey], versionstamp: this.#headStamp })
      .check({ key: [fenceKey], versionstamp: this.#fenceStamp })
      .set([headKey], this.#headRecord);
    fill(operation);
    try {
      const result = await operation.commit();
      if (!result.ok) {
        throw new WhorlError(
          "store_fenced",
          `Cannot write to store ${this.path} as it was opened again: epoch ${this.#head.epoch} is over`,
          { details: { path: this.path, epoch: this.#head.epoch } },
        );
      }
      this.#headStamp = result.versionstamp;
      this.#commit = commit;
      this.#journal = journal;
      this.#mark.note(commit);
      this.#onCommit?.();
    } catch (error) {
      throw storeError(error, "write to", this.path);
    }
  }

  /** Marks the tail as lost; the next commit makes it durable. */
  setTailLost(): void {
    this.#head = { ...this.#head, tailLost: true };
    this.#headRecord = makeHead(this.#head);
  }

  /** Clears the mark of a lost tail, durably. Not while another commit is under way. */
  async clearTailLost(): Promise<void> {
    this.#head = { ...this.#head, tailLost: false };
    this.#headRecord = makeHead(this.#head);
    await this.commit(() => {});
  }

  /** The record under `key`, or `null`. */
  get(key: Uint8Array): Promise<unknown> {
    return this.#read(async () =>
      (await this.#kv.get([key], { consistency: "strong" })).value
    );
  }

  /** The record under each of `keys`, `null` for keys without one. */
  getMany(keys: readonly Uint8Array[]): Promise<unknown[]> {
    return this.#read(async () => {
      const found: unknown[] = [];
      for (let i = 0; i < keys.length; i += denoKvLimits.getManyMax) {
        const some = keys.slice(i, i + denoKvLimits.getManyMax)
          .map((key) => [key] as const);
        for (const entry of await this.#kv.getMany(some)) {
          found.push(entry.value);
        }
      }
      return found;
    });
  }

  /** Up to `limit` entries from `start` up to, not including, `end`, which are texts. */
  page(
    start: string,
    end: string,
    limit: number,
    reverse = false,
  ): Promise<StoredEntry[]> {
    return this.#read(async () => {
      const entries: StoredEntry[] = [];
      const selector = {
        start: [textToBytes(start)] as const,
        end: [textToBytes(end)] as const,
      };
      const options = { limit, reverse, batchSize: limit };
      for await (const entry of this.#kv.list(selector, options)) {
        const key = entry.key[0];
        // Keys of another form are not Whorl's. The head was, so another
        // program writes here.
        if (entry.key.length !== 1 || !(key instanceof Uint8Array)) {
          throw new WhorlError(
            "store_corrupt",
            `Cannot read store ${this.path} as it holds a key that is not of Whorl`,
            { details: { path: this.path } },
          );
        }
        entries.push({ key, keyText: bytesToText(key), record: entry.value });
      }
      return entries;
    });
  }

  async #read<T>(action: () => Promise<T>): Promise<T> {
    const reading = action();
    this.#outstanding.add(reading);
    try {
      return await reading;
    } catch (error) {
      throw storeError(error, "read", this.path);
    } finally {
      this.#outstanding.delete(reading);
    }
  }

  /** Waits for reads and closes. Not while a commit is under way. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#outstanding);
    this.#kv.close();
    try {
      await this.#mark.close();
    } catch (error) {
      throw storeError(error, "close", this.path);
    }
  }
}

/** Whether the database has no entry at all, Whorl's or not. */
async function isEmpty(kv: KvDatabase): Promise<boolean> {
  const options = { limit: 1, reverse: false, batchSize: 1 };
  for await (const _ of kv.list({ prefix: [] }, options)) return false;
  return true;
}

/**
 * Size of the file in bytes, 0 if there is none.
 *
 * @throws {WhorlError} `store_foreign` if it or a file beside it is a symbolic
 * link: Deno KV would follow it out of the node's folder.
 */
async function inspect(disk: Disk, path: string): Promise<number> {
  let size = 0;
  for (const suffix of ["", "-wal", "-shm", "-journal", ".mark", ".keys"]) {
    const entry = await disk.entry(path + suffix);
    if (entry === undefined) continue;
    if (entry.type !== "file") {
      throw new WhorlError(
        "store_foreign",
        `Cannot open store ${path} as ${path}${suffix} must be a plain file: current value is ${
          entry.type === "link" ? "a symbolic link" : "a folder or a device"
        }`,
        { details: { path: path + suffix } },
      );
    }
    if (suffix === "") size = entry.sizeBytes;
  }
  return size;
}
