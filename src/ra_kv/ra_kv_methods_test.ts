import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { LIVE_INDEXES_PAGE } from "./members_here.ts";
import { raKvOutcomeUnknown } from "./ra_kv_client.ts";
import { failureOf, inTime, onNodes } from "./testing/on_nodes.ts";

onNodes(
  "members() and overview() return what the leader knows and each member reports",
  async (cluster) => {
    await cluster.form("store", ["a", "b", "c"]);
    const { raKv } = cluster.node("d");
    await raKv.put("store", "k", 1);
    const members = await raKv.members("store");
    assertEquals([members.leader, members.index, members.committed], [
      "a",
      0,
      true,
    ]);
    cluster.cut.add("c");
    const overview = await inTime(cluster, raKv.overview("store"));
    assertEquals(
      overview.overviews.map(({ node, role, machine }) => [
        node,
        role,
        machine["keys"],
      ]),
      [["a", "leader", 1], ["b", "follower", 1]],
    );
    assertEquals(overview.failures.map(({ node }) => node), ["c"]);
    cluster.cut.clear();
    const one = await raKv.memberOverview("store", "c");
    assertEquals([one.leader, one.appliedIndex, one.log.lastIndex], [
      "a",
      1,
      1,
    ]);
    const none = await failureOf(cluster, raKv.memberOverview("store", "d"));
    assertEquals(none.code, "unknown_cluster");
    const nowhere = await failureOf(cluster, raKv.overview("nowhere"));
    assertEquals(nowhere.code, "unknown_cluster");
  },
);

onNodes("members() waits for a leader", async (cluster) => {
  const group = await cluster.form("store", ["a", "b", "c"]);
  group.lead(undefined);
  const asking = cluster.node("d").raKv.members("store");
  await cluster.runtime.advance(200);
  group.lead("c");
  assertEquals((await inTime(cluster, asking)).leader, "c");
  group.lead(undefined);
  const late = await failureOf(
    cluster,
    cluster.node("a").raKv.members("store"),
  );
  assertEquals([late.code, raKvOutcomeUnknown(late)], ["timeout", false]);
});

onNodes(
  "close() fails all waits for a leader, and leaves no timer",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    group.lead(undefined);
    const { raKv, methods } = cluster.node("d");
    const failures = Promise.all([
      failureOf(cluster, raKv.members("store")),
      failureOf(cluster, raKv.addMember("store", "d")),
    ]);
    await cluster.runtime.advance(200);
    assert(cluster.runtime.pendingTimers > 0);
    methods.close();
    assertEquals(cluster.runtime.pendingTimers, 0);
    const [asking, adding] = await failures;
    assertEquals(asking.code, "closed");
    assertStrictEquals(adding, asking, "one error for all that wait");
  },
);

onNodes(
  "takeSnapshot() and compact() ask one member or all",
  async (cluster) => {
    await cluster.form("store", ["a", "b", "c"]);
    const { raKv } = cluster.node("d");
    const snapshots = (): number[] =>
      ["a", "b", "c"].map((node) =>
        cluster.node(node).member("store")!.snapshots
      );
    assertEquals((await raKv.takeSnapshot("store", { node: "b" })).snapshots, [
      { node: "b", snapshotIndex: 0 },
    ]);
    assertEquals(snapshots(), [0, 1, 0]);
    cluster.cut.add("a");
    const all = await inTime(cluster, raKv.takeSnapshot("store"));
    assertEquals(snapshots(), [0, 2, 1]);
    assertEquals(all.failures.map(({ node }) => node), ["a"]);
    cluster.cut.add("b").add("c");
    const lost = await failureOf(cluster, raKv.compact("store"));
    assertEquals([lost.code, lost.details["nodes"]], [
      "quorum_unavailable",
      ["a", "b", "c"],
    ]);
    cluster.cut.clear();
    assertEquals((await raKv.compact("store")).snapshots.length, 3);
    const unknown = await failureOf(cluster, raKv.compact("other"));
    assertEquals(unknown.code, "unknown_cluster");
  },
);

onNodes("liveIndexes() tells all of them, page by page", async (cluster) => {
  await cluster.form("store", ["a", "b"]);
  const { raKv } = cluster.node("d");
  await raKv.put("store", "k", 1);
  await raKv.put("store", "l", 1);
  await raKv.put("store", "k", 1);
  assertEquals(await raKv.liveIndexes("store"), [2, 3]);
  assertEquals(await raKv.liveIndexes("store", { node: "b" }), [2, 3]);
  const { state } = cluster.node("a").member("store")!;
  const bytes = new Uint8Array(4);
  for (let n = 4; n < LIVE_INDEXES_PAGE + 10; n++) {
    new DataView(bytes.buffer).setUint32(0, n);
    state.keys.set(state.keys.findOrAdd(bytes, 0, 4), n, 0, 0, 0);
  }
  const all = await raKv.liveIndexes("store");
  assertEquals(all.length, LIVE_INDEXES_PAGE + 8);
  assertEquals(all.at(-1), LIVE_INDEXES_PAGE + 9);
});

onNodes("a group of another kind is no cluster of ra_kv", async (cluster) => {
  await cluster.form("store", ["a"]);
  const { config } = cluster.node("a").member("store")!.log;
  (config as { machine: string }).machine = "another";
  const { raKv } = cluster.node("a");
  for (
    const call of [
      () => raKv.get("store", "k"),
      () => raKv.overview("store"),
    ]
  ) {
    assertEquals((await failureOf(cluster, call())).code, "invalid_argument");
  }
  assertEquals((await raKv.clusters()).clusters, []);
});

onNodes(
  "find() is certain when all nodes have answered, even if some know no clusters",
  async (cluster) => {
    await cluster.form("store", ["b", "c"]);
    const { methods } = cluster.node("a");
    assertEquals(await methods.find("store"), {
      hint: { leader: "b", members: ["b", "c"] },
      certain: true,
    });
    cluster.onCall = (node) => {
      if (node === "d") throw new WhorlError("unknown_command", "too old");
    };
    assertEquals(await methods.find("other"), {
      hint: undefined,
      certain: true,
    });
    cluster.cut.add("c");
    assertEquals(await methods.find("store"), {
      hint: { leader: "b", members: ["b"] },
      certain: false,
    });
  },
);

onNodes(
  "a cluster is not unknown while its only member has yet to start or restart",
  async (cluster) => {
    await cluster.form("store", ["b"]);
    const node = cluster.node("b");
    const member = node.groups.get("store")!;
    for (const isUp of [false, true]) {
      node.groups.clear();
      node.starting = !isUp;
      if (isUp) node.down.add("store");
      assertEquals(await cluster.node("a").methods.find("store"), {
        hint: undefined,
        certain: false,
      });
      const asked = ["a", "b"].map((name) =>
        cluster.node(name).raKv.members("store")
      );
      await cluster.runtime.advance(1_000);
      node.groups.set("store", member);
      node.starting = false;
      node.down.clear();
      for (const answer of asked) {
        assertEquals((await inTime(cluster, answer)).leader, "b");
      }
    }
  },
);

onNodes(
  "a node whose groups have yet to start does not report that it has no clusters, and creates no member",
  async (cluster) => {
    await cluster.form("store", ["b", "c"]);
    cluster.node("b").starting = true;
    cluster.node("b").groups.clear();
    const { clusters, failures } = await cluster.node("a").raKv.clusters();
    assertEquals(clusters.map(({ nodes }) => nodes), [["c"]]);
    const down = [{ node: "b", code: "not_reachable" }];
    assertEquals(failures.map(({ node, code }) => ({ node, code })), down);
    const refused = await failureOf(
      cluster,
      cluster.node("a").raKv.startCluster("other", ["b"]),
    );
    const { notStarted } = refused.details as {
      notStarted: typeof failures;
    };
    assertEquals(notStarted.map(({ node, code }) => ({ node, code })), down);
  },
);
