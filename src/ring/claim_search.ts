/**
 * Claim where nothing simpler gives a good ring: simulated annealing
 * (Kirkpatrick, Gelatt, Vecchi 1983) over balanced rings, with steps that never
 * unbalance them (`claim_moves.ts`).
 *
 * It begins with the ring that keeps all that balance lets it keep. A short
 * cold pass, which accepts hardly anything that makes the ring worse, finds the
 * cheap answer when there is one, which is the rule when nodes join a large
 * cluster; it is known to be the best when no window has a repeat and no fewer
 * transfers would balance the ring. Otherwise a pass begins hot, so that whole
 * stretches can be laid out anew. If it finds no ring without repeats, a long
 * pass cools down slowly; if windows with a repeat still remain, another one goes
 * on from there with windows weighing more. (Taking the long pass each time would
 * save one transfer in a hundred and cost six times as much.)
 * When there are just as many nodes as the target N, they can't be avoided, and
 * the search may also begin with the ring that repeats at one seam only.
 * Whatever the weights let pass on the way, the best ring met in the order of
 * `claim_quality.ts` is the one returned.
 *
 * The work is bounded by counts, never by a clock, and the chance comes from a
 * seed made of the problem. Chances of acceptance are powers made by
 * multiplication, since `Math.exp` may differ between machines in its last
 * digit. So one problem has one answer, everywhere.
 *
 * @module
 */
import { type Chance, seededChance } from "../base/chance.ts";
import { balancedRing } from "./balanced_ring.ts";
import { ClaimBoard, compareScores } from "./claim_board.ts";
import { cyclicRing } from "./claim_layout.ts";
import { ClaimMove, drawMove } from "./claim_moves.ts";
import { type ClaimProblem, transfersMin } from "./claim_problem.ts";

/** Cost of one transfer; all costs are whole numbers. */
const TRANSFER_COST = 2;
/** Cost of a largest window with a repeat, by pass; smaller windows cost more each. */
const WINDOW_COSTS = [4, 8, 16] as const;
/** Steps in a pass: so many for any ring, and so many more for each partition. */
const STEPS_BASE = 50_000;
const STEPS_PER_PARTITION = 900;
/** How much shorter the first two passes are. */
const SHORT_PASS_DIVISOR = 12;
/** Chance to accept a step that costs 1 more, at the start of a pass and at its end. */
const HOT = 0.5;
const COLD = 0.05;
/** Levels from hot to cold. */
const LEVELS = 64;
/** A step that costs this much more is never accepted. */
const COST_INCREASE_MAX = 64;

/** The best ring the search finds, the same each time. */
export function searchClaim(problem: ClaimProblem): Int32Array {
  const { ringSize, nodes, windowMin, windowMax, before } = problem;
  const chance = seededChance(
    `${nodes}/${windowMin}/${windowMax}/${before.join()}`,
  );
  const best = new BestRing(problem);
  const starts = [balancedRing(problem)];
  // Then repeats can't be avoided, and are fewest where order is greatest.
  const isTight = nodes === windowMax;
  if (isTight) starts.push(cyclicRing(problem));
  const boardOf = (ring: Int32Array, windowCost: number): ClaimBoard => {
    const costs = runCosts(problem, windowCost);
    return new ClaimBoard(problem, ring, costs, TRANSFER_COST);
  };
  for (const start of starts) best.offer(boardOf(start, 0));
  const steps = Math.floor(
    (STEPS_BASE + STEPS_PER_PARTITION * ringSize) /
      (isTight ? WINDOW_COSTS.length : 1),
  );
  const few = Math.floor(steps / SHORT_PASS_DIVISOR);
  anneal(boardOf(best.owners, WINDOW_COSTS[0]), best, chance, few, COLD);
  // Hot passes leave the first start, not the dead end of the cold pass.
  let start = isTight ? best.owners : starts[0]!;
  if (!isTight) {
    anneal(boardOf(start, WINDOW_COSTS[0]), best, chance, few, HOT);
    if (best.isFreeOfRepeats) return best.owners;
  }
  for (const windowCost of WINDOW_COSTS) {
    anneal(boardOf(start, windowCost), best, chance, steps, HOT);
    if (best.isFreeOfRepeats) break;
    start = best.owners;
  }
  return best.owners;
}

/** The best ring met so far. */
class BestRing {
  owners = new Int32Array();
  isFreeOfRepeats = false;
  /** Whether no better ring can exist. */
  isBestPossible = false;
  readonly #transfersMin: number;
  #score: number[] | undefined;

  constructor(problem: ClaimProblem) {
    this.#transfersMin = transfersMin(problem);
  }

  offer(board: ClaimBoard): void {
    const score = board.score();
    if (this.#score !== undefined && compareScores(score, this.#score) >= 0) {
      return;
    }
    this.#score = score;
    this.owners = board.owners.slice();
    this.isFreeOfRepeats = board.isFreeOfRepeats;
    this.isBestPossible = board.isFreeOfRepeats &&
      board.transfers === this.#transfersMin;
  }
}

function anneal(
  board: ClaimBoard,
  best: BestRing,
  chance: Chance,
  steps: number,
  startAt: number,
): void {
  const move = new ClaimMove();
  const acceptance = new Float64Array(COST_INCREASE_MAX);
  const stepsPerLevel = Math.ceil(steps / LEVELS);
  let costMin = board.cost;
  for (let level = 0; level < LEVELS; level++) {
    const base = startAt + (COLD - startAt) * level / (LEVELS - 1);
    acceptance[0] = 1;
    for (let i = 1; i < COST_INCREASE_MAX; i++) {
      acceptance[i] = acceptance[i - 1]! * base;
    }
    for (let step = 0; step < stepsPerLevel; step++) {
      if (best.isBestPossible) return;
      if (!drawMove(board, chance, move)) continue;
      const cost = board.cost;
      move.apply(board);
      const increase = board.cost - cost;
      if (increase > 0) {
        const isAccepted = increase < COST_INCREASE_MAX &&
          chance.next() < acceptance[increase]!;
        if (!isAccepted) move.undo(board);
      } else if (
        board.cost < costMin || increase < 0 && board.isFreeOfRepeats
      ) {
        // The cheapest ring need not be the best in order, nor the other way.
        costMin = Math.min(costMin, board.cost);
        best.offer(board);
      }
    }
  }
}

/** What a partition costs by the length of its run: the windows that end there with a repeat. */
function runCosts(problem: ClaimProblem, largestCost: number): Int32Array {
  const { windowMin, windowMax } = problem;
  const costs = new Int32Array(Math.max(1, windowMax) + 1);
  let cost = largestCost;
  for (let size = windowMax; size >= windowMin; size--) {
    for (let run = 0; run < size; run++) costs[run]! += cost;
    cost += largestCost / 4;
  }
  return costs;
}
