/**
 * Shortens a history that is not linearizable until a person can read it.
 * Operations are added in the order of their return until no order explains
 * them: the last one added cannot be placed. Then others are forgotten, first
 * many at once, then one by one; a forgotten operation may have happened at any
 * time after its invocation, or never. What remains is a contradiction in
 * itself, whatever else happened.
 *
 * @module
 */
import type { OperationRecord } from "../history.ts";
import { Judge, withoutIrrelevant } from "./linearizability_judge.ts";
import type { Call, Model } from "./model.ts";
import type { Violation } from "./violation.ts";

/** Most operations that a message lists one by one. */
const CERTAIN_TOLD_MAX = 16;
/** Most of these that need not have happened. */
const POSSIBLE_TOLD_MAX = 4;

/**
 * Finds a bad history of `key`, whose `calls` no order explains, in about
 * `stepsMax` steps at most.
 */
export function findBadHistory<State, Input, Output>(
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
    // Operations invoked later can come after all of these.
    const before = calls.filter(({ invokedAtMs }) => invokedAtMs <= lastMs);
    const judge = new Judge(model, Math.ceil(stepsMax / 16));
    const verdict = judge.verdict(keepOnly(before, ids, model));
    stepsLeft -= judge.steps + before.length;
    return verdict === "bad";
  };

  // All of them together fail, and adding operations never helps.
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
      // Operations that may have happened and still explain nothing.
      possible,
      operations: shown.map((record) => ({ ...record })),
      returnedBefore: enough - 1,
    },
  };
}

/** `call` with an unknown outcome. */
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

/** `calls`, with all forgotten except those whose ids are in `kept`. */
function keepOnly<State, Input, Output>(
  calls: readonly Call<Input, Output>[],
  kept: ReadonlySet<number>,
  model: Model<State, Input, Output>,
): Call<Input, Output>[] {
  const result: Call<Input, Output>[] = [];
  for (const call of calls) {
    if (kept.has(call.id) || !call.known) result.push(call);
    // A read with an unknown result carries no information.
    else if (model.readOnly?.(call.input, call.output) !== true) {
      result.push(forgotten(call));
    }
  }
  return result;
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
