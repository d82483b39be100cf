import { assert, assertEquals, assertThrows } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { partitionOf } from "../ring/chash.ts";
import type { KeySpaces } from "../vnode/vnode.ts";
import { KeyList, kvCoverage } from "./kv_keys.ts";
import { CachedDisk } from "./testing/cached_disk.ts";
import { ask, put, start, storageKey } from "./testing/kv_vnode_alone.ts";
import { SiblingFlag } from "./kv_object_codec.ts";
import { packKey, unpackKeys } from "./packed_keys.ts";

const encoder = new TextEncoder();
const BUCKET = encoder.encode("b");
const RING_SIZE = 64;

/** A vnode that holds `keys` in the bucket "b". */
async function holding(keys: Iterable<string>) {
  const disk = new CachedDisk();
  const started = await start(disk.open(), false, 1);
  for (const key of keys) ask(started, "put", put("v", undefined, key));
  disk.commit();
  return { disk, started };
}

async function listed(
  { started }: Awaited<ReturnType<typeof holding>>,
  keySpaces: KeySpaces = null,
  bucket = BUCKET,
): Promise<string[][]> {
  const chunks: string[][] = [];
  const signal = new AbortController().signal;
  for await (
    const keys of started.vnode.handleCoverage!.keys(bucket, keySpaces, signal)
  ) {
    const texts: string[] = [];
    unpackKeys(keys, 0, texts);
    chunks.push(texts);
  }
  return chunks;
}

Deno.test("a vnode lists the keys of one bucket, in order", async () => {
  const vnode = await holding(["b", "a", "ä", "c"]);
  for (const [key, bucket] of [["x", "a"], ["y", "bb"], ["z", "c"]]) {
    const request = { ...put("v"), key: storageKey(key!, bucket) };
    ask(vnode.started, "put", request);
  }
  assertEquals(await listed(vnode), [["a", "b", "c", "ä"]]);
  assertEquals(await listed(vnode, null, encoder.encode("bb")), [["y"]]);
  assertEquals(await listed(vnode, null, encoder.encode("none")), []);
});

for (const slow of [false, true]) {
  Deno.test(`a vnode lists a large bucket in many chunks, each key once, from a store that answers ${slow ? "later" : "at once"}`, async () => {
    const keys = Array.from({ length: 1_000 }, (_, i) => `key ${i}`);
    const vnode = await holding(keys);
    vnode.disk.slow = slow;
    const chunks = await listed(vnode);
    assert(chunks.length > 1);
    assertEquals(chunks.flat(), keys.toSorted());
  });
}

Deno.test("a vnode lists no deleted key, but one that was written again", async () => {
  const vnode = await holding(["a", "b", "c"]);
  for (const key of ["a", "b"]) {
    const { reply } = ask(vnode.started, "get", { key: storageKey(key) });
    ask(vnode.started, "put", {
      ...put("", reply, key),
      flags: SiblingFlag.tombstone,
    });
  }
  ask(vnode.started, "put", put("again", undefined, "b"));
  assertEquals((await listed(vnode)).flat(), ["b", "c"]);
});

Deno.test("a vnode continues listing after a stretch of deleted keys", async () => {
  const keys = Array.from(
    { length: 600 },
    (_, i) => String(i).padStart(4, "0"),
  );
  const vnode = await holding(keys);
  for (const key of keys.slice(0, 599)) {
    const { reply } = ask(vnode.started, "get", { key: storageKey(key) });
    ask(vnode.started, "put", {
      ...put("", reply, key),
      flags: SiblingFlag.tombstone,
    });
  }
  assertEquals((await listed(vnode)).flat(), ["0599"]);
});

Deno.test("a vnode lists the keys of the key spaces it is asked for, and no others", async () => {
  const keys = Array.from({ length: 300 }, (_, i) => `key ${i}`);
  const vnode = await holding(keys);
  const wanted = new Set([3, 4, 40]);
  assertEquals(
    (await listed(vnode, wanted)).flat(),
    keys.filter((key) => wanted.has(partitionOf("b", key, RING_SIZE)))
      .toSorted(),
  );
});

Deno.test("a vnode lists a key whose object is unreadable", async () => {
  const vnode = await holding(["a", "b", "c"]);
  vnode.disk.corrupt.add(storageKey("b").toHex());
  assertEquals((await listed(vnode)).flat(), ["a", "b", "c"]);
});

Deno.test("a vnode stops listing when its signal fires", async () => {
  const { started } = await holding(
    Array.from({ length: 600 }, (_, i) => `${i}`),
  );
  const controller = new AbortController();
  let chunks = 0;
  const keys = started.vnode.handleCoverage!.keys(
    BUCKET,
    null,
    controller.signal,
  );
  for await (const _ of keys) {
    chunks++;
    controller.abort();
  }
  assertEquals(chunks, 1);
});

Deno.test("a vnode refuses to list an invalid bucket", () => {
  const { request } = kvCoverage.keys;
  for (const byteCount of [0, 257]) {
    assertThrows(
      () => request.decode(new ByteReader(new Uint8Array(byteCount))),
      WhorlError,
    );
  }
});

function packed(keys: readonly string[]): Uint8Array {
  const into = new ByteWriter();
  for (const key of keys.map((text) => encoder.encode(text))) {
    packKey(into, key, 0, key.length);
  }
  return into.copy();
}

/** The keys that a list takes from an answer. */
function taken(
  list: KeyList,
  part: number,
  repeats: number | undefined,
  ...chunks: string[][]
): string[] {
  return list.take(part, repeats, chunks.map(packed));
}

Deno.test("KeyList lists once what a replacement repeats, even along a chain", () => {
  const list = new KeyList();
  assertEquals(taken(list, 0, undefined, ["a", "c"], ["d"]), ["a", "c", "d"]);
  assertEquals(taken(list, 1, undefined, ["b"]), ["b"]);
  // Two replace the first, and one of those fails before it has come further.
  assertEquals(taken(list, 2, 0, ["a", "d"], ["e"]), ["e"]);
  assertEquals(taken(list, 3, 0, ["c"]), []);
  assertEquals(taken(list, 4, 3, ["c", "d", "f"]), ["f"]);
  assertEquals(taken(list, 3, 0, ["g"]), ["g"]);
  assertEquals(taken(list, 2, 0, ["e", "h"]), ["h"]);
});
