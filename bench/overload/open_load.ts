/**
 * An open loop of operations: they begin when they are due, whether or not
 * earlier ones have been answered, as those of many users who know nothing of
 * each other do. Latencies count from when an operation was due, so that a
 * driver that is late does not hide what its callers would have waited.
 *
 * @module
 */
import type { WhorlError } from "../../mod.ts";
import { LatencyHistogram } from "./latency_histogram.ts";

/** So much is offered for so long. */
export interface Phase {
  readonly perSecond: number;
  readonly durationMs: number;
}

/** What is offered, one phase after the other. */
export interface OpenLoad {
  readonly phases: readonly Phase[];
  /** Length of a window, in milliseconds. */
  readonly windowMs: number;
}

/** What became of what was due in one window. */
export interface LoadWindow {
  /** Operations that were due. */
  due: number;
  /** Those of them that have begun; the driver was too busy for the others. */
  offered: number;
  served: number;
  /** Those that failed, by code. */
  readonly failed: Record<string, number>;
  /** What the first of each code said. */
  readonly reasons: Record<string, string>;
  /** Operations served within this window, whenever they were due. */
  completed: number;
  /** Latencies of what was served. */
  readonly latency: LatencyHistogram;
  /** Latencies of what was refused, from when it was offered. */
  readonly refusal: LatencyHistogram;
}

/** How long the driver may begin operations without a pause, in milliseconds. */
const BURST_MS = 10;
/** The clock is read once for so many of them. */
const BURST_STEP = 64;
/** What is due for longer is left out, or a driver that is too slow would never come to the next phase. */
const LATE_MS_MAX = 500;

/** A window in which nothing has happened. */
export function emptyWindow(): LoadWindow {
  return {
    due: 0,
    offered: 0,
    served: 0,
    failed: {},
    reasons: {},
    completed: 0,
    latency: new LatencyHistogram(),
    refusal: new LatencyHistogram(),
  };
}

/** Adds to `sum` what became of the operations of `other`, which may have come as JSON. */
export function addWindow(sum: LoadWindow, other: LoadWindow): void {
  sum.due += other.due;
  sum.offered += other.offered;
  sum.served += other.served;
  sum.completed += other.completed;
  for (const [code, count] of Object.entries(other.failed)) {
    sum.failed[code] = (sum.failed[code] ?? 0) + count;
  }
  for (const [code, reason] of Object.entries(other.reasons)) {
    sum.reasons[code] ??= reason;
  }
  sum.latency.merge(new LatencyHistogram(other.latency.counts));
  sum.refusal.merge(new LatencyHistogram(other.refusal.counts));
}

/** Offers `load`: the windows in order, once everything has been answered. */
export async function offer(
  load: OpenLoad,
  operation: () => Promise<unknown>,
): Promise<LoadWindow[]> {
  const { phases, windowMs } = load;
  const endMs = phases.reduce((sum, { durationMs }) => sum + durationMs, 0);
  const windows = Array.from(
    { length: Math.ceil(endMs / windowMs) },
    emptyWindow,
  );
  const startedAt = performance.now();
  const windowAt = (ms: number): LoadWindow | undefined =>
    windows[Math.floor(ms / windowMs)];
  let underWay = 0;
  let drained = (): void => {};

  const begin = (dueMs: number): void => {
    const window = windowAt(dueMs) as LoadWindow;
    window.offered++;
    underWay++;
    const begunMs = performance.now() - startedAt;
    const ended = (): number => {
      if (--underWay === 0) drained();
      return performance.now() - startedAt;
    };
    operation().then(() => {
      const nowMs = ended();
      window.served++;
      window.latency.add((nowMs - dueMs) * 1000);
      const now = windowAt(nowMs);
      if (now !== undefined) now.completed++;
    }, (error: WhorlError) => {
      const nowMs = ended();
      const code = codeOf(error);
      window.failed[code] = (window.failed[code] ?? 0) + 1;
      window.reasons[code] ??= error.message;
      if (error.code === "overload") {
        window.refusal.add((nowMs - begunMs) * 1000);
      }
    });
  };

  let phaseMs = 0;
  for (const { perSecond, durationMs } of phases) {
    const dueMsOf = (number: number) => phaseMs + number * 1000 / perSecond;
    const total = Math.floor(perSecond * durationMs / 1000);
    let next = 0;
    while (next < total) {
      const turnMs = performance.now() - startedAt;
      while (next < total && dueMsOf(next) < turnMs - LATE_MS_MAX) {
        (windowAt(dueMsOf(next++)) as LoadWindow).due++;
      }
      let nowMs = turnMs;
      while (next < total && nowMs - turnMs < BURST_MS) {
        const stepEnd = Math.min(next + BURST_STEP, total);
        for (; next < stepEnd && dueMsOf(next) <= turnMs; next++) {
          (windowAt(dueMsOf(next)) as LoadWindow).due++;
          begin(dueMsOf(next));
        }
        if (next < stepEnd) break;
        nowMs = performance.now() - startedAt;
      }
      if (next < total) await turn();
    }
    phaseMs += durationMs;
    while (performance.now() - startedAt < phaseMs) await turn();
  }
  if (underWay > 0) await new Promise<void>((resolve) => drained = resolve);
  return windows;
}

/** The code of `error`, and that of a vnode's answer if it says something else, or that the client has refused it by itself. */
function codeOf({ code, details }: WhorlError): string {
  if (details.heeded === true) return `${code} (heeded)`;
  const answers = details.answers as { code?: string }[] | undefined;
  const other = answers?.find((answer) => (answer.code ?? code) !== code);
  return other === undefined ? code : `${code} (${other.code})`;
}

/** Everything else that is ready in this thread goes first. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
