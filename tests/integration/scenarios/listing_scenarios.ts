/**
 * riak_test's `verify_listkeys` and `coverage`: keys are listed whole through
 * every node while the cluster grows and nodes stop and start, and which vnodes
 * are asked for that.
 *
 * Buckets are told apart by listing each; `kv` has no list of buckets.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { CoverageReport } from "../../../src/request/coverage_report.ts";
import type { TestCluster } from "../../harness/test_cluster.ts";
import type { TestNode } from "../../harness/test_node.ts";
import { until } from "../../harness/until.ts";
import { DURABLE, fourNodes, refused, type Scenario } from "./scenario.ts";

const RING_SIZE = 16;
const BUCKETS = ["b", "bb", "users"];
const KEYS = Array.from({ length: 60 }, (_, i) => String(i).padStart(4, "0"));
/** Within this time a node that is gone is known to be, also on a busy machine. */
const PROMPT_MS = 10_000;

/** See the module comment. */
export const LISTING_SCENARIOS: readonly Scenario[] = [
  {
    name:
      "verify_listkeys: keys of each bucket are listed completely after every join, stop and start, and not through one node of four",
    kinds: ["in_process"],
    joined: false,
    cluster: {
      ...DURABLE,
      nodes: 4,
      ringSize: RING_SIZE,
      placement: "task",
    },
    async play(cluster) {
      const [first, ...others] = fourNodes(cluster);
      await putAll(first, BUCKETS);
      await assertListed([first]);

      const joined: TestNode[] = [first];
      for (const node of others) {
        await node.control.join(first.address);
        const { planId } = await first.control.plan();
        await first.control.commit(planId);
        joined.push(node);
        await settled(joined);
        await assertListed(joined);
      }

      for (const node of others) {
        await node.stop();
        await assertListed(joined.filter(({ running }) => running));
        await node.start();
        await settled(joined);
        await assertListed(joined);
      }

      for (const node of others) await node.stop();
      const { owners, nodes } = await first.control.ringStatus();
      // What no vnode of the one that is left holds a replica of.
      const held = owners.map((owner) => nodes[owner] === first.name);
      const lost = owners.flatMap((_, keySpace) =>
        [0, 1, 2].some((next) => held[(keySpace + next) % RING_SIZE])
          ? []
          : [keySpace]
      );
      await until(
        "the nodes that stopped are known to be gone",
        async () => {
          const listing = first.kv.keys("b", { mode: "allup" });
          await Array.fromAsync(listing);
          return listing.report?.complete === false;
        },
        PROMPT_MS,
      );
      assert(lost.length > 0, "one node of four holds a replica of every key");
      for (const bucket of BUCKETS) {
        const error = await refused(
          "insufficient_vnodes",
          () => Array.fromAsync(first.kv.keys(bucket)),
        );
        assertEquals(error.details.keySpaces, lost);
      }

      for (const node of others) await node.start();
      await settled(joined);
      await assertListed(joined);
    },
  },
  {
    name:
      "coverage: plans assign each key space to one vnode, in chunks of the ring if requested, bypassing a failed node, or say that they cannot",
    kinds: ["in_process"],
    cluster: { ringSize: RING_SIZE },
    async play(cluster) {
      const [first, second, third] = cluster.nodes as [
        TestNode,
        TestNode,
        TestNode,
      ];
      await putAll(first, ["b"]);
      await putAll(first, ["once"], 1);

      // A third of the vnodes, and those which are wanted for less than they hold.
      const whole = await reportOf(first, "b", 3);
      assert(whole.asked.length <= Math.ceil(RING_SIZE / 3) + 1);
      assertSpacesOnce(whole);

      // Another visit begins elsewhere, and comes to the same keys.
      const plans = new Set<string>();
      for (let i = 0; i < 20; i++) {
        const { asked } = await reportOf(second, "b", 3);
        plans.add(asked.map(({ partition }) => partition).join());
      }
      assert(plans.size > 1, `all plans were ${[...plans]}`);

      // With one replica every vnode answers for its own key space: a chunk of the ring each.
      const chunks = await reportOf(third, "once", 1);
      assertEquals(
        chunks.asked.map(({ partition, keySpaces }) => [partition, keySpaces])
          .toSorted((a, b) => Number(a[0]) - Number(b[0])),
        Array.from({ length: RING_SIZE }, (_, i) => [i, [i]]),
      );

      await third.kill();
      await untilGone(cluster, first, third.name);
      const replaced = await reportOf(first, "b", 3);
      assertSpacesOnce(replaced);
      assertEquals(
        replaced.asked.filter(({ node }) => node === third.name),
        [],
      );

      const { owners, nodes } = await first.control.ringStatus();
      const lost = owners.flatMap((owner, partition) =>
        nodes[owner] === third.name ? [partition] : []
      );
      const error = await refused(
        "insufficient_vnodes",
        () => Array.fromAsync(first.kv.keys("once", { n: 1 })),
      );
      assertEquals(error.details.keySpaces, lost);
    },
  },
];

/** Lists a bucket that has all keys, and returns the report. */
async function reportOf(
  { kv }: TestNode,
  bucket: string,
  n: number,
): Promise<CoverageReport> {
  const listing = kv.keys(bucket, { n });
  assertEquals((await Array.fromAsync(listing)).sort(), KEYS);
  const report = listing.report as CoverageReport;
  assertEquals([report.complete, report.missing], [true, []]);
  return report;
}

function assertSpacesOnce({ asked }: CoverageReport): void {
  const spaces = asked.flatMap(({ keySpaces }) => keySpaces);
  assertEquals(
    spaces.sort((a, b) => a - b),
    Array.from({ length: RING_SIZE }, (_, keySpace) => keySpace),
  );
}

async function assertListed(nodes: readonly TestNode[]): Promise<void> {
  for (const node of nodes) {
    for (const bucket of BUCKETS) await reportOf(node, bucket, 3);
  }
}

/** Nodes that have not joined yet stand alone, and are not waited for. */
async function settled(nodes: readonly TestNode[]): Promise<void> {
  for (const { control, name } of nodes) {
    assert(await control.settled(PROMPT_MS), `${name} did not settle`);
  }
}

async function untilGone(
  cluster: TestCluster,
  { control }: TestNode,
  name: string,
): Promise<void> {
  await until(
    `${name} is known to be gone from ${cluster.kind}`,
    async () => {
      const services = await control.services();
      return (services[name] ?? []).length === 0;
    },
    PROMPT_MS,
  );
}

async function putAll(
  { kv }: TestNode,
  buckets: readonly string[],
  n = 3,
): Promise<void> {
  await Promise.all(
    buckets.flatMap((bucket) =>
      KEYS.map((key) =>
        kv.put(bucket, key, 1, { n, w: "all", nodeConfirms: 1 })
      )
    ),
  );
}
