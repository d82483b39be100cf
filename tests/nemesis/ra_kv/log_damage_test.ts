/**
 * What damaged logs look like afterwards.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { seededChance } from "../../../src/base/chance.ts";
import { damageLog, LOG_DAMAGES, type LogDamage } from "./log_damage.ts";

/** Bytes of each file; behind those of the log that are used, it is full of zeros. */
const FILES: Readonly<Record<string, number>> = {
  "groups/7/config": 40,
  "groups/7/seg-1": 200,
  "groups/7/seg-2": 300,
  "wal-3.log": 500,
  "wal.mark": 64,
  "wal.spare": 100,
};
const UNUSED = 1_000;

/** The files once one of them was damaged, and what was said of it. */
async function damaged(
  damage: LogDamage,
  seed: number,
): Promise<{ files: Map<string, Uint8Array>; words: string }> {
  const folder = `${await Deno.makeTempDir()}/raft`;
  try {
    await Deno.mkdir(`${folder}/groups/7`, { recursive: true });
    for (const [name, size] of Object.entries(FILES)) {
      const bytes = new Uint8Array(size + UNUSED).fill(1, 0, size);
      await Deno.writeFile(`${folder}/${name}`, bytes);
    }
    const words = await damageLog(folder, damage, seededChance(seed));
    const files = new Map<string, Uint8Array>();
    for (const name of Object.keys(FILES)) {
      try {
        files.set(name, await Deno.readFile(`${folder}/${name}`));
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    return { files, words };
  } finally {
    await Deno.remove(folder.slice(0, -"/raft".length), { recursive: true });
  }
}

Deno.test("damageLog() flips a few bits in what one file holds, and leaves all else", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const { files, words } = await damaged("flip_bits", seed);
    const hurt = [...files].filter(([name, bytes]) =>
      bytes.some((byte, at) => byte !== (at < (FILES[name] as number) ? 1 : 0))
    );
    // An even number of flips of one bit is none.
    assert(hurt.length <= 1, words);
    for (const [name, bytes] of hurt) {
      assert(words.includes(name), words);
      assert(name !== "wal.spare", "nobody reads that");
      const flipped = bytes.subarray(0, FILES[name]).filter((b) => b !== 1);
      assert(flipped.length >= 1 && flipped.length <= 8, words);
      assert(bytes.subarray(FILES[name]).every((byte) => byte === 0), words);
    }
  }
});

Deno.test("damageLog() cuts the write-ahead log within what it holds, and deletes what it says", async () => {
  const gone: Partial<Record<LogDamage, RegExp>> = {
    delete_wal: /^wal-3\.log$/,
    delete_watermark: /^wal\.mark$/,
    delete_segment: /\/seg-\d$/,
    delete_everything: /./,
  };
  for (let seed = 0; seed < 5; seed++) {
    for (const damage of LOG_DAMAGES) {
      const { files, words } = await damaged(damage, seed);
      const missing = Object.keys(FILES).filter((name) => !files.has(name));
      const pattern = gone[damage];
      assertEquals(
        missing.length,
        pattern === undefined
          ? 0
          : damage === "delete_everything"
          ? Object.keys(FILES).length
          : 1,
        words,
      );
      assert(missing.every((name) => pattern?.test(name)), words);
    }
    const { files } = await damaged("truncate_wal", seed);
    assert((files.get("wal-3.log") as Uint8Array).length < 500);
  }
});

Deno.test("damageLog() does the same again from the same seed", async () => {
  for (const damage of LOG_DAMAGES) {
    assertEquals(await damaged(damage, 11), await damaged(damage, 11));
  }
});
