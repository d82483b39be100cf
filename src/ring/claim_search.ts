/**
 * Claim where nothing simpler gives a good ring: simulated annealing
 * (Kirkpatrick, Gelatt, Vecchi 1983) over balanced rings, with steps that keep
 * them balanced (`claim_moves.ts`).
 *
 * The search starts from the ring that keeps everything balance allows. A short
 * cold pass, which hardly ever accepts a step that makes the ring worse, finds
 * the cheap answer if there is one, which is the rule when nodes join a large
 * cluster; the answer is known to be the best if no window has a repeat and no
 * fewer transfers would balance the ring. Otherwise a pass starts hot, so that
 * whole stretches can be laid out anew. If it finds no ring without repeats, a
 * long pass cools down slowly; if windows with a repeat still remain, another
 * one continues from there with windows weighing more. (Taking the long pass
 * every time would save one transfer in a hundred and cost six times as much.)
 * With exactly as many nodes as the target N, repeats can't be avoided, and the
 * search may also start from the ring that repeats at one seam only. Whatever
 * the weights allow on the way, the best ring found in the order of
 * `claim_quality.ts` is returned.
 *
 * The work is bounded by counts, never by a clock, and the random numbers come
 * from a seed derived from the problem. Acceptance probabilities are powers
 * computed by multiplication, since `Math.exp` may differ between machines in
 * its last digit. So a problem has the same answer everywhere.
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
/**
 * Cost of a largest window with a repeat, by pass; smaller windows cost more.
 */
const WINDOW_COSTS = [4, 8, 16] as const;
/** Steps in a pass: a base for any ring, plus a number per partition. */
const STEPS_BASE = 50_000;
const STEPS_PER_PARTITION = 900;
/** How much shorter the first two passes are. */
const SHORT_PASS_DIVISOR = 12;
/**
 * Probability of accepting a step that costs 1 more, at the start of a pass and
 * at its end.
 */
const HOT = 0.5;
const COLD = 0.05;
/** Temperature levels from hot to cold. */
const LEVELS = 64;
/** A step that costs this much more is never accepted. */
const COST_INCREASE_MAX = 64;

/** The best ring the search finds; deterministic. */
export function searchClaim(problem: ClaimProblem): Int32Array {
  const { ringSize, nodes, windowMin, windowMax, before } = problem;
  const chance = seededChance(
    `${nodes}/${windowMin}/${windowMax}/${before.join()}`,
  );
  const best = new BestRing(problem);
  const starts = [balancedRing(problem)];
  // Then repeats can't be avoided, and the most regular ring has the fewest.
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
  // Hot passes start from the first ring, not from the dead end of the cold
  // pass.
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

/** The best ring found so far. */
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
        // The cheapest ring need not be the best, nor the other way round.
        costMin = Math.min(costMin, board.cost);
        best.offer(board);
      }
    }
  }
}

/**
 * Cost of a partition by the length of its run: of the windows that end there
 * with a repeat.
 */
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
