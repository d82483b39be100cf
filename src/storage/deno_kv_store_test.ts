import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import type { StorageEnvironment } from "../environment/environment.ts";
import type { Store } from "../environment/storage.ts";
import { type DenoKvConfig, openDenoKvStore } from "./deno_kv_store.ts";
import { openStore } from "./open_store.ts";
import { put } from "./testing/store_calls.ts";
import { systemStorage } from "./testing/system_storage.ts";

/** Closes the store and opens it again; as after a crash if it must forget what it knew of its keys. */
type Reopen = (forgetsKeys?: boolean) => Promise<Store>;

async function withStore(
  options: Partial<DenoKvConfig>,
  body: (store: Store, reopen: Reopen) => Promise<void>,
  environment: StorageEnvironment = systemStorage,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "whorl-kv-" });
  const config: DenoKvConfig = {
    type: "deno_kv",
    path: `${folder}/store`,
    ...options,
  };
  let store = await openDenoKvStore(config, environment);
  try {
    await body(store, async (forgetsKeys = false) => {
      await store.close();
      if (forgetsKeys) await Deno.remove(`${config.path}.keys`);
      store = await openDenoKvStore(config, environment);
      return store;
    });
  } finally {
    await store.close();
    await Deno.remove(folder, { recursive: true });
  }
}

const keyOf = (i: number) => new Uint8Array([i >> 16, i >> 8, i]);

/** Waits until the store knows all its keys, by reading them as well. */
async function learnKeys(store: Store): Promise<void> {
  while (!store.stats().absentKeysKnown) await store.partition(0).count();
}

Deno.test("DenoKvStore gathers the writes of a turn into one commit, and those made during that commit into another", () =>
  withStore({}, async (store) => {
    const partition = store.partition(0);
    const before = store.stats().commits;
    const first = [];
    for (let i = 0; i < 100; i++) {
      first.push(put(partition, { key: keyOf(i), value: keyOf(i) }));
    }
    // A microtask later the first commit is under way; these wait for the next.
    await Promise.resolve().then(() => {});
    const second = [];
    for (let i = 0; i < 300; i++) {
      second.push(put(partition, { key: keyOf(i % 7), value: keyOf(i) }));
    }
    assertEquals(store.stats().pendingWrites, 400);
    await Promise.all(first);
    await Promise.all(second);
    assertEquals(store.stats().commits - before, 2);
    // The last of the 300 that went to key 3.
    assertEquals(await partition.get(keyOf(3)), keyOf(297));
  }));

Deno.test("DenoKvStore reads nothing from disk for keys that are new", () =>
  withStore({}, async (store, reopen) => {
    for (let i = 0; i < 2_000; i++) {
      assertEquals(store.partition(i % 5).get(keyOf(i)), undefined);
      store.partition(i % 5).write(
        [{ key: keyOf(i), value: keyOf(i) }],
        () => {},
      );
    }
    assertEquals(store.stats().cacheMisses, 0);
    const again = await reopen(true);
    assert(!again.stats().absentKeysKnown);
    await learnKeys(again);
    const before = again.stats().cacheMisses;
    let asked = 0;
    for (let i = 2_000; i < 4_000; i++) {
      if (again.partition(i % 5).get(keyOf(i)) instanceof Promise) asked++;
    }
    assert(asked < 40, `${asked} of 2000 asked the disk`);
    assertEquals(again.stats().cacheMisses - before, asked);
    assertEquals(await again.partition(1).get(keyOf(1)), keyOf(1));
  }));

Deno.test("DenoKvStore knows its keys at once after a clean close", () =>
  withStore({}, async (store, reopen) => {
    await put(store.partition(0), { key: keyOf(1), value: keyOf(1) });
    const again = await reopen();
    assert(again.stats().absentKeysKnown);
    assertEquals(again.partition(0).get(keyOf(2)), undefined);
    await put(again.partition(0), { key: keyOf(2), value: keyOf(2) });
    const last = await reopen();
    assertEquals(await last.partition(0).get(keyOf(1)), keyOf(1));
    assertEquals(await last.partition(0).get(keyOf(2)), keyOf(2));
  }));

Deno.test("DenoKvStore ignores a file of known keys that is older than its last opening, or damaged", async () => {
  const folder = await Deno.makeTempDir({ prefix: "whorl-kv-" });
  const config: DenoKvConfig = { type: "deno_kv", path: `${folder}/store` };
  const saved = `${config.path}.keys`;
  try {
    {
      await using store = await openDenoKvStore(config, systemStorage);
      await put(store.partition(0), { key: keyOf(1), value: keyOf(1) });
    }
    const stale = await Deno.readFile(saved);
    {
      await using store = await openDenoKvStore(config, systemStorage);
      await put(store.partition(0), { key: keyOf(2), value: keyOf(2) });
    }
    const current = await Deno.readFile(saved);
    const damaged = current.slice();
    damaged[2_000] = (damaged[2_000] as number) ^ 1;
    for (const bytes of [stale, damaged, current.subarray(0, 100)]) {
      await Deno.writeFile(saved, bytes);
      await using store = await openDenoKvStore(config, systemStorage);
      assert(!store.stats().absentKeysKnown);
      assertEquals(await store.partition(0).get(keyOf(2)), keyOf(2));
      await learnKeys(store);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("DenoKvStore answers correctly while it learns its keys", () =>
  withStore({}, async (store, reopen) => {
    for (let i = 0; i < 3_000; i++) {
      store.partition(0).write([{ key: keyOf(i), value: keyOf(i) }], () => {});
    }
    const again = (await reopen(true)).partition(0);
    const all = [];
    for (let i = 0; i < 3_300; i += 3) all.push(again.get(keyOf(i)));
    (await Promise.all(all)).forEach((found, i) =>
      assertEquals(found, i * 3 < 3_000 ? keyOf(i * 3) : undefined)
    );
  }));

Deno.test("DenoKvStore remembers a removed key as absent", () =>
  withStore({}, async (store) => {
    await put(store.partition(0), { key: keyOf(1), value: keyOf(1) });
    await put(store.partition(0), { key: keyOf(1), value: null });
    assertEquals(store.partition(0).get(keyOf(1)), undefined);
    assertEquals(store.stats().cacheMisses, 0);
  }));

Deno.test("DenoKvStore reads a key once for concurrent gets", () =>
  withStore({}, async (store, reopen) => {
    await put(store.partition(0), { key: keyOf(1), value: keyOf(1) });
    const again = await reopen();
    const partition = again.partition(0);
    const reads = [1, 2, 3].map(() => partition.get(keyOf(1)));
    assert(reads[0] instanceof Promise && reads[0] === reads[2]);
    assertEquals(await Promise.all(reads), [keyOf(1), keyOf(1), keyOf(1)]);
    assertEquals(partition.get(keyOf(1)), keyOf(1));
  }));

Deno.test("DenoKvStore does not let a slow read restore an old value", () =>
  withStore({}, async (store, reopen) => {
    for (let i = 0; i < 50; i++) {
      await put(store.partition(0), { key: keyOf(i), value: keyOf(1) });
    }
    const partition = (await reopen()).partition(0);
    for (let i = 0; i < 50; i++) {
      const reading = partition.get(keyOf(i));
      const written = put(partition, { key: keyOf(i), value: keyOf(2) });
      const seen = await reading;
      assert(seen?.[2] === 1 || seen?.[2] === 2);
      assertEquals(await partition.get(keyOf(i)), keyOf(2));
      await written;
      assertEquals(await partition.get(keyOf(i)), keyOf(2));
    }
  }));

Deno.test("DenoKvStore reads large values from disk while they are replaced", () =>
  withStore({ cacheBytesMax: 0 }, async (store) => {
    const partition = store.partition(0);
    const large = (seed: number) => new Uint8Array(300_000).fill(seed);
    await put(partition, { key: keyOf(1), value: large(0) });
    for (let i = 1; i < 30; i++) {
      const reads = [
        partition.get(keyOf(1)),
        Array.fromAsync(partition.scan()),
      ];
      const written = put(partition, { key: keyOf(1), value: large(i) });
      const [got, scanned] = await Promise.all(reads) as [
        Uint8Array,
        { value: Uint8Array }[],
      ];
      for (const found of [got, scanned[0]?.value as Uint8Array]) {
        assertEquals(found.length, 300_000);
        assert(found[0] === i || found[0] === i - 1);
        assert(found.every((byte) => byte === found[0]), "never a mix");
      }
      await written;
    }
  }));

Deno.test("DenoKvStore keeps within the limits of a commit whatever is written at once", () =>
  withStore({}, async (store, reopen) => {
    const all: Promise<void>[] = [];
    const longKey = (i: number) =>
      new Uint8Array(1_000).fill(0, 0, 990).fill(i, 990);
    for (let i = 0; i < 200; i++) {
      all.push(put(store.partition(0), { key: longKey(i), value: keyOf(i) }));
      all.push(
        put(store.partition(1), {
          key: keyOf(i),
          value: new Uint8Array(59_990).fill(i),
        }),
      );
      all.push(put(store.partition(2), { key: keyOf(i), value: keyOf(i) }));
    }
    for (let i = 0; i < 3_000; i++) {
      all.push(
        put(store.partition(3), { key: keyOf(i), value: new Uint8Array(0) }),
      );
    }
    for (let i = 0; i < 4; i++) {
      all.push(
        put(store.partition(4), {
          key: keyOf(i),
          value: new Uint8Array(650_000),
        }),
      );
    }
    await Promise.all(all);
    const again = await reopen();
    const counts = [];
    for (let i = 0; i < 5; i++) counts.push(await again.partition(i).count());
    assertEquals(counts, [200, 200, 200, 3_000, 4]);
    assertEquals(await again.partition(0).get(longKey(77)), keyOf(77));
    assertEquals((await again.partition(1).get(keyOf(9)))?.[59_989], 9);
  }));

Deno.test("DenoKvStore refuses writes beyond the bytes it may hold uncommitted", () =>
  withStore({}, async (store) => {
    const partition = store.partition(0);
    const large = new Uint8Array(10_000_000);
    const all: Promise<void>[] = [];
    for (let i = 0; i < 6; i++) {
      all.push(put(partition, { key: keyOf(i), value: large }));
    }
    const error = assertThrows(
      () => partition.write([{ key: keyOf(9), value: large }], () => {}),
      WhorlError,
    ) as WhorlError;
    assertEquals(error.code, "overload");
    await Promise.all(all);
    await put(partition, { key: keyOf(9), value: large });
    assertEquals(await partition.count(), 7);
  }));

Deno.test("DenoKvStore survives a write callback that throws, and leaves the error to its runtime", () => {
  const thrown = Promise.withResolvers<unknown>();
  const runtime: StorageEnvironment = {
    ...systemStorage,
    defer: (callback) =>
      systemStorage.defer(() => {
        try {
          callback();
        } catch (error) {
          thrown.resolve(error);
        }
      }),
  };
  return withStore({}, async (store) => {
    const bug = new Error("a bug of the writer");
    store.partition(0).write([{ key: keyOf(1), value: keyOf(1) }], () => {
      throw bug;
    });
    await put(store.partition(0), { key: keyOf(2), value: keyOf(2) });
    assertEquals(await thrown.promise, bug);
    await put(store.partition(0), { key: keyOf(3), value: keyOf(3) });
    assertEquals(await store.partition(0).count(), 3);
  }, runtime);
});

Deno.test("DenoKvStore commits pending writes when it is closed", () =>
  withStore({}, async (store, reopen) => {
    let committed = 0;
    for (let i = 0; i < 5_000; i++) {
      store.partition(0).write(
        [{ key: keyOf(i), value: keyOf(i) }],
        (error) => committed += error === undefined ? 1 : 0,
      );
    }
    await store.close();
    assertEquals(committed, 5_000);
    assertEquals(await (await reopen()).partition(0).count(), 5_000);
  }));

Deno.test("DenoKvStore keeps its identity and counts its openings", () =>
  withStore({}, async (store, reopen) => {
    const { storeId } = store.state;
    assert(/^[0-9a-f]{16}$/.test(storeId));
    assertEquals(store.state, { storeId, epoch: 1, tailLost: false });
    assertEquals((await reopen()).state, {
      storeId,
      epoch: 2,
      tailLost: false,
    });
    const again = await reopen();
    await again.tailRepaired();
    assertEquals(again.state, { storeId, epoch: 3, tailLost: false });
    await again.close();
    const error = await assertRejects(() => again.tailRepaired(), WhorlError);
    assertEquals((error as WhorlError).code, "closed");
  }));

Deno.test("openStore() opens the store that its description names", async () => {
  await using memory = await openStore({ type: "memory" }, systemStorage);
  assertEquals(memory.durable, false);
  assert(/^[0-9a-f]{16}$/.test(memory.state.storeId));
});
