import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { InvariantError } from "../base/invariant.ts";
import { LogTerms, type TermRun } from "./log_terms.ts";

/** A log as a plain list of terms after a start. */
class PlainLog {
  constructor(
    public start = 0,
    public startTerm = 0,
    public terms: number[] = [],
  ) {}

  get last(): number {
    return this.start + this.terms.length;
  }

  termAt(index: number): number | undefined {
    return index === this.start
      ? this.startTerm
      : index < this.start
      ? undefined
      : this.terms[index - this.start - 1];
  }

  lastIndexOf(index: number, term: number): number {
    if (index < this.start) return index;
    let at = Math.min(index, this.last);
    while (at >= this.start && (this.termAt(at) as number) > term) at--;
    return at;
  }
}

function agree(terms: LogTerms, plain: PlainLog): void {
  assertEquals(terms.startIndex, plain.start);
  assertEquals(terms.lastIndex, plain.last);
  assertEquals(terms.lastTerm, plain.termAt(plain.last));
  for (let index = plain.start - 1; index <= plain.last + 1; index++) {
    assertEquals(terms.termAt(index), plain.termAt(index));
    for (let term = 0; term < 9; term++) {
      assertEquals(
        terms.lastIndexOf(index, term),
        plain.lastIndexOf(index, term),
      );
    }
  }
}

Deno.test("LogTerms behaves like a list of terms, whatever happens to the log", () => {
  const change = fc.record({
    what: fc.constantFrom("push", "push", "push", "truncate", "start"),
    where: fc.nat(20),
    term: fc.nat(2),
  });
  fc.assert(fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
    const terms = new LogTerms();
    const plain = new PlainLog();
    for (const { what, where, term } of changes) {
      if (what === "push") {
        const next = terms.lastTerm + term;
        terms.push(next);
        plain.terms.push(next);
      } else if (what === "truncate") {
        const index = plain.start + 1 + where;
        terms.truncate(index);
        plain.terms.length = Math.min(plain.terms.length, where);
      } else {
        const index = plain.start + where;
        const of = terms.termAt(index) ?? terms.lastTerm + term;
        terms.startBehind(index, of);
        if (index <= plain.start) continue;
        plain.terms = plain.termAt(index) === of
          ? plain.terms.slice(where)
          : [];
        plain.start = index;
        plain.startTerm = of;
      }
    }
    agree(terms, plain);
  }));
});

Deno.test("LogTerms starts from runs, and finds terms in all of them", () => {
  const runs: TermRun[] = [];
  const terms: number[] = [];
  for (let run = 0; run < 20; run++) {
    runs.push({ first: 11 + 3 * run, term: 2 + run });
    terms.push(2 + run, 2 + run, 2 + run);
  }
  agree(new LogTerms(10, 1, 70, runs), new PlainLog(10, 1, terms));
});

Deno.test("LogTerms drops entries that do not agree with a snapshot", () => {
  const terms = new LogTerms(0, 0, 4, [{ first: 1, term: 1 }]);
  terms.startBehind(2, 5);
  assertEquals([terms.startIndex, terms.lastIndex, terms.lastTerm], [2, 2, 5]);
});

Deno.test("LogTerms refuses decreasing terms, logs without terms, and entries covered by a snapshot", () => {
  const terms = new LogTerms(3, 4);
  assertThrows(() => terms.push(3), InvariantError);
  assertThrows(() => terms.truncate(3), InvariantError);
  assertThrows(() => new LogTerms(3, 4, 5), InvariantError);
});
