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
  /** Names of nodes; a node's index is its place here. */
  readonly nodes: readonly string[];
  /** Index of the owner, by partition. */
  readonly owners: Uint16Array;
  /** 1 for nodes that serve, by index. */
  readonly up: Uint8Array;
  /** Index of this node, or -1 while it is in no ring. */
  readonly self: number;
}

/** Owners of a ring as numbers, the same in each view of it. */
interface NumberedOwners {
  readonly nodes: readonly string[];
  readonly indexOf: ReadonlyMap<string, number>;
  readonly owners: Uint16Array;
}

/** Nodes come and go more often than owners change, and owners are a value. */
const known = new WeakMap<readonly string[], NumberedOwners>();

function number(names: readonly string[]): NumberedOwners {
  const nodes = [...new Set(names)].sort();
  const indexOf = new Map(nodes.map((name, index) => [name, index]));
  const owners = new Uint16Array(names.length);
  names.forEach((name, partition) => {
    owners[partition] = indexOf.get(name) as number;
  });
  return { nodes, indexOf, owners };
}

/** A view of a ring in which every node named in `upNodes` serves. */
export function ringViewOf(
  version: number,
  owners: readonly string[],
  upNodes: Iterable<string>,
  self: string,
): RingView {
  let numbered = known.get(owners);
  if (numbered === undefined) known.set(owners, numbered = number(owners));
  const { nodes, indexOf } = numbered;
  const up = new Uint8Array(nodes.length);
  for (const name of upNodes) {
    const index = indexOf.get(name);
    if (index !== undefined) up[index] = 1;
  }
  return {
    version,
    ringSize: owners.length,
    nodes,
    owners: numbered.owners,
    up,
    self: indexOf.get(self) ?? -1,
  };
}
