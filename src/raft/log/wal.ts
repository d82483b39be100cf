/**
 * The write-ahead log of a node: the entries and votes of all its Raft groups
 * become durable in one file at a time. What is added during a sync forms the
 * next batch, so that the cost per record falls under load (group commit).
 *
 *     gathering ── turn ends, no sync running ──► written to the page cache ── sync ──► durable
 *
 * Messages of the turn are sent before the write: the other members' disks are
 * further away.
 *
 * There is one sync at a time, and a batch is written only when the one before
 * it is durable. So a batch found in a file proves that all before it were
 * durable; only for the last one that is unknown, unless the watermark tells.
 * Recovery depends on that (see `wal_recovery.ts`).
 *
 * A failed write or sync is never retried: the kernel may have dropped the
 * dirty pages, and a second sync would report success. The log then accepts
 * nothing more.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { TimerHandle } from "../../../supervisors/runtime.ts";
import { reasonOf, WhorlError } from "../../base/errors.ts";
import { invariant } from "../../base/invariant.ts";
import type { DiskFile } from "../../environment/disk.ts";
import type { StorageEnvironment } from "../../environment/environment.ts";
import type { WatermarkFile } from "../../storage/commit_watermark.ts";
import { BodySlabs } from "./body_slabs.ts";
import { WalBatch, type WalGroup } from "./wal_batch.ts";
import { storeErrorOf } from "./log_failure.ts";
import { roomWanted, WalSpare } from "./wal_spare.ts";
import {
  BATCH_HEADER_BYTES,
  encodeFileHeader,
  FILE_HEADER_BYTES,
  LINE_BYTES,
  RecordKind,
  sealBatch,
  setLine,
} from "./wal_codec.ts";

/**
 * Delay until the watermark records that a batch is durable. A following batch
 * proves it sooner, and writing another file makes the next sync of the log a
 * fifth more expensive, because of the file system's journal.
 */
const MARK_AFTER_MS = 10;
/** Up to this size, copying the bodies behind the table costs less than another system call. */
const ONE_WRITE_BYTES_MAX = 16 * 1024;
/**
 * A file that has outgrown its preallocated room is left early only if at most
 * this many groups have records in it: each of them must then write a segment
 * and its manifest.
 */
const OUTGROWN_GROUPS_MAX = 64;

const NO_BODY = new Uint8Array(0);
const encoder = new TextEncoder();

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

/** How a log continues from what was found on the disk. */
export interface WalOptions {
  readonly folder: string;
  readonly storeId: string;
  readonly mark: WatermarkFile;
  /** Number of the file to create now. */
  readonly fileNumber: number;
  /** Number of the next batch. */
  readonly nextBatch: number;
  /** Existing files. */
  readonly closed: readonly WalFile[];
  /** A batch to write first into the new file. */
  readonly unsure: UnsureBatch | undefined;
  /** Size at which another file is begun. */
  readonly fileBytesMax: number;
  /** While more files than this wait to be flushed, nothing is written. */
  readonly closedFilesMax: number;
  /** A file is full: its entries must be flushed, and then the file released. */
  onClosed(file: WalFile): void;
  /** Nothing becomes durable any more. */
  onFailed(error: WhorlError): void;
}

/** Name of a file of the log. */
export function walFileName(number: number): string {
  return `wal-${number}.log`;
}

/** An open write-ahead log. */
export class Wal {
  readonly #environment: StorageEnvironment;
  readonly #options: WalOptions;
  readonly #slabs = new BodySlabs();
  readonly #spareFile: WalSpare;
  readonly #closed: WalFile[];
  readonly #released = new Set<WalFile>();
  #current: WalFile;
  #file: DiskFile | undefined;
  #salt = 0;
  #offset = FILE_HEADER_BYTES;
  /** Preallocated size of the file: writing beyond it makes the file grow. */
  #roomBytes = 0;
  #nextBatch: number;
  #gathering = new WalBatch();
  #spare: WalBatch | undefined;
  /** Full batches that wait to be written. */
  readonly #full: WalBatch[] = [];
  /** Buffer in which small batches are assembled; made on first use. */
  #together: Uint8Array<ArrayBuffer> | undefined;
  #writing: WalBatch | undefined;
  #markTimer: TimerHandle | undefined;
  /** The last batch that a call of {@linkcode written} waits for. */
  #awaited: WalBatch | undefined;
  #turning = false;
  #turned: Promise<void> | undefined;
  #deferred = false;
  #removing: Promise<void> | undefined;
  #failure: WhorlError | undefined;
  #isClosed = false;
  readonly #flush = (): void => {
    this.#deferred = false;
    this.#writeNext();
  };
  /** Deferred twice, so that links send first. */
  readonly #flushSoon = (): void => this.#environment.defer(this.#flush);
  /** CRC-32 and place of the last body added. */
  lastCrc = 0;
  lastSlab: Uint8Array<ArrayBuffer> = NO_BODY;
  lastOffset = 0;

  private constructor(
    environment: StorageEnvironment,
    options: WalOptions,
    spareFile: WalSpare,
  ) {
    this.#environment = environment;
    this.#options = options;
    this.#spareFile = spareFile;
    this.#closed = [...options.closed];
    this.#nextBatch = options.nextBatch;
    this.#current = this.#fileOf(options.fileNumber);
  }

  /** Begins a file after the existing ones. */
  static async open(
    environment: StorageEnvironment,
    options: WalOptions,
  ): Promise<Wal> {
    const spare = await WalSpare.open(environment, options.folder);
    const wal = new Wal(environment, options, spare);
    await wal.#begin(wal.#current);
    if (options.unsure !== undefined) {
      try {
        await wal.#repeat(options.unsure);
      } catch (error) {
        wal.#file?.close();
        throw error;
      }
    }
    return wal;
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
  async #begin(file: WalFile): Promise<void> {
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
  async #repeat(
    { bytes, count, bodyBytes, groups }: UnsureBatch,
  ): Promise<void> {
    const number = this.#nextBatch;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    sealBatch(bytes, view, this.#salt, number, count, bodyBytes);
    const file = this.#file as DiskFile;
    file.writeAt(bytes, this.#offset);
    await file.syncData();
    this.#options.mark.note(number);
    this.#offset += bytes.length;
    this.#current.firstBatch = this.#current.lastBatch = number;
    for (const [group, index] of groups) this.#current.groups.set(group, index);
    this.#nextBatch++;
  }

  /** The failure, if it has failed. */
  get failure(): WhorlError | undefined {
    return this.#failure;
  }

  /** Upper bound of the number of the batch that takes what is added now. */
  get nextBatch(): number {
    return this.#nextBatch + this.#full.length +
      (this.#writing === undefined ? 0 : 1);
  }

  /** Number of the last durable batch. */
  get durableBatch(): number {
    return this.#nextBatch - 1;
  }

  /** Full files that are not removed yet. */
  get closedFiles(): number {
    return this.#closed.length;
  }

  /** Adds an entry and takes ownership of its body; `onDurable` of `group` follows. */
  putEntry(
    group: WalGroup,
    index: number,
    term: number,
    body: Uint8Array<ArrayBuffer>,
  ): void {
    const batch = this.#put(group, RecordKind.entry, index, term, body);
    const place = group.place;
    batch.lastIndexes[place] = index;
    batch.lastTerms[place] = term;
    batch.lastCuts[place] = group.cuts;
    this.#schedule();
  }

  /** Adds a vote; `then` is called when it is durable. */
  putVote(
    group: WalGroup,
    term: number,
    votedFor: string | undefined,
    then?: () => void,
  ): void {
    const body = votedFor === undefined ? NO_BODY : encoder.encode(votedFor);
    const batch = this.#put(group, RecordKind.vote, 0, term, body);
    if (then !== undefined) batch.whenDurable.push(then);
    this.#schedule();
  }

  /** Adds the applied index of a machine to the next batch, without causing a write. */
  putApplied(group: WalGroup, index: number): void {
    this.#put(group, RecordKind.applied, index, 0, NO_BODY);
  }

  #put(
    group: WalGroup,
    kind: RecordKind,
    index: number,
    term: number,
    body: Uint8Array<ArrayBuffer>,
  ): WalBatch {
    let batch = this.#gathering;
    if (batch.isFull) {
      this.#full.push(batch);
      batch = this.#gathering = new WalBatch();
    }
    batch.reserve();
    batch.placeOf(group);
    const at = BATCH_HEADER_BYTES + batch.count++ * LINE_BYTES;
    const { length } = body;
    const crc = crc32(body);
    const slabs = this.#slabs;
    slabs.place(body);
    this.lastSlab = slabs.slab;
    this.lastOffset = slabs.offset;
    this.lastCrc = crc;
    if (length > 0) {
      batch.addBody(slabs.slab, slabs.offset, slabs.offset + length);
    }
    setLine(batch.view, at, kind, group.uid, index, term, length, crc);
    return batch;
  }

  #schedule(): void {
    if (
      this.#deferred || this.#writing !== undefined || this.#turning
    ) return;
    this.#deferred = true;
    this.#environment.defer(this.#flushSoon);
  }

  #writeNext(): void {
    if (
      this.#writing !== undefined || this.#turning ||
      this.#failure !== undefined || this.#isClosed || this.#isHeld
    ) return;
    const full = this.#full.shift();
    if (full === undefined && this.#gathering.count === 0) return;
    const batch = full ?? this.#gathering;
    if (full === undefined) {
      this.#gathering = this.#spare ?? new WalBatch();
      this.#spare = undefined;
    }
    this.#writing = batch;
    try {
      this.#write(batch);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#sync(batch);
  }

  #write(batch: WalBatch): void {
    const file = this.#file;
    invariant(file !== undefined, "a batch is written to an open file");
    const current = this.#current;
    const { table, count, bodyBytes } = batch;
    sealBatch(
      table,
      batch.view,
      this.#salt,
      this.#nextBatch,
      count,
      bodyBytes,
    );
    if (current.firstBatch === 0) current.firstBatch = this.#nextBatch;
    current.lastBatch = this.#nextBatch;
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

  #sync(batch: WalBatch): void {
    (this.#file as DiskFile).syncData().then(
      () => this.#onSynced(batch),
      (error) => this.#fail(error),
    );
  }

  #onSynced(batch: WalBatch): void {
    this.#nextBatch++;
    this.#markTimer ??= this.#environment.setTimer(
      MARK_AFTER_MS,
      () => this.#noteMark(),
    );
    this.#writing = undefined;
    if (this.#awaited === batch) this.#awaited = undefined;
    this.#makeRoom();
    // Starts the next write before the callbacks, which take time.
    if (!this.#turnIfWanted()) this.#writeNext();
    for (let i = 0; i < batch.groups.length; i++) {
      const index = batch.lastIndexes[i] as number;
      if (index === 0) continue;
      (batch.groups[i] as WalGroup).onDurable(
        index,
        batch.lastTerms[i] as number,
        batch.lastCuts[i] as number,
      );
    }
    batch.finish();
    this.#spare ??= batch;
    if (this.#released.size > 0) void this.#tidy();
  }

  /** Prepares a preallocated file for when this one is full or outgrown. */
  #makeRoom(): void {
    const { fileBytesMax } = this.#options;
    const room = this.#mayBeLeftEarly ? this.#roomBytes : fileBytesMax;
    const wanted = roomWanted(room, this.#offset, fileBytesMax);
    if (wanted <= this.#spareFile.roomBytes) return;
    this.#spareFile.prepare(wanted, () => {
      if (this.#isIdle) this.#turnIfWanted();
    });
  }

  get #isIdle(): boolean {
    return this.#writing === undefined && !this.#turning &&
      this.#failure === undefined && !this.#isClosed;
  }

  #noteMark(): void {
    this.#markTimer = undefined;
    if (this.#failure !== undefined) return;
    try {
      this.#options.mark.note(this.durableBatch);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Continues in another file. */
  #turn(): void {
    this.#turning = true;
    const full = this.#current;
    this.#closed.push(full);
    (this.#file as DiskFile).close();
    this.#file = undefined;
    this.#turned = this.#begin(this.#fileOf(full.number + 1)).then(() => {
      this.#turning = false;
      this.#options.onClosed(full);
      this.#writeNext();
    }, (error) => this.#fail(error));
  }

  /** Whether too many files wait to be flushed, so that writers wait; but never for a flush itself. */
  get #isHeld(): boolean {
    return this.#closed.length > this.#options.closedFilesMax &&
      this.#awaited === undefined;
  }

  /** Whether the file grows with each batch while a larger preallocated one is ready. */
  get #isOutgrown(): boolean {
    return this.#offset >= this.#roomBytes && this.#mayBeLeftEarly &&
      this.#spareFile.roomBytes > this.#offset;
  }

  get #mayBeLeftEarly(): boolean {
    return this.#current.groups.size <= OUTGROWN_GROUPS_MAX;
  }

  #turnIfWanted(): boolean {
    const isFull = this.#offset >= this.#options.fileBytesMax;
    if (!isFull && !this.#isOutgrown || this.#current.firstBatch === 0) {
      return false;
    }
    this.#turn();
    return true;
  }

  /** `file` is no longer needed; it is removed once those before it have been and the one behind it holds a batch. */
  release(file: WalFile): Promise<void> {
    this.#released.add(file);
    return this.#tidy();
  }

  #tidy(): Promise<void> {
    return this.#removing ??= this.#removeReleased().finally(() =>
      this.#removing = undefined
    );
  }

  async #removeReleased(): Promise<void> {
    const { mark, storeId } = this.#options;
    for (
      let count = this.#removable();
      count > 0 && this.#failure === undefined;
      count = this.#removable()
    ) {
      const files = this.#closed.slice(0, count);
      try {
        await mark.reset({
          storeId,
          epoch: this.#fileAt(count).number,
          commit: this.#nextBatch - 1,
        });
        for (const { path } of files) {
          await this.#spareFile.give(path, this.#options.fileBytesMax);
        }
      } catch (error) {
        this.#fail(error);
        return;
      }
      this.#closed.splice(0, count);
      for (const file of files) this.#released.delete(file);
      this.#writeNext();
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
      firstBatch === 0 || firstBatch >= this.#nextBatch;
    while (count > 0 && isEmpty(this.#fileAt(count))) count--;
    return count;
  }

  /**
   * Resolves when everything added before is durable. For flushing and
   * snapshots: written even while writers are held back.
   */
  written(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const last = this.#gathering.count > 0
      ? this.#gathering
      : this.#full.at(-1) ?? this.#writing;
    if (last === undefined) return Promise.resolve();
    this.#awaited = last;
    this.#schedule();
    return last.written;
  }

  #fail(cause: unknown): void {
    if (this.#failure !== undefined || this.#isClosed) return;
    const told = storeErrorOf(cause, this.#options.folder);
    const error = told instanceof WhorlError ? told : new WhorlError(
      "internal",
      `Cannot continue the Raft logs: ${reasonOf(cause)}`,
      { cause },
    );
    this.#failure = error;
    for (const batch of [this.#writing, ...this.#full, this.#gathering]) {
      batch?.fail(error);
    }
    this.#options.onFailed(error);
  }

  /** Fails the log because of something that it depends on. */
  fail(cause: unknown): void {
    this.#fail(cause);
  }

  /** Writes what was added, unless the log has failed, and closes it. */
  async close(): Promise<void> {
    try {
      if (this.#failure === undefined) await this.written();
      await this.#removing;
      await this.#turned;
    } finally {
      this.#isClosed = true;
      await this.#spareFile.close();
      this.#environment.clearTimer(this.#markTimer);
      this.#noteMark();
      this.#file?.close();
      this.#file = undefined;
      await this.#closeMark();
    }
  }

  async #closeMark(): Promise<void> {
    try {
      await this.#options.mark.close();
    } catch (error) {
      // The disk's failure was reported.
      if (this.#failure === undefined) throw error;
    }
  }
}
