/**
 * Makes a failing schedule small: runs smaller ones and keeps those that break
 * the same check, until nothing smaller does or time is up. What comes out is
 * what somebody has to understand, so each fault and operation that is not
 * needed is worth a run.
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

/** Carries out a schedule; the same one gives the same result. */
export type RunSchedule = (
  schedule: Schedule,
  options: { readonly trace: boolean },
) => Promise<SimulationResult>;

/** Most schedules that are run to shrink one: half a minute at 100 a second. */
export const SHRINK_RUNS_MAX = 3_000;

/** How far shrinking has come. */
export interface ShrinkProgress {
  /** Schedules that were run. */
  readonly runs: number;
  /** How many of them failed as well, and so were kept. */
  readonly kept: number;
  /** The smallest failing schedule so far. */
  readonly schedule: Schedule;
}

/** How to shrink. */
export interface ShrinkOptions {
  /** The check that must stay broken. */
  readonly check: string;
  /** Most schedules to run. @default {SHRINK_RUNS_MAX} */
  readonly runsMax?: number;
  /** Asked before each run whether to stop with what is known, because of time or a person. */
  readonly shouldStop?: () => boolean;
  /** Told after each run. */
  readonly onProgress?: (progress: ShrinkProgress) => void;
}

/** What shrinking came to. */
export interface ShrunkSchedule extends ShrinkProgress {
  /** Why it ended: nothing smaller fails, so many runs, or it was told to. */
  readonly ended: "smallest" | "runs_max" | "stopped";
  /** Why the first run of those that could not be carried out at all could not; undefined if none. */
  readonly refused: string | undefined;
}

/**
 * Makes `failing` smaller while it still breaks the same check.
 *
 * Deterministic apart from `shouldStop`: the same schedules are run in the same
 * order. `failing` itself is not run again; whoever has it has seen it fail.
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
  // Rounds come back to what an earlier one has tried; to run it again would say the same.
  const passed = new Set<string>();
  const fails = async (candidate: Schedule): Promise<boolean> => {
    try {
      const { violations } = await run(candidate, { trace: false });
      return violations.some((violation) => violation.check === check);
    } catch (error) {
      // Smaller in a way that no longer makes sense is another failure, not this one.
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
