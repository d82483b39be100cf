import { assertEquals } from "@std/assert";
import type { Ring } from "../ring/ring.ts";
import {
  abortResize,
  beginResize,
  freshRing,
  installResize,
} from "../ring/ring_change.ts";
import { refuseFormerPartitions } from "./former_partitions.ts";

function alone(origin?: string): Ring {
  return freshRing({
    clusterName: "default",
    size: 8,
    seed: "0000000000000001",
    node: {
      name: "a",
      address: "a:1",
      nodeId: "id-a",
      ...origin === undefined ? {} : { origin },
    },
    wallMs: 5,
  });
}

function begun(ring: Ring, size: number): Ring {
  return beginResize(ring, "a", new Array<string>(size).fill("a"));
}

async function refused(ring: Ring, ...vnodes: number[]): Promise<unknown> {
  const held = vnodes.map((partition) => ({ module: "kv", partition }));
  const refusal = await refuseFormerPartitions(
    ring,
    "a",
    "b:1",
    () => Promise.resolve(held),
  );
  return refusal === null ? null : refusal.details["partitions"];
}

Deno.test("refuseFormerPartitions() accepts a node that holds data of its current ring", async () => {
  assertEquals(await refused(alone(), 0, 7), null);
  const resized = installResize(begun(alone(), 16), "a");
  assertEquals(await refused(resized, 1_024, 1_039), null);
});

Deno.test("refuseFormerPartitions() refuses a node that holds data of another ring", async () => {
  const resized = installResize(begun(alone(), 16), "a");
  assertEquals(await refused(resized, 3, 1_024), [3]);
  assertEquals(await refused(abortResize(begun(alone(), 16), "a"), 1_024), [
    1_024,
  ]);
  // Data from before the cluster that it has left since.
  assertEquals(await refused(alone("5/16"), 0, 5 * 1_024 + 1), [5_121]);
});

Deno.test("refuseFormerPartitions() asks nobody if the ring never changed its size", async () => {
  const refusal = await refuseFormerPartitions(
    alone(),
    "a",
    "b:1",
    () => Promise.reject(new Error("Nobody is to be asked")),
  );
  assertEquals(refusal, null);
});

Deno.test("refuseFormerPartitions() refuses a node if nobody can tell what it holds", async () => {
  const resized = installResize(begun(alone(), 16), "a");
  const refusal = await refuseFormerPartitions(
    resized,
    "a",
    "b:1",
    () => Promise.resolve(undefined),
  );
  assertEquals(refusal?.code, "node_still_starting");
});
