/**
 * A disk with a write cache, under a vnode's store: what crashes lose is what
 * had not been committed.
 *
 * @module
 */
import { equalBytes } from "../../base/byte_order.ts";
import { NO_BYTES } from "../../base/byte_slab.ts";
import { WhorlError } from "../../base/errors.ts";
import { invariant } from "../../base/invariant.ts";
import type {
  Awaitable,
  PartitionStore,
  RowSteps,
  RowView,
  ScanEntry,
  ScanRange,
  StoreWrite,
} from "../../environment/storage.ts";
import { EMPTY_OBJECT } from "../kv_object_codec.ts";

/**
 * A disk with a write cache: what is written is seen at once, durable when
 * `commit` is called, and gone if `crash` comes first.
 */
export class CachedDisk {
  #durable = new Map<string, Uint8Array>();
  #cached = new Map<string, Uint8Array>();
  #pending: {
    apply: () => void;
    committed: (error: Error | undefined) => void;
  }[] = [];
  /** How often it was opened. */
  epoch = 0;
  /** Whether reads return a promise. */
  slow = false;
  /** Keys, in hexadecimal, whose value fails its checksum until it is written again. */
  readonly corrupt = new Set<string>();
  /** What writes are refused with, if they are. */
  refuse: WhorlError | undefined;
  /** Rows written so far, committed or not. */
  writes = 0;

  /** The store of partition 0, in a new epoch. */
  open(): PartitionStore {
    this.epoch++;
    return {
      partition: 0,
      get: (key) => this.#get(key.toHex()),
      write: (writes, committed) => this.#write(writes, committed),
      scan: (range) => this.#scan(range ?? {}),
      rows: (range, visit) => this.#rows(range, visit),
      deleteRange: () => {
        this.#cached.clear();
        this.#durable.clear();
        return Promise.resolve();
      },
      count: () => Promise.resolve(this.#cached.size),
      integrity: () => Promise.reject(new Error("not asked for here")),
    };
  }

  #get(key: string): Awaitable<Uint8Array | undefined> {
    const read = () => {
      if (this.corrupt.has(key)) {
        throw new WhorlError("value_corrupt", "The checksum does not match");
      }
      return this.#cached.get(key);
    };
    return this.slow ? Promise.resolve().then(read) : read();
  }

  #write(
    writes: readonly StoreWrite[],
    committed: (error: Error | undefined) => void,
  ): void {
    if (this.refuse !== undefined) throw this.refuse;
    for (const { key, value } of writes) {
      const name = key.toHex();
      invariant(
        value !== null || this.corrupt.has(name) ||
          equalBytes(this.#cached.get(name) ?? NO_BYTES, EMPTY_OBJECT),
        "kv removes damaged and empty objects only",
      );
      const copy = value?.slice();
      this.writes++;
      this.corrupt.delete(name);
      setOrDelete(this.#cached, name, copy);
      this.#pending.push({
        apply: () => setOrDelete(this.#durable, name, copy),
        committed,
      });
    }
  }

  async *#scan(range: ScanRange): AsyncGenerator<ScanEntry> {
    yield* this.#entries(range);
  }

  *#entries(
    { start, end, limit = Infinity, onCorrupt }: ScanRange,
  ): Generator<ScanEntry> {
    let left = limit;
    for (const name of [...this.#cached.keys()].sort()) {
      if (left === 0) return;
      if (start !== undefined && name < start.toHex()) continue;
      if (end !== undefined && name >= end.toHex()) return;
      const key = Uint8Array.fromHex(name);
      if (this.corrupt.has(name) && onCorrupt !== undefined) {
        onCorrupt(key);
        continue;
      }
      left--;
      yield { key, value: this.#cached.get(name)! };
    }
  }

  #rows(range: ScanRange, visit: (row: RowView) => void): RowSteps {
    const entries = this.#entries(range);
    const next = (): boolean => {
      for (let i = 0; i < 256; i++) {
        const { done, value: entry } = entries.next();
        if (done) return false;
        visit({
          keyBytes: entry.key,
          keyStart: 0,
          keyEnd: entry.key.length,
          valueBytes: entry.value,
          valueStart: 0,
          valueEnd: entry.value.length,
        });
      }
      return true;
    };
    return { next: () => this.slow ? Promise.resolve().then(next) : next() };
  }

  /** Makes everything written so far durable. */
  commit(): void {
    for (const { apply, committed } of this.#pending.splice(0)) {
      apply();
      committed(undefined);
    }
  }

  /** Fails the commit of everything written so far. */
  failCommit(error: Error): void {
    for (const { committed } of this.#pending.splice(0)) committed(error);
  }

  /** Loses what was not committed; nobody is told. */
  crash(): void {
    this.#pending = [];
    this.#cached = new Map(this.#durable);
  }
}

function setOrDelete(
  rows: Map<string, Uint8Array>,
  name: string,
  value: Uint8Array | undefined,
): void {
  if (value === undefined) rows.delete(name);
  else rows.set(name, value);
}
