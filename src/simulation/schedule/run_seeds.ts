/**
 * Shares a range of seeds among workers: each gets a short slice, and the next
 * one when it is done, so that a slow seed keeps nobody waiting. Ends when all
 * are done, when there are enough failures, or when it is told to.
 *
 * This file only decides; whoever has the workers tells it what they report and
 * does what it says. A worker that ends by itself, or that is stuck, has failed
 * the seed it was at: the next one takes its slice from there.
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

/** Seeds of one slice. Long enough that handing out slices costs nothing, short enough that all workers end together. */
export const SLICE_SEEDS = 16;

/** A run of numbers that are seeds. */
export interface SeedRange {
  readonly from: number;
  readonly count: number;
}

/** What to run. */
export interface SeedRunOptions extends SeedRange {
  /** Stops once so many seeds have failed. */
  readonly failuresMax: number;
}

/** What workers have to say, and who stops them. */
export type SeedRunEvent =
  /** A worker has nothing to do. */
  | { readonly type: "ready"; readonly worker: number }
  /** The next seed of its slice is done. */
  | {
    readonly type: "result";
    readonly worker: number;
    readonly summary: SeedSummary;
  }
  /** It ended or was ended, though it had more to do. */
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
  /** A new worker in the place of one that was lost; it is `ready` once it runs. */
  | { readonly type: "replace"; readonly worker: number }
  /** Nothing more is to be done; workers may be ended at once. */
  | { readonly type: "end"; readonly why: SeedRunEnd };

/** Why a run ended. */
export type SeedRunEnd =
  | "all_done"
  | "failures_max"
  | "stopped"
  /** A worker ended though it was at no seed; another one would as well. */
  | "broken";

/** A run under way. */
export interface SeedRun {
  readonly options: SeedRunOptions;
  readonly tally: SeedTally;
  /** Slices to hand out before new ones are cut: what lost workers left. */
  readonly left: SeedRange[];
  /** The first seed that nobody was given. */
  next: number;
  /** What is left of each worker's slice. */
  readonly slices: Map<number, SeedRange>;
  ended: SeedRunEnd | undefined;
  /** Why a worker ended that was at no seed. */
  brokenBy: string | undefined;
}

/** A run of `options` that nobody works on yet. */
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
  // What workers had under way when it ended is not waited for.
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

/** The seed `worker` is at, undefined if it has nothing to do. */
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
