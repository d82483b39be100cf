/**
 * A run means something only if it did something: it fails with too few
 * acknowledged operations. And every request is answered by its deadline, even
 * if with an error.
 *
 * ```ts
 * import { checkProgress } from "./progress.ts";
 *
 * const violations = checkProgress([], {
 *   acknowledgedMin: 20,
 *   timeoutMs: 5_000,
 *   endedAtMs: 60_000,
 * });
 * // violations[0].message: 0 of 0 operations were acknowledged, and 20 are the least …
 * ```
 *
 * @module
 */
import type { OperationRecord } from "../history.ts";
import type { Violation } from "./violation.ts";

/** What is expected of a run. */
export interface ProgressOptions<Input, Output> {
  /** Fewest operations that must have succeeded. */
  readonly acknowledgedMin: number;
  /** How long an operation may take, by its own deadline, in milliseconds. */
  readonly timeoutMs:
    | number
    | ((record: OperationRecord<Input, Output>) => number);
  /**
   * How long after the deadline the answer may still arrive, in milliseconds.
   * @default {1000}
   */
  readonly graceMs?: number | undefined;
  /** When the run ended, by the clock of the history. */
  readonly endedAtMs: number;
}

/** Operations that a message lists one by one. */
const NAMED_MAX = 5;

/**
 * Finds runs that did too little, and operations answered too late or never.
 */
export function checkProgress<Input, Output>(
  records: readonly OperationRecord<Input, Output>[],
  options: ProgressOptions<Input, Output>,
): readonly Violation[] {
  const { acknowledgedMin, timeoutMs, graceMs = 1_000, endedAtMs } = options;
  const violations: Violation[] = [];
  const acknowledged = records.filter(({ outcome }) => outcome === "ok").length;
  if (acknowledged < acknowledgedMin) {
    violations.push({
      check: "progress",
      message:
        `${acknowledged} of ${records.length} operations were acknowledged, and ${acknowledgedMin} are the least with which a run means something${
          commonErrors(records)
        }`,
      details: { acknowledged, acknowledgedMin },
    });
  }
  const late = records.filter((record) => {
    const allowedMs = typeof timeoutMs === "number"
      ? timeoutMs
      : timeoutMs(record);
    const tookMs = (record.returnedAtMs ?? endedAtMs) - record.invokedAtMs;
    return tookMs > allowedMs + graceMs;
  });
  if (late.length > 0) {
    const named = late.slice(0, NAMED_MAX).map((record) =>
      `operation ${record.id} of ${record.client}, invoked at ${record.invokedAtMs} ms, ${
        record.returnedAtMs === undefined
          ? `was open at ${endedAtMs} ms`
          : `was answered at ${record.returnedAtMs} ms`
      }`
    );
    violations.push({
      check: "deadline",
      message: `Answers came later than their deadline and ${graceMs} ms: ${
        named.join("; ")
      }${
        late.length > NAMED_MAX ? `; and ${late.length - NAMED_MAX} more` : ""
      }`,
      operations: late.map(({ id }) => id),
    });
  }
  return violations;
}

/** Errors of operations, most frequent first. */
function commonErrors(
  records: readonly OperationRecord<unknown, unknown>[],
): string {
  const counts = new Map<string, number>();
  for (const { outcome, error } of records) {
    if (outcome === "ok") continue;
    const reason = error ?? "no answer";
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  const sorted = [...counts].sort((a, b) => b[1] - a[1]).slice(0, NAMED_MAX);
  return sorted.length === 0
    ? ""
    : `: ${sorted.map(([reason, count]) => `${count} ${reason}`).join(", ")}`;
}
