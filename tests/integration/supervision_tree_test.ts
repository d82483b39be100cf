/**
 * The process tree of a node: whichever part of it is killed, what stands on
 * that part is started again, what it stands on is not touched, and the node
 * serves as before.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import { NODE_RESTARTS_MAX, type WhorlNode } from "../../src/node/node.ts";
import { MASTER_RESTARTS_MAX } from "../../src/node/master_backoff.ts";
import type { TreeNode } from "../../supervisors/tree_view.ts";
import { childAt, restartsOf } from "../harness/node_parts_view.ts";
import type { TestNode } from "../harness/test_node.ts";
import { type TestCluster, withCluster } from "../harness/test_cluster.ts";

/** The children of a node in start order: each stands on those before it. */
const PARTS = [
  "storage_sup",
  "transport_sup",
  "cluster_sup",
  "vnode_sup",
  "handoff_sup",
  "op_fsm_sup",
  "coverage_fsm_sup",
  "raft_sup",
];
/** What starts last: when it runs, all do. */
const LAST = "raft_sup";

Deno.test("WhorlNode.tree() shows every part in start order", () =>
  withCluster({ kind: "in_process", nodes: 1 }, async (cluster) => {
    const tree = await cluster.node(0).control.tree();
    assertEquals(tree.id, "node");
    assertEquals(tree.strategy, "rest_for_one");
    assertEquals(tree.children.map(({ id }) => id), PARTS);
    const idsBelow = (id: string): string[] =>
      tree.children.find((child) => child.id === id)?.children
        .map((child) => child.id) ?? [];
    assertEquals(idsBelow("storage_sup"), ["home"]);
    assertEquals(idsBelow("transport_sup"), ["peer_links"]);
    assertEquals(idsBelow("cluster_sup"), ["cluster"]);
    assertEquals(idsBelow("vnode_sup"), ["kv-0"]);
    // Without a directory there are no logs.
    assertEquals(idsBelow("raft_sup"), ["ra_kv", "ensembles"]);
    const statuses = (node: TreeNode): string[] => [
      node.status,
      ...node.children.flatMap(statuses),
    ];
    assertEquals(new Set(statuses(tree)), new Set(["running"]));
  }));

for (const [place, part] of PARTS.entries()) {
  Deno.test(`a killed ${part} is restarted with what depends on it, and the node serves`, () =>
    withCluster({ kind: "in_process" }, async (cluster) => {
      await cluster.joinAll();
      await cluster.node(0).kv.put("b", "before", part, { w: "all" });
      const node = cluster.node(1).inside as WhorlNode;
      const before = PARTS.map((id) => childAt(node, [id]));
      const restarted = whenRestarted(cluster.node(1), LAST);
      childAt(node, [part]).kill();
      await restarted;
      PARTS.forEach((id, index) => {
        const same = childAt(node, [id]) === before[index];
        assertEquals(same, index < place, `${id} of ${part}`);
      });
      assertEquals(
        Object.values(restartsOf(node)),
        PARTS.map((_, index) => index === place ? 1 : 0),
      );
      await assertServes(cluster, part);
    }));
}

for (const part of ["storage_sup", "cluster_sup", "vnode_sup"]) {
  Deno.test(`a killed ${part} of a node with a data directory finds its ring and its data there`, () =>
    withCluster({ kind: "in_process", storage: "deno_kv" }, async (cluster) => {
      await cluster.joinAll();
      const { owners } = await cluster.node(0).control.ringStatus();
      await cluster.node(0).kv.put("b", "before", part, { w: "all" });
      const node = cluster.node(1).inside as WhorlNode;
      const restarted = whenRestarted(cluster.node(1), LAST);
      childAt(node, [part]).kill();
      await restarted;
      await assertServes(cluster, part);
      for (const { control } of cluster.nodes) {
        assertEquals((await control.ringStatus()).owners, owners);
      }
      // All three replicas have it still: nothing was lost with the part.
      const { replicas } = await node.kv.get("b", "before", { r: "all" });
      assert(replicas.every(({ state }) => state === "done"));
    }));
}

for (
  const path of [
    ["storage_sup", "home"],
    ["transport_sup", "peer_links"],
    ["cluster_sup", "cluster"],
    ["vnode_sup", "kv-0"],
  ]
) {
  Deno.test(`a killed ${path.join("/")} is restarted by its supervisor alone, and the node serves`, () =>
    withCluster({ kind: "in_process" }, async (cluster) => {
      await cluster.joinAll();
      await cluster.node(0).kv.put("b", "before", path, { w: "all" });
      const node = cluster.node(1).inside as WhorlNode;
      const killed = childAt(node, path);
      const restarted = whenRestarted(cluster.node(1), path[1] as string);
      killed.kill();
      await restarted;
      assert(childAt(node, path) !== killed);
      assertEquals(Object.values(restartsOf(node)), PARTS.map(() => 0));
      await assertServes(cluster, path);
    }));
}

for (const part of ["senders", "handoff"]) {
  Deno.test(`a killed handoff_sup/${part} is restarted with the other one, and the node hands its partitions over`, () =>
    withCluster({ kind: "in_process" }, async (cluster) => {
      const node = cluster.node(0).inside as WhorlNode;
      await cluster.node(0).kv.put("b", "before", part);
      const paths = ["senders", "handoff"].map((id) => ["handoff_sup", id]);
      const killed = paths.map((path) => childAt(node, path));
      const restarted = whenRestarted(cluster.node(0), "handoff");
      childAt(node, ["handoff_sup", part]).kill();
      await restarted;
      assert(paths.every((path, i) => childAt(node, path) !== killed[i]));
      assertEquals(Object.values(restartsOf(node)), PARTS.map(() => 0));
      await cluster.joinAll();
      await assertServes(cluster, part);
    }));
}

Deno.test("a node whose masters crash too often restarts their supervisor, and what depends on it", () =>
  withCluster({ kind: "in_process", nodes: 1 }, async (cluster) => {
    const node = cluster.node(0).inside as WhorlNode;
    const restarted = whenRestarted(cluster.node(0), LAST);
    for (let kills = 0; kills <= MASTER_RESTARTS_MAX; kills++) {
      const started = kills === MASTER_RESTARTS_MAX
        ? restarted
        : when(cluster.node(0), "master_started");
      childAt(node, ["vnode_sup", "kv-0"]).kill();
      await started;
    }
    assertEquals(restartsOf(node), {
      storage_sup: 0,
      transport_sup: 0,
      cluster_sup: 0,
      vnode_sup: 1,
      handoff_sup: 0,
      op_fsm_sup: 0,
      coverage_fsm_sup: 0,
      raft_sup: 0,
    });
    await node.kv.put("b", "k", 1);
  }));

Deno.test("a node whose parts crash too often ends and says so", () =>
  withCluster({ kind: "in_process", nodes: 1 }, async (cluster) => {
    const node = cluster.node(0).inside as WhorlNode;
    const failed = when(cluster.node(0), "failed");
    for (let kills = 0; kills <= NODE_RESTARTS_MAX; kills++) {
      const last = kills === NODE_RESTARTS_MAX;
      const restarted = last ? failed : whenRestarted(cluster.node(0), LAST);
      childAt(node, ["op_fsm_sup"]).kill();
      await restarted;
    }
    const error = await assertRejects(() => node.stopped, WhorlError);
    assert(error.message.includes("too often"), error.message);
    const refused = await assertRejects(
      async () => await node.kv.get("b", "k"),
      WhorlError,
    );
    assertEquals(refused.code, "closed");
  }));

Deno.test("requests in progress when their coordinators are killed are answered with coordinator_lost", () =>
  withCluster({ kind: "in_process" }, async (cluster) => {
    await cluster.joinAll();
    const node = cluster.node(1).inside as WhorlNode;
    const puts = Array.from(
      { length: 50 },
      (_, i) => node.kv.put("b", `${i}`, i),
    );
    childAt(node, ["op_fsm_sup"]).kill();
    for (const outcome of await Promise.allSettled(puts)) {
      assertEquals(outcome.status, "rejected");
      const { reason } = outcome as PromiseRejectedResult;
      assertEquals(reason.code, "coordinator_lost");
    }
    await cluster.settled();
  }));

for (const placement of ["task", "worker", "subprocess"] as const) {
  Deno.test(`a listing continues at other vnodes when a master placed as ${placement} is killed in the middle of it`, () =>
    withCluster({ kind: "in_process", placement }, async (cluster) => {
      await cluster.joinAll();
      const keys = Array.from(
        { length: 3_000 },
        (_, i) => String(i).padStart(700, "0"),
      );
      const n = 2;
      const { kv } = cluster.node(0);
      await Promise.all(
        keys.map((key) => kv.put("b", key, 1, { n, w: "all" })),
      );
      const listing = kv.keys("b", { n });
      const listed: string[] = [];
      for await (const key of listing) {
        // Each vnode holds several times what it may say ahead, so that none
        // has said all of its own by the time the first keys are here.
        if (listed.push(key) === 10) {
          childAt(cluster.node(1).inside as WhorlNode, ["vnode_sup", "kv-0"])
            .kill();
        }
      }
      assertEquals(listed.sort(), keys);
      const { complete, asked } = listing.report!;
      assertEquals(complete, true);
      const failed = asked.filter(({ state }) => state === "failed");
      assert(failed.length > 0, "the killed master owed nothing");
      for (const { node } of failed) {
        assertEquals(node, cluster.node(1).name);
      }
    }));
}

/** Resolves when `part` of `node` has been restarted from now on. */
function whenRestarted(node: TestNode, part: string): Promise<unknown> {
  return node.events.until(
    `a restart of ${part}`,
    node.events.mark,
    (event) => event.type === "part_restarted" && event.part === part,
  );
}

/** Resolves when `node` tells of an event of `type` from now on. */
function when(node: TestNode, type: string): Promise<unknown> {
  return node.events.until(
    type,
    node.events.mark,
    (event) => event.type === type,
  );
}

/** All three nodes agree, see each other, and serve what was written before and what is written now. */
async function assertServes(
  cluster: TestCluster,
  value: string | string[],
): Promise<void> {
  await cluster.settled();
  for (const { kv, name, control } of cluster.nodes) {
    assertEquals((await control.clusterStatus()).unreachable, []);
    await kv.put("b", name, name, { w: "all" });
    assertEquals((await kv.get("b", name, { r: "all" })).values, [name]);
    const before = await kv.get("b", "before");
    // The killed one kept its data in memory; two of three still have it.
    assertEquals(before.values, [value]);
  }
}
