/**
 * How nodes are called on the terminal and in the names of files.
 *
 * @module
 */

/** A node's name without its host, for people. */
export function shortName(node: string): string {
  return node.split("@")[0] as string;
}
