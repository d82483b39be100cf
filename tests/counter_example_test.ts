import { assertEquals, assertRejects } from "@std/assert";
import counter from "../examples/counter/counter_vnode.ts";
import {
  connect,
  type ProcessPlacement,
  startNode,
  type VnodeContext,
  WhorlError,
} from "../mod.ts";
import { openMemoryStore } from "../src/storage/memory_store.ts";
import { WatchedPartition } from "../src/vnode/watched_partition.ts";

const cookie = "a secret all nodes share";
const modules = [{
  url: new URL("../examples/counter/counter_vnode.ts", import.meta.url),
  module: counter,
}];

for (const masterPlacement of ["task", "worker"] satisfies ProcessPlacement[]) {
  Deno.test(`counter counts in its own vnodes, masters as ${masterPlacement}`, async () => {
    await using node = await startNode({
      name: "one@127.0.0.1",
      cookie,
      modules,
      masterPlacement,
    });
    const counters = node.module(counter);
    for (let i = 0; i < 3; i++) {
      await counters.request("visits", "home", "add", {
        counter: "home",
        by: 1,
      }, { n: 1, w: 1 });
    }
    await using client = await connect({ nodes: [node.address], cookie });
    const { replies } = await client.module(counter).request(
      "visits",
      "home",
      "read",
      { counter: "home" },
      { n: 1, r: 1 },
    );
    assertEquals(replies, [3]);
  });
}

Deno.test("counter answers with a failure it declares instead of going below zero", async () => {
  await using node = await startNode({
    name: "one@127.0.0.1",
    cookie,
    modules,
    masterPlacement: "task",
  });
  const counters = node.module(counter);
  const error = await assertRejects(
    () =>
      counters.request("visits", "home", "add", { counter: "home", by: -1 }, {
        n: 1,
        w: 1,
      }),
    WhorlError,
  );
  assertEquals(error.code, "quorum_unavailable");
  assertEquals(counters.failures("add", error), ["below_zero"]);
});

Deno.test("counter hands its items over in order, and receiving one twice changes nothing", async () => {
  await using from = openMemoryStore("0".repeat(16));
  await using to = openMemoryStore("1".repeat(16));
  const sender = await vnodeOn(from);
  const receiver = await vnodeOn(to);
  for (const [name, value] of [["b", 2], ["a", 1], ["ab", 3]] as const) {
    await sender.handleHandoffData(itemOf(name, value));
  }
  const names: string[] = [];
  for await (const item of sender.fold()) {
    names.push(new TextDecoder().decode(item.sortKey));
    const bytes = sender.encodeHandoffItem(item)!;
    await receiver.handleHandoffData(bytes);
    await receiver.handleHandoffData(bytes);
  }
  assertEquals(names, ["a", "ab", "b"]);
  assertEquals(await items(receiver), [["a", 1], ["ab", 3], ["b", 2]]);
  const key = new TextEncoder().encode("ab");
  assertEquals((await receiver.itemAt?.(key))?.sortKey, key);
  assertEquals(await receiver.itemAt?.(new Uint8Array([1])), undefined);
  await receiver.delete();
  assertEquals(await receiver.isEmpty(), true);
});

type CounterVnode = Awaited<ReturnType<typeof counter.init>>;

function vnodeOn(store: ReturnType<typeof openMemoryStore>) {
  const storage = new WatchedPartition(store.partition(0));
  // It needs nothing else of its context.
  return counter.init(0, { storage } as unknown as VnodeContext);
}

function itemOf(name: string, value: number): Uint8Array {
  const bytes = new Uint8Array(name.length + 8);
  new TextEncoder().encodeInto(name, bytes);
  new DataView(bytes.buffer).setFloat64(name.length, value);
  return bytes;
}

async function items(vnode: CounterVnode): Promise<[string, number][]> {
  const found: [string, number][] = [];
  for await (const { sortKey, item } of vnode.fold()) {
    const { buffer, byteOffset } = item as Uint8Array<ArrayBuffer>;
    found.push([
      new TextDecoder().decode(sortKey),
      new DataView(buffer, byteOffset).getFloat64(0),
    ]);
  }
  return found;
}
