/**
 * Vnode masters and their stores: wherever a master lives, what it acknowledged
 * is there after it was killed, and after the node was restarted.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import { kvOutcomeUnknown } from "../../src/kv/kv_client.ts";
import type { ProcessPlacement } from "../../src/node/node_options.ts";
import type { WhorlNode } from "../../src/node/node.ts";
import { childAt } from "../harness/node_parts_view.ts";
import { withCluster } from "../harness/test_cluster.ts";

const PLACEMENTS: readonly ProcessPlacement[] = [
  "task",
  "worker",
  "subprocess",
];
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

/** Writers at once; so many writes are always under way. */
const WRITERS = 64;
const KILLS = 4;
/** Writes from one kill to the next. */
const WRITES_BETWEEN = 250;

for (const placement of ["worker", "subprocess"] as const) {
  Deno.test(`${placement}: a master that is killed in the middle of writes loses nothing it acknowledged`, () =>
    withCluster({
      kind: "in_process",
      nodes: 1,
      storage: "deno_kv",
      placement,
    }, async (cluster) => {
      const node = cluster.node(0).inside as WhorlNode;
      const acknowledged = new Set<number>();
      let begun = 0;
      let met = 0;
      const writer = async (): Promise<void> => {
        while (begun < WRITES_BETWEEN * (KILLS + 1)) {
          const value = ++begun;
          // No second replica makes good what the only one has lost.
          const write = node.kv.put("b", `${value}`, value, ONE_REPLICA);
          if (value % WRITES_BETWEEN === 0 && value <= WRITES_BETWEEN * KILLS) {
            childAt(node, ["vnode_sup", "kv-0"]).kill();
          }
          try {
            await write;
            acknowledged.add(value);
          } catch (error) {
            assert(kvOutcomeUnknown(error), `${error}`);
            met++;
          }
        }
      };
      await Promise.all(Array.from({ length: WRITERS }, writer));
      assert(met >= KILLS, `${met} writes met a kill`);
      assert(acknowledged.size > WRITES_BETWEEN, `${acknowledged.size}`);
      for (const value of acknowledged) {
        const { values } = await node.kv.get("b", `${value}`, ONE_REPLICA);
        assertEquals(values, [value]);
      }
    }));
}
