/**
 * What a node serves while data moves: a closed loop of gets and puts by turns,
 * on keys that exist, until it is told to stop.
 *
 * @module
 */
import { build as buildHistogram } from "npm:hdr-histogram-js@3.0.1";
import type { KvClient } from "../../mod.ts";
import { reasonOf } from "../../src/base/errors.ts";

/** The bucket of all objects. */
export const BUCKET = "bench";
/** A prime, so that all keys are visited. */
const STRIDE = 7919;
/** Keys at once that are asked where they are. */
const ASKED_AT_ONCE = 256;

/** What to run. */
export interface ServedLoad {
  /** Operations under way at once. */
  readonly concurrency: number;
  /** Different keys. */
  readonly objects: number;
  /** Only those whose one replica is on this node, or on another one. @default {all of them} */
  readonly keys?: "home" | "away";
  readonly valueBytes: number;
  readonly n: number;
}

/** What came of it. Latencies in microseconds. */
export interface ServedResult {
  readonly operations: number;
  readonly failures: number;
  readonly firstFailure: string | null;
  readonly tookMs: number;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
}

/** Name of an object. */
export function keyOf(number: number): string {
  return `key-${number}`;
}

/** Writes objects `from` up to, not including, `to`, each once. */
export async function fill(
  kv: KvClient,
  from: number,
  to: number,
  { concurrency, valueBytes, n }: Omit<ServedLoad, "objects" | "keys">,
): Promise<void> {
  const value = new Uint8Array(valueBytes).map((_, i) => i);
  let next = from;
  await Promise.all(Array.from({ length: concurrency }, async () => {
    while (next < to) {
      await kv.put(BUCKET, keyOf(next++), value, {
        n,
        w: Math.ceil((n + 1) / 2),
        replicas: false,
      });
    }
  }));
}

/** The keys a load is of, in the order in which they are visited. */
export async function keysOf(
  kv: KvClient,
  self: string,
  { objects, keys }: Pick<ServedLoad, "objects" | "keys">,
): Promise<string[]> {
  const all = Array.from(
    { length: objects },
    (_, i) => keyOf((i * STRIDE) % objects),
  );
  if (keys === undefined) return all;
  const isHome = new Set<string>();
  const unasked = all.values();
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, async () => {
    for (const key of unasked) {
      const { replicas } = await kv.get(BUCKET, key, { n: 1 });
      if (replicas[0]?.node === self) isHome.add(key);
    }
  }));
  return all.filter((key) => isHome.has(key) === (keys === "home"));
}

/** Begins the loop over `keys`; what is returned ends it. */
export function serve(
  kv: KvClient,
  keys: readonly string[],
  { concurrency, valueBytes, n }: Omit<ServedLoad, "objects" | "keys">,
): () => Promise<ServedResult> {
  const histogram = buildHistogram({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
  const value = new Uint8Array(valueBytes).map((_, i) => i + 1);
  const quorum = Math.ceil((n + 1) / 2);
  const startedAt = performance.now();
  let stopped = false;
  let next = 0;
  let operations = 0;
  let failures = 0;
  let firstFailure: string | null = null;
  const contexts = new Map<string, string | null>();
  const workers = Array.from({ length: concurrency }, async () => {
    while (!stopped) {
      const key = keys[next++ % keys.length] as string;
      for (const operation of ["get", "put"] as const) {
        const begunAt = performance.now();
        try {
          if (operation === "get") {
            const { context } = await kv.get(BUCKET, key, {
              n,
              r: quorum,
              replicas: false,
            });
            contexts.set(key, context);
          } else {
            const context = contexts.get(key);
            contexts.delete(key);
            if (context === undefined || context === null) continue;
            await kv.put(BUCKET, key, value, {
              n,
              w: quorum,
              replicas: false,
              context,
            });
          }
          operations++;
        } catch (error) {
          failures++;
          firstFailure ??= reasonOf(error);
        }
        histogram.recordValue(
          Math.max(1, Math.round((performance.now() - begunAt) * 1000)),
        );
      }
    }
  });
  return async () => {
    const tookMs = performance.now() - startedAt;
    const counted = operations;
    stopped = true;
    await Promise.all(workers);
    return {
      operations: counted,
      failures,
      firstFailure,
      tookMs,
      perSecond: Math.round(counted / tookMs * 1000),
      p50Us: histogram.getValueAtPercentile(50),
      p99Us: histogram.getValueAtPercentile(99),
      maxUs: histogram.maxValue,
    };
  };
}
