/**
 * Nodes whose store has lost commits it had acknowledged: they say so, in every
 * way there is, and name no version as one that was lost is named.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import type { WhorlNode } from "../../src/node/node.ts";
import { renderTree } from "../../supervisors/tree_view.ts";
import { childAt } from "../harness/node_parts_view.ts";
import type { TestNode } from "../harness/test_node.ts";
import { withCluster } from "../harness/test_cluster.ts";

const REMARK = "its store has lost its newest commits";

/** What can be seen of the store of a node's first master. */
async function seenOf(
  { control }: TestNode,
): Promise<{ tailLost: boolean; epoch: number }> {
  const { values } = await control.stats();
  const tailLost = values["kv-0.store.tailLost"] === 1;
  assertEquals(renderTree(await control.tree()).includes(REMARK), tailLost);
  return { tailLost, epoch: values["kv-0.store.epoch"] as number };
}

for (const placement of ["task", "worker", "subprocess"] as const) {
  Deno.test(`${placement}: a node says that a store of its has lost its tail, and vouches for nothing until it has been repaired`, () =>
    withCluster({
      kind: "in_process",
      nodes: 1,
      storage: "deno_kv",
      placement,
    }, async (cluster) => {
      const node = cluster.node(0);
      await node.kv.put("b", "k", 1);
      const before = await seenOf(node);
      assertEquals(before.tailLost, false);
      await node.stop();
      // Nothing vouches for its last commits then.
      await Deno.remove(`${cluster.folder}/dev1/kv-0.kv.mark`);
      // Nothing is fetched yet.
      await node.start({ handoffConcurrency: 0 });
      assertEquals(await seenOf(node), {
        tailLost: true,
        epoch: before.epoch + 1,
      });
      assert(node.log().includes("has lost commits that were acknowledged"));

      const inside = node.inside as WhorlNode;
      const told = Promise.withResolvers<[master: string, epoch: number]>();
      inside.subscribe((event) => {
        if (event.type === "tail_lost") {
          told.resolve([event.master, event.epoch]);
        }
      });
      childAt(inside, ["vnode_sup", "kv-0"]).kill();
      assertEquals(await told.promise, ["kv-0", before.epoch + 2]);
      assertEquals(await seenOf(node), {
        tailLost: true,
        epoch: before.epoch + 2,
      });
      const refused = await assertRejects(
        () => node.kv.get("b", "k"),
        WhorlError,
      );
      assertEquals(refused.code, "quorum_unavailable");
      const answers = refused.details["answers"] as { code?: string }[];
      assert(answers.some(({ code }) => code === "tail_lost"));
      const listed = await assertRejects(
        () => Array.fromAsync(node.kv.keys("b")),
        WhorlError,
      );
      assert(JSON.stringify(listed.details).includes("tail_lost"));
      await node.kv.put("b", "other", 2);

      // It has no neighbours but its own partitions, so what is lost stays lost.
      const repaired = Promise.withResolvers<string>();
      inside.subscribe((event) => {
        if (event.type === "tail_repaired") repaired.resolve(event.master);
      });
      inside.parts.handoff?.setConcurrency(4);
      assertEquals(await repaired.promise, "kv-0");
      assertEquals((await node.kv.get("b", "k")).values, [1]);
      assertEquals((await node.kv.get("b", "other")).values, [2]);
      assertEquals(await seenOf(node), {
        tailLost: false,
        epoch: before.epoch + 2,
      });
    }));
}

Deno.test("a node whose write-ahead log was cut off gives no new version the name of a lost one", () =>
  withCluster({ kind: "processes", storage: "deno_kv" }, async (cluster) => {
    await cluster.joinAll();
    const third = cluster.node(2);
    const others = [cluster.node(0), cluster.node(1)];
    // What is in its database from here on is in its log alone.
    await third.stop();
    await third.start();
    await cluster.settled();
    const { epoch } = await seenOf(third);

    // Where it has a primary it makes the versions itself.
    const keys: string[] = [];
    for (let i = 0; i < 20; i++) {
      const { replicas } = await third.kv.put(
        "b",
        `k${i}`,
        "kept by the others",
        { w: "all" },
      );
      if (replicas.some(({ node }) => node === third.name)) keys.push(`k${i}`);
    }
    assert(keys.length > 10, `it has primaries of ${keys.length} keys`);
    await third.kill();
    const wal = `${cluster.folder}/dev3/kv-0.kv-wal`;
    const { size } = await Deno.stat(wal);
    assert(size > 0, "there is nothing to cut off");
    await Deno.truncate(wal, 0);
    // No other node answers while it writes, so it goes by what it has itself.
    for (const node of others) node.pause();
    await third.start();
    const now = await seenOf(third);
    assert(now.tailLost);
    assert(now.epoch > epoch, `${now.epoch} after ${epoch}`);
    for (const key of keys) {
      await third.kv.put("b", key, "written after", { w: 1 });
    }
    const { mark } = third.events;
    for (const node of others) node.resume();
    await third.events.until(
      "its store is repaired",
      mark,
      ({ type }) => type === "tail_repaired",
    );
    assertEquals((await seenOf(third)).tailLost, false);
    // Its neighbours have given it all that it had lost, before any read.
    for (const key of keys) {
      const { values } = await third.kv.get("b", key, { r: "all" });
      assertEquals(
        [...values].sort(),
        ["kept by the others", "written after"],
        key,
      );
    }
  }));
