/**
 * The ring as seen by a request: the owner of each partition and which nodes
 * are up, as small integers, at one moment. A request keeps the view it began
 * with, so changes meanwhile do not affect it.
 * @module
 */

/** Owners and liveness at one moment; immutable. */
export interface RingView {
  /** Increases with every change of the view on this node. */
  readonly version: number;
  /** Number of partitions, a power of two. */
  readonly ringSize: number;
  /**
   * Number of the vnode of partition 0; those of the others follow
   * (`ring_generations.ts`).
   */
  readonly firstVnode: number;
  /** Names of nodes, by index. */
  readonly nodes: readonly string[];
  /** Index of the owner, by partition. */
  readonly owners: Uint16Array;
  /** 1 for nodes that serve, by index. */
  readonly up: Uint8Array;
  /** Index of this node, or -1 while it has none. */
  readonly self: number;
  /**
   * The resized ring, while reads use it and writes use this one; see
   * `ring_resize.ts`.
   */
  readonly reads?: RingView;
}

/** The owners of a ring as numbers, shared by all its views. */
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

/**
 * A view of a ring in which every node in `upNodes` serves. Those have an index
 * even if they own nothing yet: a partition that has just moved to one of them
 * is asked for there before the ring says so.
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
  let numbered = known.get(owners);
  if (numbered === undefined) known.set(owners, numbered = number(owners));
  const serving = [...upNodes];
  const { indexOf } = numbered;
  const others = serving.filter((name) => !indexOf.has(name)).sort();
  const nodes = others.length === 0
    ? numbered.nodes
    : [...numbered.nodes, ...others];
  const places = others.length === 0
    ? indexOf
    : new Map(nodes.map((name, index) => [name, index]));
  const up = new Uint8Array(nodes.length);
  for (const name of serving) up[places.get(name) as number] = 1;
  return {
    version,
    ringSize: owners.length,
    firstVnode,
    nodes,
    owners: numbered.owners,
    up,
    self: places.get(self) ?? -1,
  };
}
