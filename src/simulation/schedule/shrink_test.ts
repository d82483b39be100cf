import { assert, assertEquals } from "@std/assert";
import type { Schedule } from "./schedule.ts";
import { shrinkSchedule } from "./shrink.ts";
import { withLoad, withOperations, withoutNode } from "./shrink_candidates.ts";
import type { SimulationResult } from "../simulation_result.ts";
import { TOY_SCHEDULE } from "../testing/toy_schedule.ts";
import { runToy } from "../testing/toy_cluster.ts";

const CHECK = "lost_write";

const failing: Schedule = {
  ...TOY_SCHEDULE,
  nodes: 5,
  ringSize: 64,
  faults: [
    // Shortly after the third of five nodes has acknowledged operation 6.
    { atMs: 864.8, forMs: 1_412, type: "power_loss", node: 2 },
    ...TOY_SCHEDULE.faults.slice(1),
    { atMs: 900, forMs: 300, type: "kill", node: 4 },
    { atMs: 950, forMs: 300, type: "pause", node: 3 },
  ],
};

Deno.test("shrinkSchedule() reduces a lost write to one fault, one operation and calm weather", async () => {
  const shrunk = await shrinkSchedule(failing, runToy, { check: CHECK });
  const { schedule } = shrunk;
  assertEquals(shrunk.ended, "smallest");
  assertEquals(schedule.faults.map(({ type }) => type), ["power_loss"]);
  assertEquals(schedule.operations.length, 1);
  assertEquals(schedule.clientCount, 1);
  assertEquals(schedule.ringSize, 8);
  assertEquals(schedule.network.lossProbability, 0);
  assert(schedule.nodes < failing.nodes);
  assert(shrunk.runs < 600, `${shrunk.runs} runs`);
  const again = await runToy(schedule, { trace: false });
  assertEquals(again.violations.map(({ check }) => check), [CHECK]);
});

Deno.test("shrinkSchedule() runs the same schedules in the same order each time, none of them twice", async () => {
  const record = async (): Promise<string[]> => {
    const tried: string[] = [];
    await shrinkSchedule(failing, (schedule, options) => {
      tried.push(JSON.stringify(schedule));
      return runToy(schedule, options);
    }, { check: CHECK });
    return tried;
  };
  const first = await record();
  assertEquals(await record(), first);
  assertEquals(new Set(first).size, first.length);
});

Deno.test("shrinkSchedule() ends on request, with the smallest failing schedule so far", async () => {
  const few = await shrinkSchedule(failing, runToy, {
    check: CHECK,
    runsMax: 5,
  });
  assertEquals([few.ended, few.runs], ["runs_max", 5]);
  let asked = 0;
  const stopped = await shrinkSchedule(failing, runToy, {
    check: CHECK,
    shouldStop: () => ++asked > 12,
  });
  assertEquals([stopped.ended, stopped.runs], ["stopped", 12]);
  const { violations } = await runToy(stopped.schedule, { trace: false });
  assert(violations.some(({ check }) => check === CHECK));
});

Deno.test("shrinkSchedule() keeps the schedule if nothing smaller breaks the same check", async () => {
  const other = await shrinkSchedule(failing, async (schedule, options) => {
    const result = await runToy(schedule, options);
    const violations = result.violations.map((violation) => ({
      ...violation,
      check: "other",
    }));
    return { ...result, violations };
  }, { check: CHECK });
  assertEquals([other.schedule, other.kept], [failing, 0]);
});

Deno.test("shrinkSchedule() treats a schedule that cannot be run as passing, and says why", async () => {
  const run = (
    schedule: Schedule,
    options: { trace: boolean },
  ): Promise<SimulationResult> =>
    schedule.operations.length < 10
      ? Promise.reject(new RangeError("too few"))
      : runToy(schedule, options);
  const shrunk = await shrinkSchedule(failing, run, { check: CHECK });
  assertEquals(shrunk.refused, "too few");
  assert(shrunk.schedule.operations.length >= 10);
  assertEquals(shrunk.schedule.faults.length, 1);
});

Deno.test("shrinkSchedule() reports each run", async () => {
  const told: number[] = [];
  const shrunk = await shrinkSchedule(failing, runToy, {
    check: CHECK,
    onProgress: ({ runs }) => told.push(runs),
  });
  assertEquals(
    told,
    Array.from({ length: shrunk.runs }, (_, index) => index + 1),
  );
});

Deno.test("withoutNode() drops what names only the node and renumbers those after it", () => {
  const at = { atMs: 0, forMs: 1 };
  const { nodes, faults } = withoutNode({
    ...failing,
    nodes: 3,
    faults: [
      { ...at, type: "kill", node: 0 },
      { ...at, type: "kill", node: 1 },
      { ...at, type: "kill", node: 2 },
      { ...at, type: "reset", from: 0, to: 2 },
      { ...at, type: "reset", from: 1, to: 2 },
      {
        ...at,
        type: "partition",
        from: [1],
        to: [0, 2],
        oneWay: false,
        break: false,
      },
      {
        ...at,
        type: "partition",
        from: [0],
        to: [1, 2],
        oneWay: false,
        break: false,
      },
    ],
  }, 1);
  assertEquals(nodes, 2);
  assertEquals(faults, [
    { ...at, type: "kill", node: 0 },
    { ...at, type: "kill", node: 1 },
    { ...at, type: "reset", from: 0, to: 1 },
    {
      ...at,
      type: "partition",
      from: [0],
      to: [1],
      oneWay: false,
      break: false,
    },
  ]);
});

Deno.test("withoutNode() drops changes that name the machine, even a spare one", () => {
  const { nodes, spares, changes } = withoutNode({
    ...failing,
    nodes: 2,
    spares: 2,
    changes: [
      { atMs: 0, type: "join", node: 3, commit: true },
      { atMs: 1, type: "join", node: 2, commit: false },
      { atMs: 2, type: "clear" },
      { atMs: 3, type: "force_replace", node: 0, by: 2 },
      { atMs: 4, type: "replace", node: 1, by: 3, commit: true },
    ],
  }, 2);
  assertEquals([nodes, spares], [2, 1]);
  assertEquals(changes, [
    { atMs: 0, type: "join", node: 2, commit: true },
    { atMs: 2, type: "clear" },
    { atMs: 4, type: "replace", node: 1, by: 2, commit: true },
  ]);
});

Deno.test("withOperations() keeps the times of operations, and drops faults after the shorter load", () => {
  const at = { type: "kill", node: 0, forMs: 10 } as const;
  const schedule: Schedule = {
    ...failing,
    operations: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    loadMs: 1_000,
    faults: [{ ...at, atMs: 100 }, { ...at, atMs: 499 }, { ...at, atMs: 500 }],
  };
  const timeOf = ({ operations, loadMs }: Schedule, number: number): number =>
    loadMs * number / ((operations.at(-1) ?? 0) + 1);
  const fewer = withOperations(schedule, [1, 4]);
  assertEquals(fewer.loadMs, 500);
  assertEquals(timeOf(fewer, 4), timeOf(schedule, 4));
  assertEquals(fewer.faults.map(({ atMs }) => atMs), [100, 499]);
  assertEquals(withOperations(schedule, []).loadMs, 1_000);
  assertEquals(withLoad(schedule, 100).faults, []);
});

Deno.test("shrinkSchedule() nudges a fault when removing an operation moves its target", async () => {
  const passing = await runToy({ ...failing, operations: [], faults: [] }, {
    trace: false,
  });
  const shrunk = await shrinkSchedule({
    ...failing,
    operations: [1, 2, 3, 9],
    loadMs: 1_000,
    faults: [{ type: "kill", node: 0, atMs: 100, forMs: 10 }],
  }, (schedule) => {
    const { operations, faults } = schedule;
    const hits = operations.includes(3) && operations.includes(9) &&
      faults[0]?.atMs === 100 + 5 * (4 - operations.length);
    const violations = hits ? [{ check: CHECK, message: "Hit" }] : [];
    return Promise.resolve({ ...passing, schedule, violations });
  }, { check: CHECK });
  assertEquals(shrunk.schedule.operations, [3, 9]);
  assertEquals(shrunk.schedule.faults[0]?.atMs, 110);
});

Deno.test("withoutNode() and withLoad() drop acts on a Raft group that name the node or are too late", () => {
  const grouped: Schedule = {
    ...failing,
    nodes: 3,
    faults: [],
    groups: [{
      members: [0, 1, 2],
      acts: [
        { atMs: 10, type: "snapshot", node: 1 },
        { atMs: 20, type: "leader_fault", how: "kill", forMs: 1 },
        { atMs: 30, type: "transfer", node: 2 },
      ],
    }, { members: [1, 2], acts: [] }],
  };
  assertEquals(withoutNode(grouped, 1).groups, [{
    members: [0, 1],
    acts: [
      { atMs: 20, type: "leader_fault", how: "kill", forMs: 1 },
      { atMs: 30, type: "transfer", node: 1 },
    ],
  }, { members: [1], acts: [] }]);
  assertEquals(withLoad(grouped, 25).groups?.[0]?.acts.length, 2);
});
