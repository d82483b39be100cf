/**
 * Large values on a node with its masters in workers: what fits is answered,
 * what does not is refused, and no worker is taken for hung over it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { isWhorlError } from "../../src/base/errors.ts";
import { REQUEST_BYTES_MAX } from "../../src/request/coordinators.ts";
import { withCluster } from "../harness/test_cluster.ts";
import type { TestNode } from "../harness/test_node.ts";

const VALUE_BYTES = 5 * 1024 * 1024;
const TIMEOUT_MS = 20_000;

/** A value of one byte, repeated. */
function valueOf(byte: number): Uint8Array {
  return new Uint8Array(VALUE_BYTES).fill(byte);
}

/** Reads key `byte`, whose value must be that of {@linkcode valueOf}. */
async function assertStored(node: TestNode, byte: number): Promise<void> {
  const { value } = await node.kv.get("b", `${byte}`, {
    timeoutMs: TIMEOUT_MS,
  });
  const bytes = value as Uint8Array;
  // Not assertEquals: on a difference it would show millions of bytes.
  assert(
    bytes.length === VALUE_BYTES && bytes.every((b) => b === byte),
    `key ${byte} has its value`,
  );
}

/** That nothing of the node has fallen and that it still serves. */
async function assertUnharmed(node: TestNode): Promise<void> {
  assert(node.running);
  assertEquals(
    node.events.since(0, ({ type }) => type === "master_stopped"),
    [],
  );
  await node.kv.put("b", "small", "after");
  const { value } = await node.kv.get("b", "small");
  assertEquals(value, "after");
}

const NODE = {
  kind: "in_process",
  nodes: 1,
  placement: "worker",
  ringSize: 8,
} as const;

Deno.test("worker: many concurrent large reads are all answered", () =>
  withCluster(NODE, async (cluster) => {
    const node = cluster.node(0);
    const keys = Array.from({ length: 20 }, (_, i) => i);
    for (const key of keys) {
      await node.kv.put("b", `${key}`, valueOf(key), {
        timeoutMs: TIMEOUT_MS,
      });
    }
    await Promise.all(
      [...keys, ...keys].map((key) => assertStored(node, key)),
    );
    await assertUnharmed(node);
  }));

Deno.test("worker: each of many concurrent large writes is done or refused", () =>
  withCluster(NODE, async (cluster) => {
    const node = cluster.node(0);
    const acknowledged: number[] = [];
    await Promise.all(Array.from({ length: 40 }, async (_, key) => {
      try {
        await node.kv.put("b", `${key}`, valueOf(key), {
          timeoutMs: TIMEOUT_MS,
        });
        acknowledged.push(key);
      } catch (error) {
        assert(isWhorlError(error, "overload"), `${error}`);
      }
    }));
    // All came in one turn, so no more than fit were taken.
    const taken = Math.floor(REQUEST_BYTES_MAX / VALUE_BYTES);
    assert(
      acknowledged.length > 0 && acknowledged.length <= taken,
      `${acknowledged.length} are done`,
    );
    for (const key of acknowledged) await assertStored(node, key);
    await assertUnharmed(node);
  }));
