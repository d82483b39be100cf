/**
 * A closed loop of puts or linearizable gets against one Raft group: so many
 * workers, each with one operation under way, for so long.
 *
 * @module
 */
import { build as buildHistogram } from "npm:hdr-histogram-js@3.0.1";
import { reasonOf } from "../../src/base/errors.ts";

/** What to run. */
export interface RaftLoad {
  readonly operation: "put" | "get";
  /** Operations under way at once. */
  readonly concurrency: number;
  /** Milliseconds that count, after a fifth of that to warm up. */
  readonly durationMs: number;
  readonly valueBytes: number;
  readonly keys: number;
}

/** What came of it. Latencies in microseconds. */
export interface RaftLoadResult {
  readonly operations: number;
  readonly failures: number;
  readonly firstFailure: string | null;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
}

/** Whatever is measured. */
export interface LoadedStore {
  put(key: string, value: Uint8Array): Promise<unknown>;
  get(key: string): Promise<unknown>;
}

/** Runs `load` and measures it. */
export async function runRaftLoad(
  store: LoadedStore,
  load: RaftLoad,
): Promise<RaftLoadResult> {
  await runFor(store, load, load.durationMs / 5);
  return await runFor(store, load, load.durationMs);
}

async function runFor(
  store: LoadedStore,
  { operation, concurrency, valueBytes, keys }: RaftLoad,
  durationMs: number,
): Promise<RaftLoadResult> {
  const histogram = buildHistogram({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
  const value = new Uint8Array(valueBytes).map((_, i) => i);
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
        if (operation === "put") await store.put(key, value);
        else await store.get(key);
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
    maxUs: histogram.maxValue,
  };
}
