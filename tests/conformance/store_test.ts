/**
 * What every store must do, whatever it keeps its values in. The same suite
 * runs on memory, on Deno KV, and with the code for Deno KV on a simulated disk;
 * the property test compares a store with a plain map under any sequence of
 * calls.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { WhorlError } from "../../src/base/errors.ts";
import {
  type PartitionStore,
  type ScanRange,
  type Store,
  storeLimits,
  type StoreWrite,
} from "../../src/environment/storage.ts";
import { openDenoKvStore } from "../../src/storage/deno_kv_store.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { openMemoryStore } from "../../src/storage/memory_store.ts";
import { put } from "../../src/storage/testing/store_calls.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";

const text = new TextEncoder();
const bytes = (...values: number[]) => new Uint8Array(values);
const key = (value: string) => text.encode(value);

async function keysOf(
  partition: PartitionStore,
  range = {},
): Promise<number[][]> {
  const found: number[][] = [];
  for await (const entry of partition.scan(range)) found.push([...entry.key]);
  return found;
}

/** Key and value of each row, by the way that makes no views; more than one step if there are many. */
async function rowsOf(
  partition: PartitionStore,
  range: ScanRange = {},
): Promise<{ rows: [string, Uint8Array][]; steps: number }> {
  const rows: [string, Uint8Array][] = [];
  const way = partition.rows(range, (row) => {
    const key = row.keyBytes.subarray(row.keyStart, row.keyEnd);
    const value = row.valueBytes.slice(row.valueStart, row.valueEnd);
    rows.push([String.fromCharCode(...key), value]);
  });
  let steps = 1;
  while (await way.next()) steps++;
  return { rows, steps };
}

function patterned(length: number, seed: number): Uint8Array {
  const value = new Uint8Array(length);
  for (let i = 0; i < length; i++) value[i] = i * 31 + seed + (i >>> 8);
  return value;
}

interface Kind {
  readonly name: string;
  /** Runs `body` with a new store; `reopen` closes the store and opens the same file again, where there is one. */
  use(
    body: (store: Store, reopen: () => Promise<Store>) => Promise<void>,
  ): Promise<void>;
}

const kinds: Kind[] = [{
  name: "memory",
  async use(body) {
    const store = openMemoryStore("00112233aabbccdd");
    await body(store, () => Promise.resolve(store));
    await store.close();
  },
}, {
  name: "Deno KV",
  async use(body) {
    const folder = await Deno.makeTempDir({ prefix: "whorl-store-" });
    const config = { type: "deno_kv", path: `${folder}/store` } as const;
    let store = await openDenoKvStore(config, systemStorage);
    try {
      await body(store, async () => {
        await store.close();
        store = await openDenoKvStore(config, systemStorage);
        return store;
      });
    } finally {
      await store.close();
      await Deno.remove(folder, { recursive: true });
    }
  },
}, {
  name: "simulated Deno KV",
  use(body) {
    const bench = new DiskBench("conformance", {
      weather: { syncMsMin: 0.1, syncMsMax: 5, liesAboutSync: false },
      operationMsMax: 0.5,
    });
    const config = { type: "deno_kv", path: "/store" } as const;
    return bench.run((async () => {
      let store = await openDenoKvStore(config, bench.live());
      try {
        await body(store, async () => {
          await store.close();
          store = await openDenoKvStore(config, bench.live());
          return store;
        });
      } finally {
        await store.close();
      }
    })());
  },
}];

for (const kind of kinds) {
  const test = (
    sentence: string,
    body: (store: Store, reopen: () => Promise<Store>) => Promise<void>,
  ) => Deno.test(`${kind.name} store ${sentence}`, () => kind.use(body));

  test("answers undefined for a key that was never written", async (store) => {
    assertEquals(await store.partition(3).get(key("a")), undefined);
  });

  test("shows a write to get before it is committed", async (store, reopen) => {
    const partition = store.partition(0);
    let durable = false;
    const done = Promise.withResolvers<void>();
    partition.write([{ key: key("a"), value: bytes(1) }], () => {
      durable = true;
      done.resolve();
    });
    assertEquals(await partition.get(key("a")), bytes(1));
    await done.promise;
    assert(durable);
    assertEquals(await partition.get(key("a")), bytes(1));
    assertEquals(
      await (await reopen()).partition(0).get(key("a")),
      bytes(1),
    );
  });

  test("copies what it is given", async (store) => {
    const partition = store.partition(0);
    const reusedKey = bytes(1, 2);
    const reusedValue = bytes(3, 4);
    const done = put(partition, { key: reusedKey, value: reusedValue });
    reusedKey.fill(9);
    reusedValue.fill(9);
    await done;
    assertEquals(await partition.get(bytes(1, 2)), bytes(3, 4));
    assertEquals(await partition.get(bytes(9, 9)), undefined);
  });

  test("never changes a value that was handed out", async (store) => {
    const partition = store.partition(0);
    await put(partition, { key: key("a"), value: patterned(100, 1) });
    const held = await partition.get(key("a"));
    for (let i = 0; i < 3000; i++) {
      partition.write([{ key: key("a"), value: patterned(100, i) }], () => {});
    }
    await put(partition, { key: key("b"), value: bytes(0) });
    assertEquals(held, patterned(100, 1));
  });

  test("keeps partitions apart", async (store, reopen) => {
    await put(store.partition(1), { key: key("a"), value: bytes(1) });
    await put(store.partition(256), { key: key("a"), value: bytes(2) });
    await put(store.partition(65_535), { key: key("b"), value: bytes(3) });
    const again = await reopen();
    assertEquals(await again.partition(1).get(key("a")), bytes(1));
    assertEquals(await again.partition(256).get(key("a")), bytes(2));
    assertEquals(await again.partition(1).get(key("b")), undefined);
    assertEquals(await again.partitions(), [1, 256, 65_535]);
    assertEquals(await again.partition(256).count(), 1);
    await again.partition(256).deleteRange();
    assertEquals(await again.partitions(), [1, 65_535]);
    assert(again.partition(1) === again.partition(1));
    for (const wrong of [-1, 1.5, 65_536, NaN]) {
      assertThrows(() => again.partition(wrong), WhorlError, "0 to 65535");
    }
  });

  test(
    "applies the writes of one call in order, the last one counts",
    async (store, reopen) => {
      const partition = store.partition(0);
      await put(
        partition,
        { key: key("a"), value: bytes(1) },
        { key: key("b"), value: bytes(1) },
        { key: key("a"), value: bytes(2) },
        { key: key("b"), value: null },
        { key: key("c"), value: null },
      );
      const again = (await reopen()).partition(0);
      assertEquals(await again.get(key("a")), bytes(2));
      assertEquals(await again.get(key("b")), undefined);
      assertEquals(await again.count(), 1);
    },
  );

  test("commits in the order of the calls", async (store, reopen) => {
    const partition = store.partition(0);
    const order: number[] = [];
    const all: Promise<void>[] = [];
    for (let i = 0; i < 2000; i++) {
      all.push(
        put(partition, { key: key("a"), value: patterned(60, i) })
          .then(() => void order.push(i)),
      );
    }
    await Promise.all(all);
    assertEquals(order, order.toSorted((a, b) => a - b));
    assertEquals(
      await (await reopen()).partition(0).get(key("a")),
      patterned(60, 1999),
    );
  });

  test(
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

  test("scans what is written but not yet committed", async (store) => {
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

  test("visits a key that stays exactly once while others come and go", async (store) => {
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
  });

  test("goes through rows a step at a time and sees a key that stays exactly once while others come and go", async (store) => {
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
  });

  test("refuses to go on through rows after it was closed", async (store) => {
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

  test("removes a range and nothing else", async (store, reopen) => {
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

  test("stores values of any size up to the limit", async (store, reopen) => {
    const sizes = [
      0,
      1,
      59_999,
      60_000,
      65_535,
      65_536,
      65_537,
      700_000,
      1_000_000,
      5 * 1024 * 1024,
      storeLimits.valueBytesMax,
    ];
    const partition = store.partition(9);
    for (const size of sizes) {
      await put(partition, {
        key: key(`v${size}`),
        value: patterned(size, size),
      });
    }
    const check = async (again: PartitionStore) => {
      for (const size of sizes) {
        const value = await again.get(key(`v${size}`));
        assertEquals(value?.length, size);
        assert(equalBytes(value as Uint8Array, patterned(size, size)));
      }
      let visited = 0;
      for await (const entry of again.scan()) {
        const size = Number(new TextDecoder().decode(entry.key).slice(1));
        assert(equalBytes(entry.value, patterned(size, size)));
        visited++;
      }
      assertEquals(visited, sizes.length);
    };
    await check(partition);
    await check((await reopen()).partition(9));
  });

  test("replaces and removes large values", async (store, reopen) => {
    const partition = store.partition(0);
    await put(partition, { key: key("a"), value: patterned(2_000_000, 1) });
    await put(partition, { key: key("a"), value: patterned(100_000, 2) });
    await put(partition, { key: key("b"), value: patterned(2_000_000, 3) });
    await put(partition, { key: key("b"), value: null });
    await put(
      partition,
      { key: key("c"), value: patterned(400_000, 4) },
      { key: key("d"), value: patterned(400_000, 5) },
      { key: key("c"), value: bytes(6) },
    );
    const again = await reopen();
    const partitionAgain = again.partition(0);
    assert(
      equalBytes(
        await partitionAgain.get(key("a")) as Uint8Array,
        patterned(100_000, 2),
      ),
    );
    assertEquals(await partitionAgain.get(key("b")), undefined);
    assertEquals(await partitionAgain.get(key("c")), bytes(6));
    assert(
      equalBytes(
        await partitionAgain.get(key("d")) as Uint8Array,
        patterned(400_000, 5),
      ),
    );
    assertEquals((await partitionAgain.integrity()).checked, 3);
  });

  test("takes a full group and refuses one beyond the limits with nothing applied", async (store) => {
    const partition = store.partition(0);
    const { groupWritesMax, keyBytesMax, valueBytesMax } = storeLimits;
    await put(
      partition,
      ...Array.from({ length: groupWritesMax }, (_, i) => ({
        key: bytes(i),
        value: patterned(5_000, i),
      })),
    );
    assert(
      equalBytes(
        await partition.get(bytes(200)) as Uint8Array,
        patterned(5_000, 200),
      ),
    );
    await put(
      partition,
      ...Array.from({ length: 30 }, (_, i) => ({
        key: new Uint8Array(keyBytesMax).fill(0, 0, -1).fill(i, -1),
        value: patterned(60_000, i),
      })),
    );
    const count = await partition.count();
    assertEquals(count, groupWritesMax + 30);
    const refused: [string, StoreWrite[]][] = [
      ["invalid_key", [{ key: new Uint8Array(keyBytesMax + 1), value: null }]],
      ["value_too_large", [{
        key: key("xx"),
        value: new Uint8Array(valueBytesMax + 1),
      }]],
      [
        "value_too_large",
        Array.from(
          { length: groupWritesMax + 1 },
          (_, i) => ({ key: bytes(7, i), value: null }),
        ),
      ],
      [
        "value_too_large",
        Array.from(
          { length: 31 },
          (_, i) => ({
            key: new Uint8Array(keyBytesMax).fill(i),
            value: null,
          }),
        ),
      ],
    ];
    for (const [code, writes] of refused) {
      const error = assertThrows(
        () =>
          partition.write(
            [{ key: key("xx"), value: bytes(1) }, ...writes],
            () => {},
          ),
        WhorlError,
      );
      assertEquals((error as WhorlError).code, code);
    }
    assertEquals(await partition.get(key("xx")), undefined);
    assertEquals(await partition.count(), count);
  });

  test("takes the empty key and keys full of zeros", async (store, reopen) => {
    const zeros = new Uint8Array(storeLimits.keyBytesMax);
    await put(
      store.partition(0),
      { key: bytes(), value: bytes(1) },
      { key: zeros, value: bytes(2) },
    );
    const again = (await reopen()).partition(0);
    assertEquals(await again.get(bytes()), bytes(1));
    assertEquals(await again.get(zeros), bytes(2));
    assertEquals((await keysOf(again)).map((one) => one.length), [0, 1000]);
  });

  test("refuses everything after it was closed", async (store) => {
    const partition = store.partition(0);
    const done = put(partition, { key: key("a"), value: bytes(1) });
    await store.close();
    await done;
    await store.close();
    const codes = [
      assertThrows(
        () => partition.write([], () => {}),
        WhorlError,
      ),
      assertThrows(() => partition.get(key("a")), WhorlError),
      await assertRejects(() => partition.deleteRange(), WhorlError),
      await assertRejects(() => keysOf(partition), WhorlError),
    ].map((error) => (error as WhorlError).code);
    assertEquals(codes, ["closed", "closed", "closed", "closed"]);
  });

  test("counts what it did", async (store) => {
    const partition = store.partition(0);
    const before = store.stats();
    await put(
      partition,
      { key: key("a"), value: bytes(1) },
      { key: key("b"), value: bytes(1) },
    );
    await partition.get(key("a"));
    const after = store.stats();
    assertEquals(after.writes - before.writes, 2);
    assertEquals(after.cacheHits - before.cacheHits, 1);
    assertEquals(after.pendingWrites, 0);
    assert(after.cacheBytes > 0);
  });

  Deno.test(`${kind.name} store behaves like a sorted map under any calls`, async () => {
    const anyKey = fc.array(fc.constantFrom(0, 1, 255), { maxLength: 3 });
    const anyCall = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          call: fc.constant("write" as const),
          waits: fc.boolean(),
          writes: fc.array(
            fc.tuple(
              anyKey,
              fc.option(fc.constantFrom(0, 1, 40, 300, 61_000)),
            ),
            { maxLength: 6 },
          ),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ call: fc.constant("get" as const), at: anyKey }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          call: fc.constant("scan" as const),
          start: fc.option(anyKey),
          end: fc.option(anyKey),
          reverse: fc.boolean(),
          limit: fc.option(fc.nat(5)),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          call: fc.constant("deleteRange" as const),
          start: fc.option(anyKey),
          end: fc.option(anyKey),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ call: fc.constant("reopen" as const) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyCall, { maxLength: 30 }),
        (calls) =>
          kind.use(async (first, reopen) => {
            let partition = first.partition(5);
            const model = new Map<string, Uint8Array>();
            const nameOf = (one: readonly number[]) =>
              String.fromCharCode(...one);
            const inRange = (
              start: number[] | null,
              end: number[] | null,
            ) =>
              [...model.keys()].sort().filter((one) =>
                (start === null || one >= nameOf(start)) &&
                (end === null || one < nameOf(end))
              );
            const rangeOf = (start: number[] | null, end: number[] | null) => ({
              ...(start === null ? {} : { start: bytes(...start) }),
              ...(end === null ? {} : { end: bytes(...end) }),
            });
            const pending: Promise<void>[] = [];
            let seed = 0;
            for (const call of calls) {
              if (call.call === "write") {
                const writes = call.writes.map(([at, size]) => ({
                  key: bytes(...at),
                  value: size === null ? null : patterned(size, seed++),
                }));
                for (const write of writes) {
                  if (write.value === null) {
                    model.delete(nameOf([...write.key]));
                  } else model.set(nameOf([...write.key]), write.value);
                }
                const done = put(partition, ...writes);
                if (call.waits) await done;
                else pending.push(done);
              } else if (call.call === "get") {
                assertEquals(
                  await partition.get(bytes(...call.at)),
                  model.get(nameOf(call.at)),
                );
              } else if (call.call === "scan") {
                const expected = inRange(call.start, call.end);
                if (call.reverse) expected.reverse();
                const found: string[] = [];
                for await (
                  const entry of partition.scan({
                    ...rangeOf(call.start, call.end),
                    reverse: call.reverse,
                    ...(call.limit === null ? {} : { limit: call.limit }),
                  })
                ) {
                  found.push(nameOf([...entry.key]));
                  assertEquals(
                    entry.value,
                    model.get(nameOf([...entry.key])),
                  );
                }
                assertEquals(found, expected.slice(0, call.limit ?? Infinity));
                const { rows } = await rowsOf(partition, {
                  ...rangeOf(call.start, call.end),
                  reverse: call.reverse,
                  ...(call.limit === null ? {} : { limit: call.limit }),
                });
                assertEquals(
                  rows,
                  found.map((one) => [one, model.get(one) as Uint8Array]),
                );
              } else if (call.call === "deleteRange") {
                for (const one of inRange(call.start, call.end)) {
                  model.delete(one);
                }
                const { start, end } = rangeOf(call.start, call.end) as {
                  start?: Uint8Array;
                  end?: Uint8Array;
                };
                await partition.deleteRange(start, end);
              } else {
                partition = (await reopen()).partition(5);
              }
            }
            await Promise.all(pending);
            assertEquals(await partition.count(), model.size);
          }),
      ),
      { numRuns: 60 },
    );
  });
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i]);
}
