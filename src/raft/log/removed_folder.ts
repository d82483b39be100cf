/**
 * Removal of folders.
 *
 * @module
 */
import type { Disk } from "../../environment/disk.ts";

/** Removes a folder with its content, if it exists. */
export async function removeFolder(disk: Disk, path: string): Promise<void> {
  const entry = await disk.entry(path);
  if (entry === undefined) return;
  for (const name of await disk.names(path)) {
    const inner = `${path}/${name}`;
    const { type } = await disk.entry(inner) ?? {};
    if (type === "folder") await removeFolder(disk, inner);
    else await disk.remove(inner);
  }
  await disk.remove(path);
}
