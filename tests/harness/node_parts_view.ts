/**
 * Reaching into the tree of a node in this process, to make parts of it fall.
 *
 * @module
 */
import type { WhorlNode } from "../../src/node/node.ts";
import type { Child } from "../../supervisors/child.ts";
import { type ChildInfo, Supervisor } from "../../supervisors/supervisor.ts";

/** The child at `path`, as in `["vnode_sup", "kv-0"]`. @throws {Error} If it does not run. */
export function childAt(node: WhorlNode, path: readonly string[]): Child {
  const found = runningChild(node, path);
  if (found === undefined) {
    throw new Error(`${path.join("/")} does not run`);
  }
  return found;
}

/** The child at `path`; `undefined` while it, or what is above it, does not run. */
export function runningChild(
  node: WhorlNode,
  path: readonly string[],
): Child | undefined {
  let at: Child | undefined = node.root;
  for (const id of path) {
    at = at instanceof Supervisor
      ? at.whichChildren().find((child) => child.id === id)?.child
      : undefined;
  }
  return at;
}

/** How often each child of the node's supervisor has been restarted, in start order. */
export function restartsOf(node: WhorlNode): Record<string, number> {
  return Object.fromEntries(
    node.root.whichChildren().map(({ id, restarts }: ChildInfo) => [
      id,
      restarts,
    ]),
  );
}
