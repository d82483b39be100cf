import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { WhorlError } from "../base/errors.ts";
import { kvClient } from "../kv/kv_client.ts";
import { bucketPrefix, keyText } from "../kv/key_limits.ts";
import { KeyTable } from "../ra_kv/key_table.ts";
import { partitionOf } from "../ring/chash.ts";
import {
  ConsistentKeys,
  keysInTable,
  LISTING_CHUNK_BYTES,
  LISTING_FAN_OUT,
  LISTINGS_MAX,
} from "./consistent_keys.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NOTHING = new Uint8Array(0);
const BUCKET = encoder.encode("b");

function tableOf(keys: readonly string[], bucket = "b"): KeyTable {
  const table = new KeyTable(1);
  for (const key of keys) {
    const name = new Uint8Array([
      ...bucketPrefix(encoder.encode(bucket)),
      ...encoder.encode(key),
    ]);
    table.findOrAdd(name, 0, name.length);
  }
  return table;
}

function textsOf(keys: Uint8Array): string[] {
  const reader = new ByteReader(keys);
  const texts: string[] = [];
  while (reader.remaining > 0) texts.push(keyText(reader.raw(reader.u16())));
  return texts;
}

Deno.test("keysInTable() lists the existing keys of the bucket in order", () => {
  const table = tableOf(["c", "a", "ä", "b"]);
  const all = keysInTable(table, BUCKET, NOTHING);
  assertEquals([textsOf(all.keys), all.last], [
    ["a", "b", "c", "ä"],
    undefined,
  ]);
  const after = keysInTable(table, BUCKET, encoder.encode("b"));
  assertEquals(textsOf(after.keys), ["c", "ä"]);
  const other = keysInTable(table, encoder.encode("bb"), NOTHING);
  assertEquals(textsOf(other.keys), []);
  assertEquals(
    textsOf(keysInTable(table, BUCKET, NOTHING, (record) => record > 1).keys),
    ["b", "ä"],
  );
});

Deno.test("keysInTable() cuts a long list, and continues after its last key", () => {
  const names = Array.from(
    { length: 4_000 },
    (_, i) => `${"x".repeat(90)}${String(i * 7919 % 4_000).padStart(4, "0")}`,
  );
  const table = tableOf(names);
  const found: string[] = [];
  let after: Uint8Array | undefined = NOTHING;
  let pages = 0;
  while (after !== undefined) {
    const { keys, last } = keysInTable(table, BUCKET, after);
    assert(keys.length <= LISTING_CHUNK_BYTES);
    found.push(...textsOf(keys));
    after = last;
    pages++;
  }
  assertEquals(found, names.toSorted());
  assertEquals(pages, 6);
});

/**
 * Listings of a ring of 16, in which each partition has two pages of one key.
 */
function listings(
  fail: (partition: number) => WhorlError | undefined = () => undefined,
) {
  let next = 1;
  let atOnce = 0;
  const asked = { most: 0, count: 0 };
  const keys = new ConsistentKeys({
    runtime: new ManualRuntime(),
    ring: () => ({ generation: 0, size: 16 }),
    newNumber: () => next++,
    keysOf: async (partition, _bucket, after) => {
      asked.count++;
      asked.most = Math.max(asked.most, ++atOnce);
      await Promise.resolve();
      atOnce--;
      const error = fail(partition);
      if (error !== undefined) throw error;
      const place = after.length === 0 ? "a" : "b";
      const key = encoder.encode(`${place}${partition}`);
      return {
        node: "n",
        keys: new Uint8Array([0, key.length, ...key]),
        last: place === "a" ? key : undefined,
      };
    },
  });
  return { keys, asked, kv: kvClient(() => keys) };
}

Deno.test("a listing returns all keys of all partitions, asking some partitions at once", async () => {
  const { keys, asked, kv } = listings();
  const found: string[] = [];
  const listing = kv.keys("b");
  for await (const key of listing) found.push(key);
  assertEquals(
    found.sort(),
    Array.from({ length: 16 }, (_, i) => [`a${i}`, `b${i}`]).flat().sort(),
  );
  assertEquals(asked, { most: LISTING_FAN_OUT, count: 32 });
  assertEquals(listing.report?.complete, true);
  assertEquals(listing.report?.answered.length, 16);
  assertEquals(keys.has(1), false);
});

Deno.test("a listing fails if nobody answers for a partition, whatever its mode", async () => {
  const { kv } = listings((partition) =>
    partition === 11 ? new WhorlError("timeout", "nobody") : undefined
  );
  const error = await assertRejects(
    () => Array.fromAsync(kv.keys("b", { mode: "allup" })),
    WhorlError,
  );
  assertEquals(error.code, "timeout");
});

Deno.test("listings are abandoned when nobody asks for more, and bounded", async () => {
  const { keys, kv } = listings();
  for await (const _ of kv.keys("b")) break;
  assertEquals(keys.has(1), false);
  const open = Array.from(
    { length: LISTINGS_MAX },
    () => kv.keys("b")[Symbol.asyncIterator](),
  );
  for (const listing of open) await listing.next();
  const error = await assertRejects(
    () => kv.keys("b")[Symbol.asyncIterator]().next(),
    WhorlError,
  );
  assertEquals(error.code, "overload");
});

/**
 * Keys of groups of a ring that is resized while they are listed; a page has
 * two keys of a group.
 */
function movingKeys(names: readonly string[]) {
  const ring = { generation: 0, size: 16 };
  let asked = 0;
  const keys = new ConsistentKeys({
    runtime: new ManualRuntime(),
    ring: () => ({ generation: 0, size: 16 }),
    newNumber: () => 1,
    keysOf: (vnode, _bucket, after) => {
      asked++;
      const sizes = [16, 32, 8];
      const generation = Math.floor(vnode / 1_024);
      if (generation < ring.generation) {
        const moved = { generation: ring.generation, size: ring.size };
        return Promise.reject(
          new WhorlError("moved", "elsewhere", { details: moved }),
        );
      }
      const there = names
        .filter((name) =>
          partitionOf("b", name, sizes[generation]!) === vnode % 1_024 &&
          name > decoder.decode(after)
        ).sort();
      const page = there.slice(0, 2);
      return Promise.resolve({
        node: "n",
        keys: new Uint8Array(
          page.flatMap((name) => [0, name.length, ...encoder.encode(name)]),
        ),
        last: page.length < there.length
          ? encoder.encode(page.at(-1))
          : undefined,
      });
    },
  });
  const resize = (generation: number, size: number): void => {
    ring.generation = generation;
    ring.size = size;
  };
  return { kv: kvClient(() => keys), resize, asked: () => asked };
}

Deno.test("a listing returns each key once while the ring grows and shrinks", async () => {
  const names = Array.from({ length: 400 }, (_, i) => `key${i}`);
  for (const [first, second] of [[40, 170], [0, 1], [200, 399], [90, 400]]) {
    const { kv, resize } = movingKeys(names);
    const found: string[] = [];
    for await (const key of kv.keys("b")) {
      found.push(key);
      if (found.length === first) resize(1, 32);
      if (found.length === second) resize(2, 8);
    }
    assertEquals(found.sort(), names.toSorted());
  }
});
