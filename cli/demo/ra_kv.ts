/**
 * The story of a consistent cluster in one terminal: four node processes, a
 * cluster of `ra_kv` on three of them; a write, its leader killed, a read that
 * misses nothing, a snapshot and what compaction leaves, a member more and one
 * fewer.
 *
 *     deno task ra_kv
 *
 * @module
 */
import type { RaKvClient } from "../../mod.ts";
import { DemoCluster } from "./demo_cluster.ts";
import type { DemoNode } from "./demo_node.ts";

const CLUSTER = "orders";
const NODES = 4;
/** Keys, and how often each of them is written. */
const KEYS = 1_000;
const ROUNDS = 10;
const WRITERS = 64;

const cluster = await DemoCluster.create("whorl-ra-kv-");
const { nodes, say, signal } = cluster;
await cluster.play(story);

async function story(): Promise<void> {
  await cluster.start(NODES);
  await cluster.join();
  say(`${NODES} node processes, one ring, on disk in ${cluster.root}`);
  const [first, , , fourth] = nodes as [
    DemoNode,
    DemoNode,
    DemoNode,
    DemoNode,
  ];
  await using client = await cluster.connect();
  const { raKv } = client;

  const members = nodes.slice(0, 3).map(({ name }) => name);
  const began = performance.now();
  const { leader } = await raKv.startCluster(CLUSTER, members);
  say(
    `A cluster '${CLUSTER}' on three of them after ${
      since(began)
    }; ${leader} leads`,
  );
  say();

  await writeAll(raKv);
  const { value, index } = await raKv.get(CLUSTER, "order-7");
  say(
    `get order-7: ${
      JSON.stringify(value)
    }, whose value is the entry ${index} of the log`,
  );
  say();

  await loseLeader(raKv, leader);
  say();
  await snapshotAndCompact(raKv);
  say();

  const addedAt = performance.now();
  await raKv.addMember(CLUSTER, fourth.name);
  await untilItVotes(raKv, fourth.name);
  say(
    `add-member ${fourth.name}: it has everything and votes after ${
      since(addedAt)
    }`,
  );
  await using local = await cluster.connect([fourth]);
  const there = await local.raKv.get(CLUSTER, "order-7", { from: "local" });
  say(`  read from its own log: order-7 is ${JSON.stringify(there.value)}`);
  const gone = (await raKv.members(CLUSTER)).leader === first.name
    ? nodes[1] as DemoNode
    : first;
  await raKv.removeMember(CLUSTER, gone.name);
  say(
    `remove-member ${gone.name}: the members are ${
      (await raKv.members(CLUSTER)).members.map(({ node }) => node).join(", ")
    }`,
  );
  say();
  const lost = await countWrong(raKv);
  if (lost > 0) throw new Error(`${lost} keys are not what was written last`);
  say(`All ${KEYS} keys are what was acknowledged last.`);
}

async function writeAll(raKv: RaKvClient): Promise<void> {
  const began = performance.now();
  let next = 0;
  const writer = async (): Promise<void> => {
    while (next < KEYS * ROUNDS && !signal.aborted) {
      const number = next++;
      await raKv.put(CLUSTER, `order-${number % KEYS}`, valueOf(number));
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
  const tookMs = performance.now() - began;
  say(
    `put: ${KEYS} keys written ${ROUNDS} times each in ${
      since(began)
    }, ${WRITERS} at once: ${
      Math.round(KEYS * ROUNDS / tookMs * 1000)
    } a second, each on the disks of two nodes before it counted`,
  );
}

function valueOf(number: number): { readonly round: number } {
  return { round: Math.floor(number / KEYS) };
}

async function loseLeader(raKv: RaKvClient, leader: string): Promise<void> {
  const victim = nodes.find(({ name }) => name === leader) as DemoNode;
  say(`kill -9 ${victim.child.pid}: ${victim.name}, the leader`);
  const killedAt = performance.now();
  Deno.kill(victim.child.pid, "SIGKILL");
  const written = await acknowledged(raKv);
  say(
    `  the next put is acknowledged after ${
      since(killedAt)
    }, by ${written} as leader`,
  );
  const { value } = await raKv.get(CLUSTER, "order-7");
  say(`  get order-7: ${JSON.stringify(value)}`);
  await cluster.restart(victim);
  say(`  ${victim.name} is started again, and follows`);
}

/** Puts until one is acknowledged; a client whose node was killed goes on at another one. */
async function acknowledged(raKv: RaKvClient): Promise<string> {
  for (;;) {
    signal.throwIfAborted();
    try {
      const { leader } = await raKv.put(CLUSTER, "order-0", valueOf(KEYS * 9));
      return leader;
    } catch {
      // Its fate is unknown; to put the same once more does no harm.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

async function snapshotAndCompact(raKv: RaKvClient): Promise<void> {
  const { snapshots } = await raKv.takeSnapshot(CLUSTER);
  const at = snapshots[0]?.snapshotIndex ?? 0;
  await raKv.compact(CLUSTER);
  const { overviews } = await raKv.overview(CLUSTER);
  say(
    `snapshot at entry ${at}: of ${at} entries, those that some key still points to stay`,
  );
  for (const { node, log } of overviews) {
    say(
      `  ${node}: ${log.liveEntries} entries are live; ${
        Math.round(log.segmentBytes / 1024)
      } KiB of segments, the rest still in the write-ahead log`,
    );
  }
}

async function untilItVotes(raKv: RaKvClient, node: string): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const { members } = await raKv.members(CLUSTER);
    const member = members.find((each) => each.node === node);
    if (member?.kind === "voter") return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function countWrong(raKv: RaKvClient): Promise<number> {
  let wrong = 0;
  let next = 0;
  const reader = async (): Promise<void> => {
    while (next < KEYS && !signal.aborted) {
      const { value } = await raKv.get(CLUSTER, `order-${next++}`);
      const { round } = (value ?? {}) as { round?: number };
      if (round !== ROUNDS - 1) wrong++;
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, reader));
  return wrong;
}

function since(at: number): string {
  const ms = performance.now() - at;
  return ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
