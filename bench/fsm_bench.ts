/**
 * What a request costs in the state machines alone: every event of one put or
 * get with three replicas, from creation to `finished`. Each must stay well under
 * 2 µs, since a node runs tens of thousands a second beside everything else.
 * Also what versioned objects cost on the paths that a request takes.
 *
 *     deno bench bench/fsm_bench.ts
 */
import { contextOf } from "../src/kv/causal_context.ts";
import {
  kvObjectMerge,
  mergeObjects,
  writeToObject,
} from "../src/kv/kv_object.ts";
import { createGet, type GetEffect, stepGet } from "../src/request/get_fsm.ts";
import { createOp, type OpEffect, stepOp } from "../src/request/op_fsm.ts";
import { createPut, type PutEffect, stepPut } from "../src/request/put_fsm.ts";
import type { Replica } from "../src/request/quorum.ts";
import { readQuorum, writeQuorum } from "../src/request/quorum_options.ts";

const replicas: Replica[] = [
  { partition: 10, node: 0, primary: true },
  { partition: 11, node: 1, primary: true },
  { partition: 12, node: 2, primary: true },
];
const read = readQuorum(undefined, 64);
const write = writeQuorum(undefined, 64);

const actor = (fill: number): Uint8Array => new Uint8Array(12).fill(fill);
const version = {
  flags: 0,
  lastModified: 1_700_000_000_000,
  value: new Uint8Array(100),
};
const first = writeToObject(undefined, undefined, actor(1), version);
const context = contextOf(first);
const second = writeToObject(first, context, actor(1), version);
const theirs = writeToObject(undefined, undefined, actor(2), version);
const secondCopy = second.slice();

// The shell gives every step the same list, as here.
const putEffects: PutEffect[] = [];
const getEffects: GetEffect[] = [];
const opEffects: OpEffect[] = [];

function putStep(
  put: ReturnType<typeof createPut>,
  event: Parameters<typeof stepPut>[1],
): void {
  putEffects.length = 0;
  stepPut(put, event, putEffects);
}

Deno.bench("a put: N=3, W=2, durable", { group: "put" }, () => {
  const put = createPut(replicas, write, 0);
  putStep(put, { type: "start" });
  putStep(put, { type: "accepted", replica: 0, object: second });
  putStep(put, { type: "reply", replica: 1, object: undefined });
  putStep(put, { type: "reply", replica: 0, object: second });
  putStep(put, { type: "reply", replica: 2, object: undefined });
  if (put.phase !== "finished") throw new Error("the put has not finished");
});

function getStep(
  get: ReturnType<typeof createGet>,
  event: Parameters<typeof stepGet>[1],
): void {
  getEffects.length = 0;
  stepGet(get, event, getEffects);
}

Deno.bench("a get: N=3, R=2, all agree", { group: "get" }, () => {
  const get = createGet(replicas, read, kvObjectMerge);
  getStep(get, { type: "start" });
  getStep(get, { type: "found", replica: 0, bytes: second });
  getStep(get, { type: "found", replica: 1, bytes: secondCopy });
  getStep(get, { type: "found", replica: 2, bytes: secondCopy });
  if (get.phase !== "finished") throw new Error("the get has not finished");
});

Deno.bench("a get: N=3, R=2, one behind, repaired", { group: "get" }, () => {
  const get = createGet(replicas, read, kvObjectMerge);
  getStep(get, { type: "start" });
  getStep(get, { type: "found", replica: 0, bytes: first });
  getStep(get, { type: "found", replica: 1, bytes: second });
  getStep(get, { type: "found", replica: 2, bytes: secondCopy });
  if (get.phase !== "finished") throw new Error("the get has not finished");
});

function opStep(
  op: ReturnType<typeof createOp>,
  event: Parameters<typeof stepOp>[1],
): void {
  opEffects.length = 0;
  stepOp(op, event, opEffects);
}

Deno.bench("an op: N=3, 2 answers", { group: "op" }, () => {
  const op = createOp(replicas, read);
  opStep(op, { type: "start" });
  opStep(op, { type: "reply", replica: 0, bytes: version.value });
  opStep(op, { type: "reply", replica: 1, bytes: version.value });
  opStep(op, { type: "reply", replica: 2, bytes: version.value });
  if (op.phase !== "finished") throw new Error("the op has not finished");
});

Deno.bench("an object: first write", { group: "object" }, () => {
  writeToObject(undefined, undefined, actor(1), version);
});

const one = actor(1);
Deno.bench("an object: write with context", { group: "object" }, () => {
  writeToObject(first, context, one, version);
});

Deno.bench("an object: merge, equal", { group: "object" }, () => {
  mergeObjects(second, secondCopy);
});

Deno.bench("an object: check and merge, one newer", { group: "object" }, () => {
  kvObjectMerge.merge(first, second);
});

Deno.bench("an object: check and merge, siblings", { group: "object" }, () => {
  kvObjectMerge.merge(second, theirs);
});
