/**
 * Damages the store files of a node that does not run.
 *
 * @module
 */
import type { Chance } from "../../src/base/chance.ts";
import { flipBits } from "./flip_bits.ts";

/** What can happen to a store. */
export const STORE_DAMAGES = [
  "flip_bits",
  "truncate_wal",
  "delete_wal",
] as const;
/** One of {@linkcode STORE_DAMAGES}. */
export type StoreDamage = (typeof STORE_DAMAGES)[number];

/**
 * Damages the stores in `folder` and says what was done. Where there is no WAL
 * to damage, bits are flipped.
 */
export async function damageStore(
  folder: string,
  damage: StoreDamage,
  chance: Chance,
): Promise<string> {
  const files = await storeFiles(folder);
  const wals = files.filter(({ path }) => path.endsWith("-wal"));
  if (damage === "flip_bits" || wals.length === 0) {
    if (files.length === 0) return "there was no store to damage";
    const file = chance.pick(files);
    const name = file.path.slice(folder.length + 1);
    return `bits of ${name} ${await flipBits(file, chance)}`;
  }
  const { path, size } = chance.pick(wals);
  const name = path.slice(folder.length + 1);
  if (damage === "delete_wal") {
    await Deno.remove(path);
    return `${name} of ${size} bytes is deleted`;
  }
  const left = chance.below(size);
  await Deno.truncate(path, left);
  return `${name} is cut from ${size} to ${left} bytes`;
}

interface StoreFile {
  readonly path: string;
  readonly size: number;
}

/** Files of stores that hold something, by name. */
async function storeFiles(folder: string): Promise<StoreFile[]> {
  const files: StoreFile[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (!/\.kv(-wal)?$/.test(name)) continue;
    const path = `${folder}/${name}`;
    const { size } = await Deno.stat(path);
    if (size > 0) files.push({ path, size });
  }
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}
