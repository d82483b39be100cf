/**
 * What Deno KV keeps in one file, and what a power loss does to it. Commits are
 * atomic, and each has a higher versionstamp than all before it. Two things go
 * wrong here:
 *
 * - A failed commit is invisible, but may be present when the database is next
 *   opened while nobody else has it open: its frames were in the WAL, and only
 *   the sync failed. The next commit overwrites them.
 * - A lying disk acknowledges commits that are not on the platter; a power loss
 *   loses the newest of them, in reverse order.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import { lowerBound, mergeSorted } from "../../base/byte_text.ts";
import type { Inode } from "./folder.ts";

/** The value of a key; its bytes never change. */
export interface StoredValue {
  readonly value: Uint8Array<ArrayBuffer>;
  readonly versionstamp: string;
}

/** A commit. Keys are strings with one character per byte. */
export interface DatabaseCommit {
  /** Pairs of a key and its required versionstamp. */
  readonly checks: readonly (readonly [string, string | null])[];
  /**
   * Pairs of a key and its new value, `null` to delete it; the last one wins.
   */
  readonly changes: readonly (readonly [
    string,
    Uint8Array<ArrayBuffer> | null,
  ])[];
}

/** The values that one commit replaced, in order. */
type Replaced = (readonly [string, StoredValue | undefined])[];

/** Most commits that a lying disk has not written: the size of its cache. */
export const COMMITS_HELD_BACK_MAX = 64;

/** One database. */
export class SimulatedDatabase implements Inode {
  readonly type = "file";
  /** Nonzero, so that it is never taken for an empty file. */
  readonly sizeBytes = 4096;
  /** Number of open handles. */
  openHandles = 0;
  readonly #chance: Chance;
  readonly #values: Map<string, StoredValue>;
  /** All keys in order as of the last list; may contain deleted keys. */
  #sorted: string[] = [];
  /** Keys added since, in any order. */
  #fresh: string[] = [];
  #version = 0;
  /**
   * What the newest commits replaced, which the disk acknowledged but has not
   * written.
   */
  #heldBack: Replaced[] = [];
  /** The last commit, if it failed but is in the WAL nevertheless. */
  #ghost: DatabaseCommit | undefined;

  constructor(
    chance: Chance,
    values: ReadonlyMap<string, StoredValue> = new Map(),
  ) {
    this.#chance = chance;
    this.#values = new Map(values);
  }

  /** The value of `key`. */
  get(key: string): StoredValue | undefined {
    return this.#values.get(key);
  }

  /** A copy with all content on the platter and no open handles. */
  copy(chance: Chance): SimulatedDatabase {
    const database = new SimulatedDatabase(chance, this.#values);
    database.#sorted = [...this.#inOrder()];
    database.#version = this.#version;
    return database;
  }

  /** Its keys, in insertion order. */
  keys(): IterableIterator<string> {
    return this.#values.keys();
  }

  /** Up to `limit` keys from `start` to `end`, exclusive, in order. */
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

  /** Whether the checks of a commit pass. */
  allows(commit: DatabaseCommit): boolean {
    return commit.checks.every(([key, versionstamp]) =>
      (this.#values.get(key)?.versionstamp ?? null) === versionstamp
    );
  }

  /**
   * Performs `commit` and returns its versionstamp.
   *
   * @param holdBack Whether a lying disk keeps it in its cache.
   */
  apply(commit: DatabaseCommit, holdBack: boolean): string {
    // Not the next number, as in Deno KV, so that a lost one does not recur.
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
      // An honest sync also makes everything written before it durable.
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

  /** Records that `commit` failed; it may be in the WAL, at random. */
  fail(commit: DatabaseCommit): void {
    this.#ghost = this.#chance.chance(0.5) ? commit : undefined;
  }

  /**
   * Adds a handle. Returns whether a failed commit has become visible by that.
   */
  open(): boolean {
    const ghost = this.openHandles++ === 0 ? this.#ghost : undefined;
    if (ghost === undefined) return false;
    this.apply(ghost, false);
    return true;
  }

  /**
   * Keeps what is on the platter. Returns the number of acknowledged commits
   * lost.
   */
  losePower(): number {
    const lost = this.#chance.below(this.#heldBack.length + 1);
    for (let i = 0; i < lost; i++) {
      const replaced = this.#heldBack.pop() as Replaced;
      for (const [key, value] of replaced.reverse()) this.#put(key, value);
    }
    this.#heldBack = [];
    // A commit started after lost ones cannot survive them, and was never
    // synced.
    if (lost > 0 || this.#chance.chance(0.5)) this.#ghost = undefined;
    return lost;
  }

  /**
   * Flips one bit of the value of `key`, drawn from `chance`; false if there is
   * none.
   */
  flip(key: string, chance: Chance): boolean {
    const stored = this.#values.get(key);
    if (stored === undefined || stored.value.length === 0) return false;
    // A copy, since earlier readers have the intact value.
    const value = stored.value.slice();
    const at = chance.below(value.length);
    value[at] = (value[at] as number) ^ 1 << chance.below(8);
    this.#values.set(key, { ...stored, value });
    return true;
  }
}
