/**
 * Claim for one or two nodes. Every window of three has a repeat, so windows do
 * not distinguish rings: the fewest transfers decide, and among equal rings the
 * one in which the nodes alternate most often, since then two neighbouring
 * partitions, which are the first two replicas of a key, are on two nodes.
 *
 * Exact, by dynamic programming over partitions: the state is the owner of the
 * partition and how many so far belong to the second node, O(Q^2).
 *
 * @module
 */
import type { ClaimProblem } from "./claim_problem.ts";

/** The best ring for at most two nodes; `undefined` if there are more. */
export function pairClaim(problem: ClaimProblem): Int32Array | undefined {
  const { ringSize, nodes } = problem;
  if (nodes > 2) return undefined;
  if (nodes === 1) return new Int32Array(ringSize);
  let best: { cost: number; ring: Int32Array } | undefined;
  for (const first of [0, 1]) {
    const found = pairRing(problem, first);
    if (best === undefined || found.cost < best.cost) best = found;
  }
  return best?.ring;
}

/** The best ring whose partition 0 belongs to `first`. */
function pairRing(
  problem: ClaimProblem,
  first: number,
): { cost: number; ring: Int32Array } {
  const { ringSize, before } = problem;
  // One transfer weighs more than all neighbours with the same owner.
  const transferCost = ringSize + 1;
  const moveCost = (partition: number, node: number): number =>
    before[partition] === node ? 0 : transferCost;
  const width = ringSize + 1;
  let costs = [0, 1].map(() => new Int32Array(width).fill(IMPOSSIBLE));
  // previousOwner[partition * 2 * width + owner * width + count]
  const previousOwner = new Uint8Array(ringSize * 2 * width);
  costs[first]![first] = moveCost(0, first);
  for (let partition = 1; partition < ringSize; partition++) {
    const next = [0, 1].map(() => new Int32Array(width).fill(IMPOSSIBLE));
    for (const node of [0, 1]) {
      const move = moveCost(partition, node);
      for (let count = node; count <= partition + 1; count++) {
        const other = costs[1 - node]![count - node]!;
        const same = costs[node]![count - node]! + 1;
        const from = other <= same ? 1 - node : node;
        next[node]![count] = Math.min(IMPOSSIBLE, Math.min(other, same) + move);
        previousOwner[(partition * 2 + node) * width + count] = from;
      }
    }
    costs = next;
  }
  let best = { cost: IMPOSSIBLE, last: 0, count: 0 };
  for (const count of [Math.floor(ringSize / 2), Math.ceil(ringSize / 2)]) {
    for (const last of [0, 1]) {
      const wrapCost = last === first ? 1 : 0;
      const cost = costs[last]![count]! + wrapCost;
      if (cost < best.cost) best = { cost, last, count };
    }
  }
  const ring = new Int32Array(ringSize);
  let node = best.last;
  let count = best.count;
  for (let partition = ringSize - 1; partition >= 0; partition--) {
    ring[partition] = node;
    const from = previousOwner[(partition * 2 + node) * width + count]!;
    count -= node;
    node = from;
  }
  return { cost: best.cost, ring };
}

/** More than any ring of 1024 costs: transfers and neighbours together stay below 2^21. */
const IMPOSSIBLE = 1 << 30;
