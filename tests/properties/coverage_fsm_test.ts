/**
 * Whatever becomes of vnodes and nodes in the middle of a coverage query: it
 * ends, its report is true, a whole answer is whole, nothing is said twice
 * without a word of warning, and what waits is bounded.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { WhorlError } from "../../src/base/errors.ts";
import {
  COVERAGE_FAN_OUT,
  type CoverageEffect,
  type CoverageEvent,
  type CoverageResult,
  type CoverageState,
  createCoverage,
  stepCoverage,
} from "../../src/request/coverage_fsm.ts";
import type { CoverageReport } from "../../src/request/coverage_report.ts";
import { ringViewOf } from "../../src/ring/ring_view.ts";

/** Rows that every vnode has for each of its key spaces. */
const ROWS = 3;
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** A query, and chances that decide what happens to it. */
const cases = fc.record({
  bits: fc.integer({ min: 3, max: 5 }),
  nodes: fc.integer({ min: 1, max: 6 }),
  n: fc.integer({ min: 1, max: 4 }),
  coverage: fc.integer({ min: 1, max: 2 }),
  mode: fc.constantFrom("all" as const, "allup" as const),
  start: fc.nat({ max: 1_000 }),
  /** How often things go wrong, of 16. */
  trouble: fc.integer({ min: 0, max: 6 }),
  chances: fc.infiniteStream(fc.nat({ max: 0xffff })),
});
type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** Vnodes that answer, fail and fall silent as chance has it, and a caller that takes what it gets. */
class World {
  readonly query: CoverageState;
  /** Parts that owe an answer. */
  readonly owing: number[] = [];
  /** Rows each part has said. */
  readonly said = new Map<number, number>();
  /** What the caller got, with the part that said it. */
  readonly got: { part: number; row: string }[] = [];
  report: CoverageReport | undefined;
  error: WhorlError | undefined;
  finished = false;
  /** Whether the caller waits for others than the vnodes. */
  held = false;
  #demand = true;

  constructor(options: Case) {
    const ringSize = 1 << options.bits;
    const names = Array.from({ length: options.nodes }, (_, i) => `n${i}`);
    const owners = Array.from(
      { length: ringSize },
      (_, partition) => names[partition % names.length] as string,
    );
    this.query = createCoverage(ringViewOf(1, owners, names, "n0"), {
      n: options.n,
      primaryVnodeCoverage: Math.min(options.coverage, options.n),
      mode: options.mode,
      timeoutMs: 1_000,
      idleMs: 100,
    }, options.start);
    this.step({ type: "start" });
  }

  step(event: CoverageEvent): void {
    const effects: CoverageEffect[] = [];
    stepCoverage(this.query, event, effects);
    for (const effect of effects) this.#perform(effect);
    assert(this.query.occupied <= COVERAGE_FAN_OUT);
    const held = this.query.parts.filter(({ batch }) => batch !== undefined);
    assertEquals(held.length, this.query.ready.length);
    assert(held.length <= COVERAGE_FAN_OUT);
  }

  #perform(effect: CoverageEffect): void {
    assert(!this.finished, `${effect.type} after the end`);
    switch (effect.type) {
      case "open":
        this.said.set(effect.part, 0);
        this.#owe(effect.part);
        return;
      case "more":
        this.#owe(effect.part);
        return;
      case "cancel_part":
        this.#settle(effect.part);
        return;
      case "respond":
        this.#told(effect.result);
        return;
      case "finished":
        this.finished = true;
        return;
    }
  }

  #owe(part: number): void {
    assert(!this.owing.includes(part), `${part} is asked twice at once`);
    assertEquals(this.query.parts[part]?.batch, undefined);
    this.owing.push(part);
  }

  #settle(part: number): void {
    const at = this.owing.indexOf(part);
    if (at >= 0) this.owing.splice(at, 1);
  }

  #told(result: CoverageResult): void {
    assert(this.#demand, "nobody had asked");
    this.#demand = false;
    if (!result.ok) {
      this.error = result.error;
      return;
    }
    assert(!this.held, "it is told before it is released");
    for (const { part, bytes } of result.pieces) {
      for (const row of decoder.decode(bytes).split(" ")) {
        this.got.push({ part, row });
      }
    }
    this.report = result.report;
  }

  demand(held: boolean): boolean {
    if (this.#demand || this.finished) return false;
    this.#demand = true;
    this.held = held;
    this.step({ type: "demand", held });
    return true;
  }

  release(): void {
    this.held = false;
    this.step({ type: "released" });
  }

  /** The vnode of `part` says `count` rows more. */
  answer(part: number, count: number): void {
    const { keySpaces } = this.query.parts[part]!;
    const rows = keySpaces.flatMap((keySpace) =>
      Array.from({ length: ROWS }, (_, i) => `${keySpace}:${i}`)
    );
    const from = this.said.get(part) as number;
    const said = rows.slice(from, from + count);
    this.said.set(part, from + said.length);
    this.#settle(part);
    this.step({
      type: "batch",
      part,
      bytes: encoder.encode(said.join(" ")),
      ended: from + said.length === rows.length,
    });
  }

  fail(part: number, how: number): void {
    const codes = [
      "vnode_error",
      "vnode_crashed",
      "overload",
      "not_reachable",
      "node_suspected",
    ] as const;
    const code = codes[how % codes.length];
    if (code === undefined || how % 7 === 6) {
      this.step({ type: "timer", timer: part });
      return;
    }
    this.#settle(part);
    if (how % 5 === 0) {
      const owner = how % 2 === 0 ? undefined : 0;
      this.step({ type: "wrong_owner", part, owner });
    } else {
      this.step({ type: "failed", part, error: new WhorlError(code, "no") });
    }
  }

  loseNode(node: number): void {
    for (const part of [...this.owing]) {
      if (this.query.parts[part]?.node === node) this.#settle(part);
    }
    this.step({
      type: "node_lost",
      node,
      error: new WhorlError("connection_closed", "It is gone"),
    });
  }
}

/** Plays a query to its end. */
function play(options: Case): World {
  const world = new World(options);
  const chances = options.chances[Symbol.iterator]();
  const chance = (): number => chances.next().value as number;
  for (let steps = 0; !world.finished; steps++) {
    assert(steps < 5_000, "it does not end");
    const { owing } = world;
    if (owing.length === 0 || chance() % 4 === 0) {
      if (world.demand(chance() % 2 === 0)) continue;
    }
    if (world.held && (owing.length === 0 || chance() % 4 === 0)) {
      world.release();
      continue;
    }
    if (owing.length === 0) continue;
    const part = owing[chance() % owing.length] as number;
    if (chance() % 16 >= options.trouble) {
      world.answer(part, 1 + chance() % 4);
    } else if (chance() % 8 === 0) world.loseNode(chance() % options.nodes);
    else world.fail(part, chance());
  }
  return world;
}

/** Whether what `part` says may have been said: it, or one before it in its chain, repeats another. */
function mayRepeat(world: World, part: number): boolean {
  return world.query.parts[part]?.repeats !== undefined;
}

Deno.test("a coverage query ends, and a complete answer has everything", () => {
  fc.assert(
    fc.property(cases, (options) => {
      const world = play(options);
      assert((world.report === undefined) !== (world.error === undefined));
      const { report } = world;
      if (report === undefined) return;
      assertEquals(report.complete, report.missing.length === 0);
      if (options.mode === "all") assertEquals(report.complete, true);
      assertEquals(
        [...report.answered, ...report.missing].sort((a, b) => a - b),
        [...Array(1 << options.bits).keys()],
      );
      const rows = new Set(world.got.map(({ row }) => row));
      for (const keySpace of report.answered) {
        for (let i = 0; i < ROWS; i++) {
          assert(rows.has(`${keySpace}:${i}`), `${keySpace}:${i} is missing`);
        }
      }
    }),
    { numRuns: 400 },
  );
});

Deno.test("a coverage query reports nothing twice, except what a replacement repeats", () => {
  fc.assert(
    fc.property(cases, (options) => {
      const world = play({ ...options, coverage: 1 });
      const rows = world.got
        .filter(({ part }) => !mayRepeat(world, part))
        .map(({ row }) => row);
      assertEquals(rows.length, new Set(rows).size);
    }),
    { numRuns: 400 },
  );
});

Deno.test("a coverage query in which nothing goes wrong asks for everything once and gets it", () => {
  fc.assert(
    fc.property(cases, (options) => {
      const world = play({ ...options, trouble: 0 });
      const copies = Math.min(options.coverage, options.n);
      assertEquals(world.report?.complete, true);
      assertEquals(world.got.length, (1 << options.bits) * ROWS * copies);
    }),
    { numRuns: 200 },
  );
});
