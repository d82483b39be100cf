/**
 * Damages the files of a node's Raft groups while it does not run. They are
 * described in docs/raft_log_format.md.
 *
 * @module
 */
import type { Chance } from "../../../src/base/chance.ts";
import { flipBits } from "../flip_bits.ts";

/** What can happen to the files. */
export const LOG_DAMAGES = [
  "flip_bits",
  "truncate_wal",
  "delete_wal",
  "delete_watermark",
  "delete_segment",
  "delete_everything",
] as const;
/** One of {@linkcode LOG_DAMAGES}. */
export type LogDamage = (typeof LOG_DAMAGES)[number];

interface LogFile {
  readonly path: string;
  readonly size: number;
}

/**
 * Damages one of the files below `folder`, and says what was done. Where there
 * is none of the kind that is meant, bits are flipped.
 */
export async function damageLog(
  folder: string,
  damage: LogDamage,
  chance: Chance,
): Promise<string> {
  const files = await filesBelow(folder);
  const some = (pattern: RegExp): LogFile | undefined => {
    const found = files.filter(({ path }) => pattern.test(path));
    return found.length === 0 ? undefined : chance.pick(found);
  };
  const name = (path: string): string => path.slice(folder.length + 1);
  switch (damage) {
    case "delete_everything":
      await Deno.remove(folder, { recursive: true });
      return "all files are deleted";
    case "truncate_wal": {
      const wal = some(/\/wal-\d+\.log$/);
      if (wal === undefined) break;
      const left = chance.below(wal.size);
      await Deno.truncate(wal.path, left);
      return `${name(wal.path)} is cut from ${wal.size} to ${left} bytes`;
    }
    case "delete_wal":
    case "delete_watermark":
    case "delete_segment": {
      const file = some(
        {
          delete_wal: /\/wal-\d+\.log$/,
          delete_watermark: /\/wal\.mark$/,
          delete_segment: /\/seg-\d+$/,
        }[damage],
      );
      if (file === undefined) break;
      await Deno.remove(file.path);
      return `${name(file.path)} of ${file.size} bytes is deleted`;
    }
  }
  const file = some(/./);
  if (file === undefined) return "there was no file to damage";
  return `bits of ${name(file.path)} ${await flipBits(file, chance)}`;
}

/** Files that hold something, by path. A file that lies ready to be used again holds nothing. */
async function filesBelow(folder: string): Promise<LogFile[]> {
  const files: LogFile[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) {
      files.push(...await filesBelow(path));
      continue;
    }
    const size = name === "wal.spare" ? 0 : await usedBytes(path);
    if (size > 0) files.push({ path, size });
  }
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** Up to the last byte that is not zero: logs are longer than what they hold. */
async function usedBytes(path: string): Promise<number> {
  const bytes = await Deno.readFile(path);
  return bytes.findLastIndex((byte) => byte !== 0) + 1;
}
