/**
 * Stores that are damaged or gone: a node that has neighbours begins anew with an
 * empty one, and has back all it held before it answers a read from it.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import { until } from "../harness/until.ts";
import { withCluster } from "../harness/test_cluster.ts";

const KEYS = 60;

/** Everything of the third node's store. */
function storeFiles(folder: string | undefined): string[] {
  return [...Deno.readDirSync(`${folder}/dev3`)]
    .map(({ name }) => name)
    .filter((name) => name.startsWith("kv-0.kv"));
}

for (
  const [how, hurt] of [
    ["whose store is overwritten with nonsense", (folder: string) => {
      const bytes = new Uint8Array(64 * 1024).fill(0x5a);
      Deno.writeFileSync(`${folder}/dev3/kv-0.kv`, bytes);
    }],
    ["whose store is missing", (folder: string) => {
      Deno.removeSync(`${folder}/dev3/kv-0.kv`);
    }],
    ["all files of whose store are gone", (folder: string) => {
      for (const name of storeFiles(folder)) {
        Deno.removeSync(`${folder}/dev3/${name}`);
      }
    }],
  ] as const
) {
  Deno.test(`a node ${how} recovers its partitions before it vouches for them`, () =>
    withCluster({
      kind: "in_process",
      storage: "deno_kv",
      placement: "task",
    }, async (cluster) => {
      await cluster.joinAll();
      const first = cluster.node(0);
      const third = cluster.node(2);
      const isHurt = async (): Promise<boolean> =>
        (await third.control.stats()).values["kv-0.store.tailLost"] === 1;
      for (let i = 0; i < KEYS; i++) {
        await first.kv.put("b", `k${i}`, i, { w: "all" });
      }
      await third.stop();
      hurt(cluster.folder as string);
      // Nobody gives it anything yet.
      await third.start({ handoffConcurrency: 0 });
      await cluster.settled();
      assert(await isHurt());
      const refused = await assertRejects(
        () => third.kv.get("b", "k0", { r: "all" }),
        WhorlError,
      );
      assertEquals(refused.code, "quorum_unavailable");
      assertEquals((await third.kv.get("b", "k0")).value, 0);

      const { mark } = third.events;
      third.inside?.parts.handoff?.setConcurrency(4);
      await third.events.until(
        "its store is repaired",
        mark,
        ({ type }) => type === "tail_repaired",
      );
      for (let i = 0; i < KEYS; i++) {
        const { value, replicas } = await third.kv.get("b", `k${i}`, {
          r: "all",
        });
        assertEquals(value, i);
        assertEquals(
          replicas.map(({ state }) => state),
          ["done", "done", "done"],
        );
      }
      // What could be looked at is kept.
      const aside = storeFiles(cluster.folder)
        .filter((name) => name.endsWith(".damaged-1"));
      assertEquals(aside.length > 0, !how.startsWith("all files"));

      await third.stop();
      await third.start();
      await cluster.settled();
      assertEquals(await isHurt(), false);
    }));
}

Deno.test("a single node does not start over with an empty store", () =>
  withCluster({
    kind: "in_process",
    nodes: 1,
    storage: "deno_kv",
    placement: "task",
  }, async (cluster) => {
    const node = cluster.node(0);
    await node.kv.put("b", "k", 1);
    await node.stop();
    const path = `${cluster.folder}/dev1/kv-0.kv`;
    const bytes = Deno.readFileSync(path);
    Deno.writeFileSync(path, new Uint8Array(64 * 1024).fill(0x5a));
    const error = await assertRejects(() => node.start(), WhorlError);
    assertEquals(error.code, "store_corrupt");
    Deno.writeFileSync(path, bytes);
    await node.start();
    assertEquals((await node.kv.get("b", "k")).value, 1);
  }));

Deno.test("a store whose module does not tell which key space items belong to is served again with what it has", () =>
  withCluster({
    kind: "in_process",
    nodes: 2,
    storage: "deno_kv",
    placement: "task",
    ringSize: 8,
    modules: [new URL("../fixtures/counter_vnode.ts", import.meta.url).href],
  }, async (cluster) => {
    await cluster.joinAll();
    const node = cluster.node(1);
    await node.stop();
    for (const { name } of Deno.readDirSync(`${cluster.folder}/dev2`)) {
      if (!name.startsWith("counter-0.kv")) continue;
      Deno.removeSync(`${cluster.folder}/dev2/${name}`);
    }
    await node.start();
    // It may be so before anybody could subscribe to what the node tells.
    await until(
      "its store vouches for what it has",
      () => Promise.resolve(node.log().includes("is whole again")),
      15_000,
    );
    // That it was hurt is over too soon to be looked at.
    assert(node.log().includes("lost commits that were acknowledged"));
    const { values } = await node.control.stats();
    assertEquals(values["counter-0.store.tailLost"], 0);
    assert(node.log().includes("cannot be rebuilt"));
  }));
