/**
 * The cases of ra's `ra_kv_SUITE` on nodes with logs on disk: what a cluster of
 * `ra_kv` keeps through snapshots, compaction, restarts and new members, and how
 * a member gets a snapshot, also one that was interrupted.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { NotFoundError } from "../../src/ra_kv/not_found_error.ts";
import type { RaKvClient } from "../../src/ra_kv/ra_kv_client.ts";
import type { MemberOverview } from "../../src/ra_kv/ra_kv_protocol.ts";
import { SNAPSHOT_PIECE_BYTES } from "../../src/raft/snapshot_calls.ts";
import { type TestCluster, withCluster } from "../harness/test_cluster.ts";
import type { TestNode } from "../harness/test_node.ts";
import { until } from "../harness/until.ts";

const CLUSTER = "orders";
/** Puts under way at once. */
const PUTS_AT_ONCE = 500;
const EQUAL_MS_MAX = 20_000;

/** Runs `test` on joined nodes in this process. */
function onNodes(
  count: number,
  test: (cluster: TestCluster) => Promise<void>,
): Promise<void> {
  return withCluster(
    { kind: "in_process", nodes: count, directories: true, ringSize: 8 },
    async (cluster) => {
      await cluster.joinAll();
      await test(cluster);
    },
  );
}

function raKvOf(node: TestNode): RaKvClient {
  return node.inside!.raKv;
}

/** Puts `count` values, under a key each or all under one. */
async function putAll(
  raKv: RaKvClient,
  count: number,
  keyOf: (number: number) => string,
  valueOf: (number: number) => string,
): Promise<void> {
  for (let first = 0; first < count; first += PUTS_AT_ONCE) {
    await Promise.all(
      Array.from(
        { length: Math.min(PUTS_AT_ONCE, count - first) },
        (_, i) => raKv.put(CLUSTER, keyOf(first + i), valueOf(first + i)),
      ),
    );
  }
}

/** Waits until the members on `nodes` have applied the same, and keep the same entries. */
async function awaitEqual(nodes: readonly TestNode[]): Promise<void> {
  let found = "nobody answered";
  await until(() => found, async () => {
    const raKv = raKvOf(nodes[0] as TestNode);
    const { members, overviews } = await raKv.overview(CLUSTER);
    const live = await Promise.all(
      overviews.map(({ node }) => raKv.liveIndexes(CLUSTER, { node })),
    );
    const states = overviews.map(({ appliedIndex, machine }, i) =>
      JSON.stringify([appliedIndex, machine, live[i]])
    );
    found = `${overviews.length} of ${members.length} members, ${
      states.map((state) => state.slice(0, 200)).join(" ")
    }`;
    return overviews.length === nodes.length && new Set(states).size === 1 &&
      members.every(({ kind }) => kind === "voter");
  }, EQUAL_MS_MAX);
}

/** Reads every key from the log of the member on `node`. */
async function assertHas(
  node: TestNode,
  expected: ReadonlyMap<string, string>,
): Promise<void> {
  const found = await Promise.all(
    [...expected.keys()].map(async (key) => {
      const { value } = await raKvOf(node).get(CLUSTER, key, { from: "local" });
      return [key, value] as const;
    }),
  );
  assertEquals(new Map(found), expected);
}

function overviewOf(node: TestNode): Promise<MemberOverview> {
  return raKvOf(node).memberOverview(CLUSTER, node.name);
}

/** What lies on the disk of `node` for its groups; nothing before it has its first one. */
async function groupFolders(
  cluster: TestCluster,
  { name }: TestNode,
): Promise<string[]> {
  const folder = `${cluster.folder}/${name.slice(0, name.indexOf("@"))}`;
  const groups = `${folder}/raft/groups`;
  return (await namesIn(groups)).map((name) => `${groups}/${name}`);
}

/** The names in a folder, or none if there is no such folder. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    return entries.map(({ name }) => name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return [];
  }
}

Deno.test("ten thousand values of one key leave one entry, which survives snapshot, compaction, a restart and a change of members", () =>
  onNodes(2, async (cluster) => {
    const [a, b] = cluster.nodes as [TestNode, TestNode];
    await raKvOf(a).startCluster(CLUSTER, [a.name]);
    await putAll(raKvOf(a), 9_999, () => "k", (n) => `value ${n}`);
    const { index } = await raKvOf(a).put(CLUSTER, "k", "last");
    assert(index >= 10_000);
    assertEquals(await raKvOf(a).takeSnapshot(CLUSTER), {
      snapshots: [{ node: a.name, snapshotIndex: index }],
      failures: [],
    });
    assertEquals(await raKvOf(a).liveIndexes(CLUSTER), [index]);
    await raKvOf(a).compact(CLUSTER);
    const { log } = await overviewOf(a);
    assertEquals([log.firstIndex, log.liveEntries], [index + 1, 1]);
    // Those that were full held nothing that is wanted.
    assert(log.segments <= 2, `${log.segments} segments`);

    await a.stop();
    await a.start();
    await cluster.settled();
    assertEquals((await raKvOf(a).get(CLUSTER, "k")).index, index);
    assertEquals(await raKvOf(a).liveIndexes(CLUSTER), [index]);

    await raKvOf(a).addMember(CLUSTER, b.name);
    await awaitEqual([a, b]);
    for (const node of [a, b]) {
      await assertHas(node, new Map([["k", "last"]]));
      const entry = await raKvOf(node).readEntry(CLUSTER, index);
      assertEquals(entry?.changes, [{ type: "put", key: "k", value: "last" }]);
      // What was replaced is there no more.
      assertEquals(
        await raKvOf(node).readEntry(CLUSTER, index - 1),
        undefined,
      );
    }
    await raKvOf(b).compact(CLUSTER);
    for (const node of [a, b]) {
      await assertHas(node, new Map([["k", "last"]]));
    }

    const leader = (await raKvOf(a).members(CLUSTER)).leader;
    const [stays, goes] = leader === a.name ? [a, b] : [b, a];
    assertEquals((await groupFolders(cluster, goes)).length, 1);
    assertEquals(await raKvOf(goes).removeMember(CLUSTER, goes.name), {
      cluster: CLUSTER,
      node: goes.name,
      dropped: true,
    });
    assertEquals(await groupFolders(cluster, goes), []);
    const { members } = await raKvOf(goes).members(CLUSTER);
    assertEquals(members.map(({ node }) => node), [stays.name]);
    assertEquals((await raKvOf(goes).get(CLUSTER, "k")).value, "last");
  }));

Deno.test("a deleted key stays deleted through a snapshot and a restart, and leaves no live entry", () =>
  onNodes(1, async (cluster) => {
    const a = cluster.node(0);
    await raKvOf(a).startCluster(CLUSTER, [a.name]);
    const put = await raKvOf(a).put(CLUSTER, "k", "v");
    const deleted = await raKvOf(a).delete(CLUSTER, "k");
    assertEquals(deleted.index, put.index + 1);
    const expectGone = async (): Promise<void> => {
      const { value, index } = await raKvOf(a).get(CLUSTER, "k");
      assertEquals([value, index], [undefined, 0]);
      const error = await assertRejects(
        () => raKvOf(a).delete(CLUSTER, "k"),
        NotFoundError,
      );
      assertEquals(error.details["leader"], a.name);
      assertEquals(await raKvOf(a).liveIndexes(CLUSTER), []);
    };
    await expectGone();
    await raKvOf(a).takeSnapshot(CLUSTER);
    await raKvOf(a).compact(CLUSTER);
    await expectGone();
    await a.stop();
    await a.start();
    await expectGone();
    assertEquals((await overviewOf(a)).log.liveEntries, 0);
  }));

Deno.test("a member that is added, removed and added again among five thousand keys catches up by snapshots", () =>
  onNodes(3, async (cluster) => {
    const [a, b, c] = cluster.nodes as [TestNode, TestNode, TestNode];
    const values = new Map<string, string>();
    const putSome = async (first: number, count: number, what: string) => {
      await putAll(raKvOf(a), count, (n) => `k${first + n}`, (n) => {
        const value = `${what} ${first + n}`;
        values.set(`k${first + n}`, value);
        return value;
      });
    };
    const snapshotAll = async (): Promise<void> => {
      assertEquals((await raKvOf(a).takeSnapshot(CLUSTER)).failures, []);
    };
    await raKvOf(a).startCluster(CLUSTER, [a.name, b.name]);
    await putSome(0, 2_500, "first");
    await snapshotAll();
    await putSome(1_000, 2_000, "second");
    await raKvOf(a).addMember(CLUSTER, c.name);
    await putSome(3_000, 2_000, "first");
    await awaitEqual([a, b, c]);
    assert((await overviewOf(c)).log.snapshotIndex > 0, "it got a snapshot");
    await assertHas(c, values);

    const before = (await overviewOf(c)).log.snapshotIndex;
    await c.stop();
    await putSome(0, 1_500, "third");
    await raKvOf(a).takeSnapshot(CLUSTER, { node: a.name });
    await raKvOf(a).takeSnapshot(CLUSTER, { node: b.name });
    await raKvOf(a).compact(CLUSTER, { node: a.name });
    await raKvOf(a).compact(CLUSTER, { node: b.name });
    await c.start();
    await awaitEqual([a, b, c]);
    assert((await overviewOf(c)).log.snapshotIndex > before, "and another one");
    await assertHas(c, values);
    assertEquals(values.size, 5_000);
  }));

/** Fills a cluster on one node with values that take several messages, and has it keep nothing but a snapshot; returns what it holds. */
async function fillForSnapshot(
  node: TestNode,
  keys: number,
): Promise<Map<string, string>> {
  const values = new Map<string, string>();
  const bytes = Math.ceil(4 * SNAPSHOT_PIECE_BYTES / keys);
  await raKvOf(node).startCluster(CLUSTER, [node.name]);
  for (const round of ["old", "new"]) {
    await putAll(raKvOf(node), keys, (n) => `k${n}`, (n) => {
      const value = `${round} ${n} `.padEnd(bytes, "x");
      values.set(`k${n}`, value);
      return value;
    });
  }
  await raKvOf(node).takeSnapshot(CLUSTER);
  await raKvOf(node).compact(CLUSTER);
  return values;
}

Deno.test("a snapshot whose live entries take several messages arrives completely", () =>
  onNodes(2, async (cluster) => {
    const [a, b] = cluster.nodes as [TestNode, TestNode];
    const values = await fillForSnapshot(a, 50);
    const live = await raKvOf(a).liveIndexes(CLUSTER);
    assertEquals(live.length, 50);
    await raKvOf(a).addMember(CLUSTER, b.name);
    await awaitEqual([a, b]);
    assertEquals((await overviewOf(b)).log.liveEntries, 50);
    await assertHas(b, values);
    const oldest = live[0] as number;
    assertEquals(
      await raKvOf(b).readEntry(CLUSTER, oldest - 1),
      undefined,
      "what was replaced was not sent",
    );
  }));

Deno.test("a member killed while it receives a snapshot gets one when it is back", () =>
  onNodes(2, async (cluster) => {
    const [a, b] = cluster.nodes as [TestNode, TestNode];
    const values = await fillForSnapshot(a, 400);
    const adding = raKvOf(a).addMember(CLUSTER, b.name);
    const arriving = async (): Promise<string[]> => {
      const [folder] = await groupFolders(cluster, b);
      return folder === undefined ? [] : await namesIn(`${folder}/snapshots`);
    };
    const deadlineMs = performance.now() + EQUAL_MS_MAX;
    while ((await arriving()).length === 0) {
      assert(performance.now() < deadlineMs, "no snapshot is on its way");
    }
    const { log } = await overviewOf(b);
    await b.kill();
    assertEquals(log.snapshotIndex, 0, "it had not arrived yet");
    await adding;
    await b.start();
    await awaitEqual([a, b]);
    await assertHas(b, values);
    assert((await overviewOf(b)).log.snapshotIndex > 0);
    assertEquals((await arriving()).length, 1);
  }));
