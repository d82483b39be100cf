/**
 * Inserts one node into a ring without repeats: it takes partitions that are
 * far enough apart from nodes that have too many. Then no window contains it
 * twice, no window gains another repeat, and nothing moves but its share.
 *
 *     abcd abcd abcd abcd  →  abcd ebcd aecd abed
 *
 * @module
 */

/** A node that joins. */
export interface Insertion {
  /** Owner of each partition: owned by all `members`, and balanced. */
  readonly ring: readonly string[];
  /** The joining node. */
  readonly node: string;
  /**
   * The current owners; the first of them may keep one partition more than the
   * others.
   */
  readonly members: readonly string[];
  /** Smallest distance between two of its partitions. */
  readonly distanceMin: number;
}

/**
 * Most partitions examined, since large rings have too many places to start
 * from.
 */
const LOOKED_AT_MAX = 65_536;

/**
 * The ring with the node inserted, its partitions as far apart as possible;
 * `undefined` if there is no such ring, or none this simple.
 */
export function insertNode(insertion: Insertion): string[] | undefined {
  const { ring, members, node, distanceMin } = insertion;
  const share = Math.floor(ring.length / (members.length + 1));
  const surplus = surplusOf(insertion, share);
  if (surplus === undefined || share === 0) return undefined;
  const names = [...surplus.keys()];
  const owners = ring.map((owner) => names.indexOf(owner));
  const spare = Int32Array.from(surplus.values());
  const distanceMax = Math.floor(ring.length / share);
  let looked = 0;
  for (let distance = distanceMax; distance >= distanceMin; distance--) {
    for (let start = 0; start < ring.length; start++) {
      const taken = takeFrom(owners, start, distance, share, spare.slice());
      if (taken !== undefined && isClosed(ring, taken, distanceMin)) {
        const after = [...ring];
        for (const partition of taken) after[partition] = node;
        return after;
      }
      looked += ring.length;
      if (looked > LOOKED_AT_MAX) return undefined;
    }
  }
  return undefined;
}

/**
 * How many partitions each member gives away; `undefined` if some member has
 * too few, or another node has any.
 */
function surplusOf(
  { ring, members }: Insertion,
  share: number,
): Map<string, number> | undefined {
  const surplus = new Map<string, number>();
  for (const owner of ring) surplus.set(owner, (surplus.get(owner) ?? 0) + 1);
  let larger = ring.length % (members.length + 1);
  for (const member of members) {
    let spare = (surplus.get(member) ?? 0) - share;
    if (spare > 0 && larger > 0) {
      larger--;
      spare--;
    }
    if (spare < 0) return undefined;
    surplus.set(member, spare);
  }
  const isOfMembers = surplus.size === members.length;
  return isOfMembers && larger === 0 ? surplus : undefined;
}

/**
 * The first `count` partitions from `start` on, at least that distance apart,
 * of owners that can spare them, in ring order.
 */
function takeFrom(
  owners: readonly number[],
  start: number,
  distance: number,
  count: number,
  spare: Int32Array,
): number[] | undefined {
  const taken: number[] = [];
  for (let step = 0; step < owners.length && taken.length < count;) {
    const partition = (start + step) % owners.length;
    const owner = owners[partition]!;
    if (spare[owner]! === 0) {
      step++;
      continue;
    }
    spare[owner]!--;
    taken.push(partition);
    step += distance;
  }
  return taken.length === count ? taken : undefined;
}

/** Whether the last partition is far enough from the first one, around the end of the ring. */
function isClosed(
  ring: readonly string[],
  taken: readonly number[],
  distanceMin: number,
): boolean {
  const gap = (taken[0]! - taken.at(-1)! + ring.length) % ring.length;
  return taken.length === 1 || gap >= distanceMin;
}
