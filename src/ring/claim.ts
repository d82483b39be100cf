/**
 * Claim: which node owns which partition after nodes joined, left or were
 * replaced.
 *
 * The best ring is, in this order:
 *
 * 1. owned by claimants only, and balanced: no node owns two partitions more
 *    than another;
 * 2. with the fewest windows of 3 partitions that contain a node twice, then of
 *    4, up to the target N: in such a repeat a node holds two replicas of the
 *    same keys. Windows wrap around the end of the ring;
 * 3. reached with the fewest transfers.
 *
 * Two replicas on one node cost more than a transfer, since a transfer is paid
 * only once.
 *
 * riak_core's claims build a ring step by step and accept what they end with:
 * v2 gives each joining node every n-th partition and leaves repeats where the
 * pattern meets itself, v4 repairs those it meets and starts over where it
 * can't. Here claim is an optimisation problem, solved exactly where the best
 * rings are known and by a bounded search where they are not:
 *
 * - one or two nodes: every window of 3 has a repeat, so the fewest transfers
 *   decide, exactly (`claim_pair.ts`);
 * - three nodes, or any number that equals the target N and divides the ring:
 *   the best rings are periodic except at no more than two places, and the best
 *   of them is found exactly (`claim_layout.ts`);
 * - otherwise many rings have no repeat. Joining nodes are placed so that little
 *   has to move when some leave again (`claim_sharing.ts`,
 *   `claim_insertion.ts`), if that moves no more than balance requires;
 *   partitions of leaving nodes are handed on along short chains
 *   (`claim_vacancies.ts`);
 * - in all other cases a search looks for the ring with the fewest transfers
 *   (`claim_search.ts`). It ends early when it finds a ring that is provably the
 *   best, and returns the best one found otherwise.
 *
 * The result depends on the input alone, not on the order of claimants, the
 * machine or the time, so every node computes the same.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { insertNode } from "./claim_insertion.ts";
import { layoutClaim } from "./claim_layout.ts";
import { pairClaim } from "./claim_pair.ts";
import {
  type ClaimProblem,
  claimProblem,
  transfersMin,
} from "./claim_problem.ts";
import { claimQuality, windowsWithRepeat } from "./claim_quality.ts";
import { searchClaim } from "./claim_search.ts";
import { sharePlaces } from "./claim_sharing.ts";
import { fillVacancies } from "./claim_vacancies.ts";

export {
  type ClaimQuality,
  claimQuality,
  compareClaimQuality,
} from "./claim_quality.ts";

/** The input of a claim. */
export interface ClaimInput {
  /** The current owner of each partition, in ring order. */
  readonly owners: readonly string[];
  /**
   * The nodes that may own partitions afterwards, in any order; other nodes
   * lose all theirs.
   */
  readonly claimants: readonly string[];
  /**
   * Number of consecutive partitions that should belong to different nodes: the
   * largest number of replicas that any bucket is expected to have. Source:
   * riak_core's `target_n_val`.
   *
   * @default {4}
   */
  readonly targetN?: number;
}

/**
 * Limit of inserting nodes one by one: partitions of the ring times new nodes.
 */
const ONE_BY_ONE_WORK_MAX = 1_024;

/** Default of {@linkcode ClaimInput.targetN}. */
export const TARGET_N_DEFAULT = 4;

/**
 * Returns the new owner of each partition. A ring that needs no change is
 * returned unchanged, so claiming a claimed ring again changes nothing.
 *
 * @example Two nodes join a ring of eight
 * ```ts
 * const owners = Array(8).fill("a@host");
 * const after = claim({ owners, claimants: ["a@host", "b@host", "c@host"] });
 * claimQuality(owners, after, ["a@host", "b@host", "c@host"]).transfers; // 5
 * ```
 *
 * @throws {WhorlError} `invalid_argument` if there is no partition or no
 * claimant, a claimant is named twice, or `targetN` is not a positive integer.
 */
export function claim(input: ClaimInput): string[] {
  const { owners, claimants, targetN = TARGET_N_DEFAULT } = input;
  const nodes = [...claimants].sort();
  checkInput(owners, nodes, targetN);
  for (const find of [replacement, inPairs, oneByOne]) {
    const ring = find(owners, nodes, targetN);
    if (ring !== undefined && isBest(owners, ring, nodes, targetN)) return ring;
  }
  return atOnce(owners, nodes, targetN);
}

/**
 * Whether the ring is known to be the best; false does not mean that a better
 * one exists.
 */
function isBest(
  owners: readonly string[],
  ring: readonly string[],
  nodes: readonly string[],
  targetN: number,
): boolean {
  const problem = claimProblem(owners, nodes, targetN);
  const { transfers, spread } = claimQuality(owners, ring, nodes);
  return spread <= 1 && transfers === transfersMin(problem) &&
    repeats(problem, ring).every((count) => count === 0);
}

/**
 * The ring in which the only new node takes over from the only node that is
 * gone.
 */
function replacement(
  owners: readonly string[],
  nodes: readonly string[],
): string[] | undefined {
  const gone = [...new Set(owners)].filter((node) => !nodes.includes(node));
  const newcomers = nodes.filter((node) => !owners.includes(node));
  if (gone.length !== 1 || newcomers.length !== 1) return undefined;
  return owners.map((node) => node === gone[0] ? newcomers[0]! : node);
}

/** As {@linkcode claim}, for any set of new nodes. */
function atOnce(
  owners: readonly string[],
  nodes: readonly string[],
  targetN: number,
): string[] {
  const problem = claimProblem(owners, nodes, targetN);
  const ring = pairClaim(problem) ?? layoutClaim(problem) ??
    fillVacancies(problem) ?? settledRing(problem);
  return Array.from(ring, (node) => nodes[node]!);
}

/**
 * The ring in which twice as many nodes as the target N share its places, half
 * of them new.
 */
function inPairs(
  owners: readonly string[],
  nodes: readonly string[],
  targetN: number,
): string[] | undefined {
  const owning = new Set(owners);
  const newcomers = nodes.filter((node) => !owning.has(node));
  // With fewer places, each node would be closer to itself than necessary.
  const arePairs = targetN >= 3 && nodes.length === 2 * targetN;
  if (!arePairs || newcomers.length < targetN) return undefined;
  const sharing = newcomers.slice(-targetN);
  const first = nodes.filter((node) => !sharing.includes(node));
  return sharePlaces(atOnce(owners, first, targetN), sharing);
}

/**
 * The ring that results from inserting the new nodes one after the other, if
 * that is quick to find. It is preferred over equally good rings, because each
 * node took its partitions from others: if it leaves, these go back, and little
 * else moves.
 */
function oneByOne(
  owners: readonly string[],
  nodes: readonly string[],
  targetN: number,
): string[] | undefined {
  const owning = new Set(owners);
  const members = nodes.filter((node) => owning.has(node));
  const newcomers = nodes.filter((node) => !owning.has(node));
  if (members.length === 0) members.push(...newcomers.splice(0, 1));
  const work = newcomers.length * owners.length;
  if (newcomers.length === 0 || work > ONE_BY_ONE_WORK_MAX) return undefined;
  let ring = [...owners];
  for (const node of newcomers) {
    // So few that every window had a repeat.
    const grown = members.length < targetN
      ? undefined
      : insertNode({ ring, node, members, distanceMin: targetN });
    members.push(node);
    if (grown !== undefined && windowsWithRepeat(grown, targetN) === 0) {
      ring = grown;
    } else if (newcomers.length === 1) {
      return undefined;
    } else {
      ring = atOnce(ring, members.toSorted(), targetN);
    }
  }
  return ring;
}

/**
 * A ring found by search, and searched again until it no longer improves. Only
 * a ring that still has repeats can hide a better one, so a second search is
 * rare; it ends because each round must leave fewer repeats than the last.
 */
function settledRing(problem: ClaimProblem): Int32Array {
  let ring = searchClaim(problem);
  while (repeats(problem, ring).some((count) => count > 0)) {
    const again = searchClaim({ ...problem, before: ring });
    if (again.every((node, partition) => node === ring[partition])) break;
    ring = again;
  }
  return ring;
}

function repeats(
  problem: ClaimProblem,
  ring: ArrayLike<string | number>,
): number[] {
  const counts: number[] = [];
  for (let size = problem.windowMin; size <= problem.windowMax; size++) {
    counts.push(windowsWithRepeat(ring, size));
  }
  return counts;
}

function checkInput(
  owners: readonly string[],
  sortedNodes: readonly string[],
  targetN: number,
): void {
  if (owners.length === 0) {
    throw new WhorlError(
      "invalid_argument",
      "Cannot claim a ring as it must have partitions: number of partitions is 0",
    );
  }
  if (sortedNodes.length === 0) {
    throw new WhorlError(
      "invalid_argument",
      "Cannot claim a ring as somebody must own it: number of claimants is 0",
    );
  }
  const twice = sortedNodes.find((node, i) => node === sortedNodes[i + 1]);
  if (twice !== undefined) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot claim a ring as claimants must differ: ${twice} is named twice`,
      { details: { node: twice } },
    );
  }
  if (!Number.isSafeInteger(targetN) || targetN < 1) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot claim a ring as targetN must be a positive integer: current value is ${targetN}`,
      { details: { targetN } },
    );
  }
}
