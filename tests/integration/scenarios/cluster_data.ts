/**
 * Data of a cluster under test: written, read back, and looked for where it
 * belongs, while members come and go.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { TestCluster } from "../../harness/test_cluster.ts";
import type { NodeControl, TestNode } from "../../harness/test_node.ts";
import { until } from "../../harness/until.ts";

/** The bucket of all keys. */
export const BUCKET = "b";
/** Operations under way at once. */
const AT_ONCE = 32;
/** How long hints and the rest of what is held for others may take home, in milliseconds. */
const HOME_MS_MAX = 20_000;

/** `count` keys. */
export function keysOf(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `k${i}`);
}

/** What `key` holds in the version `version`. */
export function valueOf(key: string, version: number): string {
  return `${key} version ${version}`;
}

/** Does `work` with every one of `items`, some at once. */
export async function forEach<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}

/** Writes a version of every key through `node`, in place of what it holds. */
export function writeKeys(
  node: TestNode,
  keys: readonly string[],
  version = 1,
): Promise<void> {
  return forEach(keys, async (key) => {
    const { context } = version === 1
      ? { context: null }
      : await node.kv.get(BUCKET, key, { r: "all" });
    await node.kv.put(
      BUCKET,
      key,
      valueOf(key, version),
      context === null ? {} : { context },
    );
  });
}

/** Every key has that version and nothing else, read through `node`. */
export function assertKeys(
  node: TestNode,
  keys: readonly string[],
  version = 1,
  r: number | "quorum" | "all" = "quorum",
): Promise<void> {
  return forEach(keys, async (key) => {
    const { values } = await node.kv.get(BUCKET, key, { r });
    assertEquals(values, [valueOf(key, version)], `through ${node.name}`);
  });
}

/**
 * Every replica of every key is where it belongs and up to date: reads of all
 * primaries through `node` find nothing to repair.
 */
export async function assertReplicas(
  cluster: TestCluster,
  node: TestNode,
  keys: readonly string[],
  version = 1,
): Promise<void> {
  const before = await repairsOf(cluster);
  await forEach(keys, async (key) => {
    const { values } = await node.kv.get(BUCKET, key, {
      r: "all",
      quorum: "strict",
    });
    assertEquals(values, [valueOf(key, version)], `through ${node.name}`);
  });
  assertEquals(await repairsOf(cluster), before, "replicas had to be repaired");
}

/** Replicas that reads have repaired so far, at all nodes that run. */
async function repairsOf(cluster: TestCluster): Promise<number> {
  const stats = await Promise.all(
    cluster.all.filter(({ running }) => running).map(({ control }) =>
      control.stats()
    ),
  );
  return stats.reduce(
    (sum, { values }) => sum + (values["requests.repairs"] ?? 0),
    0,
  );
}

/** Plans what is staged and commits it, through `control`. */
export async function commitStaged(control: NodeControl): Promise<void> {
  await control.commit((await control.plan()).planId);
}

/** Joins `node` to the cluster of `member` and waits until both have settled. */
export async function joinOne(
  cluster: TestCluster,
  node: TestNode,
  member: TestNode,
): Promise<void> {
  await node.control.join(member.address);
  await commitStaged(member.control);
  await cluster.settled();
}

/** Has `node` leave by way of `member`, and waits until its process has ended by itself, with 0. */
export async function leaveOne(
  cluster: TestCluster,
  node: TestNode,
  member: TestNode,
): Promise<void> {
  const mark = node.events.mark;
  await member.control.leave(node.name);
  await commitStaged(member.control);
  await leftByItself(node, mark);
  await cluster.settled();
}

/** Waits until `node` has told that it has left, and has ended with 0. */
export async function leftByItself(
  node: TestNode,
  mark: number,
): Promise<void> {
  await node.events.until("its leave", mark, ({ type }) => type === "left");
  const status = await node.ended() as Deno.CommandStatus | undefined;
  assertEquals(status?.code ?? 0, 0);
}

/** Waits until no node that runs holds anything that is another's. */
export async function allHome(cluster: TestCluster): Promise<void> {
  let strays: readonly string[] = [];
  await until(
    () => `nothing is held for others: ${strays.join(", ")}`,
    async () => (strays = await straysOf(cluster)).length === 0,
    HOME_MS_MAX,
  );
}

/** What nodes hold and do not own, as `node: module/partition`. */
export async function straysOf(cluster: TestCluster): Promise<string[]> {
  const nodes = cluster.all.filter(({ running }) => running);
  const held = await Promise.all(nodes.map(({ control }) => control.held()));
  return held.flatMap(({ node, owned, held }) =>
    held.filter(({ partition }) => !owned.includes(partition)).map((
      { module, partition },
    ) => `${node}: ${module}/${partition}`)
  );
}
