/**
 * Tells which keys are certainly absent from a store, without the disk. A new
 * store knows from the start, a cleanly closed one loads its filter from a
 * file, and any other reads its keys in the background; until that is done,
 * every key may exist.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { hashKey, space } from "./deno_kv_codec.ts";
import { storeError } from "./deno_kv_errors.ts";
import type { DenoKvFile } from "./deno_kv_file.ts";
import { nextPageLimit, pageLimits } from "./deno_kv_limits.ts";
import { KeyFilter } from "./key_filter.ts";
import {
  keyFilterPath,
  readKeyFilter,
  writeKeyFilter,
} from "./key_filter_file.ts";

/** The keys of one store, as far as they are known. */
export class KnownKeys {
  readonly #file: DenoKvFile;
  readonly #filter: KeyFilter;
  #complete = false;
  #stopping = false;
  #learning: Promise<void> | undefined;

  /** @param bytesMax Memory it may use, in bytes. */
  constructor(file: DenoKvFile, bytesMax: number) {
    this.#file = file;
    this.#filter = new KeyFilter(bytesMax);
  }

  /** Whether absent keys are known; until then {@linkcode KnownKeys.mayHave} is always true. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Loads the filter, or begins to read the keys. */
  async start(): Promise<void> {
    const { commitBefore, disk, head, path } = this.#file;
    if (commitBefore > 0) {
      const saved = await readKeyFilter(disk, keyFilterPath(path), {
        storeId: head.storeId,
        commit: commitBefore,
      });
      if (saved === undefined) {
        this.#learning = this.#learn();
        return;
      }
      this.#filter.restore(saved);
    }
    this.#complete = true;
  }

  /** Adds the hash of a key that is being written. */
  add(keyHash: number): void {
    this.#filter.add(keyHash);
  }

  /** False if nothing is stored under `key`, nor ever was since the store was opened. */
  mayHave(key: Uint8Array): boolean {
    return !this.#complete || this.#filter.mayHave(hashKey(key));
  }

  async #learn(): Promise<void> {
    let start = String.fromCharCode(space.data);
    const end = String.fromCharCode(space.data + 1);
    let limit: number = pageLimits.firstPage;
    try {
      while (!this.#stopping) {
        const page = await this.#file.page(start, end, limit);
        let bytes = 0;
        for (const { key, record } of page) {
          this.#filter.add(hashKey(key));
          if (record instanceof Uint8Array) bytes += record.length;
        }
        const last = page[page.length - 1];
        if (page.length < limit || last === undefined) {
          this.#complete = true;
          return;
        }
        start = last.keyText + "\0";
        limit = nextPageLimit(page.length, bytes);
      }
    } catch (error) {
      // Reads then keep going to the disk, and meet its errors themselves.
      if (!(error instanceof WhorlError)) throw error;
    }
  }

  /** Stops learning. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#learning;
  }

  /** Saves the filter for the next opening. Nothing may be written afterwards. */
  async save(): Promise<void> {
    if (!this.#complete) return;
    const { path, disk, head, commitNumber } = this.#file;
    const moment = { storeId: head.storeId, commit: commitNumber };
    try {
      await writeKeyFilter(
        disk,
        keyFilterPath(path),
        moment,
        this.#filter.save(),
      );
    } catch (cause) {
      const error = storeError(cause, "close", path);
      // If the disk has no room for it, the next opening takes longer.
      if (error.code !== "store_full") throw error;
    }
  }
}
