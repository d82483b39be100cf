/**
 * The number of the last acknowledged commit, kept outside the database. SQLite
 * opens a database whose newest commits are missing (because its WAL was cut
 * short, deleted or damaged) without an error; a store detects that by
 * comparing its commits with the watermark. The file also keeps the epoch,
 * which must never be used twice.
 *
 * The file has two slots of 64 bytes, 512 bytes apart, written alternately, so
 * that a write which is cut off leaves the other slot intact. Each commit
 * writes a slot before it is acknowledged (about 1 µs) without syncing it; the
 * file is synced when the store opens, at most a second after a write, and when
 * the store closes. So:
 *
 * - After the death of the process, any loss of an acknowledged commit is found.
 * - After power loss, a loss of commits that were acknowledged more than
 *   `syncEveryMs` before is found. (Deno KV syncs each commit, so such a loss
 *   takes a disk that reports syncs it has not done.)
 * - There are no false alarms: the watermark is written after the commit is
 *   durable.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { TimerHandle } from "../../supervisors/runtime.ts";
import { WhorlError } from "../base/errors.ts";
import type { Disk, DiskFile } from "../environment/disk.ts";
import type { StorageEnvironment } from "../environment/environment.ts";
import { syncFolderOf } from "./atomic_file.ts";
import { bytesToText } from "../base/byte_text.ts";

/** Longest time until a written watermark is synced, in milliseconds. */
const syncEveryMs = 1_000;

const magic = "WHORLMRK";
const markFormat = 1;
const slotBytes = 64;
const slotDistance = 512;
const contentBytes = 60;

/** The content of a watermark. */
export interface Watermark {
  /** 16 lowercase hex digits. */
  readonly storeId: string;
  readonly epoch: number;
  /** Number of the last acknowledged commit. */
  readonly commit: number;
}

/** A watermark that was read. */
export interface FoundWatermark extends Watermark {
  /** The slot it was read from. */
  readonly slot: 0 | 1;
}

/** Reads the watermark in `path`; `undefined` if there is no file or both slots are damaged. */
export async function readWatermark(
  disk: Disk,
  path: string,
): Promise<FoundWatermark | undefined> {
  const bytes = await disk.readFile(path);
  if (bytes === undefined) return undefined;
  const slots = [readSlot(bytes, 0, path), readSlot(bytes, 1, path)];
  return slots.filter((slot) => slot !== undefined)
    .sort((a, b) => b.epoch - a.epoch || b.commit - a.commit)[0];
}

function readSlot(
  bytes: Uint8Array,
  place: 0 | 1,
  path: string,
): FoundWatermark | undefined {
  const offset = place * slotDistance;
  if (bytes.length < offset + slotBytes) return undefined;
  const slot = bytes.subarray(offset, offset + slotBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, slotBytes);
  if (
    bytesToText(slot, 0, magic.length) !== magic ||
    view.getUint32(contentBytes) !== crc32(slot.subarray(0, contentBytes))
  ) return undefined;
  const format = view.getUint16(8);
  if (format > markFormat) {
    throw new WhorlError(
      "store_format",
      `Cannot read watermark ${path} as its format must be ${markFormat} or older: current value is ${format}`,
      { details: { path, format } },
    );
  }
  return {
    storeId: slot.subarray(10, 18).toHex(),
    epoch: readNumber(view, 18),
    commit: readNumber(view, 26),
    slot: place,
  };
}

function readNumber(view: DataView, offset: number): number {
  return view.getUint32(offset) * 0x1_0000_0000 + view.getUint32(offset + 4);
}

function writeNumber(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, Math.floor(value / 0x1_0000_0000));
  view.setUint32(offset + 4, value >>> 0);
}

/** An open watermark file. */
export class WatermarkFile {
  readonly #file: DiskFile;
  readonly #environment: StorageEnvironment;
  readonly #slot = new Uint8Array(slotBytes);
  readonly #view = new DataView(this.#slot.buffer);
  #next = 0;
  #timer: TimerHandle | undefined;
  #syncing: Promise<void> | undefined;
  #syncFailure: unknown;

  private constructor(file: DiskFile, environment: StorageEnvironment) {
    this.#file = file;
    this.#environment = environment;
  }

  /**
   * Creates or rewrites the file, durably, and keeps it open.
   *
   * @param found What was read from it. Its slot is written last: the other one
   * may be damaged already, and a crash now would leave no valid slot.
   */
  static async open(
    path: string,
    mark: Watermark,
    environment: StorageEnvironment,
    found: FoundWatermark | undefined,
  ): Promise<WatermarkFile> {
    const { disk } = environment;
    const file = await disk.open(path, { mode: "create" });
    const opened = new WatermarkFile(file, environment);
    opened.#next = found?.slot === 0 ? 1 : 0;
    try {
      opened.#slot.set(new TextEncoder().encode(magic));
      opened.#view.setUint16(8, markFormat);
      opened.#slot.set(Uint8Array.fromHex(mark.storeId), 10);
      await opened.reset(mark);
      await syncFolderOf(disk, path);
    } catch (error) {
      file.close();
      throw error;
    }
    return opened;
  }

  /** Writes both slots and syncs them. */
  async reset(mark: Watermark): Promise<void> {
    writeNumber(this.#view, 18, mark.epoch);
    this.note(mark.commit);
    // The slots are synced one after the other, so that one is always intact.
    await this.#file.sync();
    this.note(mark.commit);
    await this.#file.sync();
    this.#forgetTimer();
  }

  /** Notes that `commit` is durable in the database. */
  note(commit: number): void {
    if (this.#syncFailure !== undefined) throw this.#syncFailure;
    writeNumber(this.#view, 26, commit);
    this.#view.setUint32(
      contentBytes,
      crc32(this.#slot.subarray(0, contentBytes)),
    );
    this.#file.writeAt(this.#slot, this.#next * slotDistance);
    this.#next = 1 - this.#next;
    this.#timer ??= this.#environment.setTimer(
      syncEveryMs,
      () => this.#sync(),
    );
  }

  #sync(): void {
    this.#timer = undefined;
    this.#syncing ??= this.#file.syncData()
      // The next commit reports the error: a watermark that cannot be written
      // protects nothing.
      .catch((error) => void (this.#syncFailure = error))
      .finally(() => this.#syncing = undefined);
  }

  #forgetTimer(): void {
    if (this.#timer !== undefined) this.#environment.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  /** Syncs and closes. */
  async close(): Promise<void> {
    this.#forgetTimer();
    await this.#syncing;
    try {
      await this.#file.syncData();
    } finally {
      this.#file.close();
    }
  }
}
