/**
 * The load on clusters of `ra_kv`, and the check of what they promise: that
 * everything clients saw can be explained by a sequential store.
 *
 * There are few keys, so that clients conflict, and every value is written
 * once, so that a value identifies its write. Some keys are put, changed and
 * deleted one by one; some values have a TTL; and two keys are written
 * together, in batches.
 *
 * @module
 */
import { isWhorlError } from "../../base/errors.ts";
import type { WhorlNode } from "../../node/node.ts";
import type {
  RaKvChange,
  RaKvClient,
  RaKvFound,
  RaKvGetOptions,
  RaKvWritten,
} from "../../ra_kv/ra_kv_client.ts";
import { checkExpiry } from "../checkers/expiry.ts";
import { linearizabilityViolations } from "../checkers/linearizability.ts";
import { checkLiveEntries, type FoundEntry } from "../checkers/live_entries.ts";
import {
  type RaKvInput,
  raKvModel,
  type RaKvModelChange,
  type RaKvOutput,
} from "../checkers/ra_kv_model.ts";
import type { Violation } from "../checkers/violation.ts";
import type { FinishedRun } from "../finished_run.ts";
import type { OperationRecord } from "../history.ts";
import { groupOf } from "../schedule/fault_words.ts";
import type { Workload, WorkloadOperation } from "../workload.ts";
import {
  FLEETING_KEYS,
  keyOf,
  PAIR,
  pairOf,
  type Place,
  placeOf,
  placesOf,
  PLAIN_KEYS,
  plainKey,
  ttlOf,
} from "./ra_kv_places.ts";

/** Options of the workload. */
export interface RaKvWorkloadOptions {
  /**
   * Number of keys of each cluster that all clients share, besides those with a
   * TTL and those of batches.
   *
   * @default {4}
   */
  readonly keys?: number;
  /** Number of clusters. @default {1} */
  readonly groups?: number;
}

/**
 * How long a client waits after a failure, in virtual milliseconds: immediate
 * refusals would use up all operations while nothing can be done.
 */
const AFTER_FAILURE_MS = 300;
/** The last read of a key by a client. */
interface Seen {
  readonly value: string | null;
  readonly index: number;
}

/** Puts, gets, deletes, compare-and-sets and batches on a few keys. */
export function raKvWorkload(
  { keys = PLAIN_KEYS, groups = 1 }: RaKvWorkloadOptions = {},
): Workload {
  return async (operation) => {
    const { chance } = operation;
    const group = groupOf(chance.below(groups));
    const draw = chance.next();
    if (draw < 0.6) {
      return await onOneKey(
        operation,
        placeOf(group, plainKey(chance.below(keys))),
      );
    }
    if (draw < 0.8) {
      const key = chance.pick([...FLEETING_KEYS.keys()]);
      return await onFleetingKey(operation, placeOf(group, key));
    }
    await onPair(operation, group);
  };
}

async function onOneKey(
  operation: WorkloadOperation,
  place: Place,
): Promise<void> {
  const { chance, number } = operation;
  const { group, key } = place;
  const value = `v${number}`;
  const draw = chance.next();
  if (draw < 0.35) return void await get(operation, place);
  if (draw < 0.6) {
    return await change(
      operation,
      place,
      { type: "put", value },
      (client, options) => client.put(group, key, value, options),
    );
  }
  if (draw < 0.7) {
    return await change(
      operation,
      place,
      { type: "delete" },
      (client, options) => client.delete(group, key, options),
    );
  }
  await compareAndSet(operation, place, draw < 0.95 ? value : null);
}

async function onFleetingKey(
  operation: WorkloadOperation,
  place: Place,
): Promise<void> {
  const { chance, number } = operation;
  const { group, key } = place;
  const value = `v${number}`;
  const draw = chance.next();
  if (draw < 0.45) return void await get(operation, place);
  if (draw < 0.75) {
    return await change(
      operation,
      place,
      { type: "put", value },
      (client, options) =>
        client.put(group, key, value, { ...options, ...ttlOf(key) }),
    );
  }
  await compareAndSet(operation, place, value);
}

async function onPair(
  operation: WorkloadOperation,
  group: string,
): Promise<void> {
  const { chance, number } = operation;
  const at = chance.below(PAIR.length);
  const place = placeOf(group, PAIR[at] as string);
  const draw = chance.next();
  if (draw < 0.45) return void await get(operation, place);
  const changes: RaKvModelChange[] = PAIR.map((_, place) => ({
    place,
    value: `v${number}`,
  }));
  if (draw < 0.7) return await batch(operation, group, changes, undefined);
  const seen = await recall(operation, place);
  if (seen === undefined) return;
  const value = chance.chance(0.3) ? null : `v${number}`;
  changes[at] = { place: at, value, expected: seen.value };
  await batch(operation, group, changes, seen.index);
}

/** Writes both keys of a pair, if the one that was read has not changed. */
async function batch(
  operation: WorkloadOperation,
  group: string,
  changes: readonly RaKvModelChange[],
  index: number | undefined,
): Promise<void> {
  await change(
    operation,
    pairOf(group),
    { type: "batch", changes },
    (client, options) =>
      client.batch(
        group,
        changes.map(({ place, value, expected }): RaKvChange => {
          const key = PAIR[place] as string;
          const ifIndex = expected === undefined ? {} : { ifIndex: index };
          return value === null
            ? { type: "delete", key, ...ifIndex }
            : { type: "put", key, value, ...ifIndex };
        }),
        options,
      ),
  );
}

function drawTimeout({ chance }: WorkloadOperation): number {
  return chance.pick([500, 2_000, 5_000]);
}

async function get(
  operation: WorkloadOperation,
  { group, key, name, about }: Place,
): Promise<Seen | undefined> {
  const options: RaKvGetOptions = {
    timeoutMs: drawTimeout(operation),
    from: operation.chance.chance(0.3) ? "local" : "leader",
  };
  let seen: Seen | undefined;
  const input: RaKvInput = { type: "get", ...about };
  await operation.record(name, input, async ({ raKv }) => {
    seen = seenOf(await raKv.get(group, key, options));
    return seen.value;
  }, options.timeoutMs);
  if (seen === undefined) await operation.sleep(AFTER_FAILURE_MS);
  else operation.session.set(`${group}/${key}`, seen);
  return seen;
}

function seenOf({ value, index }: RaKvFound): Seen {
  return { value: value === undefined ? null : value as string, index };
}

/** What the client remembers of a key, possibly stale; otherwise reads it. */
async function recall(
  operation: WorkloadOperation,
  place: Place,
): Promise<Seen | undefined> {
  const { group, key } = place;
  const old = operation.session.get(`${group}/${key}`) as Seen | undefined;
  return old !== undefined && operation.chance.chance(0.3)
    ? old
    : await get(operation, place);
}

/**
 * Compares the index, which identifies the value: two values of a key never
 * share an index, and 0 means none.
 */
async function compareAndSet(
  operation: WorkloadOperation,
  place: Place,
  value: string | null,
): Promise<void> {
  const seen = await recall(operation, place);
  if (seen === undefined) return;
  const { value: expected, index } = seen;
  if (expected === null && value === null) return;
  const { group, key } = place;
  await change(
    operation,
    place,
    { type: "cas", expected, value },
    (client, options) =>
      value === null
        ? client.delete(group, key, { ...options, ifIndex: index })
        : client.compareAndSet(group, key, index, value, {
          ...options,
          ...ttlOf(key),
        }),
  );
}

/** A write; returns its index, or false if a condition failed. */
async function change(
  operation: WorkloadOperation,
  { name, about }: Place,
  input: RaKvInput,
  act: (
    client: RaKvClient,
    options: { readonly timeoutMs: number },
  ) => Promise<RaKvWritten>,
): Promise<void> {
  const timeoutMs = drawTimeout(operation);
  const done = await operation.record(
    name,
    { ...input, ...about },
    ({ raKv }) => indexOf(act(raKv, { timeoutMs })),
    timeoutMs,
  );
  if (done === undefined) await operation.sleep(AFTER_FAILURE_MS);
}

/**
 * Index of what `writing` did; false if a majority has agreed that its
 * condition does not hold.
 */
async function indexOf(
  writing: Promise<RaKvWritten>,
): Promise<number | false> {
  try {
    return (await writing).index;
  } catch (error) {
    if (
      isWhorlError(error, "index_mismatch") || isWhorlError(error, "not_found")
    ) return false;
    throw error;
  }
}

/**
 * What the clusters promise once faults have ended: every node can read and
 * write every key, everything clients saw, including these last operations, is
 * linearizable, and members report as live the entries that hold the values
 * found then. An undecided check has failed.
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
    { name, key, about }: Place,
    input: RaKvInput,
    act: (client: RaKvClient) => Promise<RaKvOutput>,
  ): Promise<void> =>
    run.eventually(
      `${input.type} of ${name} ${key} on ${node.name}`,
      async () => {
        const begun: OperationRecord<RaKvInput, RaKvOutput> = {
          id: history.length + last.length,
          client: `at the end on ${node.name}`,
          key: name,
          input: { ...input, ...about },
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
      },
    );
  const places = placesOf(history);
  const readAll = async (): Promise<void> => {
    for (const node of run.nodes) {
      for (const place of places) {
        const { group, key } = place;
        await perform(
          node,
          place,
          { type: "get" },
          async (client) =>
            seenOf(await client.get(group, key, { from: "local" })).value,
        );
      }
    }
  };
  await readAll();
  for (const [at, place] of places.entries()) {
    const { group, key } = place;
    const node = run.nodes[at % run.nodes.length] as WhorlNode;
    const value = `at the end ${key}`;
    await perform(
      node,
      place,
      { type: "put", value },
      (client) => indexOf(client.put(group, key, value, ttlOf(key))),
    );
  }
  await readAll();
  const all = [...history, ...last];
  const clocksAgree = run.schedule.faults.every(({ type }) =>
    type !== "clock_jump"
  );
  return [
    ...linearizabilityViolations(all, raKvModel),
    ...await checkLive(run, places),
    ...(clocksAgree
      ? checkExpiry(
        all,
        (name) => FLEETING_KEYS.get(keyOf(name)),
      )
      : []),
  ];
}

/** Asks every member which entries are live, once nobody writes any more. */
async function checkLive(
  run: FinishedRun,
  places: readonly Place[],
): Promise<Violation[]> {
  const violations: Violation[] = [];
  for (const { name, raKv } of run.nodes) {
    for (const [group, ofGroup] of Map.groupBy(places, ({ group }) => group)) {
      await run.eventually(`live entries of ${group} on ${name}`, async () => {
        const { members } = await raKv.members(group);
        if (!members.some(({ node }) => node === name)) return;
        const found: FoundEntry[] = [];
        for (const { key } of ofGroup) {
          const { index } = await raKv.get(group, key, { from: "local" });
          found.push({ key, index, mayEnd: FLEETING_KEYS.has(key) });
        }
        const live = await raKv.liveIndexes(group, { node: name });
        violations.push(
          ...checkLiveEntries(`The member of ${group} on ${name}`, live, found),
        );
      });
    }
  }
  return violations;
}
