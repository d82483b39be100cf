/**
 * Registers as models: one with puts, gets and deletes, and one with
 * compare-and-set.
 *
 * ```ts
 * import { checkLinearizability } from "./linearizability.ts";
 * import { registerModel } from "./register_model.ts";
 * import { HistoryRecorder } from "../history.ts";
 * import type { RegisterInput, RegisterOutput } from "./register_model.ts";
 *
 * let nowMs = 0;
 * const history = new HistoryRecorder<RegisterInput, RegisterOutput>(() => nowMs++);
 * history.succeed(history.invoke("c1", "k", { type: "put", value: 7 }), null);
 * history.succeed(history.invoke("c2", "k", { type: "get" }), 7);
 * const { verdict } = checkLinearizability(history.records, registerModel);
 * ```
 *
 * @module
 */
import { fnv1a32 } from "../../base/chance.ts";
import type { Call, Model, ModelStep } from "./model.ts";
import { type ZoneOperation, zonesLinearizable } from "./register_zones.ts";

/** The value of a register; `null` if it was never put or was deleted. */
export type RegisterValue = string | number | null;

/** An operation on a register. */
export type RegisterInput =
  | { readonly type: "get" }
  | { readonly type: "put"; readonly value: string | number }
  | { readonly type: "delete" };

/** The value that a get found; ignored for other operations. */
export type RegisterOutput = RegisterValue;

/** An operation on a register with compare-and-set. */
export type CasRegisterInput =
  | RegisterInput
  /**
   * Puts `value` if the register holds `expected`, and returns whether it did.
   */
  | {
    readonly type: "cas";
    readonly expected: RegisterValue;
    readonly value: RegisterValue;
  };

/**
 * The value that a get found, or whether a compare-and-set changed the value.
 */
export type CasRegisterOutput = RegisterValue | boolean;

const NO: ModelStep<RegisterValue> = { ok: false, state: null };

/**
 * A register. Histories in which no value is put twice and nothing is deleted
 * are decided in O(n log n).
 */
export const registerModel: Model<
  RegisterValue,
  RegisterInput,
  RegisterOutput
> = {
  init: () => null,
  step: (state, input, output) => stepRegister(state, input, output),
  equals: (a, b) => a === b,
  hash: hashValue,
  readOnly: ({ type }) => type === "get",
  relevant: (known, unknown) => {
    const read = new Set<RegisterValue>();
    for (const { input, output } of known) {
      if (input.type === "get" && output !== undefined) read.add(output);
    }
    // A put whose value nobody read changed nothing visible.
    return unknown.filter(({ input }) =>
      input.type === "put" && read.has(input.value) ||
      input.type === "delete" && read.has(null)
    );
  },
  decide: (calls) => {
    const operations: ZoneOperation[] = [];
    for (const { input, output, invokedAtMs, returnedAtMs } of calls) {
      if (input.type === "delete") return undefined;
      const write = input.type === "put";
      operations.push({
        value: write ? input.value : output as RegisterValue,
        write,
        invokedAtMs,
        returnedAtMs,
      });
    }
    return zonesLinearizable(operations);
  },
  describe: describeRegister,
};

/** A register with compare-and-set. */
export const casRegisterModel: Model<
  RegisterValue,
  CasRegisterInput,
  CasRegisterOutput
> = {
  init: () => null,
  step: (state, input, output) => {
    if (input.type !== "cas") {
      return stepRegister(state, input, output as RegisterValue | undefined);
    }
    const holds = state === input.expected;
    if (output !== undefined && output !== holds) return NO;
    return { ok: true, state: holds ? input.value : state };
  },
  equals: (a, b) => a === b,
  hash: hashValue,
  readOnly: ({ type }, output) =>
    type === "get" || type === "cas" && output === false,
  relevant: relevantForCas,
  describe: describeRegister,
};

function stepRegister(
  state: RegisterValue,
  input: RegisterInput,
  output: RegisterValue | undefined,
): ModelStep<RegisterValue> {
  switch (input.type) {
    case "get":
      return output === undefined || output === state
        ? { ok: true, state }
        : NO;
    case "put":
      return { ok: true, state: input.value };
    case "delete":
      return { ok: true, state: null };
  }
}

/**
 * Any value can explain a failed compare-and-set. Without one, only operations
 * matter that put a value somebody saw, or that lead to such a value.
 */
function relevantForCas(
  known: readonly Call<CasRegisterInput, CasRegisterOutput>[],
  unknown: readonly Call<CasRegisterInput, CasRegisterOutput>[],
): readonly Call<CasRegisterInput, CasRegisterOutput>[] {
  const wanted = new Set<RegisterValue>();
  for (const { input, output } of known) {
    if (input.type === "cas") {
      if (output !== true) return unknown;
      wanted.add(input.expected);
    } else if (input.type === "get" && output !== undefined) {
      wanted.add(output as RegisterValue);
    }
  }
  const relevant = new Set<Call<CasRegisterInput, CasRegisterOutput>>();
  for (let before = -1; before !== relevant.size;) {
    before = relevant.size;
    for (const call of unknown) {
      const { input } = call;
      if (input.type === "get") continue;
      if (!wanted.has(input.type === "delete" ? null : input.value)) continue;
      relevant.add(call);
      if (input.type === "cas") wanted.add(input.expected);
    }
  }
  return unknown.filter((call) => relevant.has(call));
}

function hashValue(value: RegisterValue): number {
  if (value === null) return 0;
  return typeof value === "string"
    ? fnv1a32(value)
    : Number.isInteger(value)
    ? value | 0
    : fnv1a32(String(value));
}

function describeRegister(
  input: CasRegisterInput,
  output: CasRegisterOutput | undefined,
): string {
  const shown = output === undefined ? "unknown" : JSON.stringify(output);
  switch (input.type) {
    case "get":
      return `get gave ${shown}`;
    case "put":
      return `put ${JSON.stringify(input.value)}`;
    case "delete":
      return "delete";
    case "cas":
      return `cas ${JSON.stringify(input.expected)} to ${
        JSON.stringify(input.value)
      } gave ${shown}`;
  }
}
