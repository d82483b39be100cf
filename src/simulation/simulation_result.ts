/**
 * What a simulation came to.
 *
 * @module
 */
import type { OperationRecord } from "./history.ts";
import type { Violation } from "./checkers/violation.ts";
import type { FullestQueues } from "./queue_watch.ts";
import type { Schedule } from "./schedule/schedule.ts";
import type { Trace } from "./trace/trace.ts";

/** What a simulation came to. */
export interface SimulationResult {
  /** What was run; its `seed` alone gives the same again. */
  readonly schedule: Schedule;
  /** What did not hold; empty if all did. */
  readonly violations: readonly Violation[];
  /** What could not be decided within its bounds. It stands among the violations as well, so that no run with any passes. */
  readonly undecided: readonly string[];
  /** What the clients saw. */
  readonly history: readonly OperationRecord<unknown, unknown>[];
  /** Operations by outcome. */
  readonly counts: {
    readonly ok: number;
    readonly failed: number;
    readonly unknown: number;
  };
  /** How full the fullest queue of each kind was. */
  readonly fullest: FullestQueues;
  /** Virtual milliseconds that passed. */
  readonly virtualMs: number;
  /** Events that happened. */
  readonly events: number;
  /** Event by event, if it was asked for. */
  readonly trace: Trace;
}
