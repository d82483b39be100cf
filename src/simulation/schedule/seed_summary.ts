/**
 * What is kept of one seed among thousands, and what they come to together.
 * Plain data, to be sent between threads.
 *
 * @module
 */
import type { ActType, ChangeType, FaultType } from "./schedule.ts";
import { UNDECIDED } from "../checkers/violation.ts";
import type { SimulationResult } from "../simulation_result.ts";

/** What one seed came to. */
export interface SeedSummary {
  readonly seed: string;
  /** The promises that did not hold; empty if it passed. */
  readonly violations: readonly {
    readonly check: string;
    readonly message: string;
  }[];
  /** Checks that could not be decided. */
  readonly undecided: readonly string[];
  /** Operations by outcome. */
  readonly ok: number;
  readonly failed: number;
  readonly unknown: number;
  readonly events: number;
  readonly virtualMs: number;
  /** Faults of its schedule by kind; a kind that was not drawn is not there. */
  readonly faults: Partial<Readonly<Record<FaultType, number>>>;
  /** Likewise what an operator was to do. */
  readonly changes: Partial<Readonly<Record<ChangeType, number>>>;
  /** Likewise what was done to a Raft group. */
  readonly acts?: Partial<Readonly<Record<ActType, number>>>;
}

/** What many seeds came to. */
export interface SeedTally {
  seeds: number;
  ok: number;
  failed: number;
  unknown: number;
  events: number;
  virtualMs: number;
  /** Faults drawn, by kind. */
  readonly faults: Partial<Record<FaultType, number>>;
  /** What operators were to do, by kind. */
  readonly changes: Partial<Record<ChangeType, number>>;
  /** What was done to Raft groups, by kind. */
  readonly acts: Partial<Record<ActType, number>>;
  /** Seeds with a violation, in the order in which they were found. */
  readonly failures: SeedSummary[];
  /** Seeds that passed but for checks that could not be decided; at most {@linkcode UNDECIDED_KEPT_MAX} of them. */
  readonly undecided: SeedSummary[];
  /** How many seeds are undecided. */
  undecidedCount: number;
}

/** Undecided seeds that are kept by name; all are counted. */
export const UNDECIDED_KEPT_MAX = 100;

/** What matters of `result` when thousands are run. */
export function summarize(result: SimulationResult): SeedSummary {
  const { schedule, violations, undecided, counts, events, virtualMs } = result;
  return {
    seed: schedule.seed,
    violations: violations
      .filter(({ check }) => check !== UNDECIDED)
      .map(({ check, message }) => ({ check, message })),
    undecided,
    ...counts,
    events,
    virtualMs,
    faults: countTypes(schedule.faults),
    changes: countTypes(schedule.changes),
    ...(schedule.groups === undefined
      ? {}
      : { acts: countTypes(schedule.groups.flatMap(({ acts }) => acts)) }),
  };
}

function countTypes<Type extends string>(
  planned: readonly { readonly type: Type }[],
): Partial<Record<Type, number>> {
  const counts: Partial<Record<Type, number>> = {};
  for (const { type } of planned) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}

/** Nothing yet. */
export function emptyTally(): SeedTally {
  return {
    seeds: 0,
    ok: 0,
    failed: 0,
    unknown: 0,
    events: 0,
    virtualMs: 0,
    faults: {},
    changes: {},
    acts: {},
    failures: [],
    undecided: [],
    undecidedCount: 0,
  };
}

/** Adds `summary` to `tally`, in place. */
export function addSummary(tally: SeedTally, summary: SeedSummary): void {
  tally.seeds++;
  tally.ok += summary.ok;
  tally.failed += summary.failed;
  tally.unknown += summary.unknown;
  tally.events += summary.events;
  tally.virtualMs += summary.virtualMs;
  addCounts(tally.faults, summary.faults);
  addCounts(tally.changes, summary.changes);
  addCounts(tally.acts, summary.acts ?? {});
  if (summary.violations.length > 0) tally.failures.push(summary);
  else if (summary.undecided.length > 0) {
    tally.undecidedCount++;
    if (tally.undecided.length < UNDECIDED_KEPT_MAX) {
      tally.undecided.push(summary);
    }
  }
}

function addCounts<Type extends string>(
  to: Partial<Record<Type, number>>,
  counts: Partial<Readonly<Record<Type, number>>>,
): void {
  for (const [name, count] of Object.entries(counts)) {
    const type = name as Type;
    to[type] = (to[type] ?? 0) + (count as number);
  }
}
