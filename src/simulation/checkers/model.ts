/**
 * What an object promises when it is used by one client at a time. A
 * linearizability checker asks whether what concurrent clients saw can be
 * explained by it.
 *
 * ```ts
 * import type { Model } from "./model.ts";
 *
 * const counter: Model<number, "add" | "read", number> = {
 *   init: () => 0,
 *   step: (state, input, output) =>
 *     input === "add"
 *       ? { ok: true, state: state + 1 }
 *       : { ok: output === undefined || output === state, state },
 *   equals: (a, b) => a === b,
 *   hash: (state) => state,
 *   readOnly: (input) => input === "read",
 * };
 * ```
 *
 * @module
 */

/** One operation as a checker places it. */
export interface Call<Input, Output> {
  /** Its id in the history. */
  readonly id: number;
  /** What was asked for. */
  readonly input: Input;
  /** What it gave; `undefined` if that is not known. */
  readonly output: Output | undefined;
  /** Whether it certainly happened. Else it may have, at any time after it was invoked, or never. */
  readonly known: boolean;
  /** When its client began it. */
  readonly invokedAtMs: number;
  /** `Infinity` if it is not known to have happened. */
  readonly returnedAtMs: number;
}

/** What {@linkcode Model.step} answers. */
export interface ModelStep<State> {
  /** Whether the object may answer so. */
  readonly ok: boolean;
  /** The state afterwards; of no meaning unless `ok`. */
  readonly state: State;
}

/** A sequential object. States are values: a step makes a new one and changes none. */
export interface Model<State, Input, Output> {
  /** The state before any operation. */
  init(): State;
  /** Carries out `input` on `state`. `output` is what the client was given, `undefined` if that is not known: then any answer will do. */
  step(
    state: State,
    input: Input,
    output: Output | undefined,
  ): ModelStep<State>;
  /** Whether two states cannot be told apart. */
  equals(a: State, b: State): boolean;
  /** An integer, equal for equal states. */
  hash(state: State): number;
  /**
   * Whether an operation that gave `output` changes no state whatever. Makes the
   * check faster by far. `output` is `undefined` if it is not known.
   *
   * @default {no operation}
   */
  readOnly?(input: Input, output: Output | undefined): boolean;
  /**
   * Those of the `unknown` operations that may help to explain `known` ones;
   * the others are taken never to have happened. Leaving one out that could
   * help makes the check wrong, keeping one that cannot makes it slow.
   *
   * @default {all of them}
   */
  relevant?(
    known: readonly Call<Input, Output>[],
    unknown: readonly Call<Input, Output>[],
  ): readonly Call<Input, Output>[];
  /**
   * A direct answer for histories of a special form: whether `calls` are
   * linearizable, or `undefined` for those it cannot decide.
   *
   * @default {none}
   */
  decide?(calls: readonly Call<Input, Output>[]): boolean | undefined;
  /** An operation in words, for messages. `output` is `undefined` if it is not known. @default {JSON} */
  describe?(input: Input, output: Output | undefined): string;
}
