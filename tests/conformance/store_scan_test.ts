/**
 * What every store must do when ranges are read: by scanning, and by rows.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import type {
  PartitionStore,
  StoreWrite,
} from "../../src/environment/storage.ts";
import { put } from "../../src/storage/testing/store_calls.ts";
import { bytes, key, keysOf, rowsOf, testEach } from "./store_kinds.ts";

testEach(
  "scans in the order of bytes, with bounds, backwards and with a limit",
  async (store, reopen) => {
    const keys = [
      [],
      [0],
      [0, 0],
      [0, 1],
      [0, 255],
      [1],
      [1, 0],
      [127],
      [128],
      [254, 255],
      [255],
      [255, 0],
      [255, 255],
    ];
    for (const one of keys.toReversed()) {
      await put(store.partition(7), {
        key: bytes(...one),
        value: bytes(one.length),
      });
    }
    await put(store.partition(6), { key: bytes(255), value: bytes(1) });
    await put(store.partition(8), { key: bytes(), value: bytes(1) });
    const check = async (partition: PartitionStore) => {
      assertEquals(await keysOf(partition), keys);
      assertEquals(
        await keysOf(partition, { reverse: true }),
        keys.toReversed(),
      );
      assertEquals(
        await keysOf(partition, { start: bytes(0, 1), end: bytes(128) }),
        keys.slice(3, 8),
      );
      assertEquals(
        await keysOf(partition, {
          start: bytes(0, 1),
          end: bytes(128),
          reverse: true,
          limit: 2,
        }),
        [[127], [1, 0]],
      );
      assertEquals(await keysOf(partition, { limit: 3 }), keys.slice(0, 3));
      assertEquals(await keysOf(partition, { limit: 0 }), []);
      assertEquals(
        await keysOf(partition, { start: bytes(2), end: bytes(1) }),
        [],
      );
    };
    await check(store.partition(7));
    await check((await reopen()).partition(7));
  },
);

testEach("scans what is written but not yet committed", async (store) => {
  const partition = store.partition(0);
  await put(
    partition,
    { key: key("a"), value: bytes(1) },
    { key: key("c"), value: bytes(1) },
    { key: key("e"), value: bytes(1) },
  );
  const done = put(
    partition,
    { key: key("b"), value: bytes(2) },
    { key: key("c"), value: null },
    { key: key("e"), value: bytes(2) },
    { key: key("f"), value: bytes(2) },
  );
  const found: [string, number][] = [];
  for await (const entry of partition.scan()) {
    found.push([
      new TextDecoder().decode(entry.key),
      entry.value[0] as number,
    ]);
  }
  assertEquals(found, [["a", 1], ["b", 2], ["e", 2], ["f", 2]]);
  assertEquals(await partition.count(), 4);
  await done;
});

testEach(
  "visits a key that stays exactly once while others come and go",
  async (store) => {
    const partition = store.partition(0);
    const stay = Array.from({ length: 1500 }, (_, i) => `k${i * 2 + 10_000}`);
    for (let i = 0; i < stay.length; i += 250) {
      await put(
        partition,
        ...stay.slice(i, i + 250).map((name) => ({
          key: key(name),
          value: key(name),
        })),
      );
    }
    const seen = new Map<string, number>();
    let step = 0;
    for await (const entry of partition.scan()) {
      const name = new TextDecoder().decode(entry.key);
      seen.set(name, (seen.get(name) ?? 0) + 1);
      const around = step++ * 7 % 1500;
      partition.write([
        { key: key(`k${around * 2 + 10_001}`), value: bytes(1) },
        { key: key(`k${(around + 3) * 2 + 10_001}`), value: null },
        { key: key(stay[around] as string), value: bytes(9) },
      ], () => {});
    }
    for (const name of stay) assertEquals(seen.get(name), 1, name);
    for (const [name, times] of seen) assertEquals(times, 1, name);
  },
);

testEach(
  "goes through rows a step at a time and sees a key that stays exactly once while others come and go",
  async (store) => {
    const partition = store.partition(0);
    const stay: string[] = [];
    for (let i = 0; i < 1500; i += 100) {
      const writes: StoreWrite[] = [];
      for (let j = i; j < i + 100; j++) {
        stay.push(`k${10_000 + j * 2}`);
        writes.push({ key: key(stay[j] as string), value: bytes(1, j) });
      }
      await put(partition, ...writes);
    }
    const { rows, steps } = await rowsOf(partition);
    assertEquals(rows.map(([name]) => name), stay);
    assertEquals(rows[7]?.[1], bytes(1, 7));
    assert(steps > 1);
    const seen: string[] = [];
    const way = partition.rows({}, (row) => {
      const name = row.keyBytes.subarray(row.keyStart, row.keyEnd);
      seen.push(new TextDecoder().decode(name));
    });
    for (let around = 0; await way.next(); around += 211) {
      partition.write([
        { key: key(`k${around * 2 + 10_001}`), value: bytes(1) },
        { key: key(`k${(around + 3) * 2 + 10_001}`), value: null },
        { key: key(stay[around] as string), value: bytes(9) },
      ], () => {});
      // Another one that begins meanwhile does not disturb it.
      for await (const _ of partition.scan({ limit: 1 })) break;
    }
    assertEquals(seen, [...new Set(seen)].sort());
    assertEquals(seen.filter((name) => stay.includes(name)), stay);
  },
);

testEach("refuses to go on through rows after it was closed", async (store) => {
  const partition = store.partition(0);
  for (let i = 0; i < 12; i++) {
    await put(
      partition,
      ...Array.from({ length: 100 }, (_, j) => ({
        key: bytes(i, j),
        value: bytes(1),
      })),
    );
  }
  const way = partition.rows({}, () => {});
  assertEquals(await way.next(), true);
  await store.close();
  const error = await assertRejects(async () => {
    while (await way.next());
  }, WhorlError);
  assertEquals(error.code, "closed");
});

testEach("removes a range and nothing else", async (store, reopen) => {
  const partition = store.partition(0);
  for (let i = 0; i < 1200; i += 200) {
    const writes: StoreWrite[] = [];
    for (let j = i; j < i + 200; j++) {
      writes.push({ key: bytes(j >> 8, j), value: bytes(1) });
    }
    await put(partition, ...writes);
  }
  await put(store.partition(1), { key: bytes(1), value: bytes(1) });
  await partition.deleteRange(bytes(0, 10), bytes(4));
  assertEquals(await partition.count(), 10 + (1200 - 1024));
  partition.write([{ key: bytes(3), value: bytes(1) }], () => {});
  await partition.deleteRange(bytes(1));
  const again = await reopen();
  assertEquals(
    await keysOf(again.partition(0)),
    Array.from({ length: 10 }, (_, i) => [0, i]),
  );
  assertEquals(await again.partition(1).count(), 1);
  await again.partition(0).deleteRange();
  assertEquals(await again.partition(0).count(), 0);
  assertEquals(await again.partition(0).get(bytes(0, 1)), undefined);
});
