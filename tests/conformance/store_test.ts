/**
 * What every store must do, whatever it keeps its values in: reading, writing,
 * removing, limits.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import {
  type PartitionStore,
  storeLimits,
  type StoreWrite,
} from "../../src/environment/storage.ts";
import { put } from "../../src/storage/testing/store_calls.ts";
import { bytes, key, keysOf, patterned, testEach } from "./store_kinds.ts";

testEach(
  "answers undefined for a key that was never written",
  async (store) => {
    assertEquals(await store.partition(3).get(key("a")), undefined);
  },
);

testEach(
  "shows a write to get before it is committed",
  async (store, reopen) => {
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
  },
);

testEach("copies what it is given", async (store) => {
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

testEach("never changes a value that was handed out", async (store) => {
  const partition = store.partition(0);
  await put(partition, { key: key("a"), value: patterned(100, 1) });
  const held = await partition.get(key("a"));
  for (let i = 0; i < 3000; i++) {
    partition.write([{ key: key("a"), value: patterned(100, i) }], () => {});
  }
  await put(partition, { key: key("b"), value: bytes(0) });
  assertEquals(held, patterned(100, 1));
});

testEach(
  "names the partitions that hold something, whatever came and went last",
  async (store, reopen) => {
    for (const partition of [1, 2, 3]) {
      await put(store.partition(partition), { key: key("a"), value: bytes(1) });
    }
    const again = await reopen();
    assertEquals(await again.partitions(), [1, 2, 3]);
    await put(again.partition(1), { key: key("a"), value: null });
    await put(again.partition(2), { key: key("a"), value: null });
    await put(again.partition(2), { key: key("b"), value: bytes(2) });
    await put(again.partition(4), { key: key("a"), value: bytes(3) });
    await put(again.partition(5), { key: key("a"), value: bytes(4) });
    await put(again.partition(5), { key: key("a"), value: null });
    assertEquals(await again.partitions(), [2, 3, 4]);
    const last = await reopen();
    assertEquals(await last.partitions(), [2, 3, 4]);
    await put(last.partition(3), { key: key("b"), value: bytes(5) });
    await put(last.partition(3), { key: key("a"), value: null });
    assertEquals(await last.partitions(), [2, 3, 4]);
    await put(last.partition(3), { key: key("b"), value: null });
    assertEquals(await last.partitions(), [2, 4]);
  },
);

testEach("keeps partitions apart", async (store, reopen) => {
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

testEach(
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

testEach("commits in the order of the calls", async (store, reopen) => {
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

testEach("stores values of any size up to the limit", async (store, reopen) => {
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

testEach("replaces and removes large values", async (store, reopen) => {
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

testEach(
  "takes a full group and refuses one beyond the limits with nothing applied",
  async (store) => {
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
  },
);

testEach(
  "takes the empty key and keys full of zeros",
  async (store, reopen) => {
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
  },
);

testEach("refuses everything after it was closed", async (store) => {
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

testEach("counts what it did", async (store) => {
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

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i]);
}
