/**
 * The start of the claim search: the balanced ring nearest to the current one.
 * No node gains or loses more than balance requires; each partition given up
 * goes to the node that lacks most among those whose partitions are far enough
 * away.
 *
 * @module
 */
import { type ClaimProblem, NOBODY } from "./claim_problem.ts";

/** A balanced ring that keeps everything balance allows. */
export function balancedRing(problem: ClaimProblem): Int32Array {
  const { ringSize, nodes, before } = problem;
  const quota = quotas(problem);
  const owned = new Int32Array(nodes);
  for (const node of before) if (node !== NOBODY) owned[node]!++;
  // Each node with too many gives up partitions at even distances.
  const ring = before.slice();
  const seen = new Int32Array(nodes);
  for (let partition = 0; partition < ringSize; partition++) {
    const node = before[partition]!;
    if (node === NOBODY) continue;
    const spare = owned[node]! - quota[node]!;
    if (spare <= 0) continue;
    // In whole steps of spare/owned, so exactly `spare` are given up.
    const from = seen[node]! * spare;
    const to = ++seen[node]! * spare;
    if (Math.floor(to / owned[node]!) > Math.floor(from / owned[node]!)) {
      ring[partition] = NOBODY;
    }
  }
  const lacking = quota.map((count, node) => Math.max(0, count - owned[node]!));
  const reach = Math.max(1, problem.windowMax - 1);
  for (let partition = 0; partition < ringSize; partition++) {
    if (ring[partition] !== NOBODY) continue;
    // The node that lacks most, among those without a partition nearby.
    let chosen = NOBODY;
    let chosenRank = -1;
    for (let node = 0; node < nodes; node++) {
      if (lacking[node]! === 0) continue;
      const distance = distanceTo(ring, partition, node, reach);
      const rank = distance * (ringSize + 1) + lacking[node]!;
      if (rank > chosenRank) {
        chosen = node;
        chosenRank = rank;
      }
    }
    ring[partition] = chosen;
    lacking[chosen]!--;
  }
  return ring;
}

/**
 * How many partitions each node should own; the larger shares go to those that
 * own most now.
 */
function quotas({ ringSize, nodes, before }: ClaimProblem): Int32Array {
  const owned = new Int32Array(nodes);
  for (const node of before) if (node !== NOBODY) owned[node]!++;
  const byOwned = Array.from({ length: nodes }, (_, node) => node)
    .sort((a, b) => owned[b]! - owned[a]! || a - b);
  const quota = new Int32Array(nodes).fill(Math.floor(ringSize / nodes));
  for (const node of byOwned.slice(0, ringSize % nodes)) quota[node]!++;
  return quota;
}

/** Distance in partitions to the nearest one of `node`, at most `reach` + 1. */
function distanceTo(
  ring: Int32Array,
  partition: number,
  node: number,
  reach: number,
): number {
  const ringSize = ring.length;
  for (let distance = 1; distance <= reach; distance++) {
    if (
      ring[(partition + distance) % ringSize] === node ||
      ring[(partition + ringSize - distance % ringSize) % ringSize] === node
    ) return distance;
  }
  return reach + 1;
}
