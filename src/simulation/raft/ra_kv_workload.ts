/**
 * The load on a cluster of `ra_kv`, and what it promises about it: that
 * everything clients saw can be explained by keys that did one thing after the
 * other.
 *
 * Few keys, so that clients meet on them, and every value is written once, so
 * that a value tells who wrote it.
 *
 * @module
 */
import { isWhorlError } from "../../base/errors.ts";
import type { WhorlNode } from "../../node/node.ts";
import type {
  RaKvClient,
  RaKvFound,
  RaKvGetOptions,
  RaKvWritten,
} from "../../ra_kv/ra_kv_client.ts";
import { checkLinearizability } from "../checkers/linearizability.ts";
import {
  type RaKvInput,
  raKvModel,
  type RaKvOutput,
} from "../checkers/ra_kv_model.ts";
import type { Violation } from "../checkers/violation.ts";
import type { FinishedRun } from "../finished_run.ts";
import type { OperationRecord } from "../history.ts";
import type { Workload, WorkloadOperation } from "../workload.ts";
import { SIMULATED_GROUP } from "./simulated_group.ts";

/** What the load is like. */
export interface RaKvWorkloadOptions {
  /** Keys that all clients share. @default {4} */
  readonly keys?: number;
}

/** How long a client waits after a failure, in virtual milliseconds: what refuses at once would use up all operations while nothing can be done. */
const AFTER_FAILURE_MS = 300;

/** What a client has read of a key. */
interface Seen {
  readonly value: string | null;
  readonly index: number;
}

/** Puts, gets, deletes and compare-and-sets on a few keys. */
export function raKvWorkload(
  { keys = 4 }: RaKvWorkloadOptions = {},
): Workload {
  return async (operation) => {
    const { chance, number, session } = operation;
    const key = `k${chance.below(keys)}`;
    const value = `v${number}`;
    const draw = chance.next();
    if (draw < 0.35) return void await get(operation, key);
    if (draw < 0.6) {
      return await change(
        operation,
        key,
        { type: "put", value },
        (client, options) => client.put(SIMULATED_GROUP, key, value, options),
      );
    }
    if (draw < 0.7) {
      return await change(
        operation,
        key,
        { type: "delete" },
        (client, options) => client.delete(SIMULATED_GROUP, key, options),
      );
    }
    const old = session.get(key) as Seen | undefined;
    // What it remembers may have grown old.
    const seen = old !== undefined && chance.chance(0.3)
      ? old
      : await get(operation, key);
    if (seen === undefined) return;
    await compareAndSet(operation, key, seen, draw < 0.95 ? value : null);
  };
}

function drawTimeout({ chance }: WorkloadOperation): number {
  return chance.pick([500, 2_000, 5_000]);
}

async function get(
  operation: WorkloadOperation,
  key: string,
): Promise<Seen | undefined> {
  const options: RaKvGetOptions = {
    timeoutMs: drawTimeout(operation),
    from: operation.chance.chance(0.3) ? "local" : "leader",
  };
  let seen: Seen | undefined;
  await operation.record(key, { type: "get" }, async ({ raKv }) => {
    seen = seenOf(await raKv.get(SIMULATED_GROUP, key, options));
    return seen.value;
  }, options.timeoutMs);
  if (seen === undefined) await operation.sleep(AFTER_FAILURE_MS);
  else operation.session.set(key, seen);
  return seen;
}

function seenOf({ value, index }: RaKvFound): Seen {
  return { value: value === undefined ? null : value as string, index };
}

/** By index, which tells as much as the value: of two of one key no two have one index, and 0 is that of none. */
async function compareAndSet(
  operation: WorkloadOperation,
  key: string,
  { value: expected, index }: Seen,
  value: string | null,
): Promise<void> {
  if (expected === null && value === null) return;
  await change(
    operation,
    key,
    { type: "cas", expected, value },
    (client, options) =>
      value === null
        ? client.delete(SIMULATED_GROUP, key, { ...options, ifIndex: index })
        : client.compareAndSet(SIMULATED_GROUP, key, index, value, options),
  );
}

/** A write, which gives whether it found what it needs. */
async function change(
  operation: WorkloadOperation,
  key: string,
  input: RaKvInput,
  act: (
    client: RaKvClient,
    options: { readonly timeoutMs: number },
  ) => Promise<RaKvWritten>,
): Promise<void> {
  const timeoutMs = drawTimeout(operation);
  const done = await operation.record(
    key,
    input,
    ({ raKv }) => found(act(raKv, { timeoutMs })),
    timeoutMs,
  );
  if (done === undefined) await operation.sleep(AFTER_FAILURE_MS);
}

/** Whether `writing` was done; not if a majority has agreed that its condition does not hold. */
async function found(writing: Promise<unknown>): Promise<boolean> {
  try {
    await writing;
    return true;
  } catch (error) {
    if (
      isWhorlError(error, "index_mismatch") || isWhorlError(error, "not_found")
    ) return false;
    throw error;
  }
}

/**
 * What the cluster promises once faults have ended: every node can read every
 * key and write, and all that clients saw, with these last operations, is
 * linearizable. What cannot be decided has failed.
 */
export async function raKvChecks(
  run: FinishedRun,
): Promise<readonly Violation[]> {
  const history = run.history as readonly OperationRecord<
    RaKvInput,
    RaKvOutput
  >[];
  const last: OperationRecord<RaKvInput, RaKvOutput>[] = [];
  const perform = (
    node: WhorlNode,
    key: string,
    input: RaKvInput,
    act: (client: RaKvClient) => Promise<RaKvOutput>,
  ): Promise<void> =>
    run.eventually(`${input.type} of ${key} on ${node.name}`, async () => {
      const begun: OperationRecord<RaKvInput, RaKvOutput> = {
        id: history.length + last.length,
        client: `at the end on ${node.name}`,
        key,
        input,
        invokedAtMs: run.now(),
        returnedAtMs: undefined,
        outcome: "unknown",
        output: undefined,
        error: undefined,
      };
      last.push(begun);
      begun.output = await act(node.raKv);
      begun.outcome = "ok";
      begun.returnedAtMs = run.now();
    });
  const keys = [...new Set(history.map(({ key }) => key))].sort();
  const readAll = async (): Promise<void> => {
    for (const node of run.nodes) {
      for (const key of keys) {
        await perform(
          node,
          key,
          { type: "get" },
          async (client) =>
            seenOf(await client.get(SIMULATED_GROUP, key, { from: "local" }))
              .value,
        );
      }
    }
  };
  await readAll();
  for (const [at, key] of keys.entries()) {
    const node = run.nodes[at % run.nodes.length] as WhorlNode;
    const value = `at the end ${key}`;
    await perform(
      node,
      key,
      { type: "put", value },
      (client) => found(client.put(SIMULATED_GROUP, key, value)),
    );
  }
  await readAll();
  const { violations, undecided } = checkLinearizability(
    [...history, ...last],
    raKvModel,
  );
  return [
    ...violations,
    ...undecided.map((key) => ({
      check: "undecided",
      message: `Whether ${key} is linearizable was not decided`,
      key,
    })),
  ];
}
