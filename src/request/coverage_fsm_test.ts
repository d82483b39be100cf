import { assert, assertEquals } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import type { CoverageReport } from "./coverage_report.ts";
import { ringViewOf } from "../ring/ring_view.ts";
import {
  COVERAGE_FAN_OUT,
  COVERAGE_PAGE_BYTES,
  COVERAGE_REPLANS_MAX,
  type CoverageEffect,
  type CoverageEvent,
  coverageReport,
  type CoverageResult,
  type CoverageRule,
  type CoverageState,
  createCoverage,
  stepCoverage,
} from "./coverage_fsm.ts";

const NODES = ["a", "b", "c", "d"];

/** A query on a ring whose owners take turns, and the effects so far. */
class Bench {
  readonly query: CoverageState;
  /** The effects of each step, without timers. */
  effects: string[] = [];
  readonly results: CoverageResult[] = [];
  /** Parts with a timer. */
  readonly timers = new Set<number | "caller">();

  constructor(
    rule: Partial<CoverageRule> = {},
    {
      ringSize = 8,
      nodes = NODES,
      up = nodes,
      start = 0,
    }: {
      ringSize?: number;
      nodes?: readonly string[];
      up?: readonly string[];
      start?: number;
    } = {},
  ) {
    const owners = Array.from(
      { length: ringSize },
      (_, partition) => nodes[partition % nodes.length] as string,
    );
    this.query = createCoverage(
      ringViewOf(7, owners, up, "a"),
      {
        n: 2,
        primaryVnodeCoverage: 1,
        mode: "all",
        timeoutMs: 1_000,
        idleMs: 100,
        ...rule,
      },
      start,
    );
    this.step({ type: "start" });
    if (this.query.phase !== "collecting") return;
    // It is told that the query has begun, and asks for the first pieces.
    assertEquals(this.results.pop(), {
      ok: true,
      pieces: [],
      report: undefined,
    });
    assert(this.timers.has("caller"));
    const begun = this.effects;
    this.step({ type: "demand" });
    assertEquals(this.effects, []);
    this.effects = begun;
  }

  step(event: CoverageEvent): void {
    const effects: CoverageEffect[] = [];
    stepCoverage(this.query, event, effects);
    this.effects = [];
    for (const effect of effects) {
      switch (effect.type) {
        case "set_timer":
          this.timers.add(effect.timer);
          break;
        case "clear_timer":
          this.timers.delete(effect.timer);
          break;
        case "respond":
          this.results.push(effect.result);
          this.effects.push("respond");
          break;
        case "open":
        case "more":
        case "cancel_part":
          this.effects.push(`${effect.type} ${effect.part}`);
          break;
        default:
          this.effects.push(effect.type);
      }
    }
  }

  batch(part: number, text: string, ended: boolean): void {
    this.step({
      type: "batch",
      part,
      bytes: new TextEncoder().encode(text),
      ended,
    });
  }

  failed(part: number, code: WhorlError["code"] = "vnode_error"): void {
    this.step({
      type: "failed",
      part,
      error: new WhorlError(code, "It failed"),
    });
  }

  /** The state of each part with its vnode, such as `0 on a: answered`. */
  get parts(): string[] {
    return this.query.parts.map(({ partition, node, state }) =>
      `${partition} on ${NODES[node]}: ${state}`
    );
  }

  /** What the caller was given, in order; `|` between answers. */
  get told(): string {
    return this.results.map((result) => {
      if (!result.ok) return result.error.code;
      const text = result.pieces.map(({ bytes }) =>
        new TextDecoder().decode(bytes)
      ).join("");
      return result.report === undefined ? text : `${text}.`;
    }).join("|");
  }

  /** The report of the last answer or failure. */
  get lastReport(): CoverageReport {
    const result = this.results.at(-1);
    const report = result?.ok
      ? result.report
      : result?.error.details.coverage as CoverageReport | undefined;
    if (report === undefined) throw new Error("The query has not ended");
    return report;
  }
}

Deno.test("stepCoverage() asks the vnodes of the plan and ends when all have answered", () => {
  const bench = new Bench();
  assertEquals(bench.effects, [
    "set_deadline",
    "open 0",
    "open 1",
    "open 2",
    "open 3",
    "respond",
  ]);
  bench.batch(0, "a", true);
  assertEquals(bench.effects, ["respond"]);
  bench.step({ type: "demand" });
  bench.batch(1, "b", true);
  bench.batch(2, "", true);
  bench.batch(3, "d", true);
  bench.step({ type: "demand" });
  assertEquals(bench.effects, ["respond", "finished"]);
  assertEquals(bench.told, "a|b|d.");
  const { complete, ringVersion, ringSize, answered, missing, asked } =
    bench.lastReport;
  assertEquals({ complete, ringVersion, ringSize, missing }, {
    complete: true,
    ringVersion: 7,
    ringSize: 8,
    missing: [],
  });
  assertEquals(answered, [0, 1, 2, 3, 4, 5, 6, 7]);
  assertEquals(asked.map(({ state }) => state), Array(4).fill("answered"));
});

Deno.test("stepCoverage() asks a vnode for more only when the caller has consumed its batch", () => {
  const bench = new Bench();
  bench.batch(0, "1", false);
  assertEquals(bench.effects, ["respond", "more 0"]);
  bench.batch(0, "2", false);
  assertEquals(bench.effects, []);
  assert(
    !bench.timers.has(0),
    "a vnode that waits for the caller owes nothing",
  );
  bench.step({ type: "demand" });
  assertEquals(bench.effects, ["respond", "more 0"]);
  assert(bench.timers.has(0));
  assertEquals(bench.told, "1|2");
});

Deno.test("stepCoverage() asks few vnodes at a time, and the next when the caller has consumed a final batch", () => {
  const bench = new Bench({ n: 1 }, { ringSize: 16 });
  assertEquals(
    bench.effects.filter((effect) => effect.startsWith("open")).length,
    COVERAGE_FAN_OUT,
  );
  bench.batch(0, "x", true);
  assertEquals(bench.effects, ["respond", `open ${COVERAGE_FAN_OUT}`]);
  // Nobody consumes this one, so its slot stays taken.
  bench.batch(1, "y", true);
  assertEquals(bench.effects, []);
  // This one had nothing to report.
  bench.batch(2, "", true);
  assertEquals(bench.effects, [`open ${COVERAGE_FAN_OUT + 1}`]);
  bench.step({ type: "demand" });
  assertEquals(bench.effects, ["respond", `open ${COVERAGE_FAN_OUT + 2}`]);
});

Deno.test("stepCoverage() passes on no more than a page at once", () => {
  const bench = new Bench({ n: 1 });
  const page = "x".repeat(COVERAGE_PAGE_BYTES);
  bench.batch(0, "1", false);
  bench.batch(1, page, false);
  bench.batch(2, page, false);
  bench.step({ type: "demand" });
  assertEquals(bench.effects, ["respond", "more 1"]);
  bench.step({ type: "demand" });
  assertEquals(bench.effects, ["respond", "more 2"]);
});

Deno.test("stepCoverage() asks others for the key spaces of a vnode that failed, and for no more", () => {
  const bench = new Bench();
  const { keySpaces, partition } = bench.query.parts[1]!;
  bench.batch(1, "half", false);
  bench.failed(1);
  const instead = bench.query.parts.slice(4);
  assertEquals(
    instead.flatMap((part) => part.keySpaces).toSorted(),
    keySpaces.toSorted(),
  );
  for (const part of instead) {
    assert(part.partition !== partition);
    assertEquals(part.repeats, 1);
  }
  assertEquals(bench.effects, ["open 4", "open 5"]);
  for (const part of [0, 2, 3, 4]) bench.batch(part, "", true);
  bench.step({ type: "demand" });
  bench.batch(5, "end", true);
  assertEquals(bench.told, "half|end.");
  assertEquals(bench.lastReport.complete, true);
  assertEquals(bench.lastReport.asked[1], {
    partition,
    node: NODES[partition % 4]!,
    keySpaces,
    state: "failed",
    error: { code: "vnode_error", message: "It failed" },
  });
});

Deno.test("stepCoverage() names the part that a replacement repeats along a chain of failures", () => {
  const bench = new Bench({ n: 3 });
  bench.batch(0, "said", false);
  bench.failed(0);
  const silent = bench.query.parts.findIndex(({ repeats }) => repeats === 0);
  bench.failed(silent);
  // It had sent nothing, so its replacement repeats the same part.
  assertEquals(bench.query.parts.at(-1)?.repeats, 0);
  const last = bench.query.parts.length - 1;
  bench.batch(last, "said again", false);
  assertEquals(bench.query.parts[last]?.heard, true);
});

Deno.test("stepCoverage() in mode all fails when a key space is beyond reach", () => {
  const early = new Bench({}, { up: ["a", "b"] });
  assertEquals(early.told, "insufficient_vnodes");
  assertEquals(early.effects.at(-1), "finished");
  const late = new Bench();
  late.batch(0, "a", false);
  late.step({ type: "demand" });
  late.step({
    type: "node_lost",
    node: 0,
    error: new WhorlError("connection_closed", "It is gone"),
  });
  late.step({
    type: "node_lost",
    node: 1,
    error: new WhorlError("connection_closed", "It is gone"),
  });
  assertEquals(late.told, "a|insufficient_vnodes");
  const coverage = late.lastReport;
  assertEquals(coverage.complete, false);
  assertEquals(late.query.phase, "finished");
});

Deno.test("stepCoverage() in mode allup answers without the key spaces beyond reach, and reports them", () => {
  const bench = new Bench({ mode: "allup" }, { up: ["a", "b"] });
  // Owners take turns: only a vnode of c and one of d hold every fourth key
  // space.
  bench.query.parts.forEach((_, part) => bench.batch(part, "", true));
  bench.step({ type: "demand" });
  const { complete, missing, answered } = bench.lastReport;
  assertEquals(complete, false);
  assertEquals(missing, [2, 6]);
  assertEquals(answered, [0, 1, 3, 4, 5, 7]);
});

Deno.test("stepCoverage() asks nothing more from a node that cannot be reached", () => {
  const bench = new Bench({ n: 3 });
  const { node } = bench.query.parts[0]!;
  bench.failed(0, "not_reachable");
  for (const part of bench.query.parts.slice(3)) assert(part.node !== node);
});

Deno.test("stepCoverage() asks nothing more from a node that has left the cluster", () => {
  const owners = ["a", "a", "b", "b"];
  const bench = new Bench({ n: 3 }, { nodes: owners, up: ["a", "b"] });
  const { node } = bench.query.parts[0]!;
  bench.step({
    type: "failed",
    part: 0,
    error: new WhorlError("closed", "It has left", {
      details: { node: "a" },
    }),
  });
  assert(bench.query.parts.length > 3);
  for (const part of bench.query.parts.slice(3)) assert(part.node !== node);
});

Deno.test("stepCoverage() gives up on a silent vnode, and asks others, on other nodes first", () => {
  const bench = new Bench({ n: 3 });
  const { node } = bench.query.parts[0]!;
  assert(bench.timers.has(0));
  bench.step({ type: "timer", timer: 0 });
  assertEquals(bench.effects[0], "cancel_part 0");
  for (const part of bench.query.parts.slice(3)) assert(part.node !== node);
  bench.batch(0, "late", true);
  assertEquals(bench.results, []);
  assertEquals(coverageReport(bench.query).asked[0]?.error?.code, "timeout");
});

Deno.test("stepCoverage() cancels at a suspected node, and asks it again only if nobody else can answer", () => {
  const bench = new Bench({ n: 2 }, { nodes: ["a", "b"] });
  const suspected = new WhorlError("node_suspected", "It is silent");
  const node = bench.query.parts[0]!.node;
  bench.step({ type: "node_lost", node, error: suspected });
  assertEquals(
    bench.effects.filter((effect) => effect.startsWith("cancel")).length,
    4,
  );
  const other = 1 - node;
  for (const part of bench.query.parts.slice(4)) assertEquals(part.node, other);
  bench.step({ type: "node_lost", node: other, error: suspected });
  assertEquals(bench.query.phase, "collecting");
  assertEquals(bench.query.missing.size, 0);
  assert(bench.query.queue.length + bench.query.occupied > 0);
});

Deno.test("stepCoverage() asks a silent node again if nobody else has the key space", () => {
  const bench = new Bench({ n: 2 }, { nodes: ["a"] });
  bench.step({ type: "timer", timer: 0 });
  assertEquals(bench.query.missing.size, 0);
  assert(bench.query.parts.length > 4);
});

Deno.test("stepCoverage() follows a vnode that has moved, once", () => {
  const bench = new Bench();
  bench.step({ type: "wrong_owner", part: 0, owner: 3 });
  assertEquals(bench.effects, ["open 0"]);
  assertEquals(bench.query.parts[0]?.node, 3);
  bench.step({ type: "wrong_owner", part: 0, owner: 2 });
  assertEquals(bench.query.parts[0]?.state, "failed");
  const unknown = new Bench();
  unknown.step({ type: "wrong_owner", part: 0, owner: undefined });
  assertEquals(unknown.query.parts[0]?.error?.code, "wrong_owner");
  // Starting over at another place, it would repeat its chunks.
  const midway = new Bench();
  midway.batch(0, "x", false);
  midway.step({ type: "wrong_owner", part: 0, owner: 3 });
  assertEquals(midway.query.parts[0]?.state, "failed");
  assertEquals(midway.query.parts[4]?.repeats, 0);
});

Deno.test("stepCoverage() ends at once when a vnode refuses the query itself", () => {
  const bench = new Bench({ mode: "allup" });
  bench.failed(2, "unknown_command");
  assertEquals(bench.told, "unknown_command");
  assertEquals(bench.effects, [
    "cancel_part 0",
    "cancel_part 1",
    "cancel_part 3",
    "set_grace",
    "respond",
    "finished",
  ]);
});

Deno.test("stepCoverage() gives up on a key space whose vnodes fail one after another", () => {
  const bench = new Bench({ n: 6, mode: "allup" }, { nodes: ["a"] });
  let failures = 0;
  for (let part = 0; part < bench.query.parts.length; part++) {
    bench.failed(part);
    failures++;
  }
  assert(bench.query.parts.every((p) => p.replans <= COVERAGE_REPLANS_MAX));
  assert(failures > 2);
  assertEquals(bench.query.phase, "finished");
  assertEquals(bench.lastReport.missing, [0, 1, 2, 3, 4, 5, 6, 7]);
});

Deno.test("stepCoverage() asks as many different vnodes for a key space as requested", () => {
  const bench = new Bench({ n: 3, primaryVnodeCoverage: 2 });
  bench.failed(0);
  const counts = new Map<number, Set<number>>();
  for (const { keySpaces, partition, state } of bench.query.parts) {
    if (state === "failed") continue;
    for (const keySpace of keySpaces) {
      const vnodes = counts.get(keySpace) ?? new Set();
      counts.set(keySpace, vnodes.add(partition));
    }
  }
  for (const vnodes of counts.values()) assertEquals(vnodes.size, 2);
  assertEquals(counts.size, 8);
});

Deno.test("stepCoverage() fails at the deadline and reports what it has covered", () => {
  const bench = new Bench();
  bench.batch(0, "x", true);
  bench.step({ type: "demand" });
  bench.step({ type: "deadline" });
  assertEquals(bench.told, "x|timeout");
  const coverage = bench.lastReport;
  assertEquals(coverage.answered, bench.query.parts[0]?.keySpaces.toSorted());
  assertEquals(coverage.missing.length, 6);
  assertEquals(coverage.asked[1]?.state, "open");
});

Deno.test("stepCoverage() does not count as answered what the caller has not consumed", () => {
  const bench = new Bench();
  bench.batch(0, "x", true);
  bench.batch(1, "never taken", true);
  bench.step({ type: "deadline" });
  bench.step({ type: "demand" });
  assertEquals(bench.told, "x|timeout");
  const { asked, answered } = bench.lastReport;
  assertEquals(asked.map(({ state }) => state), [
    "answered",
    "open",
    "open",
    "open",
  ]);
  assertEquals(answered.length, 2);
});

Deno.test("stepCoverage() keeps its end for a caller that does not wait, for a while", () => {
  const bench = new Bench();
  bench.batch(0, "x", false);
  bench.step({ type: "deadline" });
  assertEquals(bench.effects.at(-1), "set_grace");
  bench.step({ type: "demand" });
  assertEquals(bench.effects, ["respond", "finished"]);
  assertEquals(bench.told, "x|timeout");
  const forgotten = new Bench();
  forgotten.batch(0, "x", false);
  forgotten.step({ type: "deadline" });
  forgotten.step({ type: "grace_over" });
  assertEquals(forgotten.effects, ["finished"]);
});

Deno.test("stepCoverage() ends when its caller has not asked for a long time, but not while it waits", () => {
  const bench = new Bench();
  assert(!bench.timers.has("caller"));
  bench.batch(0, "x", false);
  assert(bench.timers.has("caller"));
  bench.step({ type: "demand" });
  assert(!bench.timers.has("caller"));
  bench.batch(0, "y", false);
  bench.step({ type: "timer", timer: "caller" });
  assertEquals(bench.effects.at(-1), "finished");
  assertEquals(bench.effects.filter((e) => e.startsWith("cancel")).length, 4);
});

Deno.test("stepCoverage() cancels at every vnode when it is cancelled", () => {
  const bench = new Bench();
  bench.batch(1, "x", true);
  bench.step({ type: "demand" });
  bench.step({ type: "cancel" });
  assertEquals(bench.effects, [
    "cancel_part 0",
    "cancel_part 2",
    "cancel_part 3",
    "set_grace",
    "respond",
    "finished",
  ]);
  assertEquals(bench.told, "x|cancelled");
  bench.batch(0, "late", true);
  assertEquals(bench.effects, []);
});
