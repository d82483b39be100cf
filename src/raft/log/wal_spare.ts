/**
 * The file that will be the next one of a write-ahead log: an old one that is
 * needed no more, or one of zeros that is made while the present one is being
 * written. To write over what is there makes a sync cheaper by a quarter to a
 * half, as the system has no new length and no new places to write down.
 *
 *     wal.spare.tmp ── filled with zeros, synced ──► wal.spare ──┐
 *     wal-<n>.log ──── taken over ─────────────────► wal.spare ──┴─ new header, synced ──► wal-<m>.log
 *
 * A log that takes little costs little: the first file has no room ahead, the
 * next one a sixteenth of what a file may have, and only those behind it all.
 *
 * @module
 */
import type { DiskFile } from "../../environment/disk.ts";
import type { StorageEnvironment } from "../../environment/environment.ts";
import { SLICE_BYTES, SYNC_BYTES, WorkPace } from "./work_pace.ts";

const SPARE_NAME = "wal.spare";
/** Nothing in it counts. */
const UNFINISHED_NAME = "wal.spare.tmp";
/** Zeros are written at this pace, in bytes a second. */
const FILL_BYTES_PER_SECOND = 64 * 1024 * 1024;
/** The first file with room ahead has this part of what a file may have. */
const FIRST_ROOM_PART = 1 / 16;
/** It is made when there is this part of what a file may have in one without room. */
const FIRST_USE_PART = 1 / 1024;

/** A file of the log with what stood in it before, to be written over. */
export interface RoomyFile {
  readonly file: DiskFile;
  /** Up to here it is there already. */
  readonly roomBytes: number;
}

/** How much room a file should have that follows one of `roomBytes` in which `usedBytes` are written; 0 if it is early to ask. */
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
  /** Bytes of the spare file, 0 while there is none. */
  #roomBytes = 0;
  /** Who takes the name or gives it away does so alone. */
  #last: Promise<unknown> = Promise.resolve();
  #filling: Promise<void> | undefined;
  /** So much could not be had. */
  #refusedBytes = Infinity;
  #isClosed = false;

  private constructor(environment: StorageEnvironment, folder: string) {
    this.#environment = environment;
    this.#path = `${folder}/${SPARE_NAME}`;
    this.#unfinished = `${folder}/${UNFINISHED_NAME}`;
    this.#pace = new WorkPace(environment, FILL_BYTES_PER_SECOND);
  }

  /** Looks for the one that an earlier life left. */
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

  /** Bytes of the spare file, 0 if there is none. */
  get roomBytes(): number {
    return this.#roomBytes;
  }

  #alone<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#last.then(action);
    this.#last = done.catch(() => {});
    return done;
  }

  /** Makes it the file at `path`, beginning with `header`: durable once the folder is synced. `undefined` if there is none. */
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

  /** Takes the file at `path`, which is needed no more, if it has `roomBytes` or more and is wanted; otherwise removes it. */
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

  /** Makes one of `roomBytes` behind the scenes, unless there is one or it is being made, and calls `then`. */
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

  /** Answers whether there is one of `roomBytes` now. */
  async #fill(roomBytes: number): Promise<boolean> {
    const { disk } = this.#environment;
    let isThere = false;
    try {
      await this.#writeZeros(roomBytes);
      await this.#alone(async () => {
        // An old file may have taken its place meanwhile.
        if (this.#roomBytes < roomBytes && !this.#isClosed) {
          await disk.rename(this.#unfinished, this.#path);
          this.#roomBytes = roomBytes;
          isThere = true;
        }
      });
    } catch {
      // Nothing depends on it. Where the disk is full, whatever is left of it is for others.
      this.#refusedBytes = roomBytes;
    }
    try {
      if (!isThere) await disk.remove(this.#unfinished);
    } catch {
      // It does not count, and goes when the log is opened next.
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

  /** Ends what is being made; nothing is taken or given any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#pace.end();
    await this.#filling;
    await this.#last;
  }
}
