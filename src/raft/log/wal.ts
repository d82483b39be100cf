/**
 * The write-ahead log of a node: one file at a time, in which the entries and
 * votes of all its Raft groups become durable. Whatever is put into it while a
 * sync is under way makes the next batch, so that the more there is to do, the
 * less each of it costs (group commit).
 *
 *     gathering ── turn ends, no sync under way ──► written to the system's memory ── sync ──► durable
 *
 * What the turn has to send leaves before: the others' disks are further away.
 *
 * There is one sync at a time, and a batch is written only when the one before
 * it is durable. So a batch that is found in a file vouches for all before it;
 * only of the last one nobody knows, unless the watermark does. Recovery (see
 * `wal_recovery.ts`) lives by that.
 *
 * A write or sync that failed is never tried again: of what the system has let
 * go of, a second sync would say that it is there. The log takes nothing more.
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
 * So long after a batch is durable the watermark says so. A batch that follows
 * says it sooner, and a write beside the log makes the next sync of the log
 * dearer by a fifth, as there is another file to be told of in the journal of
 * the system.
 */
const MARK_AFTER_MS = 10;
/** Up to here, copying the bodies behind the table costs less than another call of the system. */
const ONE_WRITE_BYTES_MAX = 16 * 1024;
/**
 * A file that was outgrown is left before it is full if no more groups have
 * records in it: each of them has to write a segment and its manifest then.
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
  /** Who has records in it, with the index of the last entry; 0 for those that have none but votes. */
  readonly groups: Map<WalGroup, number>;
}

/** A batch that was found, and may not be durable. */
export interface UnsureBatch {
  /** All of it; sealed anew. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly count: number;
  readonly bodyBytes: number;
  readonly groups: Map<WalGroup, number>;
}

/** How a log goes on from what was found on the disk. */
export interface WalOptions {
  readonly folder: string;
  readonly storeId: string;
  readonly mark: WatermarkFile;
  /** Number of the file that is made now. */
  readonly fileNumber: number;
  /** Number of the next batch. */
  readonly nextBatch: number;
  /** Files that are there. */
  readonly closed: readonly WalFile[];
  /** What the new file is to begin with. */
  readonly unsure: UnsureBatch | undefined;
  /** From so many bytes on another file is begun. */
  readonly fileBytesMax: number;
  /** While so many files wait to be taken over, nothing is written. */
  readonly closedFilesMax: number;
  /** A file is full, and its groups are to be taken over; then it is to be released. */
  onClosed(file: WalFile): void;
  /** Nothing becomes durable any more. */
  onFailed(error: WhorlError): void;
}

/** Name of a file of the log. */
export function walFileName(number: number): string {
  return `wal-${number}.log`;
}

/** A log that is open. */
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
  /** Up to here, the file was there before: what is written behind that lets it grow. */
  #roomBytes = 0;
  #nextBatch: number;
  #gathering = new WalBatch();
  #spare: WalBatch | undefined;
  /** Batches that are full. */
  readonly #full: WalBatch[] = [];
  /** Where a small batch is put together; made for the first one. */
  #together: Uint8Array<ArrayBuffer> | undefined;
  #writing: WalBatch | undefined;
  #markTimer: TimerHandle | undefined;
  /** The last batch that somebody waits for by {@linkcode written}. */
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
  /** Behind the links, which send when what is deferred now is done. */
  readonly #flushSoon = (): void => this.#environment.defer(this.#flush);
  /** CRC-32 and place of the body that was put last. */
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

  /** Begins a file behind those that are there. */
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

  /** Makes `file`, durably; from now on it is written to. The new salt keeps batches that may stand in it already from being taken for new ones. */
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

  /** Begins the file with a batch that stood at the end of another one. */
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

  /** Why it has failed, if it has. */
  get failure(): WhorlError | undefined {
    return this.#failure;
  }

  /** Number of the batch that what is put now will be part of, or of an earlier one. */
  get nextBatch(): number {
    return this.#nextBatch + this.#full.length +
      (this.#writing === undefined ? 0 : 1);
  }

  /** Number of the last batch that is durable. */
  get durableBatch(): number {
    return this.#nextBatch - 1;
  }

  /** Files that are full and not removed yet. */
  get closedFiles(): number {
    return this.#closed.length;
  }

  /** Puts an entry in, and takes its body over; `onDurable` of `group` follows. */
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

  /** Puts a vote in; `then` is called when it is durable. */
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

  /** Lets the next batch say how far a machine has come; does not make one for it. */
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
    // The disk has to do again before anybody is told: they take their time.
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

  /** Lets a file with room be made for when this one is full, or outgrown. */
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

  /** Goes on in another file. */
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

  /** Whether there are so many files to be taken over that writers wait; but never who takes them over. */
  get #isHeld(): boolean {
    return this.#closed.length > this.#options.closedFilesMax &&
      this.#awaited === undefined;
  }

  /** Whether it grows with each batch, and there is a larger one that would not. */
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

  /** `file` is not needed any more; it is removed when those before it have been, and something stands in the one behind it. */
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

  /** The files that are there, by age. */
  #fileAt(place: number): WalFile {
    return this.#closed[place] ?? this.#current;
  }

  /**
   * How many of the oldest files can go. The one that is the oldest then holds
   * a durable batch: an empty one would look like one that has lost it.
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
   * Resolves when everything that was put in before is durable. For work on
   * which others depend: it is written even while writers are held back.
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
      `Cannot go on with the Raft logs: ${reasonOf(cause)}`,
      { cause },
    );
    this.#failure = error;
    for (const batch of [this.#writing, ...this.#full, this.#gathering]) {
      batch?.fail(error);
    }
    this.#options.onFailed(error);
  }

  /** What befell something that is kept beside the log, and without which it cannot go on. */
  fail(cause: unknown): void {
    this.#fail(cause);
  }

  /** Writes what was put in, unless it has failed, and closes. */
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
      // That the disk refuses was told.
      if (this.#failure === undefined) throw error;
    }
  }
}
