/**
 * Finds the `deno.json` that applies to an application's module.
 *
 * Workers use the one of their program. The main file of a subprocess is one of
 * Whorl's, so Deno would look for a `deno.json` beside that file or, if Whorl
 * comes from a URL, in the working directory. The names in the application's
 * import map would not resolve.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";
import type { Disk } from "../environment/disk.ts";

/** The names of the file, in the order in which Deno tries them. */
const NAMES = ["deno.json", "deno.jsonc"];

/** Flags of `deno run` for a subprocess that loads `module`, a URL. */
export async function moduleConfigFlags(
  module: string,
  disk: Pick<Disk, "entry">,
): Promise<readonly string[]> {
  const path = await configOf(module, disk);
  return path === undefined ? [] : [`--config=${path}`];
}

/**
 * The configuration file in the nearest folder above `module`; undefined if
 * there is none, or `module` is not a file URL.
 */
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
    // A file that this program may not read does not prevent the start: most
    // modules need none, and one that does reports which import failed.
    if (error instanceof Error && error.name === "NotCapable") return false;
    throw error;
  }
}
