/**
 * Measures the stores, beside the bare ceiling of Deno KV in the same run:
 * closed loops of concurrent writers on random keys, each writer waiting until
 * its write is durable before it goes on.
 *
 *     deno run --allow-read --allow-write --unstable-kv bench/storage_figures.ts [--json]
 *
 * @module
 */
// deno-lint-ignore-file no-console -- a program that prints
import type { PartitionStore, Store } from "../src/environment/storage.ts";
import { openStore } from "../src/storage/open_store.ts";
import { systemStorage } from "../src/storage/testing/system_storage.ts";

const valueBytes = 100;
const keyBytes = 30;
const partitions = 32;

interface Figure {
  readonly what: string;
  readonly concurrency: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Processor time of the whole process an operation, in µs; absent where the system doesn't tell. */
  readonly cpuUs: number | undefined;
}

/** Processor time of this process so far, in µs, all threads. */
function processorUs(): number | undefined {
  try {
    const fields = Deno.readTextFileSync("/proc/self/stat").split(") ")[1]
      ?.split(" ") ?? [];
    // Clock ticks of 10 ms, in user mode and in the kernel.
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

const value = crypto.getRandomValues(new Uint8Array(valueBytes));

function randomKey(key: Uint8Array<ArrayBuffer>): Uint8Array {
  return crypto.getRandomValues(key);
}

class Meter {
  readonly #what: string;
  readonly #concurrency: number;
  readonly #latencies: number[] = [];
  readonly #startMs = performance.now();
  readonly #startUs = processorUs();

  constructor(what: string, concurrency: number) {
    this.#what = what;
    this.#concurrency = concurrency;
  }

  note(latencyMs: number): void {
    this.#latencies.push(latencyMs);
  }

  figure(operations: number): Figure {
    const tookMs = performance.now() - this.#startMs;
    const nowUs = processorUs();
    const sorted = this.#latencies.sort((a, b) => a - b);
    const at = (share: number) =>
      sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
    return {
      what: this.#what,
      concurrency: this.#concurrency,
      perSecond: operations / tookMs * 1000,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      cpuUs: nowUs === undefined || this.#startUs === undefined
        ? undefined
        : (nowUs - this.#startUs) / operations,
    };
  }
}

/** Raw atomic commits of `batch` random keys each: what Deno KV itself can do. */
async function bareCeiling(
  folder: string,
  batch: number,
  operations: number,
): Promise<Figure> {
  const kv = await Deno.openKv(`${folder}/bare-${batch}`);
  const record = new Uint8Array(valueBytes + 5);
  const meter = new Meter("bare Deno KV, a commit of as many", batch);
  let done = 0;
  for (; done < operations; done += batch) {
    const operation = kv.atomic();
    for (let i = 0; i < batch; i++) {
      operation.set([randomKey(new Uint8Array(keyBytes + 3))], record);
    }
    const start = performance.now();
    await operation.commit();
    meter.note(performance.now() - start);
  }
  const figure = meter.figure(done);
  kv.close();
  return figure;
}

/** `concurrency` writers, each with one write under way. */
function writers(
  store: Store,
  what: string,
  concurrency: number,
  operations: number,
  keys?: Uint8Array[],
): Promise<Figure> {
  const { promise, resolve, reject } = Promise.withResolvers<Figure>();
  const meter = new Meter(what, concurrency);
  const parts: PartitionStore[] = [];
  for (let i = 0; i < partitions; i++) parts.push(store.partition(i));
  let started = 0;
  let done = 0;
  const next = (key: Uint8Array<ArrayBuffer>) => {
    if (started === operations) return;
    const number = started++;
    const startMs = performance.now();
    const chosen = keys === undefined
      ? randomKey(key)
      : keys[number % keys.length] as Uint8Array;
    const part = parts[(chosen[0] as number) % partitions] as PartitionStore;
    // A put reads what it replaces.
    const before = part.get(chosen);
    if (before instanceof Promise) {
      before.then(() => write(part, chosen, startMs, key), reject);
    } else write(part, chosen, startMs, key);
  };
  const write = (
    part: PartitionStore,
    chosen: Uint8Array,
    startMs: number,
    key: Uint8Array<ArrayBuffer>,
  ) =>
    part.write([{ key: chosen, value }], (error) => {
      if (error !== undefined) return reject(error);
      meter.note(performance.now() - startMs);
      if (++done === operations) resolve(meter.figure(operations));
      // Memory answers within the call; a writer of its own turn keeps the stack flat.
      else if (store.durable) next(key);
      else queueMicrotask(() => next(key));
    });
  for (let i = 0; i < concurrency; i++) next(new Uint8Array(keyBytes));
  return promise;
}

async function readers(
  store: Store,
  what: string,
  keys: Uint8Array[],
): Promise<Figure> {
  const meter = new Meter(what, 1);
  for (const key of keys) {
    const found = store.partition((key[0] as number) % partitions).get(key);
    if (found instanceof Promise) await found;
  }
  return meter.figure(keys.length);
}

const folder = await Deno.makeTempDir({ prefix: "whorl-bench-" });
const figures: Figure[] = [];
try {
  // So few that closing folds them all, and reads after it come from rows.
  const count = 20_000;
  const keys = Array.from(
    { length: count },
    () => randomKey(new Uint8Array(keyBytes)),
  );
  await bareCeiling(folder, 63, 5_000);
  for (const concurrency of [1, 16, 64, 256]) {
    // So many that the journal is folded several times while they run.
    const operations = concurrency === 1 ? 5_000 : 150_000;
    figures.push(
      await bareCeiling(folder, concurrency, Math.min(operations, 40_000)),
    );
    await using store = await openStore({
      type: "deno_kv",
      path: `${folder}/ours-${concurrency}`,
    }, systemStorage);
    figures.push(
      await writers(store, "Deno KV store, new keys", concurrency, operations),
    );
  }
  {
    const config = { type: "deno_kv", path: `${folder}/reads` } as const;
    {
      await using store = await openStore(config, systemStorage);
      await writers(store, "fill", 256, count, keys);
      figures.push(
        await writers(store, "Deno KV store, known keys", 64, count * 5, keys),
        await readers(store, "Deno KV store, get from cache", keys),
      );
    }
    await using store = await openStore(
      { ...config, cacheBytesMax: 0 },
      systemStorage,
    );
    figures.push(
      await readers(store, "Deno KV store, get from disk", keys.slice(0, 5000)),
    );
  }
  const memory = await openStore({ type: "memory" }, systemStorage);
  figures.push(
    await writers(memory, "memory store, new keys", 64, 200_000),
    await writers(memory, "memory store, known keys", 64, 400_000, keys),
    await readers(memory, "memory store, get", keys),
  );
} finally {
  await Deno.remove(folder, { recursive: true });
}
if (Deno.args.includes("--json")) console.log(JSON.stringify(figures, null, 1));
else {
  console.log(
    "what                                 writers      per s   p50 ms   p99 ms  cpu µs",
  );
  for (const { what, concurrency, perSecond, p50Ms, p99Ms, cpuUs } of figures) {
    console.log(
      what.padEnd(37) + String(concurrency).padStart(7) +
        perSecond.toFixed(0).padStart(11) + p50Ms.toFixed(3).padStart(9) +
        p99Ms.toFixed(2).padStart(9) + (cpuUs?.toFixed(1) ?? "-").padStart(8),
    );
  }
}
