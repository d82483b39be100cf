/**
 * The ring as a request sees it: who owns each partition and which nodes are
 * up, as small integers, at one moment. A request keeps the view it began with,
 * so a change in the middle of it changes nothing for it.
 *
 * @module
 */

/** Owners and liveness at one moment; never changed once made. */
export interface RingView {
  /** Counts up with every change of the view on this node. */
  readonly version: number;
  /** Partitions, a power of two. */
  readonly ringSize: number;
  /** Number of the vnode of partition 0; those of the others follow (`ring_generations.ts`). */
  readonly firstVnode: number;
  /** Names of nodes; a node's index is its place here. */
  readonly nodes: readonly string[];
  /** Index of the owner, by partition. */
  readonly owners: Uint16Array;
  /** 1 for nodes that serve, by index. */
  readonly up: Uint8Array;
  /** Index of this node, or -1 while it is in no ring. */
  readonly self: number;
}

/**
 * A view of a ring in which every node named in `upNodes` serves.
 *
 * @param firstVnode Number of the vnode of partition 0.
 */
export function ringViewOf(
  version: number,
  owners: readonly string[],
  upNodes: Iterable<string>,
  self: string,
  firstVnode: number = 0,
): RingView {
  const nodes = [...new Set(owners)].sort();
  const indexOf = new Map(nodes.map((name, index) => [name, index]));
  const up = new Uint8Array(nodes.length);
  for (const name of upNodes) {
    const index = indexOf.get(name);
    if (index !== undefined) up[index] = 1;
  }
  return {
    version,
    ringSize: owners.length,
    firstVnode,
    nodes,
    owners: Uint16Array.from(owners, (name) => indexOf.get(name) as number),
    up,
    self: indexOf.get(self) ?? -1,
  };
}
