/**
 * What it costs to check histories for linearizability: 10,000 operations of 5
 * clients over 50 keys must take less than a second. By zones where every value
 * is written once, by search where it is not or where the model has
 * compare-and-set; good histories, and such with one stale read, which have to
 * be made short as well.
 *
 *     deno bench bench/linearizability_bench.ts
 */
import { seededChance } from "../src/base/chance.ts";
import { checkLinearizability } from "../src/simulation/checkers/linearizability.ts";
import type { Model } from "../src/simulation/checkers/model.ts";
import {
  casRegisterModel,
  type RegisterInput,
  registerModel,
  type RegisterValue,
} from "../src/simulation/checkers/register_model.ts";
import type { OperationRecord } from "../src/simulation/history.ts";

type Operation = OperationRecord<RegisterInput, RegisterValue>;

/** Clients one after the other on registers that work, each operation taking effect at a moment of its own. */
function generate(
  clients: number,
  keys: number,
  unknownShare: number,
  count = 10_000,
): Operation[] {
  const chance = seededChance(1);
  const freeAtMs = new Array<number>(clients).fill(0);
  const planned = Array.from({ length: count }, (_, i) => {
    const client = i % clients;
    const invokedAtMs = (freeAtMs[client] as number) + chance.next();
    const returnedAtMs = invokedAtMs + 1 + chance.next() * 10;
    freeAtMs[client] = returnedAtMs;
    const unknown = chance.chance(unknownShare);
    const record: Operation = {
      id: i,
      client: `c${client}`,
      key: `k${chance.below(keys)}`,
      input: chance.chance(0.5) ? { type: "get" } : { type: "put", value: i },
      invokedAtMs,
      returnedAtMs,
      outcome: unknown ? "unknown" : "ok",
      output: undefined,
      error: undefined,
    };
    const effectAtMs = invokedAtMs +
      chance.next() * (returnedAtMs - invokedAtMs);
    return { record, effectAtMs };
  });
  const held = new Map<string, RegisterValue>();
  planned.sort((a, b) => a.effectAtMs - b.effectAtMs);
  for (const { record } of planned) {
    const { key, input, outcome } = record;
    if (input.type === "put") held.set(key, input.value);
    if (outcome === "ok") record.output = held.get(key) ?? null;
  }
  return planned.map(({ record }) => record).sort((a, b) => a.id - b.id);
}

/** The same with one read of what its key held first, far in the past. */
function withStaleRead(records: readonly Operation[]): Operation[] {
  const at = records.findLastIndex(({ input, outcome }) =>
    input.type === "get" && outcome === "ok"
  );
  const { key } = records[at] as Operation;
  const first = records.find((record) =>
    record.key === key && record.input.type === "get" && record.output !== null
  );
  const stale = { ...records[at] as Operation };
  stale.output = (first as Operation).output;
  return records.with(at, stale);
}

const usual = generate(5, 50, 0);
const doubtful = generate(5, 50, 0.01);
const oneKey = generate(5, 1, 0);
const crowd = generate(20, 50, 0.01);

// Only the zone check and the search differ: the model has the same operations.
const models: Readonly<
  Record<string, Model<RegisterValue, RegisterInput, RegisterValue>>
> = {
  zones: registerModel,
  search: casRegisterModel as Model<
    RegisterValue,
    RegisterInput,
    RegisterValue
  >,
};

for (const [way, model] of Object.entries(models)) {
  for (
    const [name, records, verdict] of [
      ["5 clients, 50 keys", usual, "linearizable"],
      ["5 clients, 50 keys, 1 % unknown", doubtful, "linearizable"],
      ["20 clients, 50 keys, 1 % unknown", crowd, "linearizable"],
      ["5 clients, 1 key", oneKey, "linearizable"],
      ["5 clients, 50 keys, a stale read", withStaleRead(usual), "violation"],
      [
        "5 clients, 50 keys, 1 % unknown, a stale read",
        withStaleRead(doubtful),
        "violation",
      ],
      ["5 clients, 1 key, a stale read", withStaleRead(oneKey), "violation"],
    ] as const
  ) {
    Deno.bench(`10,000 operations by ${way}: ${name}`, { group: way }, () => {
      const result = checkLinearizability(records, model);
      if (result.verdict !== verdict) throw new Error(result.verdict);
    });
  }
}
