/**
 * Stores records under a key taken from each, many at a time, and says what
 * became of every one. Also what `whorl import` and the demo are made of.
 *
 * A rerun adds nothing twice, because each record is read before it is written:
 * if exactly this value is there, nothing is written; if another value is there,
 * the write carries the context of that read and replaces it, siblings included;
 * only a missing key is written without a context. The read costs a round trip,
 * but it is what makes a failed attempt safe to repeat: after a timeout nobody
 * knows whether the write took place, and the next read tells.
 *
 * Records with the same key are stored one after the other, in the order of the
 * file, so the last one wins and they never become siblings of each other.
 *
 * @module
 */
import {
  type ErrorCode,
  isWhorlError,
  reasonOf,
} from "../../src/base/errors.ts";
import type { JsonValue, KvClient } from "../../src/kv/kv_client.ts";
import { type ByteSource, readRecords } from "./read_records.ts";
import type { ReadOptions } from "./read_records.ts";
import { recordKey } from "./record_key.ts";
import type { Found } from "./record_parser.ts";
import { sameJson } from "./same_json.ts";

/** What an import needs of `kv`. */
export type ImportKv = Pick<KvClient, "get" | "put">;

/** Records stored at a time unless told otherwise. */
export const CONCURRENCY_DEFAULT = 64;
/** How long a record is tried again after failures that may pass, in milliseconds. */
export const RETRY_FOR_MS_DEFAULT = 30_000;
/** Rejects kept in the report; all are counted and handed to `onReject`. */
export const REJECTS_KEPT_MAX = 1_000;

const RETRY_PAUSE_MIN_MS = 50;
const RETRY_PAUSE_MAX_MS = 2_000;
const PROGRESS_INTERVAL_MS = 100;

/** Failures that say nothing against the record: the cluster is in trouble, or was. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "timeout",
  "insufficient_vnodes",
  "quorum_unavailable",
  "overload",
  "wrong_owner",
  "vnode_crashed",
  "coordinator_lost",
  "node_suspected",
  "not_reachable",
  "connection_closed",
  "node_not_running",
  "node_still_starting",
]);

/** A record that was not stored. */
export interface Reject {
  /** Where it begins in the file, counted from 1. */
  readonly line: number;
  /** Why, without a period. */
  readonly reason: string;
}

/** How to store records. */
export interface StoreOptions {
  readonly bucket: string;
  /** The field that holds the key, as a dotted path. */
  readonly key: string;
  /** Records stored at a time. @default {64} */
  readonly concurrency?: number | undefined;
  /** Time one read or write may take, in milliseconds. @default {the client's} */
  readonly timeoutMs?: number | undefined;
  /** How long to try a record again when the cluster is in trouble, in milliseconds. @default {30000} */
  readonly retryForMs?: number | undefined;
  /** Stops taking records; those under way are finished. */
  readonly signal?: AbortSignal | undefined;
  /** Told of every reject, in no particular order. */
  readonly onReject?: ((reject: Reject) => void) | undefined;
  /** Told how far it is, ten times a second at most. */
  readonly onProgress?: ((report: ImportReport) => void) | undefined;
}

/** How to read and store records. */
export interface ImportOptions extends StoreOptions, ReadOptions {}

/** What became of the records. */
export interface ImportReport {
  /** Records found, rejected ones included. */
  readonly records: number;
  /** Stored under a key that was not there. */
  readonly added: number;
  /** Stored in place of another value. */
  readonly updated: number;
  /** Found there already, exactly so. */
  readonly unchanged: number;
  readonly rejected: number;
  /** The first {@linkcode REJECTS_KEPT_MAX} of them. */
  readonly rejects: readonly Reject[];
  /** Times a read or write was repeated. */
  readonly retries: number;
  /** Time it took, in milliseconds. */
  readonly elapsedMs: number;
  /** Why it ended before the file did, or `null` if it did not. */
  readonly endedEarly: string | null;
}

/**
 * Reads records from `source` and stores them. Resolves to the report also when
 * the file turns out to be broken half way, which `endedEarly` then says.
 */
export function importRecords(
  source: ByteSource,
  kv: ImportKv,
  options: ImportOptions,
): Promise<ImportReport> {
  return storeRecords(readRecords(source, options), kv, options);
}

/** Stores records that have been read already, as {@linkcode importRecords} does. */
export async function storeRecords(
  batches: AsyncIterable<readonly Found[]> | Iterable<readonly Found[]>,
  kv: ImportKv,
  options: StoreOptions,
): Promise<ImportReport> {
  const storing = new Storing(kv, options);
  let endedEarly: string | null = null;
  try {
    for await (const batch of batches) {
      for (const found of batch) {
        if (options.signal?.aborted) break;
        await storing.take(found);
      }
      if (options.signal?.aborted) break;
    }
  } catch (error) {
    if (!isWhorlError(error)) throw error;
    endedEarly = error.message;
  } finally {
    await storing.finished();
  }
  if (options.signal?.aborted) endedEarly ??= "interrupted";
  return storing.report(endedEarly);
}

/** The records under way and the counts. */
class Storing {
  #kv: ImportKv;
  #options: StoreOptions;
  #concurrency: number;
  #startedAtMs = performance.now();
  #progressAtMs = this.#startedAtMs;
  #counts = { added: 0, updated: 0, unchanged: 0 };
  #rejected = 0;
  #rejects: Reject[] = [];
  #retries = 0;
  /** The last record under way for each key. */
  #byKey = new Map<string, Promise<void>>();
  #underWay = 0;
  #wake: (() => void) | undefined;
  /** A failure of our own, not of a record. */
  #broken: { error: unknown } | undefined;

  constructor(kv: ImportKv, options: StoreOptions) {
    this.#kv = kv;
    this.#options = options;
    this.#concurrency = options.concurrency ?? CONCURRENCY_DEFAULT;
    if (!(this.#concurrency >= 1)) {
      throw new RangeError(
        `Cannot import as 'concurrency' must be at least 1: current value is ${this.#concurrency}`,
      );
    }
  }

  /** Takes a record on; resolves when there is room for the next one. */
  async take(found: Found): Promise<void> {
    if (found.type === "reject") return this.#reject(found.line, found.reason);
    const key = recordKey(found.value, this.#options.key);
    if ("reason" in key) return this.#reject(found.line, key.reason);
    while (this.#underWay >= this.#concurrency) await this.#oneEnds();
    if (this.#broken !== undefined) throw this.#broken.error;
    this.#begin(key.key, found.value, found.line);
  }

  /** Resolves when nothing is under way any more. */
  async finished(): Promise<void> {
    while (this.#underWay > 0) await this.#oneEnds();
    if (this.#broken !== undefined) throw this.#broken.error;
  }

  report(endedEarly: string | null): ImportReport {
    const { added, updated, unchanged } = this.#counts;
    return {
      records: added + updated + unchanged + this.#rejected,
      added,
      updated,
      unchanged,
      rejected: this.#rejected,
      rejects: this.#rejects.toSorted((a, b) => a.line - b.line),
      retries: this.#retries,
      elapsedMs: performance.now() - this.#startedAtMs,
      endedEarly,
    };
  }

  #begin(key: string, value: JsonValue, line: number): void {
    const earlier = this.#byKey.get(key);
    const store = () => this.#store(key, value, line);
    const done: Promise<void> = (earlier ? earlier.then(store) : store())
      .catch((error) => void (this.#broken ??= { error }))
      .then(() => {
        if (this.#byKey.get(key) === done) this.#byKey.delete(key);
        this.#underWay--;
        this.#wake?.();
        this.#progress();
      });
    this.#byKey.set(key, done);
    this.#underWay++;
  }

  async #store(key: string, value: JsonValue, line: number): Promise<void> {
    const giveUpAtMs = performance.now() +
      (this.#options.retryForMs ?? RETRY_FOR_MS_DEFAULT);
    let pauseMs = RETRY_PAUSE_MIN_MS;
    while (true) {
      try {
        this.#counts[await this.#storeOnce(key, value)]++;
        return;
      } catch (error) {
        if (!isWhorlError(error)) throw error;
        const goOn = PASSING.has(error.code) &&
          performance.now() + pauseMs < giveUpAtMs &&
          !this.#options.signal?.aborted;
        if (!goOn) {
          return this.#reject(line, `${reasonOf(error)} (${error.code})`);
        }
      }
      this.#retries++;
      // Half of the pause is left to chance, so that those who failed together
      // do not come back together.
      await pause(pauseMs * (0.5 + Math.random() / 2), this.#options.signal);
      pauseMs = Math.min(RETRY_PAUSE_MAX_MS, pauseMs * 2);
    }
  }

  async #storeOnce(
    key: string,
    value: JsonValue,
  ): Promise<"added" | "updated" | "unchanged"> {
    const { bucket, timeoutMs } = this.#options;
    const call = { timeoutMs, replicas: false };
    const { values, context } = await this.#kv.get(bucket, key, call);
    if (values.length === 1 && sameJson(values[0]!, value)) return "unchanged";
    await this.#kv.put(bucket, key, value, {
      context: context ?? undefined,
      ...call,
    });
    return values.length === 0 ? "added" : "updated";
  }

  #reject(line: number, reason: string): void {
    this.#rejected++;
    const reject = { line, reason };
    if (this.#rejects.length < REJECTS_KEPT_MAX) this.#rejects.push(reject);
    this.#options.onReject?.(reject);
    this.#progress();
  }

  #oneEnds(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }

  #progress(): void {
    if (this.#options.onProgress === undefined) return;
    const now = performance.now();
    if (now - this.#progressAtMs < PROGRESS_INTERVAL_MS) return;
    this.#progressAtMs = now;
    this.#options.onProgress(this.report(null));
  }
}

/** Resolves after `ms`, or at once when `signal` fires. */
function pause(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const now = () => resolve();
  signal?.addEventListener("abort", now, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", now);
  });
}
