/**
 * The load on a Raft group of `ra_kv`, and what the group promises about it:
 * that everything clients saw can be explained by keys that did one thing after
 * the other.
 *
 * Few keys, so that clients meet on them, and every value is written once, so
 * that a value tells who wrote it. Most operations go to whom the client takes
 * for the leader; the others go to its own node, which refuses writes unless it
 * leads, and reads by asking its leader.
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../../base/errors.ts";
import type { WhorlNode } from "../../node/node.ts";
import { checkLinearizability } from "../checkers/linearizability.ts";
import {
  type RaKvInput,
  raKvModel,
  type RaKvOutput,
} from "../checkers/ra_kv_model.ts";
import type { Violation } from "../checkers/violation.ts";
import { hostOf } from "../schedule/fault_words.ts";
import type { FinishedRun } from "../finished_run.ts";
import type { OperationRecord } from "../history.ts";
import type { Workload, WorkloadOperation } from "../workload.ts";
import { RaKvAccess, type RaKvFound } from "./ra_kv_access.ts";
import { SIMULATED_GROUP } from "./simulated_group.ts";

/** What the load is like. */
export interface RaKvWorkloadOptions {
  /** Nodes of the cluster: a client that knows no leader asks any of them. */
  readonly nodes: number;
  /** Keys that all clients share. @default {4} */
  readonly keys?: number;
}

/** How long a client waits before it asks another node, when the one it asked does not lead, in virtual milliseconds. */
const AGAIN_MS = 10;
/** The same when nobody knows who leads. */
const LEADERLESS_MS = 100;
/** What a client remembers of who leads. */
const LEADER = "leader";
/** What it knows of how many nodes there are. */
const NODES = "nodes";
/** A deadline that a client gives to the last operations, in virtual milliseconds. */
const FINAL_MS_MAX = 5_000;

/** Puts, gets, deletes and compare-and-sets on a few keys. */
export function raKvWorkload(
  { nodes, keys = 4 }: RaKvWorkloadOptions,
): Workload {
  return async (operation) => {
    const { chance, number, session } = operation;
    session.set(NODES, nodes);
    const key = `k${chance.below(keys)}`;
    const value = `v${number}`;
    const draw = chance.next();
    const isOwn = chance.chance(0.3);
    if (isOwn) session.delete(LEADER);
    if (draw < 0.35) return void await get(operation, key);
    if (draw < 0.6) return await put(operation, key, value);
    if (draw < 0.7) return await remove(operation, key);
    const old = session.get(key) as RaKvFound | undefined;
    // What it remembers may have grown old.
    const read = old !== undefined && chance.chance(0.3)
      ? old
      : await get(operation, key);
    if (read === undefined) return;
    await compareAndSet(operation, key, read, draw < 0.95 ? value : null);
  };
}

async function get(
  operation: WorkloadOperation,
  key: string,
): Promise<RaKvFound | undefined> {
  let found: RaKvFound | undefined;
  await perform(operation, key, { type: "get" }, async (access) => {
    found = await access.get(key);
    return found.value;
  });
  if (found !== undefined) operation.session.set(key, found);
  return found;
}

async function put(
  operation: WorkloadOperation,
  key: string,
  value: string,
): Promise<void> {
  await perform(
    operation,
    key,
    { type: "put", value },
    (access) => access.put(key, value),
  );
}

async function remove(
  operation: WorkloadOperation,
  key: string,
): Promise<void> {
  await perform(
    operation,
    key,
    { type: "delete" },
    (access) => access.delete(key),
  );
}

/** By index, which tells values apart as they are written once: of two of one key no two have one index, and 0 is that of none. */
async function compareAndSet(
  operation: WorkloadOperation,
  key: string,
  { value: expected, index }: RaKvFound,
  value: string | null,
): Promise<void> {
  if (expected === null && value === null) return;
  await perform(
    operation,
    key,
    { type: "cas", expected, value },
    (access) =>
      value === null
        ? access.delete(key, index)
        : access.put(key, value, index),
  );
}

/** Tries at one node after the other until one does not refuse, or it has taken too long. Each try is an operation by itself: a refused one has certainly not happened. */
async function perform(
  operation: WorkloadOperation,
  key: string,
  input: RaKvInput,
  act: (access: RaKvAccess) => Promise<RaKvOutput>,
): Promise<void> {
  const { session, chance } = operation;
  const timeoutMs = chance.pick([500, 2_000, 5_000]);
  const untilMs = operation.now() + timeoutMs;
  for (;;) {
    let next: string | undefined;
    let isRefused = false;
    await operation.record(
      key,
      input,
      async ({ raft }) => {
        try {
          return await within(
            operation,
            timeoutMs,
            act(new RaKvAccess(raft, SIMULATED_GROUP)),
          );
        } catch (error) {
          if (isWhorlError(error) && isRefusal(error)) {
            isRefused = true;
            next = (error.details["leader"] ?? undefined) as string | undefined;
          }
          throw error;
        }
      },
      timeoutMs,
      session.get(LEADER) as string | undefined,
    );
    if (!isRefused || operation.now() >= untilMs) return;
    session.set(
      LEADER,
      next === undefined
        ? hostOf(chance.below(session.get(NODES) as number))
        : next.slice(next.indexOf("@") + 1),
    );
    await operation.sleep(next === undefined ? LEADERLESS_MS : AGAIN_MS);
  }
}

/** Whether another node may do it. */
function isRefusal({ code }: WhorlError): boolean {
  return code === "not_leader" || code === "unknown_cluster" ||
    code === "transferring";
}

async function within<T>(
  { sleep }: Pick<WorkloadOperation, "sleep">,
  timeoutMs: number,
  promise: Promise<T>,
): Promise<T> {
  return await Promise.race([
    promise,
    sleep(timeoutMs).then((): never => {
      throw new WhorlError("timeout", `No answer within ${timeoutMs} ms`);
    }),
  ]);
}

/**
 * What the group promises once faults have ended: every node that has a member
 * can read, a write is taken and read everywhere, and all that clients saw, with
 * these last reads, is linearizable. What cannot be decided has failed.
 */
export async function raKvChecks(
  run: FinishedRun,
): Promise<readonly Violation[]> {
  const history = run.history as readonly OperationRecord<
    RaKvInput,
    RaKvOutput
  >[];
  const last: OperationRecord<RaKvInput, RaKvOutput>[] = [];
  let id = history.length;
  const record = async (
    key: string,
    input: RaKvInput,
    node: WhorlNode,
    act: (access: RaKvAccess) => Promise<RaKvOutput>,
  ): Promise<void> => {
    const begun: OperationRecord<RaKvInput, RaKvOutput> = {
      id: id++,
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
    begun.output = await within(
      { sleep: (ms) => run.sleep(ms) },
      FINAL_MS_MAX,
      act(new RaKvAccess(node.parts.raft, SIMULATED_GROUP)),
    );
    begun.outcome = "ok";
    begun.returnedAtMs = run.now();
  };
  const keys = [...new Set(history.map(({ key }) => key))].sort();
  const nodes = run.nodes.filter(({ parts }) =>
    parts.raft?.member(SIMULATED_GROUP) !== undefined
  );
  const leader = nodes.find(({ parts }) =>
    parts.raft?.member(SIMULATED_GROUP)?.role === "leader"
  );
  const readAll = async (): Promise<void> => {
    for (const node of nodes) {
      for (const key of keys) {
        await run.eventually(
          `A read of ${key} on ${node.name}`,
          () =>
            record(
              key,
              { type: "get" },
              node,
              async (access) => (await access.get(key)).value,
            ),
        );
      }
    }
  };
  await readAll();
  if (leader !== undefined) {
    for (const key of keys) {
      const value = `at the end ${key}`;
      await run.eventually(
        `A write of ${key}`,
        () =>
          record(
            key,
            { type: "put", value },
            leader,
            (access) => access.put(key, value),
          ),
      );
    }
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
