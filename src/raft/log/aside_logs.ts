/**
 * Logs of groups that are put aside. What is damaged stays on the disk for
 * people to look at, but not without end: the oldest ones go.
 *
 *     groups/<uid>/manifest.aside   what was its manifest; without one a group is none
 *     groups/<uid>/aside-<n>        empty; the higher number was put aside later
 *
 * @module
 */
import { isWhorlError, type WhorlError } from "../../base/errors.ts";
import type { Disk } from "../../environment/disk.ts";
import { storeErrorOf } from "./log_failure.ts";
import { removeFolder } from "./removed_folder.ts";

/** Logs of a node that may stay put aside; beyond, the oldest goes. */
export const ASIDE_LOGS_MAX = 16;
/** Bytes they may have together; beyond, the oldest goes, and the newest stays however large it is. */
export const ASIDE_BYTES_MAX: number = 1024 * 1024 * 1024;

const MANIFEST_NAME = "manifest.aside";
const NUMBER_NAME = /^aside-(\d{1,15})$/;

/** Is told of a log that had to go, or of why it could not. */
export type AsideRemoved = (
  folder: string,
  failure: WhorlError | undefined,
) => void;

/** What is known of one. */
interface AsideLog {
  readonly folder: string;
  /** 0 for those of older versions. */
  readonly number: number;
  readonly sizeBytes: number;
}

/** Those of one node. */
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

  /** Whether the group in `folder`, which has no manifest, was put aside. */
  async find(folder: string): Promise<boolean> {
    const names = await this.#disk.names(folder);
    if (!names.includes(MANIFEST_NAME)) return false;
    const numbers = names.map((name) => Number(NUMBER_NAME.exec(name)?.[1]));
    const number = Math.max(0, ...numbers.filter(Number.isSafeInteger));
    this.#lastNumber = Math.max(this.#lastNumber, number);
    await this.#note(folder, number);
    return true;
  }

  /** Puts the group in `folder` aside: from then on it is none. */
  async add(folder: string): Promise<void> {
    const disk = this.#disk;
    const number = ++this.#lastNumber;
    // Before it counts: one without a number would be taken for the oldest.
    (await disk.open(`${folder}/aside-${number}`, { mode: "create" })).close();
    await disk.rename(`${folder}/manifest`, `${folder}/${MANIFEST_NAME}`);
    await disk.syncFolder(folder);
    await this.#note(folder, number);
  }

  async #note(folder: string, number: number): Promise<void> {
    const sizeBytes = await folderBytes(this.#disk, folder);
    this.#logs.push({ folder, number, sizeBytes });
  }

  /** Removes the oldest ones beyond the bounds. What cannot be removed stands in nobody's way. */
  async makeRoom(): Promise<void> {
    // One after the other: each looks at what the one before has left.
    const removing = this.#removing.then(() => this.#removeOldest());
    this.#removing = removing.catch(() => {
      // Who waits for it is told.
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

/** What the files in a folder have, in bytes. */
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
