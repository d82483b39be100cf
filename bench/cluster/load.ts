/**
 * A closed loop of puts or gets against a `kv`: so many workers, each with one
 * operation under way, for so long. The same for a driver inside a node and for
 * one behind a client connection.
 *
 * @module
 */
import { build as buildHistogram } from "npm:hdr-histogram-js@3.0.1";
import type { KvClient } from "../../mod.ts";
import { reasonOf } from "../../src/base/errors.ts";

/** What to run. */
export interface Load {
  readonly operation: "put" | "get";
  /** Operations under way at once. */
  readonly concurrency: number;
  /** Milliseconds that count, after a fifth of that to warm up. */
  readonly durationMs: number;
  readonly valueBytes: number;
  /** Different keys, taken in turn by a stride that visits all of them. */
  readonly keys: number;
  readonly n: number;
  /** R or W. */
  readonly quorum: number;
}

/** What came of it. Latencies in microseconds. */
export interface LoadResult {
  readonly operations: number;
  readonly failures: number;
  readonly firstFailure: string | null;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
}

const BUCKET = "bench";

/** Runs `load` and measures it. */
export async function runLoad(kv: KvClient, load: Load): Promise<LoadResult> {
  const contexts: (string | undefined)[] = new Array(load.keys);
  if (load.operation === "put") await readContexts(kv, load, contexts);
  await runFor(kv, load, load.durationMs / 5, contexts);
  return await runFor(kv, load, load.durationMs, contexts);
}

/** What each key holds from earlier loads, so that the first put of a key replaces it. */
async function readContexts(
  kv: KvClient,
  { n, keys }: Load,
  contexts: (string | undefined)[],
): Promise<void> {
  let next = 0;
  const reader = async (): Promise<void> => {
    while (next < keys) {
      const number = next++;
      const { context } = await kv.get(BUCKET, `key-${number}`, {
        n,
        replicas: false,
      });
      contexts[number] = context ?? undefined;
    }
  };
  await Promise.all(Array.from({ length: 64 }, reader));
}

async function runFor(
  kv: KvClient,
  load: Load,
  durationMs: number,
  contexts: (string | undefined)[],
): Promise<LoadResult> {
  const { operation, concurrency, keys, n, quorum } = load;
  const histogram = buildHistogram({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
  const value = new Uint8Array(load.valueBytes).map((_, i) => i);
  const readOptions = { n, r: quorum, replicas: false };
  let operations = 0;
  let failures = 0;
  let firstFailure: string | null = null;
  let next = 0;
  const startedAt = performance.now();
  const endAt = startedAt + durationMs;
  const worker = async (): Promise<void> => {
    for (;;) {
      const begunAt = performance.now();
      if (begunAt >= endAt) return;
      // 7919 is prime, so every key is visited.
      const number = (next++ * 7919) % keys;
      const key = `key-${number}`;
      try {
        if (operation === "put") {
          // A writer that knows what it replaces, else every put would add a
          // sibling and objects would grow without end.
          const { context } = await kv.put(BUCKET, key, value, {
            n,
            w: quorum,
            replicas: false,
            context: contexts[number],
          });
          contexts[number] = context;
        } else await kv.get(BUCKET, key, readOptions);
        operations++;
      } catch (error) {
        failures++;
        firstFailure ??= reasonOf(error);
      }
      histogram.recordValue(
        Math.max(1, Math.round((performance.now() - begunAt) * 1000)),
      );
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  const tookMs = performance.now() - startedAt;
  return {
    operations,
    failures,
    firstFailure,
    perSecond: Math.round(operations / tookMs * 1000),
    p50Us: histogram.getValueAtPercentile(50),
    p99Us: histogram.getValueAtPercentile(99),
    p999Us: histogram.getValueAtPercentile(99.9),
    maxUs: histogram.maxValue,
  };
}
