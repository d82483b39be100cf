/**
 * The result of a simulation.
 *
 * @module
 */
import type { OperationRecord } from "./history.ts";
import type { Violation } from "./checkers/violation.ts";
import type { Schedule } from "./schedule/schedule.ts";
import type { Trace } from "./trace/trace.ts";

/** The result of a simulation. */
export interface SimulationResult {
  /** The schedule that was run; its `seed` alone gives the same run again. */
  readonly schedule: Schedule;
  /** What was violated; empty if the run passed. */
  readonly violations: readonly Violation[];
  /**
   * What could not be decided within its limits. Also among the violations, so
   * that a run with any does not pass.
   */
  readonly undecided: readonly string[];
  /** What the clients saw. */
  readonly history: readonly OperationRecord<unknown, unknown>[];
  /** Operations by outcome. */
  readonly counts: {
    readonly ok: number;
    readonly failed: number;
    readonly unknown: number;
  };
  /** Virtual milliseconds that passed. */
  readonly virtualMs: number;
  /** Events that happened. */
  readonly events: number;
  /** The trace, if it was requested. */
  readonly trace: Trace;
}
