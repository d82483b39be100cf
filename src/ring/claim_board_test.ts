import { assertEquals } from "@std/assert";
import { seededChance } from "../base/chance.ts";
import { ClaimBoard } from "./claim_board.ts";
import { claimProblem } from "./claim_problem.ts";
import { windowsWithRepeat } from "./claim_quality.ts";

Deno.test("ClaimBoard.give() keeps the figures a fresh count would give", () => {
  const chance = seededChance("board");
  for (const [ringSize, targetN] of [[4, 4], [8, 4], [16, 3], [16, 6]]) {
    const nodes = ["a", "b", "c", "d", "e", "f"];
    const before = Array.from({ length: ringSize! }, () => chance.pick(nodes));
    const problem = claimProblem(before, nodes.slice(0, 5), targetN!);
    const costs = Int32Array.from({ length: targetN! + 1 }, (_, i) => 50 - i);
    const start = new Int32Array(ringSize!);
    const board = new ClaimBoard(problem, start, costs, 7);
    for (let step = 0; step < 300; step++) {
      board.give(chance.below(ringSize!), chance.below(5));
      const fresh = new ClaimBoard(problem, board.owners, costs, 7);
      assertEquals(board.cost, fresh.cost);
      assertEquals(board.owned, fresh.owned);
      assertEquals(board.transfers, fresh.transfers);
      for (let size = 3; size <= problem.windowMax; size++) {
        const count = windowsWithRepeat(board.owners, size);
        assertEquals(board.windowsWithRepeat(size), count);
      }
    }
  }
});
