import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { drawSchedule } from "../schedule/draw_schedule.ts";
import {
  failureLine,
  operationTable,
  renderFailure,
  replayCommand,
  REPORT_EVENTS_MAX,
  REPORT_OPERATIONS_MAX,
} from "./failure_report.ts";
import { describeSchedule } from "../schedule/fault_words.ts";
import type { Schedule } from "../schedule/schedule.ts";
import { runToy } from "../testing/toy_cluster.ts";
import { traceLine } from "./trace.ts";

const schedule: Schedule = {
  ...drawSchedule("a b", { nodes: 2, operations: 3, clients: 1, loadMs: 100 }),
  start: "formed",
  clients: "inside",
  network: {
    delayMsMin: 1,
    delayMsMax: 1,
    lossProbability: 0,
    repeatProbability: 0,
    reorderProbability: 0,
  },
  disk: { syncMsMin: 500, syncMsMax: 500, liesAboutSync: false },
  faults: [
    { type: "power_loss", node: 0, atMs: 150, forMs: 300 },
    { type: "power_loss", node: 1, atMs: 150.4, forMs: 300 },
  ],
};
const failed = await runToy(schedule, { trace: true });

Deno.test("renderFailure() shows seed, commit, check, schedule, operations, last events and the replay command", () => {
  const report = renderFailure(failed, { commit: "0123abc" });
  const lines = report.split("\n");
  assertEquals(
    lines[0],
    `FAIL seed=a b git=0123abc check=lost_write key=${
      failed.violations[0]?.key
    } nodes=2 operations=3 events=${failed.events} t=10.1s`,
  );
  assertEquals(lines[0], failureLine(failed, "0123abc"));
  assertStringIncludes(report, "which was acknowledged");
  for (const line of describeSchedule(schedule)) {
    assertStringIncludes(report, `\n  ${line}\n`);
  }
  assertStringIncludes(
    report,
    "   150 ms  n1 loses power and is down for 300 ms",
  );
  assertStringIncludes(report, "The operations that show lost_write");
  for (const event of failed.trace.events.slice(-REPORT_EVENTS_MAX)) {
    assertStringIncludes(report, `\n  ${traceLine(event)}\n`);
  }
  assertEquals(lines.at(-2), "  deno task simulate --seed 'a b' --trace");
});

Deno.test("renderFailure() shows the operations a violation names and no others", () => {
  const id = 1;
  const named = {
    ...failed,
    violations: [{ check: "stale_read", message: "Old", operations: [id] }],
  };
  const [, table] = renderFailure(named).split("show stale_read");
  const rows = (table as string).split("\n\n")[0]?.split("\n").slice(2);
  assertEquals(rows?.length, 1);
  assertEquals(rows?.[0]?.trim().split(/\s+/)[0], String(id));
});

Deno.test("renderFailure() falls back to the operations of the key, then to the last ones", async () => {
  const many = await runToy(
    {
      ...schedule,
      operations: Array.from({ length: 90 }, (_, number) => number),
    },
    { trace: false },
  );
  const ofKey = renderFailure({
    ...many,
    violations: [{ check: "diverged", message: "Two values", key: "k1" }],
  });
  assertStringIncludes(ofKey, "The operations of k1");
  assert(!/ k2 /.test(ofKey));
  const all = renderFailure({
    ...many,
    violations: [{ check: "settles", message: "Never" }],
  });
  assertStringIncludes(all, `the last ${REPORT_OPERATIONS_MAX} of 90 `);
  assertStringIncludes(all, "run it again with --trace");
});

Deno.test("renderFailure() names the file of a schedule that no seed draws", () => {
  const report = renderFailure(failed, { schedulePath: "small one.json" });
  assertStringIncludes(
    report,
    "deno task simulate --seed 'a b' --schedule 'small one.json' --trace\n",
  );
});

Deno.test("renderFailure() counts violations beyond the first ones", () => {
  const violations = Array.from({ length: 9 }, (_, index) => ({
    check: index < 5 ? "one" : "other",
    message: `Number ${index}`,
  }));
  const report = renderFailure({ ...failed, violations });
  assertStringIncludes(report, "one: Number 4\n  and 4 more of other\n");
});

Deno.test("replayCommand() repeats the options besides the seed", () => {
  assertEquals(
    replayCommand("7", { nodes: 5, operations: undefined }),
    "deno task simulate --seed 7 --nodes 5 --trace",
  );
});

Deno.test("operationTable() shows bytes, open operations and shortened values", () => {
  const rows = operationTable([{
    id: 3,
    client: "c1",
    key: "k",
    input: { value: new Uint8Array([1, 255]), long: "x".repeat(100) },
    invokedAtMs: 1.5,
    returnedAtMs: undefined,
    outcome: "unknown",
    output: undefined,
    error: undefined,
  }]);
  assertStringIncludes(rows[1] as string, "1.500   open  unknown");
  assertStringIncludes(rows[1] as string, '{"value":"0x01ff"');
  assert((rows[1] as string).endsWith("…"));
});
