/**
 * Whether what concurrent clients saw can be explained by an object that did one
 * operation after the other, each between its invocation and its return
 * (Herlihy & Wing, "Linearizability", 1990). The property is local, so each key
 * is judged alone, by `linearization_search.ts` or, where its model knows a
 * direct way, by that.
 *
 * A key that would take too many steps is undecided, which is not a pass. Steps
 * are counted, not time, so that the same history gets the same verdict anywhere.
 *
 * **The shortest bad history.** Of a key that fails, the operations are
 * taken in the order in which they returned until no order explains them any
 * more: the last of them cannot be placed. Then each of the others is forgotten
 * in turn, that is, allowed to have happened at any time after its invocation or
 * never. What cannot be forgotten without the contradiction going away is shown.
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
import { searchLinearization } from "./linearization_search.ts";
import type { Call, Model } from "./model.ts";
import type { Violation } from "./violation.ts";

/** Bounds of a check. */
export interface LinearizabilityOptions {
  /**
   * Most steps of the model for one key; one that needs more is undecided.
   *
   * @default {1_000_000}
   */
  readonly stepsMax?: number | undefined;
  /**
   * Most steps for making the bad history of one key shorter; a sixteenth of it for each attempt.
   *
   * @default {400_000}
   */
  readonly shrinkStepsMax?: number | undefined;
}

/** What a check came to. */
export interface LinearizabilityResult {
  /** A violation weighs more than what is undecided, and that more than what is good. */
  readonly verdict: "linearizable" | "violation" | "undecided";
  /** One for each key that fails. */
  readonly violations: readonly Violation[];
  /** Keys that could not be decided in `stepsMax` steps. */
  readonly undecided: readonly string[];
  /** Steps of the model that it took, without those for shorter histories. */
  readonly steps: number;
}

const STEPS_MAX = 1_000_000;
const SHRINK_STEPS_MAX = 400_000;
/** Operations that a message tells one by one. */
const CERTAIN_TOLD_MAX = 16;
/** How many of them may be ones that need not have happened. */
const POSSIBLE_TOLD_MAX = 4;

/**
 * Holds a history to `model`, key by key. Operations that failed are left out,
 * those with an unknown outcome may have taken effect at any time after they
 * were invoked, or never.
 *
 * @throws {TypeError} If an operation that only reads is `ok` and has no output: a check could not fail on it.
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
      violations.push(badHistory(key, records, calls, model, shrinkStepsMax));
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

/** The operations of each key by invocation, without those that certainly did not happen. */
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
      // A read of which nobody knows what it gave says nothing.
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

/** Judges sets of operations and counts what that takes. */
class Judge<State, Input, Output> {
  readonly #model: Model<State, Input, Output>;
  readonly #stepsMax: number;
  /** Steps taken so far. */
  steps = 0;

  constructor(model: Model<State, Input, Output>, stepsMax: number) {
    this.#model = model;
    this.#stepsMax = stepsMax;
  }

  /** Whether `calls`, sorted by invocation, are linearizable. */
  verdict(
    calls: readonly Call<Input, Output>[],
  ): "good" | "bad" | "undecided" {
    const relevant = withoutIrrelevant(calls, this.#model);
    const decided = this.#model.decide?.(relevant);
    if (decided !== undefined) {
      this.steps += relevant.length;
      return decided ? "good" : "bad";
    }
    const { verdict, steps } = searchLinearization(
      relevant,
      this.#model,
      this.#stepsMax,
    );
    this.steps += steps;
    if (verdict === "exhausted") return "undecided";
    return verdict === "found" ? "good" : "bad";
  }
}

function withoutIrrelevant<State, Input, Output>(
  calls: readonly Call<Input, Output>[],
  model: Model<State, Input, Output>,
): readonly Call<Input, Output>[] {
  const unknown = calls.filter(({ known }) => !known);
  if (unknown.length === 0) return calls;
  const known = calls.filter(({ known }) => known);
  const relevant = new Set(model.relevant?.(known, unknown) ?? unknown);
  return calls.filter((call) => call.known || relevant.has(call));
}

/** `call` as if nobody knew whether it happened. */
function forgotten<Input, Output>(
  call: Call<Input, Output>,
): Call<Input, Output> {
  return {
    ...call,
    known: false,
    output: undefined,
    returnedAtMs: Infinity,
  };
}

/** What `model` makes of the calls whose ids are in `kept`, the others forgotten. */
function keepOnly<State, Input, Output>(
  calls: readonly Call<Input, Output>[],
  kept: ReadonlySet<number>,
  model: Model<State, Input, Output>,
): Call<Input, Output>[] {
  const result: Call<Input, Output>[] = [];
  for (const call of calls) {
    if (kept.has(call.id) || !call.known) result.push(call);
    // A read that may have given anything says nothing.
    else if (model.readOnly?.(call.input, call.output) !== true) {
      result.push(forgotten(call));
    }
  }
  return result;
}

function badHistory<State, Input, Output>(
  key: string,
  records: readonly OperationRecord<Input, Output>[],
  calls: readonly Call<Input, Output>[],
  model: Model<State, Input, Output>,
  stepsMax: number,
): Violation {
  const byReturn = calls.filter(({ known }) => known).sort((a, b) =>
    a.returnedAtMs - b.returnedAtMs || a.id - b.id
  );
  let stepsLeft = stepsMax;
  const isBad = (kept: readonly Call<Input, Output>[]): boolean => {
    if (stepsLeft <= 0) return false;
    const lastMs = kept.at(-1)?.returnedAtMs ?? -Infinity;
    const ids = new Set(kept.map(({ id }) => id));
    // What was invoked later still can come after all of them.
    const before = calls.filter(({ invokedAtMs }) => invokedAtMs <= lastMs);
    const judge = new Judge(model, Math.ceil(stepsMax / 16));
    const verdict = judge.verdict(keepOnly(before, ids, model));
    stepsLeft -= judge.steps + before.length;
    return verdict === "bad";
  };

  // All of them are bad, and more of them are never better.
  let enough = byReturn.length;
  for (let tooFew = 0; enough - tooFew > 1;) {
    const middle = (tooFew + enough) >> 1;
    if (isBad(byReturn.slice(0, middle))) enough = middle;
    else tooFew = middle;
  }
  const culprit = byReturn[enough - 1] as Call<Input, Output>;
  let kept = byReturn.slice(0, enough);
  const readOnly = ({ input, output }: Call<Input, Output>): boolean =>
    model.readOnly?.(input, output) === true;
  // Writes explain more than reads, so reads are forgotten first.
  for (const reads of [true, false]) {
    const others = kept.filter((call) =>
      call !== culprit && readOnly(call) === reads
    );
    for (let size = (others.length + 1) >> 1; size >= 1; size >>= 1) {
      for (let from = 0; from < others.length;) {
        const dropped = new Set(others.slice(from, from + size));
        const fewer = kept.filter((call) => !dropped.has(call));
        if (isBad(fewer)) {
          kept = fewer;
          others.splice(from, size);
        } else from += size;
      }
    }
  }
  const ids = new Set(kept.map(({ id }) => id));
  const possible = withoutIrrelevant(
    keepOnly(
      calls.filter(({ invokedAtMs }) => invokedAtMs <= culprit.returnedAtMs),
      ids,
      model,
    ),
    model,
  ).filter(({ known }) => !known).map(({ id }) => id);
  const told = new Set([...ids, ...possible.slice(-POSSIBLE_TOLD_MAX)]);
  const shown = records.filter(({ id }) => told.has(id)).sort((a, b) =>
    a.invokedAtMs - b.invokedAtMs || a.id - b.id
  );
  return {
    check: "linearizability",
    message: badHistoryMessage(key, shown, possible, culprit.id, model),
    key,
    operations: shown.map(({ id }) => id),
    details: {
      cannotBePlaced: culprit.id,
      // All that may have happened and yet explain nothing.
      possible,
      operations: shown.map((record) => ({ ...record })),
      returnedBefore: enough - 1,
    },
  };
}

function badHistoryMessage<State, Input, Output>(
  key: string,
  shown: readonly OperationRecord<Input, Output>[],
  possible: readonly number[],
  culpritId: number,
  model: Model<State, Input, Output>,
): string {
  const inWords = (
    { id, client, input, output, outcome }: OperationRecord<Input, Output>,
  ): string => {
    const known = outcome === "ok" ? output : undefined;
    const text = model.describe?.(input, known) ??
      `${JSON.stringify(input)} gave ${JSON.stringify(known) ?? "unknown"}`;
    return `operation ${id}, ${client} ${text}`;
  };
  const lines = shown.slice(-CERTAIN_TOLD_MAX).map((record) => {
    const { id, invokedAtMs, returnedAtMs, outcome } = record;
    const end = outcome === "ok"
      ? `to ${returnedAtMs} ms`
      : "ms, not known how it ended";
    const doubt = possible.includes(id) ? ", which need not have happened" : "";
    return `  ${inWords(record)}, ${invokedAtMs} ${end}${doubt}`;
  });
  const earlier = shown.length - lines.length;
  if (earlier > 0) lines.unshift(`  ${earlier} earlier ones`);
  const hidden =
    possible.filter((id) => !shown.some((record) => record.id === id)).length;
  if (hidden > 0) {
    lines.push(
      `  ${hidden} others, which need not have happened and do not help`,
    );
  }
  const culprit = shown.find(({ id }) => id === culpritId);
  return `Key ${JSON.stringify(key)} is not linearizable: ${
    culprit === undefined ? culpritId : inWords(culprit)
  }, cannot be placed in any order of\n${lines.join("\n")}`;
}
