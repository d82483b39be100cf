/**
 * A closed loop: a number of workers, each with one operation under way, for
 * some time.
 *
 * @module
 */
import { build as buildHistogram } from "npm:hdr-histogram-js@3.0.1";
import { reasonOf } from "../src/base/errors.ts";

/** How much to run. */
export interface ClosedLoop {
  /** Operations under way at once. */
  readonly concurrency: number;
  readonly durationMs: number;
}

/** The result. Latencies in microseconds. */
export interface LoopResult {
  readonly operations: number;
  readonly failures: number;
  readonly firstFailure: string | null;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
}

/** The index, below `count`, of the key of an operation: 7919 is prime, so every key is visited. */
export function keyNumber(operation: number, count: number): number {
  return (operation * 7919) % count;
}

/** Runs `operate`, which gets the numbers of operations from 0 on, and measures it. */
export async function runClosedLoop(
  { concurrency, durationMs }: ClosedLoop,
  operate: (number: number) => Promise<unknown>,
): Promise<LoopResult> {
  const histogram = buildHistogram({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
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
      try {
        await operate(next++);
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
