import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { CompletionReports, REPORT_MS } from "./completion_reports.ts";

function bench() {
  const runtime = new ManualRuntime();
  const told: string[] = [];
  const reports = new CompletionReports(
    runtime,
    (partitions, module) => told.push(`${module} ${partitions.join(" ")}`),
  );
  return { runtime, told, reports };
}

Deno.test("CompletionReports reports partitions handed over within REPORT_MS together, each once", async () => {
  const { runtime, told, reports } = bench();
  reports.add(3, "kv");
  await runtime.advance(REPORT_MS - 1);
  reports.add(7, "kv");
  reports.add(7, "kv");
  reports.add(3, "counter");
  assertEquals(told, []);
  await runtime.advance(1);
  assertEquals(told.splice(0), ["kv 3 7", "counter 3"]);
  await runtime.advance(10 * REPORT_MS);
  assertEquals(told, []);
  reports.add(9, "kv");
  await runtime.advance(REPORT_MS);
  assertEquals(told, ["kv 9"]);
});

Deno.test("CompletionReports.close() reports at once, also what is added later, and leaves no timer", () => {
  const { runtime, told, reports } = bench();
  reports.add(3, "kv");
  reports.close();
  assertEquals(told.splice(0), ["kv 3"]);
  reports.add(7, "kv");
  assertEquals(told, ["kv 7"]);
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("CompletionReports.flush() reports at once and leaves no timer", async () => {
  const { runtime, told, reports } = bench();
  reports.add(3, "kv");
  reports.flush();
  reports.flush();
  assertEquals(told.splice(0), ["kv 3"]);
  await runtime.advance(REPORT_MS);
  assertEquals(told, []);
  assertEquals(runtime.pendingTimers, 0);
});
