/**
 * Distributes a range of seeds to workers in short slices; each worker gets the
 * next one when it is done, so that a slow seed holds nobody up. Ends when all
 * seeds are done, when enough have failed, or when it is told to.
 *
 * This file only decides; the owner of the workers passes on what they report
 * and performs the effects. A worker that ends or gets stuck has failed its
 * current seed: another one continues the slice after that seed.
 *
 *     running ── all seeds done, enough failures, told to, or nobody can work ──► ended
 *
 * @module
 */
import { invariant } from "../../base/invariant.ts";
import {
  addSummary,
  emptyTally,
  type SeedSummary,
  type SeedTally,
} from "./seed_summary.ts";

/**
 * Seeds per slice. Enough that handing out slices costs nothing, few enough
 * that all workers end together.
 */
export const SLICE_SEEDS = 16;

/** A range of seeds, which are numbers. */
export interface SeedRange {
  readonly from: number;
  readonly count: number;
}

/** What to run. */
export interface SeedRunOptions extends SeedRange {
  /** Stops once this many seeds have failed. */
  readonly failuresMax: number;
}

/** Reports of workers, and a request to stop. */
export type SeedRunEvent =
  /** A worker is idle. */
  | { readonly type: "ready"; readonly worker: number }
  /** The next seed of its slice is done. */
  | {
    readonly type: "result";
    readonly worker: number;
    readonly summary: SeedSummary;
  }
  /** It ended or was ended before its slice was done. */
  | {
    readonly type: "lost";
    readonly worker: number;
    readonly check: "crashes" | "hangs";
    readonly reason: string;
  }
  | { readonly type: "stop" };

/** What to do with workers. */
export type SeedRunEffect =
  | {
    readonly type: "assign";
    readonly worker: number;
    readonly range: SeedRange;
  }
  /** Replace a lost worker; the new one is `ready` once it runs. */
  | { readonly type: "replace"; readonly worker: number }
  /** Nothing is left to do; workers may be ended at once. */
  | { readonly type: "end"; readonly why: SeedRunEnd };

/** Why a run ended. */
export type SeedRunEnd =
  | "all_done"
  | "failures_max"
  | "stopped"
  /** A worker ended without a seed, so another one would too. */
  | "broken";

/** The state of a run. */
export interface SeedRun {
  readonly options: SeedRunOptions;
  readonly tally: SeedTally;
  /** Slices to hand out before new ones are cut: those of lost workers. */
  readonly left: SeedRange[];
  /** The first seed not handed out yet. */
  next: number;
  /** What is left of each worker's slice. */
  readonly slices: Map<number, SeedRange>;
  ended: SeedRunEnd | undefined;
  /** Why a worker without a seed ended. */
  brokenBy: string | undefined;
}

/** Starts a run of `options`, without workers. */
export function createSeedRun(options: SeedRunOptions): SeedRun {
  return {
    options,
    tally: emptyTally(),
    left: [],
    next: options.from,
    slices: new Map(),
    ended: undefined,
    brokenBy: undefined,
  };
}

/** Advances the run by one event; `run` has one owner and changes in place. */
export function stepSeedRun(
  run: SeedRun,
  event: SeedRunEvent,
): SeedRunEffect[] {
  // What workers still had to do when it ended is dropped.
  if (run.ended !== undefined) return [];
  switch (event.type) {
    case "ready":
      return assign(run, event.worker);
    case "result":
      return finished(run, event.worker, event.summary);
    case "lost":
      return lost(run, event.worker, event.check, event.reason);
    case "stop":
      return end(run, "stopped");
    default:
      return event satisfies never;
  }
}

/** The current seed of `worker`, undefined if it is idle. */
export function seedInHand(run: SeedRun, worker: number): number | undefined {
  return run.slices.get(worker)?.from;
}

function assign(run: SeedRun, worker: number): SeedRunEffect[] {
  const range = run.left.shift() ?? nextSlice(run);
  if (range !== undefined) {
    run.slices.set(worker, range);
    return [{ type: "assign", worker, range }];
  }
  run.slices.delete(worker);
  return run.slices.size === 0 ? end(run, "all_done") : [];
}

function nextSlice(run: SeedRun): SeedRange | undefined {
  const { from, count } = run.options;
  const left = from + count - run.next;
  if (left <= 0) return undefined;
  const range = { from: run.next, count: Math.min(SLICE_SEEDS, left) };
  run.next += range.count;
  return range;
}

function finished(
  run: SeedRun,
  worker: number,
  summary: SeedSummary,
): SeedRunEffect[] {
  const slice = run.slices.get(worker);
  invariant(
    slice !== undefined && summary.seed === String(slice.from),
    "a worker reports the seeds of its slice in their order",
  );
  addSummary(run.tally, summary);
  if (run.tally.failures.length >= run.options.failuresMax) {
    return end(run, "failures_max");
  }
  if (slice.count === 1) return assign(run, worker);
  run.slices.set(worker, { from: slice.from + 1, count: slice.count - 1 });
  return [];
}

function lost(
  run: SeedRun,
  worker: number,
  check: string,
  message: string,
): SeedRunEffect[] {
  const slice = run.slices.get(worker);
  run.slices.delete(worker);
  if (slice === undefined) {
    run.brokenBy = message;
    return end(run, "broken");
  }
  addSummary(run.tally, {
    seed: String(slice.from),
    violations: [{ check, message }],
    undecided: [],
    ok: 0,
    failed: 0,
    unknown: 0,
    events: 0,
    virtualMs: 0,
    faults: {},
    changes: {},
  });
  if (run.tally.failures.length >= run.options.failuresMax) {
    return end(run, "failures_max");
  }
  if (slice.count > 1) {
    run.left.push({ from: slice.from + 1, count: slice.count - 1 });
  }
  return [{ type: "replace", worker }];
}

function end(run: SeedRun, why: SeedRunEnd): SeedRunEffect[] {
  run.ended = why;
  return [{ type: "end", why }];
}
