/**
 * The journal of a Deno KV store and its folding into rows: a crash between any
 * two commits, damage to journal records, other openers. The journals here are
 * so small that almost every commit folds something.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { seededChance } from "../../src/base/chance.ts";
import type { Store } from "../../src/environment/storage.ts";
import {
  journalHeaderBytes,
  journalKey,
} from "../../src/storage/journal_codec.ts";
import {
  type DenoKvTuning,
  openDenoKvStore,
} from "../../src/storage/deno_kv_store.ts";
import { codeOf, put } from "../../src/storage/testing/store_calls.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";

/** Two or three commits fill a generation, and folding one takes several. */
const small = {
  generationEntriesMax: 24,
  generationRecordsMax: 6,
  foldRowsMin: 2,
  foldRowsMax: 5,
  idleMs: 60_000,
} as const;

/** Nothing is folded unless the journal is full, not even at closing. */
const lazy = { closeEntriesMax: 0, idleMs: 60_000 } as const;

const partitions = 3;

async function withFolder(body: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "whorl-journal-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function open(
  path: string,
  journal: DenoKvTuning["journal"],
  onCommit?: () => void,
): Promise<Store> {
  return openDenoKvStore(
    { type: "deno_kv", path, cacheBytesMax: 0 },
    systemStorage,
    { journal: journal ?? {}, onCommit },
  );
}

const keyOf = (i: number) => new Uint8Array([i >> 8, i]);

/** Number and length of a value; the number fills it. */
function valueOf(number: number, length: number): Uint8Array {
  const value = new Uint8Array(length);
  const view = new DataView(value.buffer);
  for (let at = 0; at + 4 <= length; at += 4) view.setUint32(at, number);
  return value;
}

/** By partition and key, what was written last. */
type Model = Map<string, Uint8Array | null>;

async function contentOf(store: Store): Promise<Map<string, Uint8Array>> {
  const content = new Map<string, Uint8Array>();
  for (let partition = 0; partition < partitions; partition++) {
    for await (const { key, value } of store.partition(partition).scan()) {
      content.set(`${partition}/${key.toHex()}`, value.slice());
    }
  }
  return content;
}

function copyStore(from: string, to: string): void {
  for (const suffix of ["", "-wal", ".mark"]) {
    Deno.copyFileSync(from + suffix, to + suffix);
  }
}

Deno.test("Deno KV store loses nothing and brings nothing back when it crashes between any two commits", () =>
  withFolder(async (folder) => {
    const chance = seededChance("journal crash");
    const acknowledged: Model = new Map();
    /** At the moment of each image: what must be there, and what may be there instead. */
    const images: { must: Model; may: Model }[] = [];
    const underWay: Model = new Map();
    const path = `${folder}/live`;
    // Opening replays and folds as well; its commits are boundaries like others.
    const image = () => {
      copyStore(path, `${folder}/image-${images.length}`);
      images.push({ must: new Map(acknowledged), may: new Map(underWay) });
    };
    let number = 0;
    const lengths = [4, 40, 40, 400, 400, 400, 9_000, 61_000];
    for (let opening = 0; opening < 3; opening++) {
      await using store = await open(path, small, image);
      for (let round = 0; round < 40; round++) {
        const written: Model = new Map();
        const done: Promise<void>[] = [];
        for (let i = chance.below(9); i >= 0; i--) {
          const partition = chance.below(partitions);
          const key = keyOf(chance.below(30));
          const value = chance.below(4) === 0 ? null : valueOf(
            ++number,
            lengths[chance.below(lengths.length)] as number,
          );
          const name = `${partition}/${key.toHex()}`;
          // One commit takes them all unless a value goes ahead, so that each key
          // is written once a round and is either before it or after it.
          if (written.has(name)) continue;
          written.set(name, value);
          underWay.set(name, value);
          done.push(
            put(store.partition(partition), { key, value }).then(() => {
              acknowledged.set(name, value);
              underWay.delete(name);
            }),
          );
        }
        await Promise.all(done);
      }
    }
    assert(images.length > 100, `${images.length} commits`);
    for (const [i, { must, may }] of images.entries()) {
      await using store = await open(`${folder}/image-${i}`, small);
      assert(!store.state.tailLost);
      const found = await contentOf(store);
      for (const name of new Set([...must.keys(), ...found.keys()])) {
        const options = [must.get(name) ?? null];
        if (may.has(name)) options.push(may.get(name) as Uint8Array | null);
        const value = found.get(name) ?? null;
        assert(
          options.some((option) =>
            option === value || option !== null && value !== null &&
              option.length === value.length && option[3] === value[3] &&
              option[2] === value[2]
          ),
          `image ${i}, key ${name}`,
        );
      }
      for (let partition = 0; partition < partitions; partition++) {
        const { corrupt } = await store.partition(partition).integrity();
        assertEquals(corrupt, []);
      }
    }
  }));

Deno.test("Deno KV store reads a long journal when it is opened", () =>
  withFolder(async (folder) => {
    const path = `${folder}/store`;
    {
      await using store = await open(path, lazy);
      const done: Promise<void>[] = [];
      for (let i = 0; i < 70_000; i++) {
        const key = keyOf(i % 20_000);
        done.push(
          put(store.partition(1), { key, value: valueOf(i, 150) }),
        );
        if (i % 500 === 0) await Promise.all(done.splice(0));
      }
      await Promise.all(done);
      await store.partition(1).deleteRange(keyOf(5_000), keyOf(6_000));
    }
    await Deno.remove(`${path}.keys`);
    const startMs = performance.now();
    await using store = await open(path, lazy);
    const tookMs = performance.now() - startMs;
    assert(tookMs < 2_000, `opening took ${tookMs} ms`);
    const partition = store.partition(1);
    assertEquals(await partition.count(), 19_000);
    assertEquals(await partition.get(keyOf(5_500)), undefined);
    assertEquals(await partition.get(keyOf(7)), valueOf(60_007, 150));
    assertEquals(await partition.get(keyOf(15_000)), valueOf(55_000, 150));
    assertEquals(await store.partitions(), [1]);
    let visited = 0;
    for await (const { key } of partition.scan({ reverse: true })) {
      const at = 19_999 - visited++;
      assertEquals(key, keyOf(at < 6_000 ? at - 1_000 : at));
    }
  }));

/** A closed store with `values` in partition 2, all of them in the first record of its journal only. */
async function journaled(path: string, values: number): Promise<void> {
  await using store = await open(path, lazy);
  await put(
    store.partition(2),
    ...Array.from({ length: values }, (_, i) => ({
      key: keyOf(i),
      value: valueOf(i, 40),
    })),
  );
}

const firstRecord = journalKey({ generation: 1, index: 0 });
/** Header, key and record of such a write. */
const entryBytes = 8 + 5 + 5 + 40;

async function damage(
  path: string,
  change: (record: Uint8Array) => Uint8Array | null,
): Promise<void> {
  const kv = await Deno.openKv(path);
  const { value } = await kv.get<Uint8Array>([firstRecord]);
  assert(value !== null);
  const changed = change(value as Uint8Array);
  if (changed === null) await kv.delete([firstRecord]);
  else await kv.set([firstRecord], changed);
  kv.close();
}

Deno.test("Deno KV store names the one key whose newest value rotted in the journal", async () => {
  // Any byte of the record of entry 3.
  for (const offset of [0, 4, 5, 30, 44]) {
    await withFolder(async (folder) => {
      const path = `${folder}/store`;
      await journaled(path, 8);
      await damage(path, (record) => {
        const at = journalHeaderBytes + 3 * entryBytes + 13 + offset;
        record[at] = (record[at] as number) ^ 1;
        return record;
      });
      for (let opening = 0; opening < 2; opening++) {
        await using store = await open(path, lazy);
        const partition = store.partition(2);
        assert(!store.state.tailLost);
        assertEquals(
          await codeOf(() => partition.get(keyOf(3))),
          "value_corrupt",
        );
        assertEquals(await partition.get(keyOf(2)), valueOf(2, 40));
        assertEquals(await partition.get(keyOf(4)), valueOf(4, 40));
        assertEquals((await partition.integrity()).corrupt, [keyOf(3)]);
      }
      await using store = await open(path, lazy);
      const partition = store.partition(2);
      await put(partition, { key: keyOf(3), value: valueOf(9, 4) });
      assertEquals(await partition.get(keyOf(3)), valueOf(9, 4));
      assertEquals((await partition.integrity()).corrupt, []);
    });
  }
});

Deno.test("Deno KV store says that its tail is lost when it cannot tell which keys rotted in the journal", async () => {
  const flip = (at: number) => (record: Uint8Array) => {
    record[at] = (record[at] as number) ^ 1;
    return record;
  };
  const third = journalHeaderBytes + 3 * entryBytes;
  const damages: [
    what: string,
    change: (record: Uint8Array) => Uint8Array | null,
    served: number,
  ][] = [
    ["record gone", () => null, 0],
    ["cut short", (record) => record.subarray(0, third + 20), 3],
    ["cut to nothing", () => new Uint8Array(), 0],
    ["generation", flip(12), 0],
    ["index", flip(14), 0],
    ["number of entries", flip(18), 8],
    ["hash of a key", flip(third), 3],
    ["length of a key", flip(third + 5), 3],
    ["length of a record", flip(third + 7), 3],
    ["key", flip(third + 9), 3],
  ];
  for (const [what, change, served] of damages) {
    await withFolder(async (folder) => {
      const path = `${folder}/store`;
      await journaled(path, 8);
      await damage(path, change);
      {
        await using store = await open(path, lazy);
        assert(store.state.tailLost, what);
        for (let i = 0; i < 8; i++) {
          let found: Uint8Array | undefined;
          const code = await codeOf(async () =>
            found = await store.partition(2).get(keyOf(i))
          );
          // A wrong length also spoils the entry it belongs to.
          if (what === "length of a record" && i === 3) {
            assert(code === "value_corrupt" || found === undefined, what);
          } else {
            assertEquals(found, i < served ? valueOf(i, 40) : undefined, what);
          }
        }
      }
      {
        await using store = await open(path, lazy);
        assert(store.state.tailLost, `${what}, nobody repaired it`);
        await store.tailRepaired();
      }
      await using store = await open(path, lazy);
      assert(!store.state.tailLost, `${what} is told once`);
    });
  }
});

Deno.test("Deno KV store shuts out an older opener that is folding", () =>
  withFolder(async (folder) => {
    const path = `${folder}/store`;
    for (let after = 3; after < 9; after++) {
      let commits = 0;
      let reached = () => {};
      const folding = new Promise<void>((resolve) => reached = resolve);
      const older = await open(path, small, () => {
        if (++commits === after) reached();
      });
      const acknowledged = new Set<number>();
      const write = (i: number): void =>
        older.partition(0).write([
          { key: keyOf(i), value: valueOf(after, 50) },
          { key: keyOf(i + 1_000), value: valueOf(after, 50) },
        ], (error) => {
          if (error !== undefined) return;
          acknowledged.add(i);
          write(i + 1);
        });
      write(0);
      await folding;
      const newer = await open(path, small);
      try {
        // A key that the older one does not get to, however long it has gone on.
        await put(newer.partition(0), { key: keyOf(65_000), value: null });
        // It may have met the newer one by itself already, and SQLite says that
        // the file is locked if that one was committing just then.
        const code = await codeOf(() =>
          put(older.partition(0), { key: keyOf(1), value: null })
        );
        assert(["store_fenced", "store_locked"].includes(code), code);
        await older.close();
        for (const i of acknowledged) {
          const found = await newer.partition(0).get(keyOf(i + 1_000));
          assertEquals(found, valueOf(after, 50));
        }
        await newer.partition(0).deleteRange();
        assertEquals(await newer.partition(0).count(), 0);
      } finally {
        await older.close();
        await newer.close();
      }
    }
  }));

Deno.test("Deno KV store slows writers down to the pace of its fold, and refuses none", () =>
  withFolder(async (folder) => {
    await using store = await open(`${folder}/store`, {
      ...small,
      generationBytesMax: 200_000,
    });
    const done: Promise<void>[] = [];
    for (let i = 0; i < 3_000; i++) {
      done.push(
        put(store.partition(0), { key: keyOf(i), value: valueOf(i, 1_000) }),
      );
    }
    await Promise.all(done);
    // Two generations of 200 KB or one batch each, and what is put together.
    assert(store.stats().cacheBytes < 1_500_000);
    assertEquals(await store.partition(0).count(), 3_000);
  }));

Deno.test("Deno KV store folds its journal when nothing is written for a while", () =>
  withFolder(async (folder) => {
    await using store = await open(`${folder}/store`, { idleMs: 20 });
    await put(store.partition(0), { key: keyOf(1), value: valueOf(1, 50) });
    assert(store.stats().cacheBytes > 0);
    const { commits } = store.stats();
    // The journal is given up when the commit of the rows begins, but what is
    // read comes from the row only when that commit is done.
    while (store.stats().commits === commits) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assertEquals(store.stats().cacheBytes, 0);
    // From its row.
    assertEquals(await store.partition(0).get(keyOf(1)), valueOf(1, 50));
    assertEquals(store.stats().cacheMisses, 1);
  }));
