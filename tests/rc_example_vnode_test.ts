import { assert, assertEquals } from "@std/assert";
import rcExample, { keyTerm } from "../examples/rc_example/rc_example_vnode.ts";
import type { Awaitable, JsonValue, VnodeContext } from "../mod.ts";
import { partitionOf } from "../mod.ts";
import { silentLog } from "../src/environment/log.ts";
import { openMemoryStore } from "../src/storage/memory_store.ts";
import { WatchedPartition } from "../src/vnode/watched_partition.ts";

type RcExampleVnode = Awaited<ReturnType<typeof rcExample.init>>;
type Call = Parameters<RcExampleVnode["handleCommand"]["put"]>[1];

function vnodeOn(store: ReturnType<typeof openMemoryStore>) {
  return rcExample.init(50, {
    storage: new WatchedPartition(store.partition(50)),
    ringSize: 64,
    log: silentLog,
    // It needs nothing else of its context.
  } as unknown as VnodeContext);
}

/** The vnode fails no command here. */
const call = {} as Call;

async function listed<T>(
  chunks: Iterable<Awaitable<readonly T[]>> | AsyncIterable<readonly T[]>,
): Promise<T[][]> {
  const found: T[][] = [];
  for await (const chunk of chunks) found.push([...chunk]);
  return found;
}

async function handOver(from: RcExampleVnode, to: RcExampleVnode) {
  for await (const item of from.fold()) {
    await to.handleHandoffData(from.encodeHandoffItem(item)!);
  }
}

Deno.test("rc_example hashes keys as the tutorial does", () => {
  const partitions = ["k1", "k100", "k101", "k444", "k4445"].map((key) =>
    partitionOf("rc_example", keyTerm(key), 64)
  );
  assertEquals(partitions, [50, 59, 31, 39, 43]);
});

Deno.test("rc_example hands over values and deletions, and the sender's state", async () => {
  await using from = openMemoryStore("0".repeat(16));
  await using to = openMemoryStore("1".repeat(16));
  const [sender, receiver] = [await vnodeOn(from), await vnodeOn(to)];
  const values: [string, JsonValue][] = [["a", null], ["b", { c: [1, "é"] }]];
  for (const [key, value] of values) {
    await sender.handleCommand.put({ key, value }, call);
  }
  await receiver.handleCommand.put({ key: "a", value: "old" }, call);
  await receiver.handleCommand.put({ key: "gone", value: "old" }, call);
  await sender.handleCommand.delete({ key: "gone" }, call as never);
  await handOver(sender, receiver);
  await handOver(sender, receiver);
  for (const [key, value] of values) {
    const held = await receiver.handleCommand.get({ key }, call as never);
    assertEquals(held, { value });
  }
  const gone = await receiver.handleCommand.get({ key: "gone" }, call as never);
  assertEquals(gone, null);
  const { keys, clear } = receiver.handleCoverage!;
  const { signal } = new AbortController();
  assertEquals(await listed(keys(undefined, null, signal)), [["a", "b"]]);
  assertEquals(await receiver.isEmpty(), false);
  assertEquals(await listed(clear(undefined, null, signal)), [[]]);
  assertEquals(await receiver.isEmpty(), true);
});

Deno.test("rc_example lists many keys in chunks, each key once, and only those it is asked for", async () => {
  await using store = openMemoryStore("0".repeat(16));
  const vnode = await vnodeOn(store);
  const all = Array.from({ length: 300 }, (_, n) => `key${1000 + n}`);
  for (const key of all) {
    await vnode.handleCommand.put({ key, value: "x".repeat(200) }, call);
  }
  const { keys, values } = vnode.handleCoverage!;
  const { signal } = new AbortController();
  const chunks = await listed(keys(undefined, null, signal));
  assert(chunks.length > 3, `${chunks.length} chunks`);
  assertEquals(chunks.flat(), all);
  const wanted = new Set([7, 8]);
  const some = await listed(values(undefined, wanted, signal));
  assertEquals(
    some.flat().length,
    all.filter((key) => wanted.has(partitionOf("rc_example", keyTerm(key), 64)))
      .length,
  );
  assert(some.flat().length > 0);
});

Deno.test("rc_example answers reads at its old place while it moves, and makes changes at both ends", async () => {
  await using store = openMemoryStore("0".repeat(16));
  const vnode = await vnodeOn(store);
  const decisions = (["ping", "put", "get", "delete"] as const).map((command) =>
    vnode.handleHandoffCommand!(command, undefined)
  );
  assertEquals(decisions, [
    "apply_and_forward",
    "apply_and_forward",
    "apply",
    "apply_and_forward",
  ]);
});
