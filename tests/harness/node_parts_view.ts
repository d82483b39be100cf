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
  let at: Child = node.root;
  for (const id of path) {
    const found = at instanceof Supervisor
      ? at.whichChildren().find((child) => child.id === id)?.child
      : undefined;
    if (found === undefined) {
      throw new Error(`No child ${path.join("/")}: ${id} does not run`);
    }
    at = found;
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
