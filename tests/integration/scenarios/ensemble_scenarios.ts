/**
 * Consistent buckets: what riak_test's ensemble_basic to ensemble_basic4,
 * ensemble_interleave, ensemble_ring_changes and ensemble_remove_node do to
 * riak_ensemble, seen from outside. No read is stale and no acknowledged write is
 * lost, and who has no majority says so.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type KvClient,
  kvOutcomeUnknown,
  type KvValue,
} from "../../../src/kv/kv_client.ts";
import { isWhorlError, WhorlError } from "../../../src/base/errors.ts";
import { ensembleOwners } from "../../../src/ring/consistent_buckets.ts";
import type {
  TestCluster,
  TestClusterOptions,
} from "../../harness/test_cluster.ts";
import type { TestNode } from "../../harness/test_node.ts";
import { until } from "../../harness/until.ts";
import { forEach } from "./cluster_data.ts";
import { fourNodes, refused, type Scenario, threeNodes } from "./scenario.ts";

/** Members need a place for their logs; vnodes have nothing to store. */
const WITH_LOGS: Omit<TestClusterOptions, "kind"> = {
  directories: true,
  ringSize: 8,
};
const BUCKET = "accounts";
/** How long groups may take to follow the ring, in milliseconds. */
const FOLLOW_MS_MAX = 30_000;
/** How long those that were held still may take to be of use again, in milliseconds. */
const BACK_MS_MAX = 20_000;
const KEYS = Array.from({ length: 24 }, (_, i) => `k${i}`);

/** See the module comment. */
export const ENSEMBLE_SCENARIOS: readonly Scenario[] = [
  {
    // ensemble_basic
    long: true,
    name:
      "a consistent bucket is the same from every node, and a context is a condition",
    cluster: WITH_LOGS,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await second.control.markConsistent(BUCKET);
      for (const { control } of cluster.nodes) {
        const { buckets } = await control.consistentBuckets();
        assertEquals(buckets, [BUCKET]);
      }
      await using client = await cluster.client();
      const all = [first.kv, second.kv, third.kv, client.kv];
      for (const [i, kv] of all.entries()) {
        await kv.put(BUCKET, "ann", i);
        for (const reader of all) {
          assertEquals((await reader.get(BUCKET, "ann")).value, i);
        }
      }
      await increments(all, 40);
      const { values, context } = await third.kv.get(BUCKET, "none");
      assertEquals(values, []);
      const once = { context: context as string };
      const { context: written } = await first.kv.put(BUCKET, "none", 1, once);
      await refused(
        "index_mismatch",
        () => second.kv.put(BUCKET, "none", 2, once),
      );
      await refused(
        "index_mismatch",
        () => client.kv.delete(BUCKET, "none", once),
      );
      await client.kv.delete(BUCKET, "none", { context: written });
      // It is gone, but not as who has seen it knows it.
      await refused(
        "index_mismatch",
        () => first.kv.delete(BUCKET, "none", { context: written }),
      );
      await first.kv.delete(BUCKET, "none");
      assertEquals((await first.kv.get(BUCKET, "none")).values, []);
      await forEach(KEYS, async (key) => {
        await first.kv.put(BUCKET, key, new Uint8Array([1]));
      });
      assertEquals(
        await listed(client.kv),
        [...KEYS, "ann", "count"].sort(),
      );
      // Other buckets are served as ever.
      await first.kv.put("other", "ann", 1);
      await second.kv.put("other", "ann", 2);
      assertEquals((await third.kv.get("other", "ann")).values.length, 2);
    },
  },
  {
    // ensemble_basic2 and ensemble_vnode_crash
    name:
      "consistent reads and writes continue when a node is killed, and nothing is lost after a restart of all",
    kinds: ["processes"],
    cluster: WITH_LOGS,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await first.control.markConsistent(BUCKET);
      await putAll(first.kv, "before");
      await second.kill();
      await assertAll(third.kv, "before");
      await putAll(first.kv, "after");
      await second.start();
      await assertAll(second.kv, "after");
      for (const node of cluster.nodes) await node.stop();
      await cluster.startAll();
      await cluster.settled();
      await assertAll(third.kv, "after");
      await increments(cluster.nodes.map(({ kv }) => kv), 12);
    },
  },
  {
    // ensemble_basic3 and ensemble_basic4
    name:
      "a node without a majority neither reads nor writes a consistent bucket, and continues when it has one again",
    kinds: ["processes"],
    cluster: WITH_LOGS,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await first.control.markConsistent(BUCKET);
      await first.kv.put(BUCKET, "ann", "before");
      second.pause();
      third.pause();
      const timeoutMs = 1_500;
      try {
        await Promise.all([
          refused("timeout", () => first.kv.get(BUCKET, "ann", { timeoutMs })),
          undecided(first.kv.put(BUCKET, "ann", "alone", { timeoutMs })),
          refused("timeout", () => listed(first.kv, timeoutMs)),
        ]);
      } finally {
        second.resume();
        third.resume();
      }
      await until("a write after the pause", async () => {
        try {
          await first.kv.put(BUCKET, "ann", "after", { timeoutMs });
          return true;
        } catch (error) {
          if (isWhorlError(error)) return false;
          throw error;
        }
      }, BACK_MS_MAX);
      assertEquals((await third.kv.get(BUCKET, "ann")).value, "after");
    },
  },
  {
    // ensemble_ring_changes and ensemble_remove_node
    name: "ensembles follow the ring as one node joins and another leaves",
    kinds: ["in_process"],
    cluster: WITH_LOGS,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await first.control.markConsistent(BUCKET);
      await putAll(first.kv, "v1");
      const fourth = cluster.addNode(3);
      await fourth.start();
      await fourth.control.join(first.address);
      await commit(first);
      const counting = increments([first.kv, third.kv], 30);
      await following(first);
      await counting;
      await assertAll(fourth.kv, "v1");
      await putAll(fourth.kv, "v2");
      await first.control.leave(second.name);
      await commit(first);
      await second.ended();
      await following(first);
      const groups = await first.control.groups();
      assert(groups.every(({ nodes }) => !nodes.includes(second.name)));
      await assertAll(third.kv, "v2");
    },
  },
  {
    // ensemble_remove_node2
    name: "ensembles replace a node that was killed and removed",
    kinds: ["in_process"],
    cluster: { ...WITH_LOGS, nodes: 4 },
    async play(cluster) {
      const [first, second, , fourth] = fourNodes(cluster);
      await second.control.markConsistent(BUCKET);
      await putAll(first.kv, "v1");
      await fourth.kill();
      await until(
        "a force-remove",
        async () => {
          const { unreachable } = await first.control.ringStatus();
          return unreachable.includes(fourth.name);
        },
        BACK_MS_MAX,
      );
      await first.control.down(fourth.name);
      await first.control.forceRemove(fourth.name);
      await commit(first);
      await following(first);
      await assertAll(second.kv, "v1");
      await putAll(second.kv, "v2");
      await assertAll(first.kv, "v2");
    },
  },
  {
    // ensemble_sync
    name:
      "a node that lost its Raft logs does not count towards a majority until it has them again",
    kinds: ["processes"],
    cluster: WITH_LOGS,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await first.control.markConsistent(BUCKET);
      await putAll(first.kv, "v1");
      await third.kill();
      for (const path of walOf(cluster, "dev3")) await Deno.truncate(path, 0);
      second.pause();
      try {
        await third.start();
        // What it had acknowledged is on the first node and on one that stands still.
        const timeoutMs = 1_500;
        await forEach(KEYS, async (key) => {
          await refused(
            "timeout",
            () => third.kv.get(BUCKET, key, { timeoutMs }),
          );
        });
        await undecided(first.kv.put(BUCKET, "ann", "alone", { timeoutMs }));
      } finally {
        second.resume();
      }
      await wholeWithout(cluster, first);
      await assertAll(third.kv, "v1");
      await putAll(second.kv, "v2");
      await assertAll(third.kv, "v2");
    },
  },
  {
    // ensemble_byzantine
    name:
      "a node whose Raft logs have rotted returns nothing damaged, and gets the data again",
    kinds: ["processes"],
    cluster: WITH_LOGS,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await first.control.markConsistent(BUCKET);
      await putAll(first.kv, "v1");
      await third.kill();
      for (const path of walOf(cluster, "dev3")) flipBits(path);
      await third.start();
      await assertAll(third.kv, "v1");
      assert(third.log().includes("has lost part of its log"));
      await putAll(second.kv, "v2");
      await wholeWithout(cluster, first);
      await assertAll(third.kv, "v2");
    },
  },
  {
    name:
      "a consistent bucket follows a ring that grows and shrinks, while a node is killed",
    kinds: ["processes"],
    cluster: WITH_LOGS,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await first.control.markConsistent(BUCKET);
      await putAll(first.kv, "v1");
      const { context } = await first.kv.put(BUCKET, "ann", 1);
      await first.kv.put(BUCKET, "gone", 1);
      await first.kv.delete(BUCKET, "gone");
      const counting = increments([first.kv, third.kv], 60);
      await first.control.resizeRing(16);
      await commit(first);
      await resized(cluster, 16);
      await counting;
      await assertAll(second.kv, "v1");
      assertEquals((await second.kv.get(BUCKET, "gone")).values, []);
      assertEquals(
        await listed(third.kv),
        [...KEYS, "ann", "count"].sort(),
      );
      // A context of before the resize says what it said.
      const { context: next } = await third.kv.put(BUCKET, "ann", 2, {
        context,
      });
      await refused(
        "index_mismatch",
        () => second.kv.put(BUCKET, "ann", 3, { context }),
      );
      await following(first, 1);
      await putAll(second.kv, "v2");
      await third.control.resizeRing(8);
      await commit(third);
      await second.kill();
      await second.start();
      await resized(cluster, 8);
      await assertAll(first.kv, "v2");
      await third.kv.put(BUCKET, "ann", 3, { context: next });
      await following(first, 8);
      const groups = await first.control.groups();
      // Those of the rings before are gone.
      assertEquals(groups.length, 1 + 8);
    },
  },
  {
    name:
      "operations that consistent buckets do not support are refused by name",
    kinds: ["in_process"],
    cluster: { ...WITH_LOGS, nodes: 2 },
    joined: false,
    async play(cluster) {
      const [first, second] = cluster.nodes as [TestNode, TestNode];
      await refused("invalid_argument", () => first.control.markConsistent(""));
      await first.control.markConsistent(BUCKET);
      await first.control.markConsistent(BUCKET);
      await first.kv.put(BUCKET, "ann", 1);
      await refused(
        "not_capable",
        () => first.control.join(second.address),
      );
      const { context } = await first.kv.put("other", "ann", 1);
      await refused(
        "invalid_context",
        () => first.kv.put(BUCKET, "ann", 2, { context }),
      );
      // One that has no place for logs is let in by no plan.
      const { dataDirectory: _, ...without } = cluster.plainOptions(2);
      const third = cluster.addNode(2, { dataDirectory: undefined } as never);
      assertEquals(without.name, third.name);
      await third.start();
      await third.control.join(first.address);
      await refused("not_capable", () => first.control.plan());
      await refused("not_capable", () => first.control.markConsistent("b"));
      await first.control.clear();
      await second.control.join(first.address);
      await commit(first);
      await following(first);
      assertEquals((await second.kv.get(BUCKET, "ann")).value, 1);
    },
  },
];

/** Expects a write not to be acknowledged, and to say that it may yet happen. */
async function undecided(write: Promise<unknown>): Promise<void> {
  const error = await assertRejects(() => write, WhorlError);
  assert(kvOutcomeUnknown(error), error.message);
}

/** The files of a node's write-ahead log of Raft groups. */
function walOf(cluster: TestCluster, node: string): string[] {
  const folder = `${cluster.folder}/${node}/raft`;
  return [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => /^wal-\d+\.log$/.test(name))
    .map((name) => `${folder}/${name}`);
}

/** Damages a bit here and there, but for the end: what was written last is not known to have been acknowledged. */
function flipBits(path: string): void {
  const bytes = Deno.readFileSync(path);
  const end = bytes.length - 1_024;
  assert(end > 1_024, `${path} has ${bytes.length} bytes`);
  for (let at = 1_024; at < end; at += 512) {
    bytes[at] = (bytes[at] as number) ^ 1;
  }
  Deno.writeFileSync(path, bytes);
}

/** Waits until all members of all ensembles vote and run, then kills `node`: what the other two have is all that there is. */
async function wholeWithout(
  cluster: TestCluster,
  node: TestNode,
): Promise<void> {
  await using client = await cluster.client();
  const groups = (await node.control.groups()).map(({ cluster }) => cluster);
  let seen = "nothing yet";
  await until(() => `ensembles that are whole: ${seen}`, async () => {
    const lacking = await Promise.all(groups.map(async (group) => {
      try {
        const { members, committed, overviews } = await client.raKv.overview(
          group,
        );
        const running = overviews.map(({ uid }) => uid);
        const isWhole = committed && members.length === 3 &&
          members.every(({ kind, uid }) =>
            kind === "voter" && running.includes(uid)
          );
        return isWhole ? [] : [`${group} ${JSON.stringify(members)}`];
      } catch (error) {
        if (isWhorlError(error)) return [`${group}: ${error.message}`];
        throw error;
      }
    }));
    seen = lacking.flat().join("; ");
    return groups.length > 0 && seen === "";
  }, BACK_MS_MAX);
  await node.kill();
}

async function commit(node: TestNode): Promise<void> {
  const { planId } = await node.control.plan();
  await node.control.commit(planId);
}

/** Waits until each ensemble has its members on the owners of its preference list. */
async function following(node: TestNode, generation = 0): Promise<void> {
  let seen = "nothing yet";
  await until(() => `ensembles that follow the ring: ${seen}`, async () => {
    const [ring, groups] = await Promise.all([
      node.control.ringStatus(),
      node.control.groups(),
    ]);
    const owners = ring.owners.map((place) => ring.nodes[place] as string);
    const members = new Map(
      groups.map(({ cluster, nodes }) => [cluster, nodes]),
    );
    const behind = owners.flatMap((_, partition) => {
      const group = `whorl/partition/${generation * 1_024 + partition}`;
      const wanted = ensembleOwners(owners, partition).sort();
      const found = members.get(group) ?? [];
      return `${found}` === `${wanted}`
        ? []
        : [`${group}: ${found} (${wanted})`];
    });
    // Whatever was, there is no other group.
    if (groups.length !== 1 + owners.length) {
      behind.push(`${groups.length} groups`);
    }
    seen = behind.join("; ");
    return ring.transfers.length === 0 && behind.length === 0;
  }, FOLLOW_MS_MAX);
}

/** Waits until all nodes have a ring of so many partitions. */
async function resized(cluster: TestCluster, size: number): Promise<void> {
  await until(`a ring of ${size}`, async () => {
    const rings = await Promise.all(
      cluster.nodes.map(({ control }) => control.ringStatus()),
    );
    return rings.every(({ ringSize, resize }) => ringSize === size && !resize);
  }, FOLLOW_MS_MAX);
}

/** Each of `clients` adds to one counter by turns and all at once; none of `count` additions is lost. */
async function increments(
  clients: readonly KvClient[],
  count: number,
): Promise<void> {
  const key = "count";
  const begin = await (clients[0] as KvClient).get(BUCKET, key);
  const start = typeof begin.value === "number" ? begin.value : 0;
  let left = count;
  await Promise.all(clients.map(async (kv) => {
    while (left > 0) {
      left--;
      for (;;) {
        const { value, context } = await kv.get(BUCKET, key);
        const next = typeof value === "number" ? value + 1 : 1;
        try {
          await kv.put(BUCKET, key, next, { context: context as string });
          break;
        } catch (error) {
          if (!isWhorlError(error, "index_mismatch")) throw error;
        }
      }
    }
  }));
  for (const kv of clients) {
    assertEquals((await kv.get(BUCKET, key)).value, start + count);
  }
}

async function putAll(kv: KvClient, version: string): Promise<void> {
  await forEach(KEYS, async (key) => {
    await kv.put(BUCKET, key, `${key} ${version}`);
  });
}

async function assertAll(kv: KvClient, version: string): Promise<void> {
  await forEach(KEYS, async (key) => {
    const found: KvValue | undefined = (await kv.get(BUCKET, key)).value;
    assertEquals(found, `${key} ${version}`);
  });
}

async function listed(kv: KvClient, timeoutMs = 10_000): Promise<string[]> {
  const keys: string[] = [];
  const listing = kv.keys(BUCKET, { timeoutMs });
  for await (const key of listing) keys.push(key);
  assertEquals(listing.report?.complete, true);
  return keys.sort();
}
