import { assertEquals } from "@std/assert";
import { TermRuns } from "./term_runs.ts";

function runsOf(terms: readonly number[], first = 1): TermRuns {
  const runs = new TermRuns();
  terms.forEach((term, i) => runs.push(first + i, term));
  return runs;
}

Deno.test("TermRuns keeps one run for each term", () => {
  const runs = runsOf([1, 1, 2, 2, 2, 5]);
  assertEquals(runs.runs, [
    { first: 1, term: 1 },
    { first: 3, term: 2 },
    { first: 6, term: 5 },
  ]);
  assertEquals([0, 1, 2, 3, 5, 6, 9].map((index) => runs.at(index)), [
    undefined,
    1,
    1,
    2,
    2,
    5,
    5,
  ]);
});

Deno.test("TermRuns.cutFrom() drops runs that begin there or later", () => {
  const runs = runsOf([1, 1, 2, 2, 5]);
  runs.cutFrom(4);
  assertEquals(runs.runs, [{ first: 1, term: 1 }, { first: 3, term: 2 }]);
  runs.push(4, 6);
  assertEquals(runs.at(4), 6);
  runs.cutFrom(0);
  assertEquals(runs.runs, []);
});

Deno.test("TermRuns.dropBelow() makes the first run begin there", () => {
  const runs = runsOf([1, 1, 2, 2, 5]);
  runs.dropBelow(4);
  assertEquals(runs.runs, [{ first: 4, term: 2 }, { first: 5, term: 5 }]);
  runs.dropBelow(9);
  assertEquals(runs.runs, [{ first: 9, term: 5 }]);
  const none = new TermRuns();
  none.dropBelow(3);
  assertEquals(none.runs, []);
});
