/**
 * Answers of more bytes than a link bears, asked for at once: they arrive, the
 * link lives, and nobody takes anybody for lost.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { KvClient } from "../../src/kv/kv_client.ts";
import { CLUSTER_KINDS, withCluster } from "../harness/test_cluster.ts";

const VALUE = new Uint8Array(5 * 1024 * 1024).fill(7);
const KEYS = 10;
/** Together 120 MiB from each replica; a link breaks at 64. */
const READS = 24;

async function readAll(kv: KvClient, r: number): Promise<void> {
  const reads = await Promise.allSettled(
    Array.from(
      { length: READS },
      (_, i) =>
        kv.get("large", `${i % KEYS}`, { n: r, r, timeoutMs: 30_000 }).then(
          ({ values }) => (values[0] as Uint8Array).length,
        ),
    ),
  );
  assertEquals(
    reads.map((read) =>
      read.status === "fulfilled" ? read.value : `${read.reason}`
    ),
    Array.from({ length: READS }, () => VALUE.length),
  );
}

for (const kind of CLUSTER_KINDS) {
  Deno.test(`${kind}: a node reads more from its peers at once than a link bears`, () =>
    withCluster({ kind }, async (cluster) => {
      await cluster.joinAll();
      const { kv } = cluster.node(0);
      for (let i = 0; i < KEYS; i++) {
        await kv.put("large", `${i}`, VALUE, { w: 3 });
      }
      const { events } = cluster.node(0);
      const { mark } = events;
      await readAll(kv, 3);
      assertEquals(
        events.since(mark, ({ type }) => type === "node_down"),
        [],
      );
    }));

  Deno.test(`${kind}: a client reads more from a node at once than a link bears`, () =>
    withCluster({ kind, nodes: 1 }, async (cluster) => {
      await using client = await cluster.client();
      for (let i = 0; i < KEYS; i++) {
        await client.kv.put("large", `${i}`, VALUE, { n: 1, w: 1 });
      }
      await readAll(client.kv, 1);
    }));
}
