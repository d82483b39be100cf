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
  await runFor(kv, load, load.durationMs / 5);
  return await runFor(kv, load, load.durationMs);
}

async function runFor(
  kv: KvClient,
  load: Load,
  durationMs: number,
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
  const writeOptions = { n, w: quorum, replicas: false };
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
      const key = `key-${(next++ * 7919) % keys}`;
      try {
        if (operation === "put") {
          await kv.put(BUCKET, key, value, writeOptions);
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
