import { assert, assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import type { PartitionStore } from "../environment/storage.ts";
import { openMemoryStore } from "./memory_store.ts";

const KEYS = 20_000;

class CountingRuntime extends ManualRuntime {
  pauses = 0;

  override setTimer(afterMs: number, callback: () => void): unknown {
    this.pauses++;
    return super.setTimer(afterMs, callback);
  }
}

function filled(partition: PartitionStore): PartitionStore {
  const value = new Uint8Array(1);
  for (let i = 0; i < KEYS; i++) {
    const key = new Uint8Array(4);
    new DataView(key.buffer).setUint32(0, i * 7_919 % KEYS);
    partition.write([{ key, value }], () => {});
  }
  return partition;
}

Deno.test("MemoryStore yields to other work while it sorts many keys for a scan", async () => {
  const runtime = new CountingRuntime();
  const store = openMemoryStore("0123456789abcdef", runtime);
  const scan = filled(store.partition(0)).scan()[Symbol.asyncIterator]();
  const first = scan.next();
  await runtime.settle();
  assertEquals(runtime.pauses, 1);
  await runtime.advance(0);
  // Each is taken once and merged once, 2,048 at a time, four times in a turn.
  assertEquals(runtime.pauses, 5);
  assertEquals((await first).value?.key, new Uint8Array(4));
  let rows = 1;
  while (!(await scan.next()).done) rows++;
  assertEquals(rows, KEYS);
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("MemoryStore does a little work for each step over its rows, even before the first is visited", async () => {
  const store = openMemoryStore("0123456789abcdef");
  let visited = 0;
  const steps = filled(store.partition(0)).rows({}, () => visited++);
  let before = 0;
  while (await steps.next() && visited === 0) before++;
  assert(before >= 2 * KEYS / 2_048, `${before}`);
  let more = true;
  while (more) {
    const seen = visited;
    more = steps.next() as boolean;
    assert(visited - seen <= 512);
  }
  assertEquals(visited, KEYS);
});

Deno.test("MemoryStore yields to other work even before the first of its rows is visited", async () => {
  const runtime = new CountingRuntime();
  const store = openMemoryStore("0123456789abcdef", runtime);
  let visited = 0;
  const steps = filled(store.partition(0)).rows({}, () => visited++);
  let waits = 0;
  while (visited === 0) {
    const next = steps.next();
    if (!(next instanceof Promise)) continue;
    waits++;
    assertEquals(runtime.pauses, waits);
    await runtime.advance(0);
    assertEquals(await next, true);
  }
  // Each is taken once and merged once, 2,048 at a time, four times in a turn.
  assertEquals(waits, 5);
});
