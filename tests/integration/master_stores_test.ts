/**
 * Vnode masters and their stores: wherever a master lives, what it acknowledged
 * is there after it was killed, and after the node was restarted.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import { outcomeUnknown } from "../../src/kv/kv_client.ts";
import type { Placement } from "../../src/node/node_options.ts";
import type { WhorlNode } from "../../src/node/node.ts";
import { childAt } from "../harness/node_parts_view.ts";
import { withCluster } from "../harness/test_cluster.ts";

const PLACEMENTS: readonly Placement[] = ["task", "worker", "subprocess"];
const ONE_REPLICA = { n: 1 } as const;

for (const placement of PLACEMENTS) {
  Deno.test(`${placement}: what masters have stored is there after a restart, and their number is fixed`, () =>
    withCluster({
      kind: "in_process",
      nodes: 1,
      storage: "deno_kv",
      placement,
      each: () => ({ masters: 3 }),
    }, async (cluster) => {
      const node = cluster.node(0);
      const keys = Array.from({ length: 60 }, (_, i) => `k${i}`);
      await Promise.all(keys.map((key, i) => node.kv.put("b", key, i)));
      await node.stop();
      const error = await assertRejects(
        () => node.start({ masters: 2 }),
        WhorlError,
      );
      assertEquals(error.code, "invalid_config");
      await node.start({ masters: 3 });
      for (const [i, key] of keys.entries()) {
        assertEquals((await node.kv.get("b", key)).values, [i]);
      }
      const files = [...Deno.readDirSync(`${cluster.folder}/dev1`)]
        .filter(({ name }) => name.endsWith(".kv"));
      assertEquals(files.length, 3);
    }));
}

for (const placement of ["worker", "subprocess"] as const) {
  Deno.test(`${placement}: masters that are killed in the middle of writes lose nothing they acknowledged`, () =>
    withCluster({
      kind: "in_process",
      nodes: 1,
      storage: "deno_kv",
      placement,
      each: () => ({ masters: 2 }),
    }, async (cluster) => {
      const node = cluster.node(0).inside as WhorlNode;
      const { events } = cluster.node(0);
      const acknowledged = new Map<string, number>();
      let met = 0;
      for (let kills = 0; kills < 4; kills++) {
        const writes = Array.from({ length: 300 }, async (_, i) => {
          const key = `${kills}-${i}`;
          try {
            // No second replica makes good what the only one has lost.
            await node.kv.put("b", key, i, ONE_REPLICA);
            acknowledged.set(key, i);
          } catch (error) {
            assert(outcomeUnknown(error), `${error}`);
            met++;
          }
        });
        // The kill comes when some are acknowledged and others are not.
        await Promise.race(writes);
        const mark = events.mark;
        childAt(node, ["vnode_sup", `kv-${kills % 2}`]).kill();
        await Promise.all(writes);
        await events.until(
          "the next master",
          mark,
          ({ type }) => type === "master_started",
        );
      }
      assert(met > 0, "no write met a kill");
      assert(acknowledged.size > 100, `${acknowledged.size} acknowledged`);
      for (const [key, value] of acknowledged) {
        const { values } = await node.kv.get("b", key, ONE_REPLICA);
        assertEquals(values, [value], key);
      }
    }));
}
