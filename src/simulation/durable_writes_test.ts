import { assertEquals, assertStringIncludes } from "@std/assert";
import type { PartitionStore, Store } from "../environment/storage.ts";
import { equalBytes } from "../base/byte_order.ts";
import { openMemoryStore } from "../storage/memory_store.ts";
import { DurableWrites } from "./durable_writes.ts";

const KEY = new Uint8Array([7]);
const OTHER_KEY = new Uint8Array([8]);
const HONEST = {
  rottenBits: 0,
  lostCommits: 0,
  writeErrors: 0,
  powerLostAtMs: 9_000,
  stoodStillMs: 0,
};

const value = (n: number): Uint8Array => new Uint8Array([n, n]);

/**
 * A store that holds the given values, and claims to outlive its process. Those
 * that are undefined are damaged.
 */
function holding(
  content: readonly (readonly [Uint8Array, number | undefined])[],
  tailLost = false,
): Store {
  const store = openMemoryStore("00".repeat(8));
  const partition: PartitionStore = store.partition(3);
  for (const [key, n] of content) {
    partition.write([{ key, value: value(n ?? 0) }], () => {});
  }
  const damaged = content.filter(([, n]) => n === undefined);
  const scan: PartitionStore["scan"] = async function* (range) {
    for await (const entry of partition.scan(range)) {
      if (damaged.some(([key]) => equalBytes(key, entry.key))) {
        range?.onCorrupt?.(entry.key);
      } else yield entry;
    }
  };
  return withMembers(store, {
    durable: true,
    state: { ...store.state, tailLost },
    partition: () => withMembers(partition, { scan }),
  });
}

/** `target`, some of whose members are others. */
function withMembers<T extends object>(target: T, others: Partial<T>): T {
  return new Proxy(target, {
    get: (_, name) => {
      if (name in others) return others[name as keyof T];
      const member = Reflect.get(target, name, target);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

function write(
  watch: DurableWrites,
  key: Uint8Array,
  n: number,
): (error: Error | undefined) => void {
  return watch.written("a", 3, [{ key, value: value(n) }]);
}

Deno.test("DurableWrites reports a committed write that is gone", async () => {
  const watch = new DurableWrites(() => 5);
  write(watch, KEY, 1)(undefined);
  write(watch, OTHER_KEY, 1)(undefined);
  await watch.opened("a", holding([[OTHER_KEY, 1]]), HONEST);
  assertEquals(watch.violations.map(({ check }) => check), [
    "durable_write_lost",
  ]);
  assertStringIncludes(
    watch.violations[0]?.message ?? "",
    "holds nothing under 07 of partition 3",
  );
});

Deno.test("DurableWrites reports a value older than the committed one", async () => {
  const watch = new DurableWrites(() => 5);
  write(watch, KEY, 1)(undefined);
  write(watch, KEY, 2)(undefined);
  await watch.opened("a", holding([[KEY, 1]]), HONEST);
  assertEquals(watch.violations.length, 1);
});

Deno.test("DurableWrites accepts either outcome of an unknown write, and then relies on what is there", async () => {
  for (const kept of [1, 2, 3]) {
    const watch = new DurableWrites(() => 5);
    write(watch, KEY, 1)(undefined);
    write(watch, KEY, 2)(new Error("Nobody knows"));
    write(watch, KEY, 3);
    await watch.opened("a", holding([[KEY, kept]]), HONEST);
    assertEquals(watch.violations, []);
    await watch.opened("a", holding([[KEY, kept === 1 ? 2 : 1]]), HONEST);
    assertEquals(watch.violations.length, 1);
  }
});

Deno.test("DurableWrites counts earlier writes as committed with a later one", async () => {
  const watch = new DurableWrites(() => 5);
  write(watch, KEY, 1);
  write(watch, KEY, 2)(undefined);
  await watch.opened("a", holding([[KEY, 1]]), HONEST);
  assertEquals(watch.violations.length, 1);
});

Deno.test("DurableWrites excuses a lost tail only if the store reports it", async () => {
  const lied = { ...HONEST, lostCommits: 1 };
  const told = new DurableWrites(() => 5);
  write(told, KEY, 1)(undefined);
  await told.opened("a", holding([], true), lied);
  assertEquals(told.violations, []);
  const untold = new DurableWrites(() => 5);
  write(untold, KEY, 1)(undefined);
  await untold.opened("a", holding([]), lied);
  assertEquals(untold.violations.map(({ check }) => check), ["tail_loss"]);
  const fresh = new DurableWrites(() => 8_500);
  write(fresh, KEY, 1)(undefined);
  await fresh.opened("a", holding([]), lied);
  assertEquals(fresh.violations, []);
  // A paused process could not have recorded it.
  for (const [stoodStillMs, checks] of [[3_000, 1], [5_000, 0]] as const) {
    const still = new DurableWrites(() => 1_000);
    write(still, KEY, 1)(undefined);
    await still.opened("a", holding([]), { ...lied, stoodStillMs });
    assertEquals(still.violations.length, checks);
  }
  // The record of commits is a file on the same disk, and may not have been
  // synced.
  const erring = new DurableWrites(() => 5);
  write(erring, KEY, 1)(undefined);
  await erring.opened("a", holding([]), { ...lied, writeErrors: 1 });
  assertEquals(erring.violations, []);
});

Deno.test("DurableWrites reports a tail that is called lost but is not", async () => {
  const watch = new DurableWrites(() => 5);
  write(watch, KEY, 1)(undefined);
  await watch.opened("a", holding([[KEY, 1]], true), HONEST);
  assertEquals(watch.violations.map(({ check }) => check), ["tail_loss"]);
});

Deno.test("DurableWrites.takenSince() lists what a disk has lost or damaged after a store had it", async () => {
  const cases = [
    // A damaged value, a tail that was lost, and a commit that was.
    [holding([[KEY, undefined]]), { ...HONEST, rottenBits: 1 }],
    [holding([], true), { ...HONEST, lostCommits: 1 }],
    [holding([]), { ...HONEST, lostCommits: 1, powerLostAtMs: 9 }],
  ] as const;
  for (const [store, damage] of cases) {
    let nowMs = 5;
    const watch = new DurableWrites(() => nowMs);
    write(watch, KEY, 1)(undefined);
    watch.written("b", 3, [{ key: KEY, value: value(1) }])(undefined);
    nowMs = 10;
    await watch.opened("a", store, damage);
    assertEquals(watch.violations, []);
    const taken = [new Map([["07", value(1)]])];
    assertEquals(watch.takenSince("", "b", 3, false), taken);
    assertEquals(watch.takenSince("", "a", 3, false), []);
    nowMs = 15;
    watch.written("b", 3, [{ key: KEY, value: value(2) }])(undefined);
    assertEquals(watch.takenSince("", "b", 3, false), []);
  }
});

Deno.test("DurableWrites.takenSince() lists nothing that was deleted, or that is there as it was written", async () => {
  const watch = new DurableWrites(() => 5);
  for (const key of [KEY, OTHER_KEY]) {
    write(watch, key, 1)(undefined);
    watch.written("b", 3, [{ key, value: value(1) }])(undefined);
  }
  await watch.opened("a", holding([[KEY, 1], [OTHER_KEY, undefined]]), {
    ...HONEST,
    rottenBits: 1,
  });
  assertEquals(watch.takenSince("", "b", 3, false), [
    new Map([["08", value(1)]]),
  ]);
  watch.deleted("a", 3);
  assertEquals(watch.takenSince("", "b", 3, false), []);
});

Deno.test("DurableWrites forgets a partition after a range of it was deleted", async () => {
  const watch = new DurableWrites(() => 5);
  write(watch, KEY, 1)(undefined);
  watch.deleted("a", 3);
  await watch.opened("a", holding([]), HONEST);
  assertEquals(watch.violations, []);
});
