/**
 * The preallocated next file of a write-ahead log: an old file that is no
 * longer needed, or one of zeros that is made while the present file is being
 * written. Overwriting existing blocks makes a sync a quarter to a half
 * cheaper, as the file system has no new length or blocks to record.
 *
 *     wal.spare.tmp ── filled with zeros, synced ──► wal.spare ──┐
 *     wal-<n>.log ──── reused ─────────────────────► wal.spare ──┴─ new header, synced ──► wal-<m>.log
 *
 * A small log takes little space: its first file is not preallocated, the next
 * one to a sixteenth of the maximum size, and only later ones fully.
 *
 * @module
 */
import type { DiskFile } from "../../environment/disk.ts";
import type { StorageEnvironment } from "../../environment/environment.ts";
import { SLICE_BYTES, SYNC_BYTES, WorkPace } from "./work_pace.ts";

const SPARE_NAME = "wal.spare";
/** An unfinished spare file. */
const UNFINISHED_NAME = "wal.spare.tmp";
/** Rate of writing zeros, in bytes per second. */
const FILL_BYTES_PER_SECOND = 64 * 1024 * 1024;
/** The first preallocated file has this part of the maximum size. */
const FIRST_ROOM_PART = 1 / 16;
/** It is made once a file without preallocation has reached this part of the maximum size. */
const FIRST_USE_PART = 1 / 1024;

/** A file of the log with old content, to be overwritten. */
export interface RoomyFile {
  readonly file: DiskFile;
  /** Its existing size. */
  readonly roomBytes: number;
}

/**
 * How large the file should be that follows one of `roomBytes` with `usedBytes`
 * written; 0 if it is too early to make it.
 */
export function roomWanted(
  roomBytes: number,
  usedBytes: number,
  fileBytesMax: number,
): number {
  if (roomBytes > 0) return usedBytes * 2 >= roomBytes ? fileBytesMax : 0;
  if (usedBytes < fileBytesMax * FIRST_USE_PART) return 0;
  const first = Math.ceil(fileBytesMax * FIRST_ROOM_PART);
  return usedBytes * 2 < first ? first : fileBytesMax;
}

/** The spare file of one log. */
export class WalSpare {
  readonly #environment: StorageEnvironment;
  readonly #path: string;
  readonly #unfinished: string;
  readonly #pace: WorkPace;
  /** Size of the spare file, 0 while there is none. */
  #roomBytes = 0;
  /** Serializes renames of the spare file. */
  #last: Promise<unknown> = Promise.resolve();
  #filling: Promise<void> | undefined;
  /** A size that could not be allocated. */
  #refusedBytes = Infinity;
  #isClosed = false;

  private constructor(environment: StorageEnvironment, folder: string) {
    this.#environment = environment;
    this.#path = `${folder}/${SPARE_NAME}`;
    this.#unfinished = `${folder}/${UNFINISHED_NAME}`;
    this.#pace = new WorkPace(environment, FILL_BYTES_PER_SECOND);
  }

  /** Finds the spare file that an earlier run left. */
  static async open(
    environment: StorageEnvironment,
    folder: string,
  ): Promise<WalSpare> {
    const spare = new WalSpare(environment, folder);
    const { disk } = environment;
    await disk.remove(spare.#unfinished);
    spare.#roomBytes = (await disk.entry(spare.#path))?.sizeBytes ?? 0;
    return spare;
  }

  /** Size of the spare file in bytes, 0 if there is none. */
  get roomBytes(): number {
    return this.#roomBytes;
  }

  #alone<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#last.then(action);
    this.#last = done.catch(() => {});
    return done;
  }

  /**
   * Turns it into the file at `path`, beginning with `header`; durable once the
   * folder is synced. `undefined` if there is none.
   */
  take(
    path: string,
    header: Uint8Array<ArrayBuffer>,
  ): Promise<RoomyFile | undefined> {
    return this.#alone(async () => {
      const roomBytes = this.#roomBytes;
      if (roomBytes === 0) return undefined;
      const { disk } = this.#environment;
      const file = await disk.open(this.#path, { mode: "create" });
      try {
        file.writeAt(header, 0);
        await file.sync();
        await disk.rename(this.#path, path);
      } catch (error) {
        file.close();
        throw error;
      }
      this.#roomBytes = 0;
      return { file, roomBytes };
    });
  }

  /**
   * Keeps the file at `path`, which is no longer needed, as the spare if it has
   * at least `roomBytes` and is larger than the present one; otherwise removes
   * it.
   */
  give(path: string, roomBytes: number): Promise<void> {
    return this.#alone(async () => {
      const { disk } = this.#environment;
      const sizeBytes = (await disk.entry(path))?.sizeBytes ?? 0;
      if (sizeBytes < roomBytes || sizeBytes <= this.#roomBytes) {
        await disk.remove(path);
        return;
      }
      await disk.rename(path, this.#path);
      this.#roomBytes = sizeBytes;
    });
  }

  /** Makes one of `roomBytes` in the background, unless it exists or is being made, and calls `then`. */
  prepare(roomBytes: number, then: () => void): void {
    if (
      this.#roomBytes >= roomBytes || roomBytes >= this.#refusedBytes ||
      this.#filling !== undefined || this.#isClosed
    ) return;
    this.#filling = this.#fill(roomBytes).then((isThere) => {
      this.#filling = undefined;
      if (isThere && !this.#isClosed) then();
    });
  }

  /** Returns whether one of `roomBytes` was made. */
  async #fill(roomBytes: number): Promise<boolean> {
    const { disk } = this.#environment;
    let isThere = false;
    try {
      await this.#writeZeros(roomBytes);
      await this.#alone(async () => {
        // An old file may have become the spare meanwhile.
        if (this.#roomBytes < roomBytes && !this.#isClosed) {
          await disk.rename(this.#unfinished, this.#path);
          this.#roomBytes = roomBytes;
          isThere = true;
        }
      });
    } catch {
      // The spare is optional. If the disk is full, the space is left to
      // others.
      this.#refusedBytes = roomBytes;
    }
    try {
      if (!isThere) await disk.remove(this.#unfinished);
    } catch {
      // It does not count, and is removed when the log is opened next.
    }
    return isThere;
  }

  async #writeZeros(roomBytes: number): Promise<void> {
    const file = await this.#environment.disk.open(this.#unfinished, {
      mode: "create",
    });
    try {
      const zeros = new Uint8Array(Math.min(SLICE_BYTES, roomBytes));
      let unsynced = 0;
      for (let at = 0; at < roomBytes && this.#roomBytes < roomBytes;) {
        const slice = zeros.subarray(0, roomBytes - at);
        await file.write(slice);
        at += slice.length;
        unsynced += slice.length;
        if (unsynced >= SYNC_BYTES) {
          unsynced = 0;
          await file.syncData();
        }
        await this.#pace.pause(slice.length);
      }
      await file.sync();
    } finally {
      file.close();
    }
  }

  /** Stops making one; `take` and `give` must not be called any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#pace.end();
    await this.#filling;
    await this.#last;
  }
}
