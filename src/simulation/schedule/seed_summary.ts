/**
 * The summary of one seed among thousands, and the tally of many. Plain data,
 * to be sent between threads.
 *
 * @module
 */
import type { ActType, ChangeType, FaultType } from "./schedule.ts";
import { UNDECIDED } from "../checkers/violation.ts";
import type { SimulationResult } from "../simulation_result.ts";

/** The result of one seed. */
export interface SeedSummary {
  readonly seed: string;
  /** The broken promises; empty if it passed. */
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
  /** Faults in its schedule by type; types that were not drawn are missing. */
  readonly faults: Partial<Readonly<Record<FaultType, number>>>;
  /** Likewise, changes by an operator. */
  readonly changes: Partial<Readonly<Record<ChangeType, number>>>;
  /** Likewise, acts on Raft groups. */
  readonly acts?: Partial<Readonly<Record<ActType, number>>>;
}

/** The results of many seeds. */
export interface SeedTally {
  seeds: number;
  ok: number;
  failed: number;
  unknown: number;
  events: number;
  virtualMs: number;
  /** Faults drawn, by type. */
  readonly faults: Partial<Record<FaultType, number>>;
  /** Changes by operators, by type. */
  readonly changes: Partial<Record<ChangeType, number>>;
  /** Acts on Raft groups, by type. */
  readonly acts: Partial<Record<ActType, number>>;
  /** Seeds with a violation, in the order in which they were found. */
  readonly failures: SeedSummary[];
  /**
   * Seeds that passed except for undecided checks; at most {@linkcode
   * UNDECIDED_KEPT_MAX} of them.
   */
  readonly undecided: SeedSummary[];
  /** Number of undecided seeds. */
  undecidedCount: number;
}

/** Undecided seeds that are kept; all are counted. */
export const UNDECIDED_KEPT_MAX = 100;

/** The part of `result` that matters among thousands. */
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

/** An empty tally. */
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
