/**
 * What `kv` promises on a healthy cluster.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { type Scenario, threeNodes } from "./scenario.ts";

/** See the module comment. */
export const KV_SCENARIOS: readonly Scenario[] = [
  {
    name: "a value put through one node is read through all",
    async play(cluster) {
      for (const [writer, { kv }] of cluster.nodes.entries()) {
        const key = `of ${writer}`;
        const { replicas, siblings } = await kv.put("b", key, { writer }, {
          w: "all",
        });
        assertEquals(siblings, 1);
        assertEquals(
          new Set(replicas.map(({ node }) => node)),
          new Set(cluster.nodes.map(({ name }) => name)),
        );
        for (const reader of cluster.nodes) {
          const { value, values } = await reader.kv.get("b", key);
          assertEquals(value, { writer });
          assertEquals(values.length, 1);
        }
      }
    },
  },
  {
    name: "bytes and every type of JSON are returned unchanged",
    async play(cluster) {
      const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
      const values = [null, true, 0, -1.5, "", "ä\0💥", [], {}, [[1], {
        a: null,
      }]];
      for (const [i, value] of [bytes, ...values].entries()) {
        await cluster.node(i % 3).kv.put("b", `v${i}`, value);
        const read = await cluster.node((i + 1) % 3).kv.get("b", `v${i}`);
        assertEquals(read.values, [value]);
      }
    },
  },
  {
    name: "a key that was never written has no values and no context",
    async play(cluster) {
      const { values, value, context } = await cluster.node(0).kv.get("b", "?");
      assertEquals({ values, value, context }, {
        values: [],
        value: undefined,
        context: null,
      });
    },
  },
  {
    name:
      "concurrent puts become siblings, and a put with their context replaces them",
    async play(cluster) {
      await Promise.all(
        cluster.nodes.map(({ kv }, i) => kv.put("b", "k", i, { w: "all" })),
      );
      const read = await cluster.node(0).kv.get("b", "k");
      assertEquals([...read.values].sort(), [0, 1, 2]);
      assertEquals(read.value, undefined);
      assert(read.context !== null);
      const { siblings } = await cluster.node(1).kv.put("b", "k", "merged", {
        context: read.context as string,
      });
      assertEquals(siblings, 1);
      for (const { kv } of cluster.nodes) {
        assertEquals((await kv.get("b", "k")).values, ["merged"]);
      }
      // The context it replaced covers nothing new: the same again is a sibling.
      await cluster.node(2).kv.put("b", "k", "late", {
        context: read.context as string,
      });
      const late = await cluster.node(0).kv.get("b", "k");
      assertEquals([...late.values].sort(), ["late", "merged"]);
    },
  },
  {
    name: "a deleted key has no values but a context, and can be written again",
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      const { context } = await first.kv.put("b", "k", 1);
      await second.kv.delete("b", "k", { context });
      const deleted = await third.kv.get("b", "k");
      assertEquals(deleted.values, []);
      assert(deleted.context !== null);
      assertNotEquals(deleted.context, context);
      await first.kv.put("b", "k", 2, { context: deleted.context as string });
      assertEquals((await second.kv.get("b", "k")).values, [2]);
    },
  },
  {
    name: "a delete that has not seen a write keeps that write",
    async play(cluster) {
      const { context } = await cluster.node(0).kv.put("b", "k", "old");
      await cluster.node(1).kv.put("b", "k", "new", { context });
      await cluster.node(2).kv.delete("b", "k", { context });
      assertEquals((await cluster.node(0).kv.get("b", "k")).values, ["new"]);
    },
  },
  {
    name: "a client reads and writes through any node",
    async play(cluster) {
      await using client = await cluster.client();
      await Promise.all(
        Array.from({ length: 100 }, (_, i) => client.kv.put("b", `${i}`, i)),
      );
      for (const { kv } of cluster.nodes) {
        const read = await Promise.all(
          Array.from({ length: 100 }, (_, i) => kv.get("b", `${i}`)),
        );
        assertEquals(read.map(({ value }) => value), [...Array(100).keys()]);
      }
    },
  },
];
