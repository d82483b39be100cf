/**
 * A key of `ra_kv` as a model: a register that also tells whether there was
 * anything to delete, and that changes on condition of what it holds.
 *
 * @module
 */
import type { Model } from "./model.ts";
import {
  casRegisterModel,
  type RegisterInput,
  type RegisterValue,
} from "./register_model.ts";

/** An operation on a key. */
export type RaKvInput =
  | RegisterInput
  /** Puts `value`, or deletes for `null`, if the key holds `expected`. */
  | {
    readonly type: "cas";
    readonly expected: RegisterValue;
    readonly value: RegisterValue;
  };

/** What a get found; whether a delete found anything; whether a compare-and-set found what it expected. Of a put anything. */
export type RaKvOutput = RegisterValue | boolean;

/** A key of `ra_kv`. */
export const raKvModel: Model<RegisterValue, RaKvInput, RaKvOutput> = {
  ...casRegisterModel,
  step: (state, input, output) => {
    if (input.type !== "delete" || output === undefined) {
      return casRegisterModel.step(state, input, output);
    }
    return { ok: output === (state !== null), state: null };
  },
  readOnly: (input, output) =>
    input.type === "get" || output === false &&
      (input.type === "cas" || input.type === "delete"),
  // A delete that found something, or nothing, may owe that to any other.
  relevant: (known, unknown) =>
    known.some(({ input }) => input.type === "delete")
      ? unknown
      : casRegisterModel.relevant?.(known, unknown) ?? unknown,
};
