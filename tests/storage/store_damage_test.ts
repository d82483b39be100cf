/**
 * Damaged, foreign, newer and contested store files: each gives a named error or
 * is noticed, and no wrong byte is ever served as a value.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import { seededChance } from "../../src/base/chance.ts";
import type { Store } from "../../src/environment/storage.ts";
import {
  headKey,
  makeHead,
  storeFormat,
} from "../../src/storage/deno_kv_codec.ts";
import { openStore } from "../../src/storage/open_store.ts";
import { codeOf, put } from "../../src/storage/testing/store_calls.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";

async function withStorePath(body: (path: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "whorl-damage-" });
  try {
    await body(`${folder}/store`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function open(path: string, expectedStoreId?: string): Promise<Store> {
  return openStore({
    type: "deno_kv",
    path,
    ...(expectedStoreId === undefined ? {} : { expectedStoreId }),
  }, systemStorage);
}

async function refused(path: string, expectedStoreId?: string) {
  const error = await assertRejects(
    () => open(path, expectedStoreId),
    WhorlError,
    path,
  ) as WhorlError;
  return error.code;
}

const chance = seededChance("store damage");

function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = chance.below(256);
  return bytes;
}

function keyOf(number: number): Uint8Array {
  return new Uint8Array([number >> 8, number]);
}

/** A closed store with `count` values of their own random bytes in partition 3. */
async function fill(
  path: string,
  count: number,
  length = 90,
): Promise<Uint8Array[]> {
  const values = Array.from({ length: count }, () => randomBytes(length));
  await using store = await open(path);
  await Promise.all(
    values.map((value, i) => put(store.partition(3), { key: keyOf(i), value })),
  );
  return values;
}

/** Where `wanted` lies: in its row, and in journal records and free pages that nobody reads any more. */
function placesOf(bytes: Uint8Array, wanted: Uint8Array): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(wanted[0] as number); at >= 0;) {
    if (wanted.every((one, i) => bytes[at + i] === one)) places.push(at);
    at = bytes.indexOf(wanted[0] as number, at + 1);
  }
  assert(places.length > 0, "the value is in the file");
  return places;
}

Deno.test("Deno KV store finds a flipped bit in any byte of a stored value, and nothing else", () =>
  withStorePath(async (path) => {
    const values = await fill(path, 20);
    const sound = await Deno.readFile(path);
    const mark = await Deno.readFile(`${path}.mark`);
    const victim = 7;
    const places = placesOf(sound, values[victim] as Uint8Array);
    for (let offset = 0; offset < 95; offset += chance.below(4) + 1) {
      const damaged = sound.slice();
      const bit = 1 << chance.below(8);
      for (const place of places) {
        // The record begins five bytes before the value: checksum and kind.
        const at = place - 5 + offset;
        damaged[at] = (damaged[at] as number) ^ bit;
      }
      await Deno.writeFile(path, damaged);
      await Deno.writeFile(`${path}.mark`, mark);
      await using store = await open(path);
      const partition = store.partition(3);
      assertEquals(
        await codeOf(() => partition.get(keyOf(victim))),
        "value_corrupt",
      );
      assertEquals(await partition.get(keyOf(6)), values[6]);
      assertEquals(await partition.integrity(), {
        checked: 20,
        corrupt: [keyOf(victim)],
        tailLost: false,
      });
    }
    await using store = await open(path);
    const partition = store.partition(3);
    assertEquals(
      await codeOf(() => Array.fromAsync(partition.scan())),
      "value_corrupt",
    );
    const seen: number[] = [];
    const skipped: Uint8Array[] = [];
    const onCorrupt = (key: Uint8Array) => skipped.push(key);
    for await (const { key } of partition.scan({ onCorrupt })) {
      seen.push(key[1] as number);
    }
    assertEquals(skipped, [keyOf(victim)]);
    assertEquals(seen.length, 19);
    // Writing it anew heals it.
    await put(partition, {
      key: keyOf(victim),
      value: values[victim] as Uint8Array,
    });
    assertEquals(await partition.get(keyOf(victim)), values[victim]);
    assertEquals((await partition.integrity()).corrupt, []);
  }));

Deno.test("Deno KV store finds a good value under the wrong key", () =>
  withStorePath(async (path) => {
    const values = await fill(path, 10);
    const bytes = await Deno.readFile(path);
    const [a, b] = [2, 5].map((i) =>
      placesOf(bytes, values[i] as Uint8Array).map((place) => place - 5)
    ) as [number[], number[]];
    const [recordA, recordB] = [a, b].map(([at]) =>
      bytes.slice(at, at as number + 95)
    ) as [Uint8Array, Uint8Array];
    for (const at of a) bytes.set(recordB, at);
    for (const at of b) bytes.set(recordA, at);
    await Deno.writeFile(path, bytes);
    await using store = await open(path);
    assertEquals((await store.partition(3).integrity()).corrupt, [
      keyOf(2),
      keyOf(5),
    ]);
  }));

Deno.test("Deno KV store finds damage in the chunks of a large value", () =>
  withStorePath(async (path) => {
    const [value] = await fill(path, 1, 1_000_000) as [Uint8Array];
    const sound = await Deno.readFile(path);
    for (const at of placesOf(sound, value.subarray(500_000, 500_032))) {
      sound[at] = (sound[at] as number) ^ 16;
    }
    await Deno.writeFile(path, sound);
    await using store = await open(path);
    const partition = store.partition(3);
    assertEquals(await codeOf(() => partition.get(keyOf(0))), "value_corrupt");
    assertEquals((await partition.integrity()).corrupt, [keyOf(0)]);
    await put(partition, { key: keyOf(0), value: null });
    assertEquals(await partition.get(keyOf(0)), undefined);
  }));

Deno.test("Deno KV store serves no wrong value when bits flip anywhere in its file", () =>
  withStorePath(async (path) => {
    const values = await fill(path, 300);
    const folder = path.slice(0, path.lastIndexOf("/"));
    await Deno.rename(path, `${folder}/sound`);
    await Deno.rename(`${path}.mark`, `${folder}/sound.mark`);
    const joined = new Uint8Array(values.length * 90);
    values.forEach((value, i) => joined.set(value, i * 90));
    await Deno.writeFile(`${folder}/values`, joined);
    const rounds = 100;
    const outcomes = new Map<string, number>();
    const note = (outcome: string) =>
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    for (let round = 0; round < rounds;) {
      const { stdout } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--no-prompt",
          "--allow-read",
          "--allow-write",
          "--unstable-kv",
          new URL("./store_rot_child.ts", import.meta.url).href,
          folder,
          String(round),
          String(rounds),
        ],
        stdout: "piped",
        stderr: "null",
      }).output();
      for (const line of new TextDecoder().decode(stdout).trim().split("\n")) {
        if (line !== "") note(line.split(" ")[1] as string);
        if (line !== "") round++;
      }
      if (round < rounds) {
        // The child died in this round, by Deno's own panic: nothing was served.
        note("died");
        round++;
      }
    }
    assertEquals(outcomes.get("wrong"), undefined);
    const seen = JSON.stringify([...outcomes]);
    assert((outcomes.get("noticed") ?? 0) > rounds / 4, seen);
    assert((outcomes.get("died") ?? 0) < rounds / 2, seen);
  }));

/**
 * The files of a store as a crash in its second epoch leaves them, in `path`: 20
 * values in the database, 40 more acknowledged one by one and still in the WAL.
 */
async function crashImage(path: string): Promise<void> {
  const live = `${path}-live`;
  await fill(live, 20);
  await using store = await open(live);
  for (let i = 20; i < 60; i++) {
    await put(store.partition(3), { key: keyOf(i), value: keyOf(i) });
  }
  // So few pages that SQLite hasn't moved them into the database.
  for (const suffix of ["", "-wal", ".mark"]) {
    await Deno.copyFile(live + suffix, path + suffix);
  }
}

/** Removes the store and the one it was a crash image of. */
async function removeImage(path: string): Promise<void> {
  for (const store of [path, `${path}-live`]) {
    for (const suffix of ["", ".mark", ".keys"]) {
      await Deno.remove(store + suffix);
    }
  }
}

Deno.test("Deno KV store reopens whole after a crash", () =>
  withStorePath(async (path) => {
    await crashImage(path);
    await using store = await open(path);
    assert(!store.state.tailLost);
    assertEquals(store.state.epoch, 3);
    assertEquals(await store.partition(3).count(), 60);
  }));

Deno.test("Deno KV store notices that its WAL was cut off anywhere, until it is repaired", () =>
  withStorePath(async (path) => {
    for (const share of [0, 0.001, 0.3, 0.6, 0.99]) {
      await crashImage(path);
      const wal = await Deno.readFile(`${path}-wal`);
      const left = Math.floor(wal.length * share);
      await Deno.writeFile(`${path}-wal`, wal.subarray(0, left));
      {
        await using store = await open(path);
        assert(store.state.tailLost, `${share} of the WAL`);
        // The lost commits held epoch 2, which is not used again.
        assertEquals(store.state.epoch, 3);
        const count = await store.partition(3).count();
        assert(count >= 20 && count < 60);
      }
      {
        await using store = await open(path);
        assert(store.state.tailLost, "nobody repaired it");
        assert((await store.partition(1).integrity()).tailLost);
        await store.tailRepaired();
        assert(!store.state.tailLost);
        await put(store.partition(1), { key: keyOf(1), value: keyOf(1) });
      }
      {
        await using store = await open(path);
        assert(!store.state.tailLost);
        assertEquals(store.state.epoch, 5);
      }
      await removeImage(path);
    }
  }));

Deno.test("Deno KV store notices a flipped bit in its WAL and a deleted WAL", () =>
  withStorePath(async (path) => {
    await crashImage(path);
    const wal = await Deno.readFile(`${path}-wal`);
    const middle = wal.length >> 1;
    wal[middle] = (wal[middle] as number) ^ 4;
    await Deno.writeFile(`${path}-wal`, wal);
    {
      await using store = await open(path);
      assert(store.state.tailLost);
    }
    await removeImage(path);
    await crashImage(path);
    await Deno.remove(`${path}-wal`);
    await using store = await open(path);
    assert(store.state.tailLost);
    assertEquals(store.state.epoch, 3);
    assertEquals(await store.partition(3).count(), 20);
  }));

Deno.test("Deno KV store does not vouch for its tail without a watermark", () =>
  withStorePath(async (path) => {
    await fill(path, 3);
    const mark = await Deno.readFile(`${path}.mark`);
    // One damaged slot is what a crash may leave: the other one counts.
    const torn = mark.slice();
    torn[30] = (torn[30] as number) ^ 1;
    await Deno.writeFile(`${path}.mark`, torn);
    {
      await using store = await open(path);
      assert(!store.state.tailLost);
    }
    await Deno.remove(`${path}.mark`);
    await using store = await open(path);
    assert(store.state.tailLost);
  }));

Deno.test("Deno KV store refuses to begin anew where a store has been", () =>
  withStorePath(async (path) => {
    await fill(path, 3);
    const sound = await Deno.readFile(path);
    await Deno.remove(path);
    assertEquals(await refused(path), "store_corrupt");
    await Deno.writeFile(path, new Uint8Array());
    assertEquals(await refused(path), "store_corrupt");
    await Deno.writeFile(path, sound);
    await using store = await open(path);
    assertEquals((await store.partition(3).integrity()).checked, 3);
  }));

Deno.test("Deno KV store names a file that is no store of this node", () =>
  withStorePath(async (path) => {
    await Deno.writeFile(path, randomBytes(5000));
    assertEquals(await refused(path), "store_corrupt");
    await Deno.remove(path);
    const kv = await Deno.openKv(path);
    await kv.set(["somebody", "else's"], 1);
    kv.close();
    assertEquals(await refused(path), "store_foreign");
    await Deno.remove(path);
    await fill(path, 1);
    assertEquals(await refused(path, "0123456789abcdef"), "store_foreign");
    const other = `${path}-other`;
    await fill(other, 1);
    await Deno.copyFile(`${other}.mark`, `${path}.mark`);
    assertEquals(await refused(path), "store_foreign");
    assertEquals(await refused(`${path}-missing/store`), "store_unavailable");
  }));

Deno.test("Deno KV store refuses a newer or older format and a damaged head, naming the file", () =>
  withStorePath(async (path) => {
    await fill(path, 1);
    const replaceHead = async (record: Uint8Array) => {
      const kv = await Deno.openKv(path);
      await kv.set([headKey], record);
      kv.close();
    };
    const head = {
      format: storeFormat,
      storeId: "00112233aabbccdd",
      epoch: 1,
      commit: 9,
      tailLost: false,
      journal: { generation: 1, folding: 0, records: 0 },
    };
    for (const format of [storeFormat + 1, storeFormat - 1]) {
      await replaceHead(makeHead({ ...head, format }));
      assertEquals(await refused(path), "store_format");
    }
    const damaged = makeHead(head);
    damaged[40] = (damaged[40] as number) ^ 1;
    await replaceHead(damaged);
    assertEquals(await refused(path), "store_corrupt");
    await replaceHead(new Uint8Array(3));
    assertEquals(await refused(path), "store_corrupt");
  }));

Deno.test("Deno KV store follows no symbolic link", () =>
  withStorePath(async (path) => {
    for (const suffix of ["", "-wal", "-shm", ".mark", ".keys"]) {
      await Deno.symlink(`${path}-outside`, path + suffix);
      assertEquals(await refused(path), "store_foreign", suffix);
      await Deno.remove(path + suffix);
    }
    const names = [...Deno.readDirSync(path.slice(0, path.lastIndexOf("/")))];
    assertEquals(names, []);
  }));

Deno.test("Deno KV store takes a path for a file and for nothing else", async () => {
  for (const path of ["", ":memory:", "https://kv.example/db"]) {
    const error = await assertRejects(() => open(path), WhorlError);
    assertEquals((error as WhorlError).code, "invalid_config");
  }
});

Deno.test("Deno KV store shuts out an older opener", () =>
  withStorePath(async (path) => {
    const older = await open(path);
    await put(older.partition(0), { key: keyOf(1), value: keyOf(1) });
    const newer = await open(path);
    try {
      assertEquals(newer.state.storeId, older.state.storeId);
      assertEquals(newer.state.epoch, older.state.epoch + 1);
      await put(newer.partition(0), { key: keyOf(2), value: keyOf(2) });
      assertEquals(
        await codeOf(() =>
          put(older.partition(0), { key: keyOf(3), value: keyOf(3) })
        ),
        "store_fenced",
      );
      const later = assertThrows(
        () => older.partition(0).write([], () => {}),
        WhorlError,
      ) as WhorlError;
      assertEquals(later.code, "store_fenced");
      await put(newer.partition(0), { key: keyOf(4), value: keyOf(4) });
      assertEquals(await newer.partition(0).get(keyOf(3)), undefined);
      assertEquals(await newer.partition(0).count(), 3);
    } finally {
      await older.close();
      await newer.close();
    }
  }));

Deno.test("Deno KV store tells how to switch Deno KV on", () =>
  withStorePath(async (path) => {
    const script = `
      import { openStore } from ${
      JSON.stringify(
        new URL("../../src/storage/open_store.ts", import.meta.url).href,
      )
    };
      import { systemStorage } from ${
      JSON.stringify(
        new URL(
          "../../src/storage/testing/system_storage.ts",
          import.meta.url,
        ).href,
      )
    };
      try {
        await openStore({ type: "deno_kv", path: ${
      JSON.stringify(path)
    } }, systemStorage);
      } catch (error) {
        console.log(error.code + ": " + error.message);
      }`;
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      // Without the deno.json of this project, which switches it on.
      args: ["eval", "--no-config", script],
      stdout: "piped",
    }).output();
    const said = new TextDecoder().decode(stdout);
    assert(said.startsWith("store_unavailable: "), said);
    assert(said.includes("--unstable-kv"), said);
    assert(said.includes('"unstable": ["kv"]'), said);
  }));
