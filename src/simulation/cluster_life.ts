/**
 * The stages of a simulated cluster besides its load: forming, settling after
 * faults, and shutdown. Each lets virtual time pass until its goal is reached,
 * and reports if it is not.
 *
 * @module
 */
import { ownerOfVnode } from "../ring/ring_generations.ts";
import type { HeldPartition } from "../handoff/transfer.ts";
import { currentMembers, readyMembers } from "../ring/ring.ts";
import { checkLeftovers } from "./checkers/leftovers.ts";
import type { Violation } from "./checkers/violation.ts";
import type { SimulatedCluster } from "./simulated_cluster.ts";
import type { SimulatedMachine } from "./simulated_machine.ts";

/**
 * Virtual time a cluster has for forming, and for settling once faults have
 * ended, in milliseconds.
 */
export const SETTLE_MS_MAX = 60_000;
/** Virtual time nodes have for a clean shutdown, in milliseconds. */
export const STOP_MS_MAX = 30_000;
/**
 * Interval between checks whether a cluster has settled, in virtual
 * milliseconds.
 */
const LOOK_EVERY_MS = 20;

/**
 * Lets time pass until `promise` has settled.
 *
 * @throws {Error} If it has not after `limitMs`, or if it rejected.
 */
export async function during<T>(
  cluster: SimulatedCluster,
  promise: Promise<T>,
  limitMs: number,
): Promise<T> {
  let settled = false;
  const mark = (): void => void (settled = true);
  promise.then(mark, mark);
  const end = await cluster.time.run(
    cluster.time.now() + limitMs,
    () => settled,
  );
  if (end !== "done" && !settled) {
    throw new Error(`Nothing came of it in ${limitMs} ms: ${end}`);
  }
  return await promise;
}

/** Whether every node runs, all agree on one ring, and all serve. */
export function isSettled(
  cluster: SimulatedCluster,
  services: readonly string[],
): boolean {
  const { members } = cluster;
  return cluster.machines.every(({ node, running, inService, process }) => {
    if (!inService) return process === undefined;
    if (!running || node === undefined) return false;
    const { cluster: part } = node.parts;
    // Nodes that were declared down must have rejoined, and those leaving must
    // be gone.
    if (
      part === undefined || readyMembers(part.ring).length !== members.length ||
      currentMembers(part.ring).length !== members.length
    ) return false;
    if (!node.ringReady().ready) return false;
    return services.every((service) =>
      part.upNodes(service).length === members.length
    );
  });
}

/**
 * Lets time pass until the cluster has settled; returns a violation if it does
 * not.
 */
export async function untilSettled(
  cluster: SimulatedCluster,
  services: readonly string[],
  stage: string,
): Promise<Violation[]> {
  const { time, machines } = cluster;
  const untilMs = time.now() + SETTLE_MS_MAX;
  while (!isSettled(cluster, services)) {
    if (time.now() >= untilMs) {
      const states = machines.map((
        { host, node, process, startFailures, inService },
      ) =>
        `${host} ${inService ? "" : "is out of service and "}${
          node === undefined
            ? process === undefined ? "is down" : "is starting"
            : JSON.stringify([
              node.parts.cluster?.ringReady(),
              node.parts.cluster?.clusterStatus().members.map((
                { node, status },
              ) => `${node} ${status}`),
            ])
        }${
          startFailures.length === 0
            ? ""
            : ` (last start failed: ${startFailures.at(-1)})`
        }`
      );
      return [{
        check: "settles",
        message:
          `The cluster has not settled ${SETTLE_MS_MAX} ms after ${stage}: ${
            states.join("; ")
          }`,
      }];
    }
    await time.run(time.now() + LOOK_EVERY_MS);
  }
  return [];
}

/**
 * Lets time pass until all data is where it belongs: no partition is to move,
 * no transfer is running or waiting, and no node holds data of a partition that
 * another one owns. This reads nothing, since hinted handoff needs no reads.
 */
export async function untilAtHome(
  cluster: SimulatedCluster,
): Promise<Violation[]> {
  const { time } = cluster;
  const untilMs = time.now() + SETTLE_MS_MAX;
  for (;;) {
    const abroad = await during(cluster, notAtHome(cluster), SETTLE_MS_MAX);
    if (abroad.length === 0) return [];
    if (time.now() >= untilMs) {
      return [{
        check: "at_home",
        message:
          `Not all data lies with its owners ${SETTLE_MS_MAX} ms after the cluster settled: ${
            abroad.join("; ")
          }`,
      }];
    }
    await time.run(time.now() + LOOK_EVERY_MS);
  }
}

/** What still has to move, in words. Time must pass for it to resolve. */
export async function notAtHome(cluster: SimulatedCluster): Promise<string[]> {
  const abroad: string[] = [];
  for (const { host, node } of cluster.members) {
    const { cluster: part, handoff } = node?.parts ?? {};
    if (part === undefined || handoff === undefined) {
      abroad.push(`${host} does not serve`);
      continue;
    }
    for (const { partition, nextOwner } of part.ring.ownership.next) {
      abroad.push(`${host} knows that ${partition} is to move to ${nextOwner}`);
    }
    if (part.ring.ownership.generations.resize !== null) {
      abroad.push(`${host} knows that the ring is being resized`);
    }
    for (const { id, kind, state, reason } of handoff.status().transfers) {
      // A repair copies data and moves none.
      if (kind === "repair") continue;
      abroad.push(`${host} has ${id}, ${state}: ${reason ?? "no reason"}`);
    }
  }
  if (abroad.length > 0) return abroad;
  for (const machine of cluster.members) {
    const { host, node } = machine;
    const held = await heldBy(machine);
    if (held === undefined) return [`${host} does not say what it holds`];
    const ring = node?.parts.cluster?.ring;
    for (const { module, partition } of held) {
      const owner = ring && ownerOfVnode(ring, partition);
      if (owner !== undefined && owner === node?.name) continue;
      abroad.push(
        `${host} holds ${module}/${partition}, which is of ${owner}`,
      );
    }
  }
  return abroad;
}

/** What a node holds; undefined if it does not answer. */
async function heldBy(
  machine: SimulatedMachine,
): Promise<readonly HeldPartition[] | undefined> {
  const { process, node } = machine;
  const { handoff } = node?.parts ?? {};
  if (process === undefined || handoff === undefined) return undefined;
  const { promise, resolve } = Promise.withResolvers<
    readonly HeldPartition[] | undefined
  >();
  const forget = machine.onDeath(() => resolve(undefined));
  process.setTimer(0, () => {
    handoff.heldPartitions().then(resolve, () => resolve(undefined));
  });
  return await promise.finally(forget);
}

/**
 * Starts every node and joins them into one cluster through the production
 * protocol.
 */
export async function formCluster(
  cluster: SimulatedCluster,
  services: readonly string[],
): Promise<Violation[]> {
  const { members: machines, time } = cluster;
  for (const machine of machines) machine.start();
  await time.run(
    time.now() + SETTLE_MS_MAX,
    () => machines.every(({ running }) => running),
  );
  const first = machines[0]?.node;
  if (first === undefined) {
    return [{ check: "settles", message: "The first node did not start" }];
  }
  try {
    const { address } = first;
    for (const { node } of machines.slice(1)) {
      await untilDone(cluster, async () => {
        if (node === undefined) throw new Error("A node did not start");
        if (node.parts.cluster?.ring.members.size === 1) {
          await node.join(address);
        }
      });
    }
    if (machines.length > 1) {
      await untilDone(cluster, async () => {
        // A join is done when the node has its ring; the claimant may hear of
        // it later, and plans with what it knows.
        const { changes, planId } = await first.plan();
        if (changes.length > 0) await first.commit(planId);
        const owning = first.clusterStatus().members
          .filter(({ status }) => status === "valid").length;
        if (owning < machines.length) {
          throw new Error(`Only ${owning} nodes are members so far`);
        }
      });
    }
  } catch (error) {
    return [{
      check: "settles",
      message: `The nodes could not be joined: ${error}`,
    }];
  }
  const unsettled = await untilSettled(
    cluster,
    services,
    "its nodes were joined",
  );
  return unsettled.length > 0 ? unsettled : await untilAllOwn(cluster);
}

/**
 * Lets time pass until all nodes know that each owns a partition, if there are
 * enough. Until then one of them may own all, and only owners are fallbacks: if
 * a fault takes that one away nothing that is asked means anything. Further
 * partitions may still be moving.
 */
async function untilAllOwn(cluster: SimulatedCluster): Promise<Violation[]> {
  const { members, time } = cluster;
  const end = await time.run(
    time.now() + SETTLE_MS_MAX,
    () => members.every(knowsAllOwn),
  );
  if (end === "done") return [];
  const behind = members
    .filter((machine) => !knowsAllOwn(machine))
    .map(({ host }) => host);
  return [{
    check: "settles",
    message:
      `Some know of no partitions for each node ${SETTLE_MS_MAX} ms after they were joined: ${
        behind.join(", ")
      }`,
  }];
}

/** Whether a node knows that every member owns a partition, or that there are too few. */
function knowsAllOwn({ node }: SimulatedMachine): boolean {
  const ring = node?.parts.cluster?.ring;
  if (ring === undefined) return false;
  const { owners } = ring.ownership;
  return new Set(owners).size >= Math.min(owners.length, ring.members.size);
}

/**
 * Retries like an operator would, for as long as a cluster has for settling.
 */
async function untilDone(
  cluster: SimulatedCluster,
  attempt: () => Promise<void>,
): Promise<void> {
  const { time } = cluster;
  const untilMs = time.now() + SETTLE_MS_MAX;
  for (;;) {
    try {
      return await during(cluster, attempt(), SETTLE_MS_MAX);
    } catch (error) {
      if (time.now() >= untilMs) throw error;
      await time.run(time.now() + LOOK_EVERY_MS);
    }
  }
}

/** Stops every node; anything left of them is a violation. */
export async function stopCluster(
  cluster: SimulatedCluster,
): Promise<Violation[]> {
  const { machines, network } = cluster;
  const processes = machines.map(({ process }) => process);
  try {
    await during(
      cluster,
      Promise.all(machines.map((machine) => machine.stop())),
      STOP_MS_MAX,
    );
  } catch (error) {
    return [{
      check: "leftovers",
      message: `The nodes were not stopped in ${STOP_MS_MAX} ms: ${error}`,
    }];
  }
  // What a stopped process has written may still be in flight.
  await cluster.time.run(cluster.time.now() + 1_000);
  const { openStreams, listeners, connecting } = network.counts();
  return [
    ...machines.flatMap(({ host }, index) =>
      checkLeftovers(host, { timers: processes[index]?.pendingTimers ?? 0 })
    ),
    ...checkLeftovers("The network", { openStreams, listeners, connecting }),
  ];
}
