/**
 * Damage done to files that look like stores.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { seededChance } from "../../src/base/chance.ts";
import { damageStore, type StoreDamage } from "./store_damage.ts";
import { findFlaw } from "./store_scrub.ts";

const SIZES = { "kv-0.kv": 4096, "kv-0.kv-wal": 8192, "kv-0.kv.mark": 576 };

/** Damages a folder of files full of zeros; returns what was said, and what each file then holds. */
async function damaged(
  damage: StoreDamage,
  seed: string,
  sizes: Readonly<Record<string, number>> = SIZES,
): Promise<{ said: string; files: Map<string, Uint8Array> }> {
  const folder = await Deno.makeTempDir({ prefix: "whorl-nemesis-" });
  try {
    for (const [name, size] of Object.entries(sizes)) {
      await Deno.writeFile(`${folder}/${name}`, new Uint8Array(size));
    }
    const said = await damageStore(folder, damage, seededChance(seed));
    const files = new Map<string, Uint8Array>();
    for await (const { name } of Deno.readDir(folder)) {
      files.set(name, await Deno.readFile(`${folder}/${name}`));
    }
    return { said, files };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function changedBits(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => {
    let bits = 0;
    for (let rest = byte; rest > 0; rest >>= 1) bits += rest & 1;
    return sum + bits;
  }, 0);
}

Deno.test("damageStore() flips a few bits of one file of a store, and says where", async () => {
  for (let i = 0; i < 20; i++) {
    const { said, files } = await damaged("flip_bits", `flip ${i}`);
    const hurt = [...files].filter(([, bytes]) => changedBits(bytes) > 0);
    assertEquals(hurt.length, 1);
    const [name, bytes] = hurt[0] as [string, Uint8Array];
    assert(changedBits(bytes) <= 8 && name !== "kv-0.kv.mark", name);
    const at = bytes.findIndex((byte) => byte !== 0);
    assert(said.includes(name) && said.includes(`${at}`), said);
    for (const [name, bytes] of files) {
      assertEquals(bytes.length, SIZES[name as keyof typeof SIZES]);
    }
  }
});

Deno.test("damageStore() cuts or deletes a WAL and leaves all else", async () => {
  const cut = await damaged("truncate_wal", "cut");
  assert((cut.files.get("kv-0.kv-wal") as Uint8Array).length < 8192);
  const gone = await damaged("delete_wal", "delete");
  assertEquals([...gone.files.keys()].sort(), ["kv-0.kv", "kv-0.kv.mark"]);
  for (const { files } of [cut, gone]) {
    assertEquals(changedBits(files.get("kv-0.kv") as Uint8Array), 0);
    assertEquals(files.get("kv-0.kv")?.length, 4096);
  }
});

Deno.test("damageStore() does the same again from the same seed, and flips bits where there is no WAL", async () => {
  assertEquals(
    await damaged("truncate_wal", "again"),
    await damaged("truncate_wal", "again"),
  );
  const { said } = await damaged("delete_wal", "none", { "kv-0.kv": 4096 });
  assert(said.startsWith("bits of kv-0.kv flipped"), said);
  const { said: nothing } = await damaged("flip_bits", "empty", {});
  assertEquals(nothing, "there was no store to damage");
});

Deno.test("findFlaw() finds a page that is none, wherever it lies, and nothing in a sound store", async () => {
  const folder = await Deno.makeTempDir({ prefix: "whorl-nemesis-" });
  try {
    const path = `${folder}/kv-0.kv`;
    const store = await Deno.openKv(path);
    for (let i = 0; i < 200; i++) await store.set([i], "x".repeat(200));
    store.close();
    assertEquals(await findFlaw(folder), undefined);
    const bytes = await Deno.readFile(path);
    // The first byte of a page of a tree says what kind it is.
    const page = 4096 * 6;
    assert(bytes.length > page + 4096);
    bytes[page] = 0xff;
    await Deno.writeFile(path, bytes);
    assert((await findFlaw(folder))?.startsWith("kv-0.kv: "));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
