/**
 * The linearizability checker against all permutations, on histories short
 * enough for that, and against histories that are linearizable by construction.
 */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Chance, seededChance } from "../../src/base/chance.ts";
import { checkLinearizability } from "../../src/simulation/checkers/linearizability.ts";
import type { Model } from "../../src/simulation/checkers/model.ts";
import {
  type CasRegisterInput,
  casRegisterModel,
  type CasRegisterOutput,
  type RegisterInput,
  registerModel,
  type RegisterOutput,
  type RegisterValue,
} from "../../src/simulation/checkers/register_model.ts";
import type { OperationRecord } from "../../src/simulation/history.ts";

type Operation = OperationRecord<CasRegisterInput, CasRegisterOutput>;
type RegisterOperation = OperationRecord<RegisterInput, RegisterOutput>;

/** Tries every order, and for what is unknown both that it happened and that it did not. */
function explained<State>(
  model: Model<State, CasRegisterInput, CasRegisterOutput>,
  records: readonly Operation[],
  state: State = model.init(),
): boolean {
  const left = records.filter(({ outcome }) => outcome !== "failed");
  if (left.every(({ outcome }) => outcome === "unknown")) return true;
  return left.some((next) => {
    const others = left.filter((other) => other !== next);
    const tooEarly = others.some(({ outcome, returnedAtMs }) =>
      outcome === "ok" && (returnedAtMs as number) < next.invokedAtMs
    );
    if (tooEarly) return false;
    const output = next.outcome === "ok" ? next.output : undefined;
    const { ok, state: after } = model.step(state, next.input, output);
    return ok && explained(model, others, after);
  });
}

const value = fc.integer({ min: 1, max: 3 });
const found: fc.Arbitrary<RegisterValue> = fc.option(value, { nil: null });
const registerInput: fc.Arbitrary<CasRegisterInput> = fc.oneof(
  fc.constant({ type: "get" as const }),
  fc.record({ type: fc.constant("put" as const), value }),
  fc.constant({ type: "delete" as const }),
);
const casInput: fc.Arbitrary<CasRegisterInput> = fc.oneof(
  registerInput,
  fc.record({ type: fc.constant("cas" as const), expected: found, value }),
);

function historyOf(
  input: fc.Arbitrary<CasRegisterInput>,
): fc.Arbitrary<Operation[]> {
  return fc.array(
    fc.record({
      input,
      invokedAtMs: fc.nat({ max: 12 }),
      lasted: fc.nat({ max: 5 }),
      outcome: fc.constantFrom("ok", "ok", "ok", "ok", "unknown", "failed"),
      found,
      done: fc.boolean(),
    }),
    { maxLength: 6 },
  ).map((rows) =>
    rows.map((row, id): Operation => ({
      id,
      client: `c${id}`,
      key: "k",
      input: row.input,
      invokedAtMs: row.invokedAtMs,
      returnedAtMs: row.invokedAtMs + row.lasted,
      outcome: row.outcome as Operation["outcome"],
      output: row.input.type === "cas" ? row.done : row.found,
      error: undefined,
    }))
  );
}

for (
  const { name, input, model } of [
    { name: "a register", input: registerInput, model: registerModel },
    { name: "compare-and-set", input: casInput, model: casRegisterModel },
  ] as const
) {
  Deno.test(`checkLinearizability() says of ${name} what all permutations say`, () => {
    const seen = { linearizable: 0, violation: 0, undecided: 0 };
    fc.assert(
      fc.property(historyOf(input), (records) => {
        const expected = explained(casRegisterModel, records);
        const { verdict, violations } = checkLinearizability(
          records as OperationRecord<never, never>[],
          model as Model<unknown, unknown, unknown>,
        );
        assertEquals(verdict, expected ? "linearizable" : "violation");
        seen[verdict]++;
        // What is shown must be a contradiction by itself.
        for (const { operations, details } of violations) {
          const { possible } = details as { possible: number[] };
          const shown = records.filter(({ id }) =>
            operations!.includes(id) || possible.includes(id)
          )
            .map((record) =>
              possible.includes(record.id)
                ? { ...record, outcome: "unknown" as const }
                : record
            );
          assertEquals(explained(casRegisterModel, shown), false);
        }
      }),
      { numRuns: 4_000 },
    );
    // Neither verdict may be the exception.
    assertEquals([seen.linearizable > 500, seen.violation > 500], [true, true]);
  });
}

/** Histories of a register whose values are all different, which have a direct way. */
const uniqueHistory = historyOf(registerInput).map((records) =>
  records.filter(({ input }) => input.type !== "delete").map((record, i) =>
    record.input.type === "put"
      ? { ...record, input: { type: "put" as const, value: i } }
      : { ...record, output: record.output === null ? null : i % 3 }
  )
);

Deno.test("registerModel.decide() says of unique values what all permutations say", () => {
  let decided = 0;
  fc.assert(
    fc.property(uniqueHistory, (records) => {
      const calls = records.filter(({ outcome }) => outcome === "ok").map((
        { id, input, output, invokedAtMs, returnedAtMs },
      ) => ({
        id,
        input: input as RegisterInput,
        output: output as RegisterOutput,
        known: true,
        invokedAtMs,
        returnedAtMs: returnedAtMs as number,
      }));
      const expected = explained(
        casRegisterModel,
        records.filter(({ outcome }) => outcome === "ok"),
      );
      assertEquals(registerModel.decide!(calls), expected);
      if (expected) decided++;
    }),
    { numRuns: 2_000 },
  );
  assertEquals(decided > 200, true);
});

/** Clients that take turns on a real register, each operation taking effect at a moment of its own. */
function generate(chance: Chance, operations: number): RegisterOperation[] {
  const clients = 5;
  const freeAtMs = new Array<number>(clients).fill(0);
  const planned: { record: RegisterOperation; effectAtMs: number }[] = [];
  for (let i = 0; i < operations; i++) {
    const client = chance.below(clients);
    const invokedAtMs = (freeAtMs[client] as number) + chance.next() * 4;
    const returnedAtMs = invokedAtMs + chance.next() * 10;
    freeAtMs[client] = returnedAtMs;
    const kind = chance.below(10);
    const outcome = chance.chance(0.05) ? "unknown" : "ok";
    planned.push({
      effectAtMs: outcome === "ok"
        ? invokedAtMs + chance.next() * (returnedAtMs - invokedAtMs)
        : chance.chance(0.5)
        ? invokedAtMs + chance.next() * 100
        : Infinity,
      record: {
        id: i,
        client: `c${client}`,
        key: "k",
        input: kind < 5
          ? { type: "get" }
          : kind < 9
          ? { type: "put", value: i }
          : { type: "delete" },
        invokedAtMs,
        returnedAtMs,
        outcome,
        output: undefined,
        error: undefined,
      },
    });
  }
  let held: RegisterValue = null;
  for (
    const { record, effectAtMs } of planned.toSorted((a, b) =>
      a.effectAtMs - b.effectAtMs
    )
  ) {
    if (effectAtMs === Infinity) break;
    if (record.input.type === "put") held = record.input.value;
    if (record.input.type === "delete") held = null;
    if (record.outcome === "ok") record.output = held;
  }
  return planned.map(({ record }) => record)
    .sort((a, b) => a.invokedAtMs - b.invokedAtMs);
}

/** What a broken register might do; `undefined` if this history gives no chance for it. */
const mutations: Record<
  string,
  (records: RegisterOperation[]) => RegisterOperation[] | undefined
> = {
  "a phantom value": (records) =>
    changeRead(records, (read) => read.output !== null, () => -1),
  "a read of a value long overwritten": (records) =>
    changeRead(
      records,
      (read) => firstRead(records, read) !== undefined,
      (read) => firstRead(records, read)!.output as RegisterValue,
    ),
  "an acknowledged write that nobody sees": (records) => {
    // A value that was read, and at once the one from before it.
    const reads = records.filter(isRead);
    for (let i = 2; i < reads.length; i++) {
      const [a, b, c] = [reads[i - 2]!, reads[i - 1]!, reads[i]!];
      if (
        a.output !== b.output && a.output !== null &&
        (a.returnedAtMs as number) < b.invokedAtMs &&
        (b.returnedAtMs as number) < c.invokedAtMs
      ) {
        return records.map((record) =>
          record === c ? { ...c, output: a.output } : record
        );
      }
    }
    return undefined;
  },
};

function isRead(record: RegisterOperation): boolean {
  return record.input.type === "get" && record.outcome === "ok";
}

function changeRead(
  records: RegisterOperation[],
  which: (read: RegisterOperation) => boolean,
  output: (read: RegisterOperation) => RegisterValue,
): RegisterOperation[] | undefined {
  const read = records.filter(isRead).reverse().find(which);
  if (read === undefined) return undefined;
  return records.map((record) =>
    record === read ? { ...read, output: output(read) } : record
  );
}

/** An early read whose value certainly was overwritten, and that seen, before `read` began. */
function firstRead(
  records: RegisterOperation[],
  read: RegisterOperation,
): RegisterOperation | undefined {
  return records.filter(isRead).find((early) =>
    early.output !== null &&
    records.filter(isRead).some((between) =>
      between.output !== early.output &&
      (early.returnedAtMs as number) < between.invokedAtMs &&
      (between.returnedAtMs as number) < read.invokedAtMs
    )
  );
}

Deno.test("checkLinearizability() passes what a real register did, and finds each way to break it", () => {
  const found: Record<string, number> = {};
  for (let seed = 0; seed < 60; seed++) {
    const records = generate(seededChance(seed), 120);
    assertEquals(
      checkLinearizability(records, registerModel).verdict,
      "linearizable",
      `seed ${seed}`,
    );
    for (const [name, mutate] of Object.entries(mutations)) {
      const mutant = mutate(records);
      if (mutant === undefined) continue;
      const { verdict, violations } = checkLinearizability(
        mutant,
        registerModel,
      );
      assertEquals(verdict, "violation", `seed ${seed}, ${name}`);
      assertEquals(
        violations[0]!.operations!.length <= 8,
        true,
        `seed ${seed}, ${name}: ${violations[0]!.message}`,
      );
      found[name] = (found[name] ?? 0) + 1;
    }
  }
  for (const name of Object.keys(mutations)) {
    assertEquals((found[name] ?? 0) > 20, true, `${name}: ${found[name]}`);
  }
});
