import { assert, assertEquals } from "@std/assert";
import { claimProblem, NOBODY, transfersMin } from "./claim_problem.ts";
import { windowsWithRepeat } from "./claim_quality.ts";
import { fillVacancies } from "./claim_vacancies.ts";

/**
 * A ring in which the nodes `a`, `b`, … take turns, and some of which leave.
 */
function leave(size: number, nodes: number, leavers: string) {
  const names = "abcdefghij".slice(0, nodes).split("");
  const owners = Array.from({ length: size }, (_, i) => names[i % nodes]!);
  const rest = names.filter((name) => !leavers.includes(name));
  return claimProblem(owners, rest, 4);
}

function assertFilled(
  problem: ReturnType<typeof leave>,
  ring: Int32Array,
  transfersMost: number,
): void {
  const owned = Array.from(
    { length: problem.nodes },
    (_, node) => ring.filter((owner) => owner === node).length,
  );
  assertEquals(owned.reduce((sum, count) => sum + count), problem.ringSize);
  assert(Math.max(...owned) - Math.min(...owned) <= 1);
  assertEquals(windowsWithRepeat(ring, 4), 0);
  const transfers = ring.filter((owner, i) => owner !== problem.before[i]);
  assert(transfers.length <= transfersMost, `${transfers.length} moves`);
}

Deno.test("fillVacancies() moves the leaver's share and nothing else where others can take it", () => {
  const names = "abcdefg".split("");
  // Each of the others is missing somewhere between two partitions of x.
  const owners = "xabcdefgxbcdefgaxcdefgabxdefgabcxefgabcdxfgabcdexgabcdef"
    .split("");
  const problem = claimProblem(owners, names, 4);
  const ring = fillVacancies(problem)!;
  assertFilled(problem, ring, owners.filter((owner) => owner === "x").length);
});

Deno.test("fillVacancies() displaces few partitions in a periodic ring, where only one node can take over", () => {
  // That one has room for two of eight; six times another one has to move.
  const one = leave(64, 8, "d");
  assertFilled(one, fillVacancies(one)!, 8 + 6);
  const two = leave(64, 8, "ae");
  assertFilled(two, fillVacancies(two)!, 16 + 10);
  const three = leave(64, 8, "abc");
  assertFilled(three, fillVacancies(three)!, 24 + 9);
  const six = leave(64, 6, "c");
  assertFilled(six, fillVacancies(six)!, transfersMin(six) + 16);
});

Deno.test("fillVacancies() fills the seam of a ring that the number of nodes does not divide", () => {
  const problem = leave(64, 7, "b");
  const kept = problem.before.filter((node) => node !== NOBODY);
  assertFilled(problem, fillVacancies(problem)!, 64 - kept.length + 11);
});

Deno.test("fillVacancies() changes nothing if nothing is vacant", () => {
  const problem = leave(64, 8, "");
  assertEquals(fillVacancies(problem), problem.before);
});

Deno.test("fillVacancies() returns undefined if it finds no ring", () => {
  // Four nodes and windows of four: only periodic rings will do.
  assertEquals(fillVacancies(leave(64, 5, "a")), undefined);
  // More repeats than a seam has.
  const paired = Array.from({ length: 64 }, (_, i) => "abcdefgh"[i >> 1 & 7]!);
  const names = "abcdefg".split("");
  assertEquals(fillVacancies(claimProblem(paired, names, 4)), undefined);
  // A node joins, so others have too much.
  const owners = Array.from({ length: 64 }, (_, i) => "abcdef"[i % 6]!);
  assertEquals(fillVacancies(claimProblem(owners, names, 4)), undefined);
});
