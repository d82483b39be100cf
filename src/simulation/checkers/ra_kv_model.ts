/**
 * Keys of `ra_kv` as a model: registers with conditional changes, of one key or
 * of several at once, some of whose values have a TTL.
 *
 * A completed write returns its log index, and the log is the order of the
 * writes: any order that explains what clients saw must agree with it. An
 * expiry is not seen when it happens, but by whoever reads next; so the value
 * stays until a client finds it gone, and then it never comes back.
 *
 * @module
 */
import { fnv1a32 } from "../../base/chance.ts";
import type { Call, Model, ModelStep } from "./model.ts";

/** The value of a key; null if there is none. */
export type RaKvModelValue = string | null;

/** A change of one of several keys. */
export interface RaKvModelChange {
  /** Which of the keys. */
  readonly place: number;
  /** Null deletes, whether or not the key exists. */
  readonly value: RaKvModelValue;
  /** The value it must hold. @default {anything} */
  readonly expected?: RaKvModelValue;
}

/**
 * An operation on one key, or on one of several keys that are written together:
 * then `place` says which. All values of `fleeting` keys have a TTL.
 */
export type RaKvInput =
  & { readonly place?: number; readonly fleeting?: boolean }
  & (
    | { readonly type: "get" }
    | { readonly type: "put"; readonly value: string }
    /** Deletes an existing value. */
    | { readonly type: "delete" }
    /** Puts `value`, or deletes if null, if the key holds `expected`. */
    | {
      readonly type: "cas";
      readonly expected: RaKvModelValue;
      readonly value: RaKvModelValue;
    }
    /** All of the changes, or none if one does not find what it expects. */
    | { readonly type: "batch"; readonly changes: readonly RaKvModelChange[] }
  );

/**
 * The value that a get found, the index of a write, or false if a condition
 * failed.
 */
export type RaKvOutput = RaKvModelValue | number | false;

/** The values of the keys, and the highest index that a write returned. */
export interface RaKvModelState {
  readonly values: readonly RaKvModelValue[];
  readonly index: number;
}

/** Most keys that are written together. */
const PLACES_MAX = 2;
const NO: ModelStep<RaKvModelState> = {
  ok: false,
  state: { values: [], index: 0 },
};

/** Keys of `ra_kv`. */
export const raKvModel: Model<RaKvModelState, RaKvInput, RaKvOutput> = {
  init: () => ({ values: Array(PLACES_MAX).fill(null), index: 0 }),
  step: (state, input, output) => {
    switch (input.type) {
      case "get":
        return stepGet(state, input, output);
      case "put":
        return written(state, input, input.value, output);
      case "delete": {
        const holds = valueAt(state, input) !== null;
        if (output === undefined) return written(state, input, null, output);
        if (holds !== (output !== false)) return NO;
        return holds ? written(state, input, null, output) : unchanged(state);
      }
      case "cas":
        return stepCas(state, input, output);
      case "batch":
        return stepBatch(state, input.changes, output);
      default:
        return input satisfies never;
    }
  },
  equals: (a, b) =>
    a.index === b.index && a.values.every((value, i) => value === b.values[i]),
  hash: ({ values }) => {
    let hash = 0;
    for (const value of values) {
      hash = Math.imul(hash, 31) + (value === null ? 0 : fnv1a32(value)) | 0;
    }
    return hash;
  },
  // A read of a key with a TTL may be the first to see that its value expired.
  readOnly: ({ type, fleeting }, output) =>
    type === "get"
      ? fleeting !== true || output === undefined || output !== null
      : output === false && fleeting !== true,
  relevant: relevantFor,
  describe: describeInput,
};

function unchanged(state: RaKvModelState): ModelStep<RaKvModelState> {
  return { ok: true, state };
}

function valueAt(
  { values }: RaKvModelState,
  { place = 0 }: { readonly place?: number },
): RaKvModelValue {
  return values[place] ?? null;
}

/** `state` with another value, by a write that returned `output`. */
function written(
  state: RaKvModelState,
  { place = 0 }: { readonly place?: number },
  value: RaKvModelValue,
  output: RaKvOutput | undefined,
): ModelStep<RaKvModelState> {
  if (typeof output === "number" && output <= state.index) return NO;
  const index = typeof output === "number" ? output : state.index;
  return {
    ok: true,
    state: { values: state.values.with(place, value), index },
  };
}

function stepGet(
  state: RaKvModelState,
  input: RaKvInput,
  output: RaKvOutput | undefined,
): ModelStep<RaKvModelState> {
  const value = valueAt(state, input);
  if (output === undefined || output === value) return unchanged(state);
  return output === null && input.fleeting === true
    ? written(state, input, null, undefined)
    : NO;
}

function stepCas(
  state: RaKvModelState,
  input: Extract<RaKvInput, { type: "cas" }>,
  output: RaKvOutput | undefined,
): ModelStep<RaKvModelState> {
  const { expected, value, fleeting } = input;
  const now = valueAt(state, input);
  const mayBeGone = fleeting === true && now !== null;
  if (output === false) {
    if (now !== expected) return unchanged(state);
    // It held the expected value, unless that had expired.
    return mayBeGone ? written(state, input, null, undefined) : NO;
  }
  if (now === expected || expected === null && mayBeGone) {
    return written(state, input, value, output);
  }
  // Not having happened explains an unknown outcome.
  return output === undefined ? unchanged(state) : NO;
}

function stepBatch(
  state: RaKvModelState,
  changes: readonly RaKvModelChange[],
  output: RaKvOutput | undefined,
): ModelStep<RaKvModelState> {
  const holds = changes.every(({ place, expected }) =>
    expected === undefined || state.values[place] === expected
  );
  if (output !== undefined && holds !== (output !== false)) return NO;
  if (!holds) return unchanged(state);
  if (typeof output === "number" && output <= state.index) return NO;
  const values = [...state.values];
  for (const { place, value } of changes) values[place] = value;
  const index = typeof output === "number" ? output : state.index;
  return { ok: true, state: { values, index } };
}

/**
 * What can explain a failed condition, or a delete that reports what it found,
 * is any other operation; otherwise only what led to a value somebody saw.
 */
function relevantFor(
  known: readonly Call<RaKvInput, RaKvOutput>[],
  unknown: readonly Call<RaKvInput, RaKvOutput>[],
): readonly Call<RaKvInput, RaKvOutput>[] {
  const wanted = new Set<RaKvModelValue>();
  for (const { input, output } of known) {
    if (input.type === "delete") return unknown;
    if (input.type === "get") wanted.add(output as RaKvModelValue);
    else if (output === false) return unknown;
    else for (const value of valuesNeededBy(input)) wanted.add(value);
  }
  const relevant = new Set<Call<RaKvInput, RaKvOutput>>();
  for (let before = -1; before !== relevant.size;) {
    before = relevant.size;
    for (const call of unknown) {
      const { input } = call;
      if (!valuesPutBy(input).some((value) => wanted.has(value))) continue;
      relevant.add(call);
      for (const value of valuesNeededBy(input)) wanted.add(value);
    }
  }
  return unknown.filter((call) => relevant.has(call));
}

/** The values that `input` may leave behind. */
export function valuesPutBy(input: RaKvInput): readonly RaKvModelValue[] {
  switch (input.type) {
    case "get":
      return [];
    case "delete":
      return [null];
    case "put":
    case "cas":
      return [input.value];
    case "batch":
      return input.changes.map(({ value }) => value);
    default:
      return input satisfies never;
  }
}

function valuesNeededBy(input: RaKvInput): readonly RaKvModelValue[] {
  if (input.type === "cas") return [input.expected];
  if (input.type !== "batch") return [];
  return input.changes.flatMap(({ expected }) =>
    expected === undefined ? [] : [expected]
  );
}

function describeInput(
  input: RaKvInput,
  output: RaKvOutput | undefined,
): string {
  const { place } = input;
  const at = place === undefined ? "" : ` of ${place}`;
  const gave = output === undefined ? "unknown" : JSON.stringify(output);
  switch (input.type) {
    case "get":
      return `get${at} gave ${gave}`;
    case "put":
      return `put ${JSON.stringify(input.value)}${at} gave ${gave}`;
    case "delete":
      return `delete${at} gave ${gave}`;
    case "cas":
      return `cas${at} ${JSON.stringify(input.expected)} to ${
        JSON.stringify(input.value)
      } gave ${gave}`;
    case "batch":
      return `batch ${JSON.stringify(input.changes)} gave ${gave}`;
    default:
      return input satisfies never;
  }
}
