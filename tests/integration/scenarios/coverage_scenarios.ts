/**
 * Listing the keys of a bucket, while nodes fall and fall silent: a list is
 * whole, or it says that it is not.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { TestNode } from "../../harness/test_node.ts";
import { DURABLE, refused, type Scenario, threeNodes } from "./scenario.ts";

/** So many and so long that no vnode says them all before it is asked for more. */
const MANY = 4_000;
/** When that many are listed every vnode is at it, and none can have said all, however fast it is. */
const MIDDLE = 100;
const LONG_KEY_LENGTH = 700;
/** Listings at once, through two nodes: each bears as many. */
const CONCURRENT = 100;
// Two replicas on three nodes: every node has a part in each plan. With three it may be one node that holds all.
/** Milliseconds in which a listing goes round a silent node. */
const SILENT_MS_MAX = 8_000;

/** See the module comment. */
export const COVERAGE_SCENARIOS: readonly Scenario[] = [
  {
    name: "all keys of a bucket, and no others, are listed through every node",
    async play(cluster) {
      const keys = keysOf(500);
      await putAll(cluster.node(0), keys);
      await cluster.node(1).kv.put("another", "x", 1);
      const { context } = await cluster.node(2).kv.put("b", "deleted", 1);
      await cluster.node(2).kv.delete("b", "deleted", { context, w: "all" });
      for (const { kv } of cluster.nodes) {
        const listing = kv.keys("b");
        assertEquals((await Array.fromAsync(listing)).sort(), keys);
        assertEquals(listing.report?.complete, true);
        assertEquals(listing.report?.missing, []);
      }
      await using client = await cluster.client();
      assertEquals((await Array.fromAsync(client.kv.keys("b"))).sort(), keys);
      assertEquals(await Array.fromAsync(client.kv.keys("nothing")), []);
    },
  },
  {
    name: "keys are listed from disk once all nodes have been restarted",
    cluster: DURABLE,
    async play(cluster) {
      const keys = keysOf(600);
      await putAll(cluster.node(0), keys);
      for (const node of cluster.nodes) await node.stop();
      for (const node of cluster.nodes) await node.start();
      await cluster.settled();
      const listing = cluster.node(1).kv.keys("b");
      assertEquals((await Array.fromAsync(listing)).sort(), keys);
      assertEquals(listing.report?.complete, true);
    },
  },
  {
    name: "all keys are listed although a node was killed",
    async play(cluster) {
      const [first, , third] = threeNodes(cluster);
      const keys = keysOf(300);
      await putAll(first, keys);
      await third.kill();
      const listing = first.kv.keys("b");
      assertEquals((await Array.fromAsync(listing)).sort(), keys);
      assertEquals(listing.report?.complete, true);
    },
  },
  {
    name: "all keys are listed once although a node is killed meanwhile",
    async play(cluster) {
      const [first, , third] = threeNodes(cluster);
      const keys = keysOf(MANY, LONG_KEY_LENGTH);
      await putAll(first, keys, 2);
      const listing = first.kv.keys("b", { n: 2 });
      const listed: string[] = [];
      for await (const key of listing) {
        if (listed.push(key) === MIDDLE) await third.kill();
      }
      assertEquals(listed.length, keys.length);
      assertEquals(listed.sort(), keys);
      const { complete, asked } = listing.report!;
      assertEquals(complete, true);
      const lost = asked.filter(({ state }) => state === "failed");
      assert(lost.length > 0, "nobody was asked who was killed");
      for (const { node } of lost) assertEquals(node, third.name);
    },
  },
  {
    name:
      "a hundred concurrent listings are complete although a node is killed meanwhile",
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      const keys = keysOf(250, LONG_KEY_LENGTH);
      await putAll(first, keys, 2);
      const listings = Array.from({ length: CONCURRENT }, (_, i) => {
        const { kv } = i % 2 === 0 ? first : second;
        return kv.keys("b", { n: 2 })[Symbol.asyncIterator]();
      });
      const begun = await Promise.all(
        listings.map((listing) => listing.next()),
      );
      await third.kill();
      const lists = await Promise.all(listings.map(async (listing, i) => {
        const list = [begun[i]?.value as string];
        for (let at = await listing.next(); !at.done;) {
          list.push(at.value);
          at = await listing.next();
        }
        return list;
      }));
      for (const list of lists) assertEquals(list.sort(), keys);
    },
  },
  {
    name: "a listing that cannot be complete fails, or says what is missing",
    async play(cluster) {
      const [first, , third] = threeNodes(cluster);
      const { nodes, owners } = await first.control.ringStatus();
      const keys = keysOf(300);
      await putAll(first, keys, 1);
      await third.kill();
      const error = await refused(
        "insufficient_vnodes",
        () => Array.fromAsync(first.kv.keys("b", { n: 1 })),
      );
      const expected = owners.flatMap((owner, partition) =>
        nodes[owner] === third.name ? [partition] : []
      );
      assertEquals(error.details.keySpaces, expected);
      const partial = first.kv.keys("b", { n: 1, mode: "allup" });
      const listed = await Array.fromAsync(partial);
      assertEquals(partial.report?.complete, false);
      assertEquals(partial.report?.missing, expected);
      assert(listed.length > 0 && listed.length < keys.length);
      assertEquals(
        listed.filter((key) => !keys.includes(key)),
        [],
      );
    },
  },
  {
    name: "a listing bypasses a node that is paused meanwhile",
    kinds: ["processes"],
    async play(cluster) {
      const [first, , third] = threeNodes(cluster);
      const keys = keysOf(MANY, LONG_KEY_LENGTH);
      await putAll(first, keys, 2);
      const startedAt = performance.now();
      const listed: string[] = [];
      const listing = first.kv.keys("b", { n: 2 });
      try {
        for await (const key of listing) {
          if (listed.push(key) === MIDDLE) third.pause();
        }
      } finally {
        third.resume();
      }
      const tookMs = performance.now() - startedAt;
      assertEquals(listed.sort(), keys);
      assertEquals(listing.report?.complete, true);
      assert(
        listing.report?.asked.some(({ state }) => state === "failed"),
        "nobody was asked who was paused",
      );
      assert(tookMs < SILENT_MS_MAX, `it took ${tookMs} ms`);
      await cluster.settled();
    },
  },
];

function keysOf(count: number, length = 4): string[] {
  return Array.from(
    { length: count },
    (_, i) => String(i).padStart(length, "0"),
  );
}

async function putAll(
  { kv }: TestNode,
  keys: readonly string[],
  n = 3,
): Promise<void> {
  await Promise.all(
    keys.map((key) => kv.put("b", key, 1, { n, w: "all", nodeConfirms: 1 })),
  );
}
