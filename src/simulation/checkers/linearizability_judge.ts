/**
 * Judges the operations of one key: drops what cannot matter, uses the direct
 * method of the model if it has one, and searches otherwise.
 *
 * @module
 */
import { searchLinearization } from "./linearization_search.ts";
import type { Call, Model } from "./model.ts";

/** Judges sets of operations and counts the steps. */
export class Judge<State, Input, Output> {
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

/** `calls` without those of unknown outcome that would explain nothing. */
export function withoutIrrelevant<State, Input, Output>(
  calls: readonly Call<Input, Output>[],
  model: Model<State, Input, Output>,
): readonly Call<Input, Output>[] {
  const unknown = calls.filter(({ known }) => !known);
  if (unknown.length === 0) return calls;
  const known = calls.filter(({ known }) => known);
  const relevant = new Set(model.relevant?.(known, unknown) ?? unknown);
  return calls.filter((call) => call.known || relevant.has(call));
}
