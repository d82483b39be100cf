/**
 * The ring gets another number of partitions, and the data follows, after
 * riak_test's verify_dynamic_ring.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  BINDING_LOOK_MS,
  BINDING_LOOKS_MAX,
} from "../../../src/cluster/resize_binding.ts";
import { TEST_COOKIE, type TestCluster } from "../../harness/test_cluster.ts";
import type { TestNode } from "../../harness/test_node.ts";
import { until } from "../../harness/until.ts";
import {
  assertKeys,
  assertReplicas,
  BUCKET,
  commitStaged,
  keysOf,
  valueOf,
  writeKeys,
} from "./cluster_data.ts";
import { DURABLE, refused, type Scenario, threeNodes } from "./scenario.ts";

/** How long a resize, or what is left of the ring before it, may take, in milliseconds. */
const RESIZE_MS_MAX = 40_000;
/** How long a write may take that is held for a resize on a slow machine, in milliseconds. */
const WRITE_MS_MAX = BINDING_LOOK_MS * BINDING_LOOKS_MAX + 5_000;

/** See the module comment. */
export const RESIZE_SCENARIOS: readonly Scenario[] = [
  {
    // verify_dynamic_ring
    name:
      "a ring grows and shrinks from 16 to 64, 8, 16 and 64 partitions while it is written to, and loses nothing",
    long: true,
    async play(cluster) {
      const nodes = threeNodes(cluster);
      const keys = keysOf(500);
      await writeKeys(nodes[0], keys);
      for (const [turn, size] of [64, 8, 16, 64].entries()) {
        const member = nodes[turn % 3] as TestNode;
        const before = (await member.control.ringStatus()).ringSize;
        await member.control.resizeRing(size);
        const plan = await member.control.plan();
        assertEquals(plan.changes, [
          { action: "resize-ring", ringSizes: [before, size] },
        ]);
        await member.control.commit(plan.planId);
        keys.push(...await writeUntilResized(nodes, `during ${turn}`));
        await resized(cluster, size);
        await Promise.all(nodes.map((node) => assertKeys(node, keys)));
        await assertReplicas(cluster, nodes[turn % 3] as TestNode, keys);
        assertEquals(await listed(nodes[2]), keys.length);
      }
      // Vnodes of the rings before have stopped, and no others.
      await untilVnodes(nodes, 64);
      await assertReplicas(cluster, nodes[0], keys);
      assertEquals(await listed(nodes[2]), keys.length);
    },
  },
  {
    // verify_dynamic_ring's abort
    name:
      "an aborted resize leaves the ring as it was, and another one can follow",
    long: true,
    async play(cluster) {
      const nodes = threeNodes(cluster);
      const keys = keysOf(200);
      await writeKeys(nodes[0], keys);
      // So that it does not end before it is given up.
      await nodes[1].control.setHandoffEnabled("outbound", false);
      await nodes[0].control.resizeRing(64);
      await refused("pending_changes", () => nodes[1].control.leave());
      await commitStaged(nodes[0].control);
      await until("two of three nodes have sent theirs", async () => {
        const { resize } = await nodes[0].control.ringStatus();
        return resize?.waitingOn.join() === nodes[1].name;
      }, RESIZE_MS_MAX);
      await refused("pending_changes", () => nodes[2].control.resizeRing(32));
      await writeKeys(nodes[2], keys, 2);
      assertEquals(await nodes[2].control.abortResize(), {
        ringSize: 16,
        stagedSize: null,
      });
      const plan = await nodes[2].control.plan();
      assertEquals(plan.changes, [{ action: "abort-resize", ringSize: 16 }]);
      await nodes[2].control.commit(plan.planId);
      await resized(cluster, 16);
      await refused("not_resizing", () => nodes[0].control.abortResize());
      await assertReplicas(cluster, nodes[0], keys, 2);

      await nodes[1].control.setHandoffEnabled("outbound", true);
      await nodes[0].control.resizeRing(8);
      await commitStaged(nodes[0].control);
      await resized(cluster, 8);
      await untilVnodes(nodes, 8);
      await assertReplicas(cluster, nodes[1], keys, 2);
    },
  },
  {
    name: "a resize waits for a killed node, and continues when it is back",
    long: true,
    cluster: DURABLE,
    async play(cluster) {
      const nodes = threeNodes(cluster);
      const keys = keysOf(200);
      await writeKeys(nodes[0], keys);
      await nodes[2].control.setTransferLimit(0);
      await nodes[0].control.resizeRing(64);
      await commitStaged(nodes[0].control);
      await nodes[2].kill();
      await writeKeys(nodes[0], keys, 2);
      await nodes[2].start();
      // The claimant as well: all that is known stands in the ring.
      await nodes[0].kill();
      await nodes[0].start();
      await resized(cluster, 64);
      for (const node of nodes) await assertKeys(node, keys, 2);

      // What is left of a former ring is found again after a start.
      await nodes[1].control.resizeRing(16);
      await commitStaged(nodes[1].control);
      await resized(cluster, 16);
      await nodes[1].kill();
      await nodes[1].start();
      await untilVnodes(nodes, 16);
      for (const node of nodes) await assertKeys(node, keys, 2);
    },
  },
  {
    name: "a single node resizes its ring, and members join a resized ring",
    cluster: { nodes: 2 },
    joined: false,
    async play(cluster) {
      const [first] = cluster.nodes as [TestNode];
      const keys = keysOf(100);
      await writeKeys(first, keys);
      for (const size of [4, 12, 2_048]) {
        await refused(
          "invalid_ring_size",
          () => first.control.resizeRing(size),
        );
      }
      await refused("same_size", () => first.control.resizeRing(16));
      await first.control.resizeRing(32);
      assert((await first.control.plan()).changes.length === 1);
      await first.control.clear();
      assertEquals((await first.control.plan()).changes, []);
      await first.control.resizeRing(32);
      await commitStaged(first.control);
      await until(
        "32 partitions",
        async () => (await first.control.ringStatus()).ringSize === 32,
        RESIZE_MS_MAX,
      );
      const second = cluster.addNode(1, {
        name: cluster.node(1).name.replace("dev2", "dev9"),
        cookie: TEST_COOKIE,
        ringSize: 32,
      });
      await second.start();
      // Its vnodes have the numbers of the first ring's, of 16 partitions.
      const brought = Array.from({ length: 100 }, (_, i) => `brought ${i}`);
      await writeKeys(second, brought);
      await second.control.join(first.address);
      const mark = second.events.mark;
      await first.control.clear();
      await second.events.until(
        "its removal",
        mark,
        ({ type }) => type === "removed",
      );
      await assertKeys(second, brought);
      await second.control.join(first.address);
      await commitStaged(first.control);
      assert(await first.control.settled(RESIZE_MS_MAX));
      await untilVnodes([first, second], 32);
      keys.push(...brought);
      await assertKeys(second, keys);
      await assertReplicas(cluster, second, keys);
    },
  },
];

/** Writes through all nodes, some at a time, until the ring has its new size everywhere; returns the keys. */
async function writeUntilResized(
  nodes: readonly TestNode[],
  name: string,
): Promise<string[]> {
  const keys: string[] = [];
  do {
    const some = Array.from(
      { length: 20 },
      (_, i) => `${name}: ${keys.length + i}`,
    );
    await Promise.all(
      some.map((key, i) =>
        (nodes[i % nodes.length] as TestNode).kv.put(
          BUCKET,
          key,
          valueOf(key, 1),
          { w: 2, timeoutMs: WRITE_MS_MAX },
        )
      ),
    );
    keys.push(...some);
  } while (keys.length < 250 && await isResizing(nodes));
  return keys;
}

async function isResizing(nodes: readonly TestNode[]): Promise<boolean> {
  const rings = await Promise.all(
    nodes.map((node) => node.control.ringStatus()),
  );
  return rings.some(({ resize }) => resize !== null);
}

/** Waits until every node goes by a ring of `size` partitions at rest. */
async function resized(cluster: TestCluster, size: number): Promise<void> {
  await until(`${size} partitions`, async () => {
    const rings = await Promise.all(
      cluster.nodes.map(({ control }) => control.ringStatus()),
    );
    return rings.every(({ ringSize, resize, ringReady }) =>
      ringSize === size && resize === null && ringReady
    );
  }, RESIZE_MS_MAX);
  await cluster.settled();
}

/** Waits until so many vnodes run in all: those of the ring, and no others. */
async function untilVnodes(
  nodes: readonly TestNode[],
  count: number,
): Promise<void> {
  await until(`${count} vnodes`, async () => {
    const stats = await Promise.all(
      nodes.map(({ control }) => control.stats()),
    );
    let vnodes = 0;
    for (const { values } of stats) {
      for (const [name, value] of Object.entries(values)) {
        if (/^kv-\d+\.vnodes$/.test(name)) vnodes += value;
      }
    }
    return vnodes === count;
  }, RESIZE_MS_MAX);
}

async function listed(node: TestNode): Promise<number> {
  let count = 0;
  for await (const _ of node.kv.keys(BUCKET)) count++;
  return count;
}
