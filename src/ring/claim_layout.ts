/**
 * Claims whose best rings are known by construction, so that the best of them
 * can be chosen without a search.
 *
 * _Periodic_: if the largest window that can be free of repeats contains every
 * node, a ring without repeats must go round all nodes in the same order again
 * and again, since the partition after a window can only belong to the node
 * that leaves the window. Such a ring exists if the number of nodes divides the
 * ring, and only the assignment of nodes to its places is open: an assignment
 * problem.
 *
 * _Three nodes_, when 3 does not divide the ring (no ring size of Whorl is
 * divisible by 3): the third partition of a window belongs to the third node,
 * unless it repeats the first, which reverses the direction (`abc|bac`, one
 * window with a repeat), or the second (`abb`, two). Going round a ring restores
 * the direction, so there are two reversals or one double: at least two windows
 * with a repeat. Each such ring consists of two runs of period 3, so all of them
 * can be tried with prefix sums, O(Q^2).
 *
 * @module
 */
import { assignLargest } from "./assignment.ts";
import { type ClaimProblem, NOBODY } from "./claim_problem.ts";

/** The best ring, if it is known by construction, else `undefined`. */
export function layoutClaim(problem: ClaimProblem): Int32Array | undefined {
  const { ringSize, nodes, windowMin, windowMax } = problem;
  // Fewer nodes than the smallest window: windows do not distinguish rings.
  if (windowMax < windowMin || windowMax !== nodes) return undefined;
  if (ringSize % nodes === 0) return cyclicRing(problem);
  if (nodes === 3 && windowMin === 3 && ringSize > 4) {
    return threeNodeRing(problem);
  }
  return undefined;
}

/**
 * The ring that goes round all nodes in one order, chosen so that most
 * partitions stay. If the number of nodes does not divide the ring, it has a
 * seam where its end meets its beginning, and repeats only there.
 */
export function cyclicRing(problem: ClaimProblem): Int32Array {
  const { ringSize, nodes, before } = problem;
  const kept = Array.from({ length: nodes }, () => new Int32Array(nodes));
  before.forEach((node, partition) => {
    if (node !== NOBODY) kept[partition % nodes]![node]!++;
  });
  const nodeAt = assignLargest(kept);
  return Int32Array.from(
    { length: ringSize },
    (_, partition) => nodeAt[partition % nodes]!,
  );
}

/** The six assignments of nodes to the places 0, 1, 2 of a run of period 3. */
const NAMINGS: readonly (readonly [number, number, number])[] = [
  [0, 1, 2],
  [1, 2, 0],
  [2, 0, 1],
  [0, 2, 1],
  [2, 1, 0],
  [1, 0, 2],
];

function threeNodeRing(problem: ClaimProblem): Int32Array {
  const { ringSize, before } = problem;
  const keptUpTo = NAMINGS.map((naming) => keptPrefix(before, naming));
  const backAfter = NAMINGS.map((_, along) =>
    [0, 1, 2].map((turn) => mirrored(along, turn))
  );
  // Two runs: [first, turn) named by `along`, the rest up to first + Q by
  // `back`.
  let best = { kept: -1, first: 0, turn: 0, along: 0, back: 0 };
  const consider = (
    first: number,
    turn: number,
    along: number,
    back: number,
  ) => {
    const there = keptUpTo[along]!;
    const home = keptUpTo[back]!;
    const kept = there[turn + 1]! - there[first]! +
      home[first + ringSize]! - home[turn + 1]!;
    if (kept > best.kept) best = { kept, first, turn, along, back };
  };
  // The lengths of the runs modulo 3 follow from the places of the reversals,
  // or the ring would not close. Balance follows too: together, the two runs
  // hold each node floor(Q/3) or ceil(Q/3) times.
  const turnAfter = 2 * ringSize % 3;
  for (let along = 0; along < NAMINGS.length; along++) {
    for (let first = 0; first < ringSize; first++) {
      for (let length = turnAfter; length < ringSize; length += 3) {
        const turn = first + length;
        consider(first, turn, along, backAfter[along]![turn % 3]!);
      }
    }
  }
  // Doubles come second, so that at equal cost no node is next to itself.
  if (ringSize % 3 === 1) {
    for (let along = 0; along < NAMINGS.length; along++) {
      for (let first = 0; first < ringSize; first++) {
        consider(first, first + ringSize - 1, along, along);
      }
    }
  }
  const ring = new Int32Array(ringSize);
  for (let i = best.first; i < best.first + ringSize; i++) {
    const naming = NAMINGS[i <= best.turn ? best.along : best.back]!;
    ring[i % ringSize] = naming[i % 3]!;
  }
  return ring;
}

/**
 * How many of the first `i` partitions, going round twice, keep their owner
 * under `naming`.
 */
function keptPrefix(
  before: Int32Array,
  naming: readonly number[],
): Int32Array {
  const ringSize = before.length;
  const prefix = new Int32Array(2 * ringSize + 1);
  for (let i = 0; i < 2 * ringSize; i++) {
    prefix[i + 1] = prefix[i]! +
      (before[i % ringSize] === naming[i % 3] ? 1 : 0);
  }
  return prefix;
}

/** The naming that continues `along` in the other direction after place `turn`, which counts modulo 3. */
function mirrored(along: number, turn: number): number {
  const naming = NAMINGS[along]!;
  const at = (place: number) => naming[(2 * turn + 6 - place) % 3];
  return NAMINGS.findIndex((other) =>
    other[0] === at(0) && other[1] === at(1) && other[2] === at(2)
  );
}
