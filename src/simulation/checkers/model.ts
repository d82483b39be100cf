/**
 * What an object promises to a single client. A linearizability checker asks
 * whether that explains what concurrent clients saw.
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
  /** The requested operation. */
  readonly input: Input;
  /** Its result; `undefined` if unknown. */
  readonly output: Output | undefined;
  /**
   * Whether it certainly happened. Otherwise it may have, at any time after its
   * invocation, or never.
   */
  readonly known: boolean;
  /** When its client began it. */
  readonly invokedAtMs: number;
  /** `Infinity` if it is not known to have happened. */
  readonly returnedAtMs: number;
}

/** The answer of {@linkcode Model.step}. */
export interface ModelStep<State> {
  /** Whether the object may give that result. */
  readonly ok: boolean;
  /** The state afterwards; meaningless unless `ok`. */
  readonly state: State;
}

/**
 * A sequential object. States are values: a step returns a new one and changes
 * none.
 */
export interface Model<State, Input, Output> {
  /** The state before any operation. */
  init(): State;
  /**
   * Performs `input` on `state`. `output` is the client's result; `undefined`
   * if unknown, which any result matches.
   */
  step(
    state: State,
    input: Input,
    output: Output | undefined,
  ): ModelStep<State>;
  /** Whether two states are indistinguishable. */
  equals(a: State, b: State): boolean;
  /** An integer, equal for equal states. */
  hash(state: State): number;
  /**
   * Whether an operation with this result leaves every state unchanged. Makes
   * the check much faster. `output` is `undefined` if unknown.
   *
   * @default {no operation}
   */
  readOnly?(input: Input, output: Output | undefined): boolean;
  /**
   * Selects those of the `unknown` operations that may help to explain `known`
   * ones; the others are assumed not to have happened. Dropping one that could
   * help makes the check wrong, keeping one that cannot makes it slow.
   *
   * @default {all of them}
   */
  relevant?(
    known: readonly Call<Input, Output>[],
    unknown: readonly Call<Input, Output>[],
  ): readonly Call<Input, Output>[];
  /**
   * A direct method for histories of a special form: whether `calls` are
   * linearizable, or `undefined` if it cannot decide.
   *
   * @default {none}
   */
  decide?(calls: readonly Call<Input, Output>[]): boolean | undefined;
  /**
   * An operation in words, for messages. `output` is `undefined` if unknown.
   * @default {JSON}
   */
  describe?(input: Input, output: Output | undefined): string;
}
