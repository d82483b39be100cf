/**
 * Paths of this tree.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** The path of what lies at `relative` to this folder. */
export function fromFileUrl(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}

/** The root of the tree. */
export const ROOT: string = fromFileUrl("../../");
