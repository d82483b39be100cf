/**
 * Who is restarted with whom.
 *
 *     one_for_one    the child alone
 *     one_for_all    all children
 *     rest_for_one   the child and those started after it
 *
 * (`simple_one_for_one` is {@linkcode DynamicSupervisor}.)
 *
 * @module
 */
import { type ExitReason, isAbnormal } from "./exit_reason.ts";
import type { Restart } from "./child_spec.ts";

/** Who is restarted with whom. */
export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one";

/** When the exit of a significant child ends the supervisor. */
export type AutoShutdown = "never" | "any_significant" | "all_significant";

/** The children `[from, to)` in start order. */
export interface RestartGroup {
  /** The first. */
  readonly from: number;
  /** One after the last. */
  readonly to: number;
}

/**
 * The children, by position in start order, that are restarted when the one at
 * `failed` is. They stop in reverse order and start in order.
 */
export function restartGroup(
  strategy: Strategy,
  failed: number,
  count: number,
): RestartGroup {
  switch (strategy) {
    case "one_for_one":
      return { from: failed, to: failed + 1 };
    case "one_for_all":
      return { from: 0, to: count };
    case "rest_for_one":
      return { from: failed, to: count };
    default:
      return strategy satisfies never;
  }
}

/** Whether a child that ended for `reason` is started again. */
export function shouldRestart(restart: Restart, reason: ExitReason): boolean {
  switch (restart) {
    case "permanent":
      return true;
    case "transient":
      return isAbnormal(reason);
    case "temporary":
      return false;
    default:
      return restart satisfies never;
  }
}
