/**
 * A primary that has more writes in hand than its soft bound leaves the
 * coordination of others to the next primary, as riak_kv's put FSM does where a
 * vnode is `soft_loaded`. The disk of one node is slow here: what a partition
 * writes is not durable until the test says so.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Environment } from "../../src/environment/environment.ts";
import { silentLog } from "../../src/environment/log.ts";
import type { PartitionStore, Store } from "../../src/environment/storage.ts";
import type { WhorlNode } from "../../src/node/node.ts";
import { startNode } from "../../src/node/start_node.ts";
import { systemEnvironment } from "../../src/node/system_environment.ts";
import { partitionOf } from "../../src/ring/chash.ts";
import { MemoryNetwork } from "../../src/transport/memory_transport.ts";
import { MAILBOX_BOUNDS_DEFAULT } from "../../src/vnode/mailbox_bounds.ts";
import { systemRuntime } from "../../supervisors/runtime.ts";
import { until } from "../harness/until.ts";

const RING_SIZE = 16;
const PROMPT_MS = 10_000;
const encoder = new TextEncoder();

/** A disk on which partitions can be told to be slow. */
class SlowDisk {
  /** Commits that wait, by partition that is slow. */
  readonly #slow = new Map<number, (() => void)[]>();

  slowDown(partition: number): void {
    this.#slow.set(partition, []);
  }

  /** What has waited is durable now. */
  speedUp(partition: number): void {
    const waiting = this.#slow.get(partition) ?? [];
    this.#slow.delete(partition);
    for (const committed of waiting) committed();
  }

  store(inner: Store): Store {
    return changed(inner, {
      partition: (number: number) => {
        const partition = inner.partition(number);
        const write: PartitionStore["write"] = (changes, committed) =>
          partition.write(changes, (error) => {
            const slow = this.#slow.get(number);
            if (slow === undefined) committed?.(error);
            else slow.push(() => committed?.(error));
          });
        return changed(partition, { write });
      },
    });
  }
}

/** `inner` with some of its methods replaced. */
function changed<T extends object>(inner: T, methods: Partial<T>): T {
  return new Proxy(inner, {
    get(target, name) {
      const replaced = Reflect.get(methods, name);
      if (replaced !== undefined) return replaced;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Keys whose first owner is `partition`. */
function keysOf(partition: number, count: number): string[] {
  const bucket = encoder.encode("b");
  const keys: string[] = [];
  for (let i = 0; keys.length < count; i++) {
    const key = `key ${i}`;
    const first = partitionOf(bucket, encoder.encode(key), RING_SIZE);
    if (first === partition) keys.push(key);
  }
  return keys;
}

async function statOf(node: WhorlNode, name: string): Promise<number> {
  return (await node.stats()).values[`kv-0.${name}`] ?? NaN;
}

Deno.test("a busy primary leaves a write to another one, and coordinates again when it is not busy", async () => {
  const network = new MemoryNetwork(systemRuntime);
  const disk = new SlowDisk();
  const nodes: WhorlNode[] = [];
  try {
    for (let i = 1; i <= 3; i++) {
      const system = systemEnvironment(silentLog);
      const environment: Environment = {
        ...system,
        transport: network.transport(`host${i}`),
        ...(i > 1 ? {} : {
          openStore: async (config) =>
            disk.store(await system.openStore(config)),
        }),
      };
      nodes.push(
        await startNode({
          name: `node${i}@host${i}`,
          cookie: "busy",
          ringSize: RING_SIZE,
          masterPlacement: "task",
          environment,
        }),
      );
    }
    const [busy, ...others] = nodes as [WhorlNode, ...WhorlNode[]];
    for (const node of others) await node.join(busy.address);
    await busy.commit((await busy.plan()).planId);
    for (const node of nodes) assert(await node.settled(PROMPT_MS));

    const { owners, nodes: names } = await busy.ringStatus();
    const owned = (partition: number) =>
      names[owners[partition % RING_SIZE] as number] === busy.name;
    // The ends of a small ring may have two replicas on one node.
    const partition = owners.findIndex((_, i) =>
      owned(i) && !owned(i + 1) && !owned(i + 2)
    );
    const { requestsSoft } = MAILBOX_BOUNDS_DEFAULT;
    const [key, ...keys] = keysOf(partition, requestsSoft + 1) as [
      string,
      ...string[],
    ];
    await busy.kv.put("b", key, "before");
    assertEquals(await statOf(busy, "declined"), 0);

    disk.slowDown(partition);
    const slow = Promise.allSettled(
      keys.map((key) =>
        busy.kv.put("b", key, "slow", { n: 1, w: 1, timeoutMs: 60_000 })
      ),
    );
    await until(
      "the primary is busy",
      async () => await statOf(busy, "waiting") >= requestsSoft,
      PROMPT_MS,
    );
    const { replicas } = await busy.kv.put("b", key, "meanwhile");
    // Two others have it durably; this one takes what another has made.
    const done = replicas.filter(({ state }) => state === "done");
    assertEquals(done.map(({ node }) => node === busy.name), [false, false]);
    assertEquals(await statOf(busy, "declined"), 1);
    // It is asked for nothing else but what only it can do.
    assertEquals(await statOf(busy, "refused"), 0);

    disk.speedUp(partition);
    const outcomes = (await slow).map(({ status }) => status);
    assertEquals(new Set(outcomes), new Set(["fulfilled"]));
    await busy.kv.put("b", key, "after", { w: "all" });
    assertEquals(await statOf(busy, "declined"), 1);
    for (const node of others) {
      assertEquals(await statOf(node, "declined"), 0);
    }
  } finally {
    for (const node of nodes) await node.stop();
  }
});
