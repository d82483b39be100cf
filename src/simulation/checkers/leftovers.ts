/**
 * Nothing is left after a shutdown: no timer, task, stream or anything else
 * that is counted by name.
 *
 * ```ts
 * import { checkLeftovers } from "./leftovers.ts";
 *
 * const violations = checkLeftovers("n1", { timers: 0, streams: 2 });
 * // violations[0].message: n1 has left behind 2 streams
 * ```
 *
 * @module
 */
import type { Violation } from "./violation.ts";

/**
 * Reports what is left.
 *
 * @param place What was shut down.
 * @param counts How many are left, by kind.
 */
export function checkLeftovers(
  place: string,
  counts: Readonly<Record<string, number>>,
): readonly Violation[] {
  const left = Object.entries(counts).filter(([, count]) => count !== 0);
  if (left.length === 0) return [];
  return [{
    check: "leftovers",
    message: `${place} has left behind ${
      left.map(([kind, count]) => `${count} ${kind}`).join(", ")
    }`,
    details: Object.fromEntries(left),
  }];
}
