/**
 * What Deno KV keeps in one file, and what becomes of it when the machine loses
 * power. A commit is there as a whole or not at all, and has a stamp larger than
 * all before it. Two things go wrong here:
 *
 * - A commit that failed is not seen, and yet it may be there when the database
 *   is opened the next time by nobody else having it: its frames were in the
 *   WAL, and only the sync failed. The next commit overwrites them.
 * - A disk that lies lets commits be acknowledged that are not on the platter;
 *   power loss takes the newest of them away, one by one backwards in time.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import { lowerBound, mergeSorted } from "../../base/byte_text.ts";
import type { Inode } from "./folder.ts";

/** What stands under a key; the bytes are never changed. */
export interface StoredValue {
  readonly value: Uint8Array<ArrayBuffer>;
  readonly versionstamp: string;
}

/** A commit. Keys are texts of one character a byte. */
export interface DatabaseCommit {
  /** Pairs of a key and the versionstamp it must have. */
  readonly checks: readonly (readonly [string, string | null])[];
  /** Pairs of a key and its new value, `null` to remove it; of two with one key the last counts. */
  readonly changes: readonly (readonly [
    string,
    Uint8Array<ArrayBuffer> | null,
  ])[];
}

/** What one commit replaced, in order. */
type Replaced = (readonly [string, StoredValue | undefined])[];

/** Most commits that a lying disk holds back: what its own memory takes. */
export const COMMITS_HELD_BACK_MAX = 64;

/** One database. */
export class SimulatedDatabase implements Inode {
  readonly type = "file";
  /** Enough that nobody takes it for an empty file. */
  readonly sizeBytes = 4096;
  /** How many have it open. */
  openHandles = 0;
  readonly #chance: Chance;
  readonly #values: Map<string, StoredValue>;
  /** All keys in order as of the last list; may hold keys that are gone. */
  #sorted: string[] = [];
  /** Keys that came since, in any order. */
  #fresh: string[] = [];
  #version = 0;
  /** What the newest commits replaced, which are not on the platter though it was said. */
  #heldBack: Replaced[] = [];
  /** The last commit, if it failed and lies in the WAL nevertheless. */
  #ghost: DatabaseCommit | undefined;

  constructor(
    chance: Chance,
    values: ReadonlyMap<string, StoredValue> = new Map(),
  ) {
    this.#chance = chance;
    this.#values = new Map(values);
  }

  /** What stands under `key`. */
  get(key: string): StoredValue | undefined {
    return this.#values.get(key);
  }

  /** Another database of the same content, all of it on the platter, that nobody has open. */
  copy(chance: Chance): SimulatedDatabase {
    const database = new SimulatedDatabase(chance, this.#values);
    database.#sorted = [...this.#inOrder()];
    database.#version = this.#version;
    return database;
  }

  /** Keys in it, in the order in which they came. */
  keys(): IterableIterator<string> {
    return this.#values.keys();
  }

  /** Up to `limit` keys from `start` up to, not including, `end`, in order. */
  range(
    start: string,
    end: string,
    limit: number,
    reverse: boolean,
  ): string[] {
    const sorted = this.#inOrder();
    const found: string[] = [];
    const step = reverse ? -1 : 1;
    let at = reverse ? lowerBound(sorted, end) - 1 : lowerBound(sorted, start);
    for (; found.length < limit; at += step) {
      const key = sorted[at];
      if (key === undefined || (reverse ? key < start : key >= end)) break;
      if (this.#values.has(key)) found.push(key);
    }
    return found;
  }

  #inOrder(): readonly string[] {
    if (this.#sorted.length > 2 * this.#values.size + 64) {
      this.#sorted = [...this.#values.keys()].sort();
    } else if (this.#fresh.length > 0) {
      this.#sorted = mergeSorted(this.#sorted, this.#fresh.sort());
    }
    this.#fresh = [];
    return this.#sorted;
  }

  /** Whether what a commit demands is so. */
  allows(commit: DatabaseCommit): boolean {
    return commit.checks.every(([key, versionstamp]) =>
      (this.#values.get(key)?.versionstamp ?? null) === versionstamp
    );
  }

  /**
   * Does what `commit` says, and answers the stamp it has.
   *
   * @param holdBack Whether a lying disk keeps it to itself.
   */
  apply(commit: DatabaseCommit, holdBack: boolean): string {
    // As in Deno KV not the next number, so that a lost one does not come again.
    this.#version += 1 + this.#chance.below(8);
    const versionstamp = `${this.#version.toString(16).padStart(16, "0")}0000`;
    const replaced: Replaced = [];
    for (const [key, value] of commit.changes) {
      if (holdBack) replaced.push([key, this.#values.get(key)]);
      this.#put(key, value === null ? undefined : { value, versionstamp });
    }
    if (holdBack) {
      this.#heldBack.push(replaced);
      if (this.#heldBack.length > COMMITS_HELD_BACK_MAX) this.#heldBack.shift();
      // An honest sync brings everything to the platter that was written before.
    } else if (this.#heldBack.length > 0) this.#heldBack = [];
    this.#ghost = undefined;
    return versionstamp;
  }

  #put(key: string, value: StoredValue | undefined): void {
    if (value === undefined) {
      this.#values.delete(key);
    } else {
      if (!this.#values.has(key)) this.#fresh.push(key);
      this.#values.set(key, value);
    }
  }

  /** Notes that `commit` failed; by chance it is in the WAL. */
  fail(commit: DatabaseCommit): void {
    this.#ghost = this.#chance.chance(0.5) ? commit : undefined;
  }

  /** One more has it open. Answers whether a commit that had failed has come to be thereby. */
  open(): boolean {
    const ghost = this.openHandles++ === 0 ? this.#ghost : undefined;
    if (ghost === undefined) return false;
    this.apply(ghost, false);
    return true;
  }

  /** Leaves what is on the platter. Answers how many acknowledged commits are gone. */
  losePower(): number {
    const lost = this.#chance.below(this.#heldBack.length + 1);
    for (let i = 0; i < lost; i++) {
      const replaced = this.#heldBack.pop() as Replaced;
      for (const [key, value] of replaced.reverse()) this.#put(key, value);
    }
    this.#heldBack = [];
    // What was begun after them cannot outlive them, and was never synced.
    if (lost > 0 || this.#chance.chance(0.5)) this.#ghost = undefined;
    return lost;
  }

  /** Damages one bit of what stands under `key`, drawn by `chance`; false if there is none. */
  flip(key: string, chance: Chance): boolean {
    const stored = this.#values.get(key);
    if (stored === undefined || stored.value.length === 0) return false;
    // A copy: who has read it has it sound.
    const value = stored.value.slice();
    const at = chance.below(value.length);
    value[at] = (value[at] as number) ^ 1 << chance.below(8);
    this.#values.set(key, { ...stored, value });
    return true;
  }
}
