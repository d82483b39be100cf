/**
 * Operations of `ra_kv` as clients encode them, submitted to the routers of a
 * fake cluster.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { ByteReader } from "../../base/byte_reader.ts";
import { ByteWriter } from "../../base/byte_writer.ts";
import { isWhorlError, type WhorlError } from "../../base/errors.ts";
import {
  beginOperation,
  type GetAnswer,
  RaKvOperation,
  readGetAnswer,
  readWatchAnswer,
  readWriteAnswer,
  type WatchAnswer,
  type WriteAnswer,
  writeWatchBody,
} from "../ra_kv_codec.ts";
import {
  writeDeleteChange,
  writeKey,
  writePutChange,
} from "../ra_kv_command_codec.ts";
import { FakeCluster, type FakeGroup } from "./fake_cluster.ts";

/** Where the body of an operation on `store` begins. */
export const BODY_START = 23;

/** An operation, as a client encodes it. */
export function operation(
  code: number,
  write: (into: ByteWriter) => void,
  name = "store",
  timeLeftMs = 5_000,
): ByteWriter {
  const into = new ByteWriter();
  beginOperation(into, code, name, timeLeftMs);
  write(into);
  return into;
}

/** A put of a text. */
export const put = (key: string, value: string, name?: string): ByteWriter =>
  operation(RaKvOperation.put, (into) => {
    into.u8(RaKvOperation.put);
    writePutChange(into, key, value);
  }, name);

/** A delete. */
export const remove = (key: string): ByteWriter =>
  operation(RaKvOperation.delete, (into) => {
    into.u8(RaKvOperation.delete);
    writeDeleteChange(into, key, undefined);
  });

/** A get. */
export const get = (key: string, flags = 0, name?: string): ByteWriter =>
  operation(RaKvOperation.get, (into) => {
    into.u8(flags);
    writeKey(into, key);
  }, name);

/** A watch. */
export const watch = (
  key: string,
  index: number,
  flags: number,
  waitMs = 1_000,
): ByteWriter =>
  operation(RaKvOperation.watch, (into) =>
    writeWatchBody(into, {
      flags,
      index,
      waitMs,
      key: new TextEncoder().encode(key),
    }));

/** Submits an operation to the router of a node. */
export function submit(
  cluster: FakeCluster,
  node: string,
  into: ByteWriter,
): Promise<Uint8Array | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<
    Uint8Array | undefined
  >();
  cluster.node(node).router.submit(into.bytes, 0, into.length, {
    operationDone: ({ object }) => resolve(object),
    operationFailed: reject,
  });
  // Tests await failures later.
  promise.catch(() => {});
  return promise;
}

/** The answer to a write. */
export async function written(
  ...args: Parameters<typeof submit>
): Promise<WriteAnswer> {
  return readWriteAnswer(new ByteReader((await submit(...args))!));
}

/** The answer to a read. */
export async function found(
  ...args: Parameters<typeof submit>
): Promise<GetAnswer> {
  return readGetAnswer(new ByteReader((await submit(...args))!));
}

/** The answer to a watch. */
export async function watched(
  ...args: Parameters<typeof submit>
): Promise<WatchAnswer> {
  return readWatchAnswer(new ByteReader((await submit(...args))!));
}

/** The error with which `promise` is rejected. */
export async function failureOf(
  promise: Promise<unknown>,
): Promise<WhorlError> {
  const outcome = await promise.then(
    (value) => new Error(`It succeeded: ${Deno.inspect(value)}`),
    (error) => error,
  );
  if (!isWhorlError(outcome)) throw outcome;
  return outcome;
}

/** Runs `test` on three nodes a, b and c, of which a leads `store`, and one d without a member. */
export function onCluster(
  name: string,
  test: (cluster: FakeCluster, group: FakeGroup) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const cluster = new FakeCluster(["a", "b", "c", "d"]);
    const group = await cluster.form("store", ["a", "b", "c"]);
    try {
      await test(cluster, group);
      for (const { node, router } of cluster.nodes) {
        assertEquals([node, router.size, router.wheel.size], [node, 0, 0]);
      }
    } finally {
      cluster.close();
    }
    assertEquals(cluster.runtime.pendingTimers, 0);
  });
}

/** Has the leader of a group apply `command`. */
export function applied(
  group: FakeGroup,
  command: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  group.members.get(group.leader as string)?.propose(command, {
    done: () => resolve(),
    failed: reject,
  });
  return promise;
}
