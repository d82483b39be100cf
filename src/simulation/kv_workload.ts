/**
 * The default workload of a simulation, on `kv`, and the checks of what `kv`
 * promises.
 *
 * There are few keys, so that clients conflict. Every value is written once, so
 * that a value identifies its write. Writes use the context of a read just
 * made, an old one that the client remembers, or none.
 *
 * @module
 */
import { equalBytes } from "../base/byte_order.ts";
import type { FinishedRun, StoredValue } from "./finished_run.ts";
import {
  ageOfVnode,
  ownerOfVnode,
  partitionOfVnode,
} from "../ring/ring_generations.ts";
import type { KvGetResult, KvOptions, KvPutResult } from "../kv/kv_client.ts";
import { contextOf, contextToText } from "../kv/causal_context.ts";
import type { WhorlNode } from "../node/node.ts";
import type { Ring } from "../ring/ring.ts";
import { checkAcknowledgedCopies } from "./checkers/acknowledged_copies.ts";
import { checkAcknowledgedWrites } from "./checkers/acknowledged_writes.ts";
import { checkAvailability } from "./checkers/availability.ts";
import { checkConvergence } from "./checkers/convergence.ts";
import type {
  KvInput,
  KvOutput,
  KvRead,
  KvRecord,
} from "./checkers/kv_history.ts";
import { describeKvObject } from "./checkers/kv_object_text.ts";
import { checkRingAgreement } from "./checkers/ring_agreement.ts";
import type { Violation } from "./checkers/violation.ts";
import type { OperationRecord } from "./history.ts";
import {
  historyKey,
  type KeyReplicas,
  replicasByKey,
  valuesOf,
} from "./kv_replicas.ts";
import type { Schedule } from "./schedule/schedule.ts";
import type { Workload, WorkloadOperation } from "./workload.ts";

/** Options of the workload. */
export interface KvWorkloadOptions {
  /** Number of keys that all clients share. @default {5} */
  readonly keys?: number;
  /** Share of operations with strict quorums, from 0 to 1. @default {0.3} */
  readonly strict?: number;
}

/** The bucket of the workload. */
const BUCKET = "sim";
/** Replicas of each key. */
const N = 3;
/** Replicas that acknowledge a write. */
const W = 2;
/**
 * Longest virtual time for hints to go home, in milliseconds. All were there
 * already, but replicas may get another one from an operation that has been
 * answered, for as long as its coordinator lingers.
 */
const HOME_MS_MAX = 3_000;
/** Interval between two checks whether they are, in virtual milliseconds. */
const HOME_LOOK_MS = 20;
/** Longest virtual time for read repairs to arrive, in milliseconds. */
const REPAIR_MS_MAX = 1_500;
/**
 * Shortest virtual time before checking them: writes in flight may also do
 * harm.
 */
const REPAIR_MS_MIN = 250;
/** Interval between two checks, in virtual milliseconds. */
const REPAIR_LOOK_MS = 250;

/** Puts, gets and deletes of `kv` on a few keys. */
export function kvWorkload(
  { keys = 5, strict = 0.3 }: KvWorkloadOptions = {},
): Workload {
  return async (operation) => {
    const { chance, session } = operation;
    const key = `k${chance.below(keys)}`;
    const options = drawOptions(operation, strict);
    const draw = chance.next();
    if (draw < 0.3) await get(operation, key, options);
    else if (draw < 0.5) await put(operation, key, undefined, options);
    else if (draw < 0.6) {
      const old = session.get(key) as string | undefined;
      await put(operation, key, old, options);
    } else {
      const read = await get(operation, key, options);
      if (read === undefined) return;
      const context = read.context ?? undefined;
      if (draw < 0.9) await put(operation, key, context, options);
      else await remove(operation, key, context, options);
    }
  };
}

/**
 * Quorums of one operation. Never a single replica, since the loss of one disk
 * would lose the write.
 */
function drawOptions(
  { chance }: WorkloadOperation,
  strict: number,
): KvOptions {
  return {
    quorum: chance.chance(strict) ? "strict" : "sloppy",
    timeoutMs: chance.pick([500, 2_000, 5_000]),
  };
}

async function get(
  operation: WorkloadOperation,
  key: string,
  options: KvOptions,
): Promise<KvGetResult | undefined> {
  const { quorum, timeoutMs } = options;
  const input: KvInput = { type: "get", quorum };
  const read = await operation.record(
    historyKey(BUCKET, key),
    input,
    ({ kv }) => kv.get(BUCKET, key, options),
    timeoutMs,
  );
  if (read?.context) operation.session.set(key, read.context);
  return read;
}

function put(
  operation: WorkloadOperation,
  key: string,
  context: string | undefined,
  options: KvOptions,
): Promise<KvPutResult | undefined> {
  const value = `v${operation.number}`;
  const { quorum, timeoutMs } = options;
  const input: KvInput = { type: "put", value, context, quorum };
  return operation.record(
    historyKey(BUCKET, key),
    input,
    ({ kv }) => kv.put(BUCKET, key, value, { ...options, context }),
    timeoutMs,
  );
}

function remove(
  operation: WorkloadOperation,
  key: string,
  context: string | undefined,
  options: KvOptions,
): Promise<KvPutResult | undefined> {
  const { quorum, timeoutMs } = options;
  const input: KvInput = { type: "delete", context, quorum };
  return operation.record(
    historyKey(BUCKET, key),
    input,
    ({ kv }) => kv.delete(BUCKET, key, { ...options, context }),
    timeoutMs,
  );
}

/**
 * What `kv` promises once faults have ended and hinted handoff is done: before
 * any read, as many owners have a write as acknowledged it; then every key can
 * be read with R=N, which repairs its replicas until they are equal; no
 * acknowledged write is lost; nothing is there that was not written; all nodes
 * have one ring.
 */
export async function kvChecks(
  run: FinishedRun,
): Promise<readonly Violation[]> {
  const history = run.history as readonly OperationRecord<KvInput, KvOutput>[];
  const keys = [...new Set(history.map(({ key }) => key))].sort();
  const n = Math.min(N, run.schedule.ringSize);
  const first = run.nodes.at(0) as WhorlNode;
  const last = run.nodes.at(-1) as WhorlNode;
  const unread = await copiesAtHome(run, history, ringOf(first), n);
  await readFromAll(run, first, keys, n);
  await untilRepaired(run, n);
  await readFromAll(run, last, keys, n);
  const replicas = await untilRepaired(run, n);
  const rings = run.nodes.map((node) => ({
    node: node.name,
    ring: ringOf(node),
  }));
  const finalReads = new Map(
    keys.map((name) => [name, readOf(replicas.get(name)?.merged)]),
  );
  return [
    ...unread,
    ...[...replicas].filter(([, { misplaced }]) => misplaced.length > 0)
      .map(([name, { misplaced }]) => ({
        check: "misplaced_replica",
        message: `Key ${JSON.stringify(name)} is stored in ${
          misplaced.join(", ")
        }, which are no partitions of it`,
        key: name,
      })),
    ...[...replicas].filter(([, { damaged }]) => damaged.length > 0)
      .map(([name, { damaged }]) => ({
        check: "damage_repaired",
        message: `Key ${JSON.stringify(name)} is still damaged on ${
          damaged.join(", ")
        } though it was read from all its replicas`,
        key: name,
      })),
    ...checkAcknowledgedWrites(history, finalReads, {
      readsSeeAcknowledged: strictQuorumsMeet(run),
      ...(run.schedule.disk.liesAboutSync || run.membership.lost
        ? { counts: isOnTwoNodes }
        : {}),
    }),
    // Membership changes can disturb the cluster in ways that no fault records.
    ...(run.membership.changed
      ? []
      : checkAvailability(history, run.schedule, run.loadBeganAtMs)),
    ...checkConvergence(
      new Map([...replicas].map(([name, { primaries }]) => [name, primaries])),
      describeKvObject,
    ),
    ...checkRingAgreement(rings),
  ];
}

/** Reads every key from all its replicas, which repairs stale ones. */
async function readFromAll(
  run: FinishedRun,
  node: WhorlNode,
  keys: readonly string[],
  n: number,
): Promise<void> {
  const reads = keys.map((name) =>
    run.eventually(
      `A read of ${name} from all its replicas`,
      // From primaries only: a link may still be waiting for a retransmission,
      // and fallbacks would answer for a node that is suspected meanwhile.
      () =>
        node.kv.get(BUCKET, name.slice(BUCKET.length + 1), {
          n,
          r: n,
          pr: n,
        }),
    )
  );
  // Lets all of them end before this one fails.
  await Promise.allSettled(reads);
  await Promise.all(reads);
}

/** What is stored of each key, by the ring of the first node. */
async function storedReplicas(
  run: FinishedRun,
  n: number,
): Promise<ReadonlyMap<string, KeyReplicas>> {
  const ring = ringOf(run.nodes.at(0) as WhorlNode);
  const stored = presentOf(await run.stored("kv"), ring);
  return replicasByKey(stored, ownersOf(ring), n);
}

/**
 * Lets time pass until repairs are done or out of time, and returns what is
 * stored; the checks report what is missing.
 */
async function untilRepaired(
  run: FinishedRun,
  n: number,
): Promise<ReadonlyMap<string, KeyReplicas>> {
  const untilMs = run.now() + REPAIR_MS_MAX;
  await run.sleep(REPAIR_MS_MIN);
  for (;;) {
    const replicas = await storedReplicas(run, n);
    if (areRepaired(replicas) || run.now() >= untilMs) return replicas;
    await run.sleep(REPAIR_LOOK_MS);
  }
}

/** Whether all primaries of each key hold the same, without damage. */
function areRepaired(replicas: ReadonlyMap<string, KeyReplicas>): boolean {
  return [...replicas.values()].every(({ primaries, damaged }) => {
    const [first, ...others] = primaries.values();
    return damaged.length === 0 && first !== undefined &&
      others.every((other) => other !== undefined && equalBytes(first, other));
  });
}

/**
 * What is stored once all of it is with its owner, or out of time; the check
 * reports what is not.
 */
async function storedAtHome(
  run: FinishedRun,
  ring: Ring,
): Promise<readonly StoredValue[]> {
  const untilMs = run.now() + HOME_MS_MAX;
  for (;;) {
    const stored = await run.stored("kv");
    if (straysOf(stored, ring).length === 0 || run.now() >= untilMs) {
      return stored;
    }
    await run.sleep(HOME_LOOK_MS);
  }
}

/** What is not with the owner of its partition. */
function straysOf(
  stored: readonly StoredValue[],
  ring: Ring,
): readonly StoredValue[] {
  return stored.filter(({ host, partition }) => {
    const owner = ownerOfVnode(ring, partition);
    return owner === undefined || hostOf(owner) !== host;
  });
}

/** Acknowledged writes that too few owners have before any read. */
async function copiesAtHome(
  run: FinishedRun,
  history: readonly KvRecord[],
  ring: Ring,
  n: number,
): Promise<readonly Violation[]> {
  const stored = await storedAtHome(run, ring);
  const owners = ownersOf(ring);
  const strays = straysOf(stored, ring).map(({ host, partition }) => ({
    check: "stray_replica",
    message:
      `${host} still stores something of vnode ${partition}, which is of ${
        ownerOfVnode(ring, partition)
      }`,
  }));
  // Reads mend what has rotted or was lost by a lying disk.
  if (losesCopies(run.schedule) || run.membership.lost) return strays;
  const replicas = replicasByKey(presentOf(stored, ring), owners, n);
  const owned = [...replicas].map(([name, { primaries }]) =>
    [
      name,
      new Map(
        [...primaries].map(([place, object]) => [place, readOf(object)]),
      ),
    ] as const
  );
  return [
    ...strays,
    ...checkAcknowledgedCopies(history, new Map(owned), () => W),
  ];
}

/** Whether a fault makes a disk lose a copy. */
function losesCopies({ disk, faults }: Schedule): boolean {
  return disk.liesAboutSync || faults.some(({ type }) => type === "bit_rot");
}

/** Host of the owner of each partition. */
function ownersOf({ ownership }: Ring): string[] {
  return ownership.owners.map(hostOf);
}

function hostOf(node: string): string {
  return node.slice(node.indexOf("@") + 1);
}

/** What is stored with vnodes of the current `ring`, by partition. */
function presentOf(
  stored: readonly StoredValue[],
  ring: Ring,
): StoredValue[] {
  return stored
    .filter(({ partition }) => ageOfVnode(ring, partition) === "present")
    .map((value) => ({
      ...value,
      partition: partitionOfVnode(value.partition),
    }));
}

/**
 * Whether it was on two machines when acknowledged; with fewer nodes up, one
 * may have had both copies and lose them together.
 */
function isOnTwoNodes({ output }: OperationRecord<KvInput, KvOutput>): boolean {
  const { replicas } = output as KvPutResult;
  const done = replicas.filter(({ state }) => state === "done");
  return new Set(done.map(({ node }) => node)).size > 1;
}

/**
 * Two quorums of primaries overlap, so a strict read knows every strict write
 * that was acknowledged before. Not if the copy in the overlap has rotted or
 * was lost by a lying disk: the replica may then answer without it.
 */
function strictQuorumsMeet(
  { schedule, membership }: FinishedRun,
): (write: KvRecord, read: KvRecord) => boolean {
  const rots = losesCopies(schedule) || membership.lost;
  return (write, read) =>
    !rots && write.input.quorum === "strict" && read.input.quorum === "strict";
}

function ringOf(node: WhorlNode): Ring {
  const { cluster } = node.parts;
  if (cluster === undefined) {
    throw new Error(`${node.name} has no ring though it is up`);
  }
  return cluster.ring;
}

/** The result of a read of `object`. */
function readOf(object: Uint8Array | undefined): KvRead {
  return object === undefined ? { values: [], context: null } : {
    values: valuesOf(object).map((text) => JSON.parse(text)),
    context: contextToText(contextOf(object)),
  };
}
