/**
 * A handle of a simulated database: the part of `Deno.Kv` that Whorl uses. Deno
 * KV has one thread per database, so calls are performed one after the other,
 * in order.
 * @module
 */
import { briefCopy } from "../../base/byte_slab.ts";
import type {
  KvAtomicOperation,
  KvCommitResult,
  KvDatabase,
  KvEntry,
  KvKey,
  KvRange,
} from "../../environment/disk.ts";
import { bytesToText, textToBytes } from "../../base/byte_text.ts";
import { denoKvLimits } from "../../storage/deno_kv_limits.ts";
import { closedResourceError, databaseWords } from "./disk_failure.ts";
import type { DiskOperation, DiskOperations } from "./disk_operation.ts";
import { GatheredCommit, keyRefusal } from "./kv_atomic.ts";
import type {
  DatabaseCommit,
  SimulatedDatabase,
} from "./simulated_database.ts";

/** After all keys as text, whose characters are bytes. */
const PAST_ALL = "\u{100}";

/** An open database. */
export class SimulatedKv implements KvDatabase {
  readonly #database: SimulatedDatabase;
  readonly #operations: DiskOperations;
  readonly #onClose: (kv: SimulatedKv) => void;
  /** Settles when all earlier calls are done. */
  #last: Promise<unknown> = Promise.resolve();
  /** What was asked and is not done. */
  #waiting = 0;
  #open = true;

  /** @param onClose Called once, when its opener closes it. */
  constructor(
    database: SimulatedDatabase,
    operations: DiskOperations,
    onClose: (kv: SimulatedKv) => void,
  ) {
    this.#database = database;
    this.#operations = operations;
    this.#onClose = onClose;
  }

  async get(key: KvKey): Promise<KvEntry> {
    const [entry] = await this.#readAll([key]);
    return entry as KvEntry;
  }

  async getMany(keys: readonly KvKey[]): Promise<readonly KvEntry[]> {
    if (keys.length > denoKvLimits.getManyMax) {
      throw new TypeError(`Too many ranges (max ${denoKvLimits.getManyMax})`);
    }
    return await this.#readAll(keys);
  }

  #readAll(keys: readonly KvKey[]): Promise<KvEntry[]> {
    for (const key of keys) {
      const refusal = keyRefusal(key, "read");
      if (refusal !== undefined) return Promise.reject(new TypeError(refusal));
    }
    return this.#read(() =>
      keys.map(([key]) => this.#entry(key, bytesToText(key)))
    );
  }

  /** The entry of a key, with bytes owned by the caller. */
  #entry(key: Uint8Array, keyText: string): KvEntry {
    const stored = this.#database.get(keyText);
    return stored === undefined
      ? { key: [key], value: null, versionstamp: null }
      : {
        key: [key],
        value: briefCopy(stored.value),
        versionstamp: stored.versionstamp,
      };
  }

  async *list(
    range: KvRange,
    options: {
      readonly limit: number;
      readonly reverse: boolean;
      readonly batchSize: number;
    },
  ): AsyncGenerator<KvEntry> {
    const { limit, reverse, batchSize } = options;
    let start = "prefix" in range ? "" : bytesToText(range.start[0]);
    let end = "prefix" in range ? PAST_ALL : bytesToText(range.end[0]);
    if (batchSize > denoKvLimits.listBatchMax) {
      throw new TypeError(
        `Too many entries (max ${denoKvLimits.listBatchMax})`,
      );
    }
    if (start > end) throw new TypeError("Start key is greater than end key");
    for (let left = limit; left > 0;) {
      const wanted = Math.min(left, batchSize);
      const entries = await this.#read(() =>
        this.#database.range(start, end, wanted, reverse)
          .map((keyText) => this.#entry(textToBytes(keyText), keyText))
      );
      // One by one, as `yield*` makes promises of its own for each.
      for (const entry of entries) yield entry;
      const last = entries.at(-1);
      if (last === undefined || entries.length < wanted) return;
      const lastText = bytesToText(last.key[0] as Uint8Array);
      if (reverse) end = lastText;
      else start = lastText + "\0";
      left -= entries.length;
    }
  }

  async set(
    key: KvKey,
    value: Uint8Array,
  ): Promise<{ readonly versionstamp: string }> {
    // A commit without checks always succeeds.
    return await this.atomic().set(key, value).commit() as
      & KvCommitResult
      & { readonly ok: true };
  }

  atomic(): KvAtomicOperation {
    return new GatheredCommit((commit) => this.#commit(commit));
  }

  #commit(commit: DatabaseCommit): Promise<KvCommitResult> {
    const database = this.#database;
    const { conditions } = this.#operations;
    return this.#inOrder({
      kind: "sync",
      act(): KvCommitResult {
        if (!database.allows(commit)) return { ok: false };
        if (conditions.full) {
          conditions.counts.refusedFull++;
          throw new TypeError(databaseWords.full);
        }
        const versionstamp = database.apply(commit, conditions.liesAboutSync);
        conditions.counts.commits++;
        if (commit.changes.length > 0 && conditions.drawRot()) {
          const { faultChance } = conditions;
          const [key] = faultChance.pick(commit.changes);
          if (database.flip(key, faultChance)) conditions.counts.rottenBits++;
        }
        return { ok: true, versionstamp };
      },
      fail() {
        if (database.allows(commit)) database.fail(commit);
        return new TypeError(databaseWords.failed);
      },
    });
  }

  #read<T>(act: () => T): Promise<T> {
    return this.#inOrder({
      kind: "read",
      act,
      fail: () => new TypeError(databaseWords.failed),
    });
  }

  #inOrder<T>(operation: DiskOperation<T>): Promise<T> {
    if (!this.#open) return Promise.reject(closedResourceError());
    const begin = () =>
      this.#operations.perform({
        kind: operation.kind,
        act: () => {
          this.#waiting--;
          return operation.act();
        },
        fail: () => {
          this.#waiting--;
          return operation.fail();
        },
      });
    // Mostly nothing else is under way, and then there is nothing to wait for.
    const done = this.#waiting++ === 0
      ? begin()
      : this.#last.then(begin, begin);
    this.#last = done;
    return done;
  }

  close(): void {
    if (!this.#open) throw closedResourceError();
    this.#onClose(this);
    this.abandon();
  }

  /** Releases it after the death of its opener. */
  abandon(): void {
    this.#open = false;
    this.#database.openHandles--;
  }
}
