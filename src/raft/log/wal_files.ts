/**
 * The files of a write-ahead log: one that is written to, full ones before it
 * that wait for their entries to be flushed, and a spare that becomes the next.
 *
 *     spare ──► present ── full or outgrown ──► closed ── released ──► spare, or removed
 *
 * Batches are written one behind the other, each in one file. Files are removed
 * oldest first, and only once the watermark says where the log begins then.
 *
 * @module
 */
import { invariant } from "../../base/invariant.ts";
import type { DiskFile } from "../../environment/disk.ts";
import type { StorageEnvironment } from "../../environment/environment.ts";
import type { WatermarkFile } from "../../storage/commit_watermark.ts";
import type { WalBatch, WalGroup } from "./wal_batch.ts";
import {
  BATCH_HEADER_BYTES,
  encodeFileHeader,
  FILE_HEADER_BYTES,
  LINE_BYTES,
  sealBatch,
} from "./wal_codec.ts";
import { roomWanted, type WalSpare } from "./wal_spare.ts";

/** Up to this size, copying the bodies behind the table costs less than another system call. */
const ONE_WRITE_BYTES_MAX = 16 * 1024;
/**
 * A file that has outgrown its preallocated room is left early only if at most
 * this many groups have records in it: each of them must then write a segment
 * and its manifest.
 */
const OUTGROWN_GROUPS_MAX = 64;

/** A file of the log. */
export interface WalFile {
  readonly number: number;
  readonly path: string;
  /** Number of its first batch, 0 while there is none. */
  firstBatch: number;
  /** Number of its last batch. */
  lastBatch: number;
  /** Groups with records in it, with the index of their last entry; 0 for groups without entries. */
  readonly groups: Map<WalGroup, number>;
}

/** A batch found at recovery that may not be durable. */
export interface UnsureBatch {
  /** The whole batch; its header is written again. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly count: number;
  readonly bodyBytes: number;
  readonly groups: Map<WalGroup, number>;
}

/** Name of a file of the log. */
export function walFileName(number: number): string {
  return `wal-${number}.log`;
}

/** Where the files are, and what there is of them. */
export interface WalFilesOptions {
  readonly folder: string;
  readonly storeId: string;
  readonly mark: WatermarkFile;
  /** Number of the file to create now. */
  readonly fileNumber: number;
  /** Existing files. */
  readonly closed: readonly WalFile[];
  /** Size at which another file is begun. */
  readonly fileBytesMax: number;
}

/** The log that writes into the files. */
export interface WalFilesOwner {
  /** Number of the last durable batch. */
  durableBatch(): number;
  hasFailed(): boolean;
  /** Removing files has failed. */
  fail(error: unknown): void;
  /** Files have been removed. */
  removed(): void;
}

/** The files of one log; see the module comment. */
export class WalFiles {
  readonly #environment: StorageEnvironment;
  readonly #options: WalFilesOptions;
  readonly #owner: WalFilesOwner;
  readonly #spareFile: WalSpare;
  readonly #closed: WalFile[];
  readonly #released = new Set<WalFile>();
  #current: WalFile;
  #file: DiskFile | undefined;
  #salt = 0;
  #offset = FILE_HEADER_BYTES;
  /** Preallocated size of the file: writing beyond it makes the file grow. */
  #roomBytes = 0;
  /** Buffer in which small batches are assembled; made on first use. */
  #together: Uint8Array<ArrayBuffer> | undefined;
  #removing: Promise<void> | undefined;

  constructor(
    environment: StorageEnvironment,
    options: WalFilesOptions,
    spareFile: WalSpare,
    owner: WalFilesOwner,
  ) {
    this.#environment = environment;
    this.#options = options;
    this.#owner = owner;
    this.#spareFile = spareFile;
    this.#closed = [...options.closed];
    this.#current = this.#fileOf(options.fileNumber);
  }

  /** Durably creates the first file to write to, behind the existing ones. */
  begin(): Promise<void> {
    return this.#create(this.#current);
  }

  #fileOf(number: number): WalFile {
    return {
      number,
      path: `${this.#options.folder}/${walFileName(number)}`,
      firstBatch: 0,
      lastBatch: 0,
      groups: new Map(),
    };
  }

  /**
   * Durably creates `file`, which is written to from now on. The new salt
   * distinguishes its batches from older ones in a reused file.
   */
  async #create(file: WalFile): Promise<void> {
    const { disk } = this.#environment;
    const { folder, storeId } = this.#options;
    const salt = new DataView(this.#environment.secretBytes(4).buffer)
      .getUint32(0);
    const { number, path } = file;
    const header = encodeFileHeader({ storeId, salt, number });
    const roomy = await this.#spareFile.take(path, header);
    const open = roomy?.file ?? await disk.open(path, { mode: "create_new" });
    try {
      if (roomy === undefined) {
        open.writeAt(header, 0);
        await open.sync();
      }
      await disk.syncFolder(folder);
    } catch (error) {
      open.close();
      throw error;
    }
    this.#file = open;
    this.#salt = salt;
    this.#offset = FILE_HEADER_BYTES;
    this.#roomBytes = roomy?.roomBytes ?? 0;
    this.#current = file;
  }

  /** Begins the file with the last batch of another file. */
  async repeat(
    { bytes, count, bodyBytes, groups }: UnsureBatch,
    number: number,
  ): Promise<void> {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    sealBatch(bytes, view, this.#salt, number, count, bodyBytes);
    const file = this.#file as DiskFile;
    file.writeAt(bytes, this.#offset);
    await file.syncData();
    this.#options.mark.note(number);
    this.#offset += bytes.length;
    this.#current.firstBatch = this.#current.lastBatch = number;
    for (const [group, index] of groups) this.#current.groups.set(group, index);
  }

  /** How many full files are not removed yet. */
  get closedCount(): number {
    return this.#closed.length;
  }

  /** Writes `batch` as number `number`; {@linkcode WalFiles.sync} makes it durable. */
  write(batch: WalBatch, number: number): void {
    const file = this.#file;
    invariant(file !== undefined, "a batch is written to an open file");
    const current = this.#current;
    const { table, count, bodyBytes } = batch;
    sealBatch(table, batch.view, this.#salt, number, count, bodyBytes);
    if (current.firstBatch === 0) current.firstBatch = number;
    current.lastBatch = number;
    batch.groups.forEach((group, i) => {
      const index = batch.lastIndexes[i] as number;
      if (index > 0 || !current.groups.has(group)) {
        current.groups.set(group, index);
      }
    });
    const tableBytes = BATCH_HEADER_BYTES + count * LINE_BYTES;
    let at = this.#offset;
    this.#offset += tableBytes + bodyBytes;
    if (tableBytes + bodyBytes <= ONE_WRITE_BYTES_MAX) {
      const together = this.#together ??= new Uint8Array(ONE_WRITE_BYTES_MAX);
      together.set(table.subarray(0, tableBytes));
      let to = tableBytes;
      for (let i = 0; i < batch.slabs.length; i++) {
        const [start, end] = [
          batch.starts[i] as number,
          batch.ends[i] as number,
        ];
        together.set(
          (batch.slabs[i] as Uint8Array).subarray(start, end),
          to,
        );
        to += end - start;
      }
      file.writeAt(together.subarray(0, to), at);
      return;
    }
    file.writeAt(table.subarray(0, tableBytes), at);
    at += tableBytes;
    for (let i = 0; i < batch.slabs.length; i++) {
      const [start, end] = [batch.starts[i] as number, batch.ends[i] as number];
      file.writeAt(
        (batch.slabs[i] as Uint8Array<ArrayBuffer>).subarray(start, end),
        at,
      );
      at += end - start;
    }
  }

  /** Makes durable what was written. */
  sync(): Promise<void> {
    return (this.#file as DiskFile).syncData();
  }

  /** Prepares a preallocated file for when this one is full or outgrown, and calls `then` once it is there. */
  makeRoom(then: () => void): void {
    const { fileBytesMax } = this.#options;
    const room = this.#mayBeLeftEarly ? this.#roomBytes : fileBytesMax;
    const wanted = roomWanted(room, this.#offset, fileBytesMax);
    if (wanted <= this.#spareFile.roomBytes) return;
    this.#spareFile.prepare(wanted, then);
  }

  /** Whether to continue in another file: this one is full or outgrown, and holds a batch. */
  get isTurnDue(): boolean {
    const isFull = this.#offset >= this.#options.fileBytesMax;
    return (isFull || this.#isOutgrown) && this.#current.firstBatch !== 0;
  }

  /** Whether the file grows with each batch while a larger preallocated one is ready. */
  get #isOutgrown(): boolean {
    return this.#offset >= this.#roomBytes && this.#mayBeLeftEarly &&
      this.#spareFile.roomBytes > this.#offset;
  }

  get #mayBeLeftEarly(): boolean {
    return this.#current.groups.size <= OUTGROWN_GROUPS_MAX;
  }

  /** Closes the present file, and begins the next one. */
  turn(): { readonly full: WalFile; readonly begun: Promise<void> } {
    const full = this.#current;
    this.#closed.push(full);
    (this.#file as DiskFile).close();
    this.#file = undefined;
    return { full, begun: this.#create(this.#fileOf(full.number + 1)) };
  }

  /** `file` is no longer needed; it is removed once those before it have been and the one behind it holds a batch. */
  release(file: WalFile): Promise<void> {
    this.#released.add(file);
    return this.tidy();
  }

  /** Removes released files, as far as that can be done now. */
  tidy(): Promise<void> {
    return this.#removing ??= this.#removeReleased().finally(() =>
      this.#removing = undefined
    );
  }

  async #removeReleased(): Promise<void> {
    const { mark, storeId } = this.#options;
    for (
      let count = this.#removable();
      count > 0 && !this.#owner.hasFailed();
      count = this.#removable()
    ) {
      const files = this.#closed.slice(0, count);
      try {
        await mark.reset({
          storeId,
          epoch: this.#fileAt(count).number,
          commit: this.#owner.durableBatch(),
        });
        for (const { path } of files) {
          await this.#spareFile.give(path, this.#options.fileBytesMax);
        }
      } catch (error) {
        this.#owner.fail(error);
        return;
      }
      this.#closed.splice(0, count);
      for (const file of files) this.#released.delete(file);
      this.#owner.removed();
    }
  }

  /** The existing files by age. */
  #fileAt(place: number): WalFile {
    return this.#closed[place] ?? this.#current;
  }

  /**
   * How many of the oldest files can be removed. The oldest file left must hold
   * a durable batch: an empty one would look as if it had lost it.
   */
  #removable(): number {
    let count = 0;
    while (
      count < this.#closed.length && this.#released.has(this.#fileAt(count))
    ) count++;
    const isEmpty = ({ firstBatch }: WalFile): boolean =>
      firstBatch === 0 || firstBatch > this.#owner.durableBatch();
    while (count > 0 && isEmpty(this.#fileAt(count))) count--;
    return count;
  }

  /** Whether released files wait to be removed. */
  get hasReleased(): boolean {
    return this.#released.size > 0;
  }

  /** Resolves when no files are being removed. */
  async idle(): Promise<void> {
    await this.#removing;
  }

  /** Stops preparing a spare file. */
  async closeSpare(): Promise<void> {
    await this.#spareFile.close();
  }

  /** Closes the present file. */
  closeFile(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}
