import { assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../base/invariant.ts";
import {
  createSeedRun,
  seedInHand,
  type SeedRun,
  type SeedRunEffect,
  SLICE_SEEDS,
  stepSeedRun,
} from "./run_seeds.ts";
import {
  addSummary,
  emptyTally,
  type SeedSummary,
  summarize,
  UNDECIDED_KEPT_MAX,
} from "./seed_summary.ts";
import { UNDECIDED } from "../checkers/violation.ts";
import { TOY_SCHEDULE } from "../testing/toy_schedule.ts";
import { runToy } from "../testing/toy_cluster.ts";

function summaryOf(seed: number, failing = false): SeedSummary {
  return {
    seed: String(seed),
    violations: failing ? [{ check: "lost_write", message: "Gone" }] : [],
    undecided: [],
    ok: 40,
    failed: 4,
    unknown: 6,
    events: 100,
    virtualMs: 5_000,
    faults: { kill: 2, pause: 1 },
    changes: {},
  };
}

/** The next seed of `worker` is done. */
function done(run: SeedRun, worker: number, failing = false): SeedRunEffect[] {
  const seed = seedInHand(run, worker) as number;
  return stepSeedRun(run, {
    type: "result",
    worker,
    summary: summaryOf(seed, failing),
  });
}

Deno.test("stepSeedRun() gives every seed to one worker, and ends when the last is done", () => {
  const from = 7;
  const count = 5 * SLICE_SEEDS + 3;
  const run = createSeedRun({ from, count, failuresMax: 1 });
  const seen: number[] = [];
  let effects: SeedRunEffect[] = [];
  for (const worker of [0, 1, 2]) {
    stepSeedRun(run, { type: "ready", worker });
  }
  // The workers have different speeds.
  for (let turn = 0; run.ended === undefined; turn++) {
    for (const worker of [0, 1, 2]) {
      const seed = seedInHand(run, worker);
      if (seed === undefined || turn % (worker + 1) !== 0) continue;
      seen.push(seed);
      effects = done(run, worker);
    }
  }
  assertEquals(effects, [{ type: "end", why: "all_done" }]);
  assertEquals(
    seen.sort((a, b) => a - b),
    Array.from({ length: count }, (_, index) => from + index),
  );
  assertEquals(run.tally.seeds, count);
  assertEquals(run.tally.faults, { kill: 2 * count, pause: count });
});

Deno.test("stepSeedRun() waits for running seeds when all are handed out", () => {
  const run = createSeedRun({
    from: 0,
    count: 2 * SLICE_SEEDS,
    failuresMax: 1,
  });
  for (const worker of [0, 1]) stepSeedRun(run, { type: "ready", worker });
  for (let i = 0; i < SLICE_SEEDS; i++) assertEquals(done(run, 0), []);
  assertEquals(run.ended, undefined);
  for (let i = 0; i < SLICE_SEEDS; i++) done(run, 1);
  assertEquals(run.ended, "all_done");
});

Deno.test("stepSeedRun() ends at once at the last failure it was to find", () => {
  const run = createSeedRun({ from: 0, count: 100, failuresMax: 2 });
  stepSeedRun(run, { type: "ready", worker: 0 });
  assertEquals(done(run, 0, true), []);
  done(run, 0);
  assertEquals(done(run, 0, true), [{ type: "end", why: "failures_max" }]);
  assertEquals(run.tally.failures.map(({ seed }) => seed), ["0", "2"]);
  assertEquals(stepSeedRun(run, { type: "ready", worker: 1 }), []);
});

Deno.test("stepSeedRun() fails the current seed of a lost worker, and continues after it", () => {
  const run = createSeedRun({ from: 0, count: SLICE_SEEDS, failuresMax: 9 });
  stepSeedRun(run, { type: "ready", worker: 0 });
  done(run, 0);
  assertEquals(
    stepSeedRun(run, {
      type: "lost",
      worker: 0,
      check: "hangs",
      reason: "Silent for 60 s",
    }),
    [{ type: "replace", worker: 0 }],
  );
  assertEquals(run.tally.failures[0]?.seed, "1");
  assertEquals(run.tally.failures[0]?.violations, [
    { check: "hangs", message: "Silent for 60 s" },
  ]);
  assertEquals(stepSeedRun(run, { type: "ready", worker: 0 }), [{
    type: "assign",
    worker: 0,
    range: { from: 2, count: SLICE_SEEDS - 2 },
  }]);
  while (run.ended === undefined) done(run, 0);
  assertEquals(run.tally.seeds, SLICE_SEEDS);
});

Deno.test("stepSeedRun() ends when the worker of the last seed is lost", () => {
  const run = createSeedRun({ from: 0, count: 1, failuresMax: 9 });
  stepSeedRun(run, { type: "ready", worker: 0 });
  stepSeedRun(run, { type: "lost", worker: 0, check: "crashes", reason: "x" });
  assertEquals(stepSeedRun(run, { type: "ready", worker: 0 }), [
    { type: "end", why: "all_done" },
  ]);
});

Deno.test("stepSeedRun() gives up when a worker without a seed is lost", () => {
  const run = createSeedRun({ from: 0, count: 100, failuresMax: 9 });
  assertEquals(
    stepSeedRun(run, {
      type: "lost",
      worker: 0,
      check: "crashes",
      reason: "x",
    }),
    [{ type: "end", why: "broken" }],
  );
  assertEquals([run.brokenBy, run.tally.seeds], ["x", 0]);
});

Deno.test("stepSeedRun() stops on request, with the results so far", () => {
  const run = createSeedRun({ from: 0, count: 100, failuresMax: 1 });
  stepSeedRun(run, { type: "ready", worker: 0 });
  done(run, 0);
  assertEquals(stepSeedRun(run, { type: "stop" }), [
    { type: "end", why: "stopped" },
  ]);
  assertEquals(run.tally.seeds, 1);
});

Deno.test("stepSeedRun() rejects a worker that reports another's seed", () => {
  const run = createSeedRun({ from: 0, count: 100, failuresMax: 1 });
  stepSeedRun(run, { type: "ready", worker: 0 });
  assertThrows(
    () =>
      stepSeedRun(run, { type: "result", worker: 0, summary: summaryOf(5) }),
    InvariantError,
  );
});

Deno.test("summarize() keeps the counted parts of a result", async () => {
  const result = await runToy(TOY_SCHEDULE, { trace: false });
  const summary = summarize(result);
  assertEquals(summary.seed, "358");
  assertEquals(summary.violations.map(({ check }) => check), ["lost_write"]);
  assertEquals(summary.ok + summary.failed + summary.unknown, 50);
  assertEquals(summary.faults, {
    power_loss: 1,
    clock_jump: 2,
    bit_rot: 1,
    partition: 1,
  });
});

Deno.test("summarize() distinguishes undecided checks from violations", async () => {
  const result = await runToy(TOY_SCHEDULE, { trace: false });
  const open = { check: UNDECIDED, message: "Whether k is linearizable" };
  const summary = summarize({
    ...result,
    violations: [open],
    undecided: [open.message],
  });
  assertEquals([summary.violations, summary.undecided], [[], [open.message]]);
});

Deno.test("addSummary() counts every undecided seed and keeps some", () => {
  const tally = emptyTally();
  for (let seed = 0; seed < UNDECIDED_KEPT_MAX + 5; seed++) {
    addSummary(tally, { ...summaryOf(seed), undecided: ["linearizable"] });
  }
  assertEquals(tally.undecided.length, UNDECIDED_KEPT_MAX);
  assertEquals(tally.undecidedCount, UNDECIDED_KEPT_MAX + 5);
  assertEquals(tally.failures, []);
});
