/**
 * What makes one ring better than another, for the claim algorithm and for
 * comparisons with other algorithms.
 *
 * Rings are compared by spread, then by windows with a repeated node, the
 * smallest windows first, then by transfers. A window is N consecutive
 * partitions, wrapping around the end of the ring, so a ring of Q partitions
 * has Q windows of each size. A window is the preference list of the keys
 * before it, and a repeated node in it holds two replicas.
 *
 * @module
 */

/** The quality of a ring, and the cost of getting there. */
export interface ClaimQuality {
  /** Most minus fewest partitions owned, over all claimants. */
  readonly spread: number;
  /** Wrapped windows of 3 partitions that contain a node twice. */
  readonly windowsOf3WithRepeat: number;
  /** Wrapped windows of 4 partitions that contain a node twice. */
  readonly windowsOf4WithRepeat: number;
  /** Partitions whose owner changes. */
  readonly transfers: number;
}

/**
 * Measures the ring `after` as the successor of the ring `before`.
 *
 * @param before Owner of each partition before the change.
 * @param after Owner of each partition after it.
 * @param claimants All nodes that may own partitions; one that owns none counts
 * as 0.
 * @throws {RangeError} If the two rings differ in size.
 */
export function claimQuality(
  before: readonly string[],
  after: readonly string[],
  claimants: readonly string[],
): ClaimQuality {
  if (before.length !== after.length) {
    throw new RangeError(
      `Cannot compare rings as their sizes must match: before is ${before.length}, after is ${after.length}`,
    );
  }
  const owned = new Map<string, number>();
  for (const node of claimants) owned.set(node, 0);
  let transfers = 0;
  after.forEach((owner, partition) => {
    owned.set(owner, (owned.get(owner) ?? 0) + 1);
    if (owner !== before[partition]) transfers++;
  });
  let most = 0;
  let fewest = after.length;
  for (const count of owned.values()) {
    if (count > most) most = count;
    if (count < fewest) fewest = count;
  }
  return {
    spread: owned.size === 0 ? 0 : most - fewest,
    windowsOf3WithRepeat: windowsWithRepeat(after, 3),
    windowsOf4WithRepeat: windowsWithRepeat(after, 4),
    transfers,
  };
}

/** Negative if `a` is better, positive if `b` is, 0 if neither. */
export function compareClaimQuality(a: ClaimQuality, b: ClaimQuality): number {
  return a.spread - b.spread ||
    a.windowsOf3WithRepeat - b.windowsOf3WithRepeat ||
    a.windowsOf4WithRepeat - b.windowsOf4WithRepeat ||
    a.transfers - b.transfers;
}

/**
 * Counts the wrapped windows of `size` partitions that contain an owner twice.
 */
export function windowsWithRepeat(
  owners: ArrayLike<string | number>,
  size: number,
): number {
  const ringSize = owners.length;
  let count = 0;
  for (let start = 0; start < ringSize; start++) {
    if (hasRepeat(owners, start, size)) count++;
  }
  return count;
}

function hasRepeat(
  owners: ArrayLike<string | number>,
  start: number,
  size: number,
): boolean {
  const ringSize = owners.length;
  for (let i = 1; i < size; i++) {
    const owner = owners[(start + i) % ringSize];
    for (let j = 0; j < i; j++) {
      if (owners[(start + j) % ringSize] === owner) return true;
    }
  }
  return false;
}
