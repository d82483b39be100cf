/**
 * Which `deno.json` speaks for an application's module.
 *
 * Workers share the one of their program. A subprocess begins in a file of
 * Whorl's, so Deno would look for it there, or, if Whorl comes from a URL,
 * wherever the process happened to be started; the names in the application's
 * import map would mean nothing.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";
import type { Disk } from "../environment/disk.ts";

/** What Deno calls it, in the order in which it looks. */
const NAMES = ["deno.json", "deno.jsonc"];

/** Flags of `deno run` for a subprocess that is to load `module`, a URL. */
export async function moduleConfigFlags(
  module: string,
  disk: Pick<Disk, "entry">,
): Promise<readonly string[]> {
  const path = await configOf(module, disk);
  return path === undefined ? [] : [`--config=${path}`];
}

/** The file that is nearest above `module`; undefined if there is none, or `module` is no file. */
async function configOf(
  module: string,
  disk: Pick<Disk, "entry">,
): Promise<string | undefined> {
  if (!module.startsWith("file:")) return undefined;
  let folder = dirname(fileURLToPath(module));
  for (;;) {
    for (const name of NAMES) {
      const path = join(folder, name);
      if (await isFile(path, disk)) return path;
    }
    const above = dirname(folder);
    if (above === folder) return undefined;
    folder = above;
  }
}

async function isFile(
  path: string,
  disk: Pick<Disk, "entry">,
): Promise<boolean> {
  try {
    const type = (await disk.entry(path))?.type;
    return type === "file" || type === "link";
  } catch (error) {
    // What this program may not read is no reason not to start: most modules
    // do without, and one that does not says what it could not import.
    if (error instanceof Error && error.name === "NotCapable") return false;
    throw error;
  }
}
