/**
 * Shrinks a failing schedule: runs smaller ones and keeps those that break the
 * same check, until no smaller one does or time is up. Somebody has to
 * understand the result, so each needless fault or operation is worth a run.
 *
 * ```ts ignore
 * const { schedule } = await shrinkSchedule(failing, run, { check: "lost_write" });
 * ```
 *
 * @module
 */
import { reasonOf } from "../../base/errors.ts";
import type { Schedule } from "./schedule.ts";
import { shrinkCandidates } from "./shrink_candidates.ts";
import type { SimulationResult } from "../simulation_result.ts";

/** Runs a schedule; equal schedules give equal results. */
export type RunSchedule = (
  schedule: Schedule,
  options: { readonly trace: boolean },
) => Promise<SimulationResult>;

/**
 * Most schedules that are run to shrink one: half a minute at 100 per second.
 */
export const SHRINK_RUNS_MAX = 3_000;

/** Progress of shrinking. */
export interface ShrinkProgress {
  /** Schedules that were run. */
  readonly runs: number;
  /** How many of them failed too, and so were kept. */
  readonly kept: number;
  /** The smallest failing schedule so far. */
  readonly schedule: Schedule;
}

/** Options of shrinking. */
export interface ShrinkOptions {
  /** The check that must stay broken. */
  readonly check: string;
  /** Most schedules to run. @default {SHRINK_RUNS_MAX} */
  readonly runsMax?: number;
  /**
   * Asked before each run whether to stop with the smallest so far, for lack of
   * time or on request.
   */
  readonly shouldStop?: () => boolean;
  /** Called after each run. */
  readonly onProgress?: (progress: ShrinkProgress) => void;
}

/** The result of shrinking. */
export interface ShrunkSchedule extends ShrinkProgress {
  /**
   * Why it ended: nothing smaller fails, the limit of runs, or a request to
   * stop.
   */
  readonly ended: "smallest" | "runs_max" | "stopped";
  /**
   * The error of the first schedule that could not be run at all; undefined if
   * none.
   */
  readonly refused: string | undefined;
}

/**
 * Shrinks `failing` while it still breaks the same check.
 *
 * Deterministic apart from `shouldStop`: the same schedules are run in the same
 * order. `failing` itself is not run again, since the caller has seen it fail.
 */
export async function shrinkSchedule(
  failing: Schedule,
  run: RunSchedule,
  options: ShrinkOptions,
): Promise<ShrunkSchedule> {
  const { check, runsMax = SHRINK_RUNS_MAX } = options;
  let schedule = failing;
  let runs = 0;
  let kept = 0;
  let refused: string | undefined;
  // Rounds return to schedules that were tried before; running them again is
  // pointless.
  const passed = new Set<string>();
  const fails = async (candidate: Schedule): Promise<boolean> => {
    try {
      const { violations } = await run(candidate, { trace: false });
      return violations.some((violation) => violation.check === check);
    } catch (error) {
      // A schedule that became invalid by shrinking is a different failure.
      refused ??= reasonOf(error);
      return false;
    }
  };
  const end = (ended: ShrunkSchedule["ended"]): ShrunkSchedule => ({
    schedule,
    runs,
    kept,
    ended,
    refused,
  });

  const candidates = shrinkCandidates(failing);
  let next = candidates.next();
  while (next.done !== true) {
    const candidate = next.value;
    const name = JSON.stringify(candidate);
    if (passed.has(name)) {
      next = candidates.next(false);
      continue;
    }
    if (runs >= runsMax) return end("runs_max");
    if (options.shouldStop?.()) return end("stopped");
    const failed = await fails(candidate);
    runs++;
    if (failed) {
      schedule = candidate;
      kept++;
    } else passed.add(name);
    options.onProgress?.({ runs, kept, schedule });
    next = candidates.next(failed);
  }
  return end("smallest");
}
