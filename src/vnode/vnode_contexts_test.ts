import { assert, assertEquals } from "@std/assert";
import type { Store } from "../environment/storage.ts";
import { openMemoryStore } from "../storage/memory_store.ts";
import type { ClusterEvent } from "./vnode.ts";
import { RING_SIZE } from "./testing/attached_master.ts";
import { MasterBench } from "./testing/master_bench.ts";

Deno.test("VnodeMaster gives a vnode access to its node, its store and its clocks", async () => {
  await using bench = await new MasterBench().start();
  await bench.runtime.advance(5);
  await bench.ask(3, "a");
  const context = bench.contexts.get(3)!;
  assertEquals([context.node, context.ringSize, context.storage.partition], [
    "a@host",
    RING_SIZE,
    3,
  ]);
  assertEquals(context.store, { ...bench.store.state, durable: false });
  assertEquals([context.clock.now(), context.clock.wallClock()], [
    5,
    1_000_005,
  ]);
  await bench.ask(4, "a");
  assert(context.chance.next() !== bench.contexts.get(4)!.chance.next());
  assertEquals(context.signal.aborted, false);
});

Deno.test("VnodeMaster passes cluster events to its vnodes until they remove their listener or end", async () => {
  await using bench = await new MasterBench().start();
  const told: [number, ClusterEvent][] = [];
  const remove = new Map<number, () => void>();
  for (const partition of [1, 2, 3]) {
    await bench.ask(partition, "fine");
    remove.set(
      partition,
      bench.contexts.get(partition)!.onClusterEvent((event) =>
        told.push([partition, event])
      ),
    );
  }
  const event: ClusterEvent = { type: "ring_changed", ringVersion: 7 };
  remove.get(2)!();
  bench.handler = () => {
    throw new Error("fell");
  };
  await bench.ask(3, "falls");
  bench.link.cast("cluster_event", event);
  await bench.runtime.settle();
  assertEquals(told, [[1, event]]);
});

Deno.test("VnodeMaster ends a vnode whose listener throws, and still passes the event to the others", async () => {
  await using bench = await new MasterBench().start();
  const told: number[] = [];
  for (const partition of [1, 2, 3]) {
    await bench.ask(partition, "fine");
    bench.contexts.get(partition)!.onClusterEvent(() => {
      told.push(partition);
      if (partition === 2) throw new Error("no such ring");
    });
  }
  const event: ClusterEvent = { type: "ring_changed", ringVersion: 7 };
  bench.link.cast("cluster_event", event);
  await bench.runtime.settle();
  assertEquals(told, [1, 2, 3]);
  assertEquals(bench.events, [{
    type: "vnode_crashed",
    partition: 2,
    error: "no such ring",
  }]);
  assertEquals(
    [1, 2, 3].map((of) => bench.contexts.get(of)!.signal.aborted),
    [false, true, false],
  );
  assertEquals(await bench.ask(1, "goes on"), ["reply", "goes on"]);
  await bench.runtime.advance(5);
  assertEquals(bench.started, [1, 2, 3, 2]);
  // The listener has gone with the vnode that it was of.
  bench.link.cast("cluster_event", event);
  await bench.runtime.settle();
  assertEquals(told, [1, 2, 3, 1, 3]);
  assertEquals(bench.failures, []);
});

Deno.test("VnodeMaster passes an event to each vnode, even if they share one listener", async () => {
  await using bench = await new MasterBench().start();
  let told = 0;
  const listener = (): void => void told++;
  await bench.ask(1, "fine");
  await bench.ask(2, "fine");
  bench.contexts.get(1)!.onClusterEvent(listener);
  const remove = bench.contexts.get(2)!.onClusterEvent(listener);
  const event: ClusterEvent = { type: "ring_changed", ringVersion: 7 };
  bench.link.cast("cluster_event", event);
  await bench.runtime.settle();
  assertEquals(told, 2);
  remove();
  bench.link.cast("cluster_event", event);
  await bench.runtime.settle();
  assertEquals(told, 3);
});

/** A store that has lost its tail, until that is repaired. */
function storeWithoutTail(): Store {
  const inner = openMemoryStore("0123456789abcdef");
  const state = { storeId: "0123456789abcdef", epoch: 7, tailLost: true };
  return Object.create(inner, {
    state: { get: () => ({ ...state }) },
    partition: { value: (partition: number) => inner.partition(partition) },
    partitions: { value: () => inner.partitions() },
    stats: { value: () => inner.stats() },
    close: { value: () => inner.close() },
    tailRepaired: {
      value: () => {
        state.tailLost = false;
        return Promise.resolve();
      },
    },
  });
}

Deno.test("VnodeMaster reports a lost tail of its store to the node, the log, its vnodes and in its figures, until it is repaired", async () => {
  await using bench = await new MasterBench(storeWithoutTail()).start();
  await bench.ask(1, "runs");
  assertEquals(bench.events, [
    { type: "tail_lost", storeId: "0123456789abcdef", epoch: 7 },
  ]);
  assertEquals(bench.warnings.length, 1);
  const { store: seen } = bench.contexts.get(1)!;
  const figures = async () => {
    const stats = await bench.link.call("stats", null);
    const { epoch, tailLost } = (stats as { store: Record<string, number> })
      .store;
    return { epoch, tailLost };
  };
  assertEquals(
    [seen.storeId, seen.epoch, seen.tailLost],
    ["0123456789abcdef", 7, true],
  );
  assertEquals(await figures(), { epoch: 7, tailLost: 1 });
  await bench.store.tailRepaired();
  // Those that run already see it too.
  assertEquals(seen.tailLost, false);
  assertEquals(await figures(), { epoch: 7, tailLost: 0 });
});
