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
 * `wal_files.ts` holds the files.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { TimerHandle } from "../../../supervisors/runtime.ts";
import { reasonOf, WhorlError } from "../../base/errors.ts";
import type { StorageEnvironment } from "../../environment/environment.ts";
import { BodySlabs } from "./body_slabs.ts";
import { WalBatch, type WalGroup } from "./wal_batch.ts";
import { storeErrorOf } from "./log_failure.ts";
import {
  BATCH_HEADER_BYTES,
  LINE_BYTES,
  RecordKind,
  setLine,
} from "./wal_codec.ts";
import {
  type UnsureBatch,
  type WalFile,
  WalFiles,
  type WalFilesOptions,
} from "./wal_files.ts";
import { WalSpare } from "./wal_spare.ts";

/**
 * Delay until the watermark records that a batch is durable. A following batch
 * proves it sooner, and writing another file makes the next sync of the log a
 * fifth more expensive, because of the file system's journal.
 */
const MARK_AFTER_MS = 10;

const NO_BODY = new Uint8Array(0);
const encoder = new TextEncoder();

/** How a log continues from what was found on the disk. */
export interface WalOptions extends WalFilesOptions {
  /** Number of the next batch. */
  readonly nextBatch: number;
  /** A batch to write first into the new file. */
  readonly unsure: UnsureBatch | undefined;
  /** While more files than this wait to be flushed, nothing is written. */
  readonly closedFilesMax: number;
  /** A file is full: its entries must be flushed, and then the file released. */
  onClosed(file: WalFile): void;
  /** Nothing becomes durable any more. */
  onFailed(error: WhorlError): void;
}

/** An open write-ahead log. */
export class Wal {
  readonly #environment: StorageEnvironment;
  readonly #options: WalOptions;
  readonly #slabs = new BodySlabs();
  readonly #files: WalFiles;
  #nextBatch: number;
  #gathering = new WalBatch();
  #spare: WalBatch | undefined;
  /** Full batches that wait to be written. */
  readonly #full: WalBatch[] = [];
  #writing: WalBatch | undefined;
  #markTimer: TimerHandle | undefined;
  /** The last batch that a call of {@linkcode written} waits for. */
  #awaited: WalBatch | undefined;
  #turning = false;
  #turned: Promise<void> | undefined;
  #deferred = false;
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
    this.#nextBatch = options.nextBatch;
    this.#files = new WalFiles(environment, options, spareFile, {
      durableBatch: () => this.durableBatch,
      hasFailed: () => this.#failure !== undefined,
      fail: (error) => this.#fail(error),
      removed: () => this.#writeNext(),
    });
  }

  /** Begins a file after the existing ones. */
  static async open(
    environment: StorageEnvironment,
    options: WalOptions,
  ): Promise<Wal> {
    const spare = await WalSpare.open(environment, options.folder);
    const wal = new Wal(environment, options, spare);
    await wal.#files.begin();
    if (options.unsure !== undefined) {
      try {
        await wal.#files.repeat(options.unsure, wal.#nextBatch);
        wal.#nextBatch++;
      } catch (error) {
        wal.#files.closeFile();
        throw error;
      }
    }
    return wal;
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
    return this.#files.closedCount;
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
      this.#files.write(batch, this.#nextBatch);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#files.sync().then(
      () => this.#onSynced(batch),
      (error) => this.#fail(error),
    );
  }

  #onSynced(batch: WalBatch): void {
    // Its groups were told that it has failed, and the file may be closed.
    if (this.#failure !== undefined) return;
    this.#nextBatch++;
    this.#markTimer ??= this.#environment.setTimer(
      MARK_AFTER_MS,
      () => this.#noteMark(),
    );
    this.#writing = undefined;
    if (this.#awaited === batch) this.#awaited = undefined;
    this.#files.makeRoom(() => {
      if (this.#isIdle) this.#turnIfDue();
    });
    // Starts the next write before the callbacks, which take time.
    if (!this.#turnIfDue()) this.#writeNext();
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
    if (this.#files.hasReleased) void this.#files.tidy();
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

  /** Continues in another file, if that is due. */
  #turnIfDue(): boolean {
    if (!this.#files.isTurnDue) return false;
    this.#turning = true;
    const { full, begun } = this.#files.turn();
    this.#turned = begun.then(() => {
      this.#turning = false;
      this.#options.onClosed(full);
      this.#writeNext();
    }, (error) => this.#fail(error));
    return true;
  }

  /** Whether too many files wait to be flushed, so that writers wait; but never for a flush itself. */
  get #isHeld(): boolean {
    return this.#files.closedCount > this.#options.closedFilesMax &&
      this.#awaited === undefined;
  }

  /** `file` is no longer needed; it is removed once those before it have been and the one behind it holds a batch. */
  release(file: WalFile): Promise<void> {
    return this.#files.release(file);
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
      await this.#files.idle();
      await this.#turned;
    } finally {
      this.#isClosed = true;
      await this.#files.closeSpare();
      this.#environment.clearTimer(this.#markTimer);
      this.#noteMark();
      this.#files.closeFile();
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
