/**
 * Whether an object that performs one operation after the other, each between
 * its invocation and its return, explains what concurrent clients saw (Herlihy
 * & Wing, "Linearizability", 1990). The property is local, so each key is
 * checked alone: by the direct method of its model if it has one, else by
 * `linearization_search.ts`.
 *
 * A key that takes too many steps is undecided, which is not a pass. The limit
 * counts steps, not time, so that a history gets the same verdict everywhere.
 *
 * For a key that fails, a history is shown that was made as short as possible
 * and is a contradiction in itself (`bad_history.ts`).
 *
 * ```ts
 * import { checkLinearizability } from "./linearizability.ts";
 * import { registerModel } from "./register_model.ts";
 * import type { RegisterInput, RegisterOutput } from "./register_model.ts";
 * import { HistoryRecorder } from "../history.ts";
 *
 * let nowMs = 0;
 * const history = new HistoryRecorder<RegisterInput, RegisterOutput>(() => nowMs++);
 * history.succeed(history.invoke("c1", "k", { type: "put", value: 7 }), null);
 * history.succeed(history.invoke("c2", "k", { type: "get" }), null);
 * const { violations } = checkLinearizability(history.records, registerModel);
 * // violations[0].message: … operation 1, c2 get gave null, cannot be placed …
 * ```
 *
 * @module
 */
import type { OperationRecord } from "../history.ts";
import { findBadHistory } from "./bad_history.ts";
import { Judge } from "./linearizability_judge.ts";
import type { Call, Model } from "./model.ts";
import { UNDECIDED, type Violation } from "./violation.ts";

/** Limits of a check. */
export interface LinearizabilityOptions {
  /**
   * Most model steps for one key; a key that needs more is undecided.
   *
   * @default {1_000_000}
   */
  readonly stepsMax?: number | undefined;
  /**
   * Most model steps for shortening the bad history of one key; each attempt
   * may take a sixteenth.
   *
   * @default {400_000}
   */
  readonly shrinkStepsMax?: number | undefined;
}

/** The result of a check. */
export interface LinearizabilityResult {
  /** A violation takes precedence over an undecided key. */
  readonly verdict: "linearizable" | "violation" | "undecided";
  /** One for each key that fails. */
  readonly violations: readonly Violation[];
  /** Keys that could not be decided in `stepsMax` steps. */
  readonly undecided: readonly string[];
  /** Model steps taken, without those for shortening. */
  readonly steps: number;
}

const STEPS_MAX = 1_000_000;
const SHRINK_STEPS_MAX = 400_000;
/**
 * Checks a history against `model`, key by key. Failed operations are left out;
 * those with an unknown outcome may have taken effect at any time after their
 * invocation, or never.
 *
 * @throws {TypeError} If a read-only operation is `ok` and has no output: no
 * check could fail on it.
 */
export function checkLinearizability<State, Input, Output>(
  records: readonly OperationRecord<Input, Output>[],
  model: Model<State, Input, Output>,
  options: LinearizabilityOptions = {},
): LinearizabilityResult {
  const violations: Violation[] = [];
  const undecided: string[] = [];
  let steps = 0;
  for (const [key, calls] of callsByKey(records, model)) {
    const judge = new Judge(model, options.stepsMax ?? STEPS_MAX);
    const verdict = judge.verdict(calls);
    steps += judge.steps;
    if (verdict === "undecided") undecided.push(key);
    if (verdict === "bad") {
      const shrinkStepsMax = options.shrinkStepsMax ?? SHRINK_STEPS_MAX;
      violations.push(
        findBadHistory(key, records, calls, model, shrinkStepsMax),
      );
    }
  }
  return {
    verdict: violations.length > 0
      ? "violation"
      : undecided.length > 0
      ? "undecided"
      : "linearizable",
    violations,
    undecided,
    steps,
  };
}

/**
 * The result as violations, undecided keys included, for a {@linkcode
 * RunCheck}.
 *
 * @throws {TypeError} As {@linkcode checkLinearizability}.
 */
export function linearizabilityViolations<State, Input, Output>(
  records: readonly OperationRecord<Input, Output>[],
  model: Model<State, Input, Output>,
  options: LinearizabilityOptions = {},
): readonly Violation[] {
  const { violations, undecided } = checkLinearizability(
    records,
    model,
    options,
  );
  return [
    ...violations,
    ...undecided.map((key) => ({
      check: UNDECIDED,
      message: `Whether ${key} is linearizable was not decided`,
      key,
    })),
  ];
}

/**
 * The operations of each key by invocation, without those that certainly did
 * not happen.
 */
function callsByKey<State, Input, Output>(
  records: readonly OperationRecord<Input, Output>[],
  model: Model<State, Input, Output>,
): Map<string, Call<Input, Output>[]> {
  const byKey = new Map<string, Call<Input, Output>[]>();
  for (const record of records) {
    const { id, key, input, outcome, invokedAtMs, returnedAtMs } = record;
    if (outcome === "failed") continue;
    const known = outcome === "ok";
    const output = known ? record.output : undefined;
    if (
      output === undefined && model.readOnly?.(input, undefined) === true
    ) {
      // A read with an unknown result carries no information.
      if (!known) continue;
      throw new TypeError(
        `Cannot check operation ${id} as a read that is ok must have an output: current value is undefined`,
      );
    }
    const calls = byKey.get(key);
    const call: Call<Input, Output> = {
      id,
      input,
      output,
      known,
      invokedAtMs,
      returnedAtMs: known ? returnedAtMs as number : Infinity,
    };
    if (calls === undefined) byKey.set(key, [call]);
    else calls.push(call);
  }
  for (const calls of byKey.values()) {
    calls.sort((a, b) => a.invokedAtMs - b.invokedAtMs || a.id - b.id);
  }
  return byKey;
}
