/**
 * A claim in small integers, the form shared by the solvers of `claim.ts`: node
 * `k` is the k-th claimant in sorted order, and partitions whose owner is not a
 * claimant belong to {@linkcode NOBODY}.
 *
 * @module
 */

/** The owner of a partition whose owner is not a claimant. */
export const NOBODY = -1;

/** The input of a solver. */
export interface ClaimProblem {
  /** Partitions on the ring. */
  readonly ringSize: number;
  /** Claimants, numbered from 0. */
  readonly nodes: number;
  /** The claimant that owns each partition now, or {@linkcode NOBODY}. */
  readonly before: Int32Array;
  /** The smallest window considered: 3, or the target N if that is less. */
  readonly windowMin: number;
  /**
   * The largest window that can be free of repeats: the target N, or the number
   * of nodes if that is less. Larger windows all have a repeat, so they do not
   * distinguish rings. Less than `windowMin` if no window can be free.
   */
  readonly windowMax: number;
}

/** Numbers the owners and determines which windows are considered. */
export function claimProblem(
  owners: readonly string[],
  sortedClaimants: readonly string[],
  targetN: number,
): ClaimProblem {
  const numbers = new Map(sortedClaimants.map((node, i) => [node, i]));
  return {
    ringSize: owners.length,
    nodes: sortedClaimants.length,
    before: Int32Array.from(owners, (owner) => numbers.get(owner) ?? NOBODY),
    windowMin: Math.min(3, targetN),
    windowMax: Math.min(targetN, sortedClaimants.length, owners.length),
  };
}

/**
 * The fewest transfers that balance alone requires: each node keeps at most
 * floor(Q/n) partitions, and Q mod n of them one more. A ring without repeats
 * and with no more transfers is the best possible.
 */
export function transfersMin(problem: ClaimProblem): number {
  const { ringSize, nodes, before } = problem;
  const owned = new Int32Array(nodes);
  for (const node of before) if (node !== NOBODY) owned[node]!++;
  const share = Math.floor(ringSize / nodes);
  let larger = ringSize % nodes;
  let kept = 0;
  for (const count of owned) {
    kept += Math.min(count, share);
    if (count > share && larger > 0) {
      larger--;
      kept++;
    }
  }
  return ringSize - kept;
}
