/**
 * The story of a consistent bucket under load: what clients see must be explained
 * by keys that did one thing after the other.
 *
 * @module
 */
import { isWhorlError } from "../../../src/base/errors.ts";
import type { KvClient } from "../../../src/kv/kv_client.ts";
import { linearizabilityViolations } from "../../../src/simulation/checkers/linearizability.ts";
import {
  type CasRegisterInput,
  casRegisterModel,
  type CasRegisterOutput,
} from "../../../src/simulation/checkers/register_model.ts";
import type {
  FinishedRun,
  OperationRecord,
  ScriptContext,
  Violation,
  Workload,
  WorkloadOperation,
} from "../../../src/simulation/mod.ts";
import type { Scenario } from "./scenario.ts";

const BUCKET = "sim";
const KEYS = 6;

/** The story of a bucket that is consistent before anybody uses it. */
export function consistentStory(
  story: (context: ScriptContext) => Promise<void>,
): Required<ReturnType<NonNullable<Scenario["begin"]>>> {
  let isMarked = false;
  return {
    script: async (context) => {
      await context.until("A consistent bucket", async () => {
        try {
          await context.ask(
            context.chance.below(3),
            (node) => node.markConsistent(BUCKET),
          );
          return true;
        } catch (error) {
          if (isWhorlError(error)) return false;
          throw error;
        }
      });
      isMarked = true;
      await story(context);
    },
    workload: workload(() => isMarked),
    check,
  };
}

/** Cuts `node` off from the other two for a while. */
export function cutOff(
  { chance, strike }: ScriptContext,
  node: number,
): void {
  strike({
    type: "partition",
    from: [node],
    to: [0, 1, 2].filter((other) => other !== node),
    oneWay: chance.chance(0.3),
    break: chance.chance(0.5),
    forMs: chance.pick([500, 3_000]),
  });
}

/** What a client has read of a key. */
interface Seen {
  readonly value: string | null;
  readonly context: string;
}

/** Puts, gets, deletes and conditional writes on a few keys, once `isMarked`. */
function workload(isMarked: () => boolean): Workload {
  return async (operation) => {
    while (!isMarked()) await operation.sleep(100);
    const { chance, number, session } = operation;
    const key = `k${chance.below(KEYS)}`;
    const value = `v${number}`;
    const draw = chance.next();
    if (draw < 0.35) return void await get(operation, key);
    if (draw < 0.55) {
      return await write(
        operation,
        key,
        { type: "put", value },
        (kv, options) => kv.put(BUCKET, key, value, options),
      );
    }
    if (draw < 0.65) {
      return await write(
        operation,
        key,
        { type: "delete" },
        (kv, options) => kv.delete(BUCKET, key, options),
      );
    }
    const old = session.get(key) as Seen | undefined;
    // What it remembers may have grown old.
    const seen = old !== undefined && chance.chance(0.3)
      ? old
      : await get(operation, key);
    if (seen === undefined) return;
    const { context } = seen;
    const to = draw < 0.93 ? value : null;
    if (seen.value === null && to === null) return;
    await write(
      operation,
      key,
      { type: "cas", expected: seen.value, value: to },
      (kv, options) =>
        to === null
          ? kv.delete(BUCKET, key, { ...options, context })
          : kv.put(BUCKET, key, to, { ...options, context }),
    );
  };
}

function timeoutOf({ chance }: WorkloadOperation): number {
  return chance.pick([500, 2_000, 5_000]);
}

async function get(
  operation: WorkloadOperation,
  key: string,
): Promise<Seen | undefined> {
  const timeoutMs = timeoutOf(operation);
  let seen: Seen | undefined;
  await operation.record(key, { type: "get" }, async ({ kv }) => {
    seen = await read(kv, key, timeoutMs);
    return seen.value;
  }, timeoutMs);
  if (seen !== undefined) operation.session.set(key, seen);
  return seen;
}

async function read(
  kv: KvClient,
  key: string,
  timeoutMs: number,
): Promise<Seen> {
  const { values, context } = await kv.get(BUCKET, key, { timeoutMs });
  if (values.length > 1 || context === null) {
    throw new Error(`${key} has ${values.length} values, context ${context}`);
  }
  return { value: (values[0] ?? null) as string | null, context };
}

async function write(
  operation: WorkloadOperation,
  key: string,
  input: CasRegisterInput,
  act: (
    kv: KvClient,
    options: { readonly timeoutMs: number },
  ) => Promise<unknown>,
): Promise<void> {
  const timeoutMs = timeoutOf(operation);
  await operation.record(key, input, async ({ kv }) => {
    try {
      await act(kv, { timeoutMs });
      return true;
    } catch (error) {
      if (isWhorlError(error, "index_mismatch")) return false;
      throw error;
    }
  }, timeoutMs);
}

/** Every node reads every key, and all that was seen is linearizable; what cannot be decided has failed. */
async function check(run: FinishedRun): Promise<readonly Violation[]> {
  const history = run.history as readonly OperationRecord<
    CasRegisterInput,
    CasRegisterOutput
  >[];
  const last: OperationRecord<CasRegisterInput, CasRegisterOutput>[] = [];
  for (const node of run.nodes) {
    for (let at = 0; at < KEYS; at++) {
      const key = `k${at}`;
      await run.eventually(`get of ${key} on ${node.name}`, async () => {
        const begun: typeof last[number] = {
          id: history.length + last.length,
          client: `at the end on ${node.name}`,
          key,
          input: { type: "get" },
          invokedAtMs: run.now(),
          returnedAtMs: undefined,
          outcome: "unknown",
          output: undefined,
          error: undefined,
        };
        last.push(begun);
        begun.output = (await read(node.kv, key, 2_000)).value;
        begun.outcome = "ok";
        begun.returnedAtMs = run.now();
      });
    }
  }
  return linearizabilityViolations(
    [...history, ...last],
    casRegisterModel,
  );
}
