/**
 * A claim in small integers, the form the solvers of `claim.ts` share: node
 * `k` is the k-th claimant in sorted order, and what belongs to nobody who may
 * keep it is {@linkcode NOBODY}.
 *
 * @module
 */

/** Stands for an owner who is not a claimant. */
export const NOBODY = -1;

/** What a solver has to solve. */
export interface ClaimProblem {
  /** Partitions on the ring. */
  readonly ringSize: number;
  /** Claimants, numbered from 0. */
  readonly nodes: number;
  /** The claimant who owns each partition now, or {@linkcode NOBODY}. */
  readonly before: Int32Array;
  /** The smallest window that counts: 3, or the target N if that is less. */
  readonly windowMin: number;
  /**
   * The largest window that can be free of repeats: the target N, or the
   * number of nodes if that is less. Larger windows all have a repeat, so they
   * do not tell rings apart. Less than `windowMin` when no window can be free.
   */
  readonly windowMax: number;
}

/** Numbers the owners and says which windows count. */
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
 * The fewest transfers that balance alone demands: each node keeps at most
 * floor(Q/n) partitions, and Q mod n of them one more. A ring without repeats
 * that costs no more is the best there is.
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
