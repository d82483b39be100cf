import {
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { ClusterProcess } from "../cluster/cluster_process.ts";
import type { ConsistentKv } from "../ensemble/consistent_kv.ts";
import { kvClient, kvOutcomeUnknown } from "../kv/kv_client.ts";
import { writeGetBody } from "../kv/kv_command_codec.ts";
import type { Coordinators } from "../request/coordinators.ts";
import { submitOperation } from "../request/operation_carrier.ts";
import type { OperationResult } from "../request/operation_codec.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import { moduleIdOf, writeVnodeRequestHeader } from "../vnode/vnode_wire.ts";
import { NodeParts } from "./node_parts.ts";

/**
 * Parts of a node that knows a consistent bucket, and which part accepts its
 * client's operations.
 */
function partsWithBucket() {
  const parts = new NodeParts({ name: "a@host" } as never, {} as never, []);
  const requests = {} as Coordinators;
  parts.requests = requests;
  parts.buckets.set(["accounts"]);
  const carriers: unknown[] = [];
  const kv = kvClient(() => ({
    submit: (bytes, start, end, target) => {
      carriers.push(parts.carrierOf(bytes, start, end));
      target.operationFailed(new WhorlError("closed", "only looked at"));
    },
  }));
  const ask = async (bucket: string): Promise<void> => {
    await assertRejects(() => kv.get(bucket, "ann"), WhorlError);
  };
  return { parts, requests, carriers, ask };
}

Deno.test("NodeParts accepts no operation on a consistent bucket before the part that serves it has started", async () => {
  const { parts, requests, carriers, ask } = partsWithBucket();
  for (const bucket of ["accounts", "carts"]) await ask(bucket);
  const consistentKv = {
    serves: (...range) => parts.buckets.isFor(...range),
  } as ConsistentKv;
  parts.consistentKv = consistentKv;
  for (const bucket of ["accounts", "carts"]) await ask(bucket);
  assertEquals(carriers, [undefined, requests, consistentKv, requests]);
});

Deno.test("NodeParts has vnodes refuse requests for a consistent bucket before the part that serves it has started", () => {
  const { parts } = partsWithBucket();
  const codeOf = (bucket: string): string | undefined => {
    const into = new ByteWriter(64);
    writeVnodeRequestHeader(into, moduleIdOf("kv"), 3, 0, 0, 1_000);
    writeGetBody(bucket, "ann", into);
    const bytes = into.copy();
    return parts.door.refuse("b", bytes, 0, bytes.length, undefined)?.code;
  };
  assertEquals([codeOf("accounts"), codeOf("carts")], [
    "ring_not_ready",
    undefined,
  ]);
});

Deno.test("NodeParts of a node that has left accept no operations, and have no ring to move data by, even after a restart of the cluster part", async () => {
  const { parts, requests, carriers, ask } = partsWithBucket();
  await ask("carts");
  const ring = {};
  parts.cluster = { hasLeft: false, ring } as ClusterProcess;
  assertStrictEquals(parts.ring, ring);
  parts.cluster = { hasLeft: true, ring } as ClusterProcess;
  assertEquals(parts.ring, undefined);
  await ask("carts");
  assertThrows(
    () => parts.operations.submit(new Uint8Array(1), 0, 1, {} as never),
    WhorlError,
  );
  parts.cluster = { hasLeft: false, ring } as ClusterProcess;
  assertEquals(parts.hasLeft, false);
  parts.left();
  assertEquals(parts.ring, undefined);
  await ask("carts");
  assertEquals(carriers, [requests, undefined, undefined]);
});

Deno.test("NodeParts reports no success of operations in progress after the node has left, and names the node", async () => {
  const { parts } = partsWithBucket();
  const targets: OperationTarget[] = [];
  parts.requests = {
    submit: (_bytes, _start, _end, target) => void targets.push(target),
  } as Coordinators;
  const carried = (): Promise<OperationResult> =>
    submitOperation(
      parts.operations,
      new ByteWriter(),
      undefined,
      (result) => result,
    );
  const done: OperationResult = {
    object: undefined,
    replies: [],
    replicas: [],
  };
  const [soon, late, failed] = [carried(), carried(), carried()];
  targets[0]?.operationDone(done);
  assertStrictEquals(await soon, done);
  parts.cluster = { hasLeft: true } as ClusterProcess;
  targets[1]?.operationDone(done);
  const error = await assertRejects(() => late, WhorlError, "a@host");
  assertEquals([error.code, kvOutcomeUnknown(error)], ["closed", true]);
  targets[2]?.operationFailed(new WhorlError("timeout", "it took too long"));
  await assertRejects(() => failed, WhorlError, "it took too long");
  assertThrows(() => carried(), WhorlError, "a@host");
});
