import { assertEquals, assertRejects } from "@std/assert";
import { bytesToText } from "../base/byte_text.ts";
import { WhorlError } from "../base/errors.ts";
import { openMemoryStore } from "../storage/memory_store.ts";
import { CachedDisk } from "./testing/cached_disk.ts";
import { storageKey } from "./testing/kv_vnode_alone.ts";
import { KvItems } from "./kv_items.ts";

const KEYS = 2_000;
const keyOf = (i: number): Uint8Array =>
  storageKey(`k${String(i).padStart(4, "0")}`);

Deno.test("KvItems shows every key once and in order, each with a value it had, whatever is written in the meantime", async () => {
  const storage = openMemoryStore("0123456789abcdef").partition(0);
  const write = (i: number, version: number): void =>
    storage.write(
      [{ key: keyOf(i), value: new Uint8Array(100 + version).fill(version) }],
      () => {},
    );
  for (let i = KEYS - 1; i >= 0; i--) write(i, 1);
  const seen: string[] = [];
  let version = 1;
  for await (const { sortKey, item } of new KvItems(storage, () => {})) {
    const value = item as Uint8Array;
    assertEquals(value, new Uint8Array(100 + value[0]!).fill(value[0]!));
    seen.push(bytesToText(sortKey));
    // Memory that was read from is reused for writes.
    if (seen.length % 10 === 0) {
      version = version % 9 + 1;
      for (let i = seen.length; i < KEYS; i += 97) write(i, version);
    }
  }
  assertEquals(
    seen,
    Array.from({ length: KEYS }, (_, i) => bytesToText(keyOf(i))),
  );
});

Deno.test("KvItems leaves out damaged objects and reports them, and fails as the store does", async () => {
  const disk = new CachedDisk();
  const storage = disk.open();
  for (let i = 0; i < 600; i++) {
    storage.write(
      [{ key: keyOf(i), value: new Uint8Array([i & 255]) }],
      () => {},
    );
  }
  for (const i of [0, 255, 256, 599]) disk.corrupt.add(keyOf(i).toHex());
  for (const slow of [false, true]) {
    disk.slow = slow;
    let corrupt = 0;
    let items = 0;
    for await (const _ of new KvItems(storage, () => corrupt++)) items++;
    assertEquals([items, corrupt], [596, 4]);
  }
  const failing = {
    ...storage,
    rows: () => ({
      next: () =>
        Promise.reject(new WhorlError("store_unavailable", "no disk")),
    }),
  };
  await assertRejects(
    () => new KvItems(failing, () => {}).next(),
    WhorlError,
    "no disk",
  );
});

Deno.test("KvItems ends when told to, and stays ended", async () => {
  const storage = openMemoryStore("0123456789abcdef").partition(0);
  for (let i = 0; i < 5; i++) {
    storage.write([{ key: keyOf(i), value: new Uint8Array(1) }], () => {});
  }
  const items = new KvItems(storage, () => {});
  await items.next();
  await items.return();
  assertEquals(await items.next(), { done: true, value: undefined });
  assertEquals(await items.next(), { done: true, value: undefined });
});
