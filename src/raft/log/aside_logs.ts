/**
 * Logs of groups that were put aside: damaged logs stay on the disk for people
 * to examine. Their number and size are bounded, so the oldest are removed.
 *
 *     groups/<uid>/manifest.aside   the former manifest; without a manifest a folder is not a group
 *     groups/<uid>/aside-<n>        empty; higher numbers were put aside later
 *
 * @module
 */
import { isWhorlError, type WhorlError } from "../../base/errors.ts";
import type { Disk } from "../../environment/disk.ts";
import { storeErrorOf } from "./log_failure.ts";
import { removeFolder } from "./removed_folder.ts";

/** Most logs of a node that are kept aside; beyond that, the oldest is removed. */
export const ASIDE_LOGS_MAX = 16;
/** Most bytes of them together; beyond that, the oldest is removed. The newest stays, whatever its size. */
export const ASIDE_BYTES_MAX: number = 1024 * 1024 * 1024;

const MANIFEST_NAME = "manifest.aside";
const NUMBER_NAME = /^aside-(\d{1,15})$/;

/** Called when a log was removed, or could not be. */
export type AsideRemoved = (
  folder: string,
  failure: WhorlError | undefined,
) => void;

/** A log put aside. */
interface AsideLog {
  readonly folder: string;
  /** 0 for those of older versions. */
  readonly number: number;
  readonly sizeBytes: number;
}

/** The logs put aside on one node. */
export class AsideLogs {
  readonly #disk: Disk;
  readonly #bytesMax: number;
  readonly #removed: AsideRemoved;
  #logs: AsideLog[] = [];
  #lastNumber = 0;
  #removing: Promise<void> = Promise.resolve();

  constructor(disk: Disk, bytesMax: number, removed: AsideRemoved) {
    this.#disk = disk;
    this.#bytesMax = bytesMax;
    this.#removed = removed;
  }

  /** Whether `folder`, which has no manifest, is a group that was put aside. */
  async find(folder: string): Promise<boolean> {
    const names = await this.#disk.names(folder);
    if (!names.includes(MANIFEST_NAME)) return false;
    const numbers = names.map((name) => Number(NUMBER_NAME.exec(name)?.[1]));
    const number = Math.max(0, ...numbers.filter(Number.isSafeInteger));
    this.#lastNumber = Math.max(this.#lastNumber, number);
    await this.#note(folder, number);
    return true;
  }

  /** Puts the group in `folder` aside; from then on it is no longer a group. */
  async add(folder: string): Promise<void> {
    const disk = this.#disk;
    const number = ++this.#lastNumber;
    // First, since a log without a number counts as the oldest.
    (await disk.open(`${folder}/aside-${number}`, { mode: "create" })).close();
    await disk.rename(`${folder}/manifest`, `${folder}/${MANIFEST_NAME}`);
    await disk.syncFolder(folder);
    await this.#note(folder, number);
  }

  async #note(folder: string, number: number): Promise<void> {
    const sizeBytes = await folderBytes(this.#disk, folder);
    this.#logs.push({ folder, number, sizeBytes });
  }

  /** Removes the oldest logs beyond the bounds. One that cannot be removed is no obstacle. */
  async makeRoom(): Promise<void> {
    // One at a time: each continues from what the one before has left.
    const removing = this.#removing.then(() => this.#removeOldest());
    this.#removing = removing.catch(() => {
      // Reported to the caller.
    });
    await removing;
  }

  async #removeOldest(): Promise<void> {
    this.#logs.sort((a, b) => a.number - b.number);
    while (this.#isFull) {
      const { folder } = this.#logs.shift() as AsideLog;
      let failure: WhorlError | undefined;
      try {
        await removeFolder(this.#disk, folder);
      } catch (error) {
        const known = storeErrorOf(error, folder);
        if (!isWhorlError(known)) throw known;
        failure = known;
      }
      this.#removed(folder, failure);
    }
  }

  get #isFull(): boolean {
    const count = this.#logs.length;
    const bytes = this.#logs.reduce((sum, log) => sum + log.sizeBytes, 0);
    return count > ASIDE_LOGS_MAX || count > 1 && bytes > this.#bytesMax;
  }
}

/** The total size of the files in a folder, in bytes. */
async function folderBytes(disk: Disk, path: string): Promise<number> {
  let bytes = 0;
  for (const name of await disk.names(path)) {
    const inner = `${path}/${name}`;
    const entry = await disk.entry(inner);
    if (entry?.type === "folder") bytes += await folderBytes(disk, inner);
    else bytes += entry?.sizeBytes ?? 0;
  }
  return bytes;
}
