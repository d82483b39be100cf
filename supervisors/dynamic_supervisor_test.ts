import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DynamicSupervisor } from "./dynamic_supervisor.ts";
import { crash } from "./exit_reason.ts";
import { ManualRuntime } from "./manual_runtime.ts";
import { ChildBase } from "./child.ts";
import type { ExitReason } from "./exit_reason.ts";
import { SupervisorError } from "./supervisor_error.ts";

class Job extends ChildBase {
  readonly kind = "task";
  asked = 0;
  killed = 0;
  constructor(readonly name: string, readonly stubborn = false) {
    super();
  }
  stop(reason: ExitReason): void {
    this.asked++;
    if (!this.stubborn) this.end(reason);
  }
  kill(): void {
    this.killed++;
    this.end("killed");
  }
  finish(reason: ExitReason = "normal"): void {
    this.end(reason);
  }
}

const boom = crash(new Error("boom"));

Deno.test("DynamicSupervisor.startChild() starts at once and forgets a child that ended", () => {
  const supervisor = new DynamicSupervisor({
    start: (name: string, stubborn: boolean) => new Job(name, stubborn),
  });
  const job = supervisor.startChild("a", true);
  assertEquals([job.name, job.stubborn], ["a", true]);
  assertEquals([...supervisor.whichChildren()], [job]);
  job.finish(boom);
  assertEquals(supervisor.size, 0);
  assertEquals(supervisor.exitReason, undefined);
});

Deno.test("DynamicSupervisor reports abnormal exits, and those only", async () => {
  const reports: string[] = [];
  const supervisor = new DynamicSupervisor({
    start: () => new Job("job"),
    onReport: (report) => reports.push(report.type),
  });
  supervisor.startChild().finish("normal");
  supervisor.startChild().finish("shutdown");
  await supervisor.terminateChild(supervisor.startChild());
  assertEquals(reports, []);
  supervisor.startChild().finish(boom);
  assertEquals(reports, ["child_exited"]);
});

Deno.test("DynamicSupervisor.startChild() does not keep a child that ended while it started", () => {
  const supervisor = new DynamicSupervisor({
    start: () => {
      const job = new Job("quick");
      job.finish();
      return job;
    },
  });
  supervisor.startChild();
  assertEquals(supervisor.size, 0);
});

Deno.test("DynamicSupervisor bears no more than maxChildren, those that still start included", async () => {
  const gate = Promise.withResolvers<void>();
  const supervisor = new DynamicSupervisor({
    name: "op_fsm_sup",
    maxChildren: 2,
    start: (slow: boolean): Job | Promise<Job> =>
      slow ? gate.promise.then(() => new Job("slow")) : new Job("fast"),
  });
  const slow = supervisor.startChild(true);
  const fast = supervisor.startChild(false) as Job;
  assertEquals(supervisor.full, true);
  const error = assertThrows(
    () => supervisor.startChild(false),
    SupervisorError,
    "'op_fsm_sup' may have at most 2",
  ) as SupervisorError;
  assertEquals(error.code, "max_children");
  fast.finish();
  assertEquals(supervisor.full, false);
  gate.resolve();
  assertEquals((await slow).name, "slow");
  assertEquals(supervisor.countChildren(), {
    specs: 1,
    active: 1,
    supervisors: 0,
    workers: 1,
  });
  await supervisor.shutdown();
});

Deno.test("DynamicSupervisor.startChild() throws, or rejects, when the child does not start", async () => {
  const supervisor = new DynamicSupervisor({
    start: (later: boolean): Job | Promise<Job> => {
      const error = new Error("no luck");
      if (later) return Promise.reject(error);
      throw error;
    },
  });
  const thrown = assertThrows(
    () => supervisor.startChild(false),
    SupervisorError,
    "no luck",
  ) as SupervisorError;
  assertEquals(thrown.code, "start_failed");
  assertEquals((thrown.cause as Error).message, "no luck");
  await assertRejects(
    async () => await supervisor.startChild(true),
    SupervisorError,
    "no luck",
  );
  assertEquals(supervisor.size, 0);
});

Deno.test("DynamicSupervisor stops all children at once and kills the slow ones after one shutdown time", async () => {
  const runtime = new ManualRuntime();
  const supervisor = new DynamicSupervisor({
    runtime,
    shutdown: 500,
    start: (stubborn: boolean) => new Job("job", stubborn),
  });
  const jobs = [true, false, true].map((stubborn) =>
    supervisor.startChild(stubborn)
  );
  const stopped = supervisor.shutdown();
  assertEquals(jobs.map((job) => job.asked), [1, 1, 1]);
  await runtime.advance(499);
  assertEquals(jobs.map((job) => job.killed), [0, 0, 0]);
  await runtime.advance(1);
  assertEquals(jobs.map((job) => job.killed), [1, 0, 1]);
  assertEquals(await stopped, "shutdown");
  assertEquals(runtime.pendingTimers, 0);
  const error = assertThrows(() => supervisor.startChild(false));
  assertEquals((error as SupervisorError).code, "noproc");
});

Deno.test("DynamicSupervisor does not wait for a start beyond its shutdown time, and kills what it brings", async () => {
  const runtime = new ManualRuntime();
  const gate = Promise.withResolvers<Job>();
  const supervisor = new DynamicSupervisor({
    runtime,
    shutdown: 500,
    start: () => gate.promise,
  });
  const starting = assertRejects(
    async () => await supervisor.startChild(),
    SupervisorError,
  );
  const stopped = supervisor.shutdown();
  await runtime.advance(500);
  assertEquals(await stopped, "shutdown");
  const job = new Job("late");
  gate.resolve(job);
  await starting;
  assertEquals(job.exitReason, "killed");
});

Deno.test("DynamicSupervisor.terminateChild() stops one child, which is not restarted", async () => {
  const runtime = new ManualRuntime();
  const supervisor = new DynamicSupervisor({
    runtime,
    restart: "permanent",
    shutdown: 100,
    start: (stubborn: boolean) => new Job("job", stubborn),
  });
  const obedient = supervisor.startChild(false);
  const stubborn = supervisor.startChild(true);
  await supervisor.terminateChild(obedient);
  assertEquals(obedient.exitReason, "shutdown");
  const terminated = supervisor.terminateChild(stubborn);
  await runtime.advance(100);
  await terminated;
  assertEquals(stubborn.exitReason, "killed");
  assertEquals(supervisor.size, 0);
  const error = await assertRejects(() => supervisor.terminateChild(stubborn));
  assertEquals((error as SupervisorError).code, "not_found");
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("DynamicSupervisor refuses what needs ids with simple_one_for_one", () => {
  const supervisor = new DynamicSupervisor({ start: () => new Job("job") });
  for (
    const refused of [
      () => supervisor.restartChild(),
      () => supervisor.deleteChild(),
    ]
  ) {
    const error = assertThrows(refused, SupervisorError) as SupervisorError;
    assertEquals(error.code, "simple_one_for_one");
  }
});

Deno.test("DynamicSupervisor restarts transient children with what they were started with, until it gives up", async () => {
  const runtime = new ManualRuntime();
  const jobs: Job[] = [];
  const supervisor = new DynamicSupervisor({
    runtime,
    restart: "transient",
    intensity: 2,
    periodMs: 1_000,
    start: (name: string) => {
      const job = new Job(name);
      jobs.push(job);
      return job;
    },
  });
  supervisor.startChild("a");
  supervisor.startChild("b");
  jobs[1]!.finish("normal");
  assertEquals(supervisor.size, 1);
  jobs[0]!.finish(boom);
  jobs[2]!.finish(boom);
  assertEquals(jobs.map((job) => job.name), ["a", "b", "a", "a"]);
  supervisor.startChild("c");
  jobs[3]!.finish(boom);
  await runtime.settle();
  assertEquals(supervisor.exitReason, "shutdown");
  assertEquals(jobs[4]!.exitReason, "shutdown");
});

Deno.test("DynamicSupervisor tries a failed restart again and counts it", async () => {
  const runtime = new ManualRuntime();
  let starts = 0;
  const supervisor = new DynamicSupervisor({
    runtime,
    restart: "permanent",
    intensity: 3,
    periodMs: 1_000,
    start: () => {
      if (++starts > 1 && starts < 4) throw new Error("not yet");
      return new Job(`life ${starts}`);
    },
  });
  supervisor.startChild().finish(boom);
  const [job] = [...supervisor.whichChildren()];
  assertEquals(job!.name, "life 4");
  job!.finish(boom);
  await runtime.settle();
  assertEquals(supervisor.exitReason, "shutdown");
});

Deno.test("DynamicSupervisor waits longer before each restart in a row", async () => {
  const runtime = new ManualRuntime();
  const startsAtMs: number[] = [];
  const supervisor = new DynamicSupervisor({
    runtime,
    restart: "permanent",
    intensity: 100,
    backoff: { minMs: 10, maxMs: 1_000, factor: 3, jitter: 0 },
    start: () => {
      startsAtMs.push(runtime.now());
      return new Job("job");
    },
  });
  supervisor.startChild();
  for (let i = 0; i < 3; i++) {
    [...supervisor.whichChildren()][0]!.finish(boom);
    await runtime.advance(100);
  }
  assertEquals(startsAtMs, [0, 10, 130, 290]);
  [...supervisor.whichChildren()][0]!.finish(boom);
  assertEquals(await supervisor.shutdown(), "shutdown");
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("DynamicSupervisor restarts at once after ends that are followed by no pause", async () => {
  const runtime = new ManualRuntime();
  const startsAtMs: number[] = [];
  const supervisor = new DynamicSupervisor({
    runtime,
    restart: "permanent",
    intensity: 100,
    backoff: { minMs: 10, maxMs: 1_000, jitter: 0 },
    backoffAfter: (reason) => reason !== "killed",
    start: () => {
      startsAtMs.push(runtime.now());
      return new Job("job");
    },
  });
  supervisor.startChild();
  for (const end of ["killed", "killed", boom, "killed", boom] as const) {
    [...supervisor.whichChildren()][0]!.finish(end);
    await runtime.advance(20);
  }
  assertEquals(startsAtMs, [0, 0, 20, 50, 60, 100]);
  await supervisor.shutdown();
});

Deno.test("DynamicSupervisor.kill() kills every child", () => {
  const supervisor = new DynamicSupervisor({
    start: () => new Job("job", true),
  });
  const jobs = [supervisor.startChild(), supervisor.startChild()];
  supervisor.kill();
  assertEquals(supervisor.exitReason, "killed");
  assertEquals(jobs.map((job) => job.exitReason), ["killed", "killed"]);
});
