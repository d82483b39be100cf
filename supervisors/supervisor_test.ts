import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { type Child, ChildBase } from "./child.ts";
import type { ChildSpec } from "./child_spec.ts";
import { crash, type ExitReason, formatReason } from "./exit_reason.ts";
import { ManualRuntime } from "./manual_runtime.ts";
import {
  startSupervisor,
  type Supervisor,
  type SupervisorOptions,
  type SupervisorReport,
} from "./supervisor.ts";
import { SupervisorError } from "./supervisor_error.ts";

/** A child that obeys, or not, and writes down what happens to it. */
class Probe extends ChildBase {
  readonly kind = "task";
  constructor(
    readonly id: string,
    readonly log: string[],
    readonly stubborn = false,
  ) {
    super();
    log.push(`${id} starts`);
  }
  stop(reason: ExitReason): void {
    this.log.push(`${this.id} is asked`);
    if (!this.stubborn) this.fall(reason);
  }
  kill(): void {
    this.log.push(`${this.id} is killed`);
    this.fall("killed");
  }
  fall(reason: ExitReason): void {
    if (!this.alive) return;
    this.log.push(`${this.id} ends`);
    this.end(reason);
  }
}

interface Bench {
  readonly log: string[];
  readonly runtime: ManualRuntime;
  /** The newest process of each child. */
  readonly probes: Map<string, Probe>;
  /** How many of the next starts of a child fail. */
  readonly failures: Map<string, number>;
  spec(id: string, policy?: Partial<ChildSpec>): ChildSpec;
  start(
    children: readonly ChildSpec[],
    options?: SupervisorOptions,
  ): Promise<Supervisor>;
  fall(id: string, reason?: ExitReason): Promise<void>;
}

function createBench(): Bench {
  const log: string[] = [];
  const runtime = new ManualRuntime();
  const probes = new Map<string, Probe>();
  const failures = new Map<string, number>();
  return {
    log,
    runtime,
    probes,
    failures,
    spec: (id, policy = {}) => ({
      id,
      start: () => {
        const left = failures.get(id) ?? 0;
        if (left > 0) {
          failures.set(id, left - 1);
          log.push(`${id} does not start`);
          throw new Error(`${id} is broken`);
        }
        const probe = new Probe(id, log, id.startsWith("stubborn"));
        probes.set(id, probe);
        return probe;
      },
      ...policy,
    }),
    start: (children, options) =>
      startSupervisor({
        runtime,
        intensity: 100,
        children,
        ...options,
      }),
    fall: async (id, reason = crash(new Error("boom"))) => {
      log.length = 0;
      probes.get(id)!.fall(reason);
      await runtime.settle();
    },
  };
}

/** What `supervisor` exited with; fails if it has not. */
function exitOf(supervisor: Child): ExitReason | "still running" {
  return supervisor.exitReason ?? "still running";
}

async function assertCode(
  promise: Promise<unknown>,
  code: string,
): Promise<void> {
  const error = await assertRejects(() => promise);
  assertInstanceOf(error, SupervisorError);
  assertEquals(error.code, code);
}

Deno.test("startSupervisor() starts children in order and stops them in reverse", async () => {
  const bench = createBench();
  const supervisor = await bench.start([
    bench.spec("a"),
    bench.spec("b"),
    bench.spec("c"),
  ]);
  assertEquals(bench.log, ["a starts", "b starts", "c starts"]);
  bench.log.length = 0;
  assertEquals(await supervisor.shutdown(), "shutdown");
  assertEquals(bench.log, [
    "c is asked",
    "c ends",
    "b is asked",
    "b ends",
    "a is asked",
    "a ends",
  ]);
  assertEquals(bench.runtime.pendingTimers, 0);
});

Deno.test("startSupervisor() waits for a child that starts slowly before the next", async () => {
  const bench = createBench();
  const gate = Promise.withResolvers<Child>();
  const starting = bench.start([
    { id: "slow", start: () => gate.promise },
    bench.spec("b"),
  ]);
  await bench.runtime.settle();
  assertEquals(bench.log, []);
  gate.resolve(new Probe("slow", bench.log));
  const supervisor = await starting;
  assertEquals(bench.log, ["slow starts", "b starts"]);
  await supervisor.shutdown();
});

Deno.test("startSupervisor() stops what had started, in reverse, when a child does not start", async () => {
  const bench = createBench();
  bench.failures.set("c", 1);
  const error = await assertRejects(
    () =>
      bench.start([
        bench.spec("a"),
        bench.spec("b"),
        bench.spec("c"),
        bench.spec("d"),
      ]),
    SupervisorError,
    "c is broken",
  ) as SupervisorError;
  assertEquals(error.code, "start_failed");
  assertEquals(error.details.id, "c");
  assertEquals(bench.log, [
    "a starts",
    "b starts",
    "c does not start",
    "b is asked",
    "b ends",
    "a is asked",
    "a ends",
  ]);
});

Deno.test("startSupervisor() refuses two children with one id", async () => {
  const bench = createBench();
  await assertRejects(
    () => bench.start([bench.spec("a"), bench.spec("a")]),
    TypeError,
    "'a' stands twice",
  );
});

Deno.test("Supervisor restarts the one that fell under one_for_one", async () => {
  const bench = createBench();
  const supervisor = await bench.start([
    bench.spec("a"),
    bench.spec("b"),
    bench.spec("c"),
  ]);
  await bench.fall("b");
  assertEquals(bench.log, ["b ends", "b starts"]);
  assertEquals(
    supervisor.whichChildren().map(({ id, restarts }) => [id, restarts]),
    [["a", 0], ["b", 1], ["c", 0]],
  );
  await supervisor.shutdown();
});

Deno.test("Supervisor restarts all under one_for_all", async () => {
  const bench = createBench();
  const supervisor = await bench.start([
    bench.spec("a"),
    bench.spec("b"),
    bench.spec("c"),
  ], { strategy: "one_for_all" });
  await bench.fall("b");
  assertEquals(bench.log, [
    "b ends",
    "c is asked",
    "c ends",
    "a is asked",
    "a ends",
    "a starts",
    "b starts",
    "c starts",
  ]);
  await supervisor.shutdown();
});

Deno.test("Supervisor restarts the child and the later ones under rest_for_one", async () => {
  const bench = createBench();
  const supervisor = await bench.start([
    bench.spec("a"),
    bench.spec("b"),
    bench.spec("c"),
    bench.spec("d"),
  ], { strategy: "rest_for_one" });
  await bench.fall("b");
  assertEquals(bench.log, [
    "b ends",
    "d is asked",
    "d ends",
    "c is asked",
    "c ends",
    "b starts",
    "c starts",
    "d starts",
  ]);
  await supervisor.shutdown();
});

Deno.test("Supervisor forgets temporary children of a group instead of restarting them", async () => {
  const bench = createBench();
  const supervisor = await bench.start([
    bench.spec("a"),
    bench.spec("b", { restart: "temporary" }),
  ], { strategy: "one_for_all" });
  await bench.fall("a");
  assertEquals(bench.log, ["a ends", "b is asked", "b ends", "a starts"]);
  assertEquals(supervisor.whichChildren().map(({ id }) => id), ["a"]);
  await supervisor.shutdown();
});

for (
  const [restart, reason, restarted] of [
    ["permanent", "normal", true],
    ["permanent", "shutdown", true],
    ["permanent", crash(new Error("x")), true],
    ["transient", "normal", false],
    ["transient", "shutdown", false],
    ["transient", { type: "shutdown", detail: "tired" }, false],
    ["transient", "killed", true],
    ["transient", "noproc", true],
    ["transient", crash(new Error("x")), true],
    ["temporary", crash(new Error("x")), false],
    ["temporary", "normal", false],
  ] as const
) {
  Deno.test(
    `Supervisor ${
      restarted ? "restarts" : "leaves"
    } a ${restart} child that exits with ${formatReason(reason)}`,
    async () => {
      const bench = createBench();
      const supervisor = await bench.start([bench.spec("a", { restart })]);
      await bench.fall("a", reason);
      assertEquals(bench.log, restarted ? ["a ends", "a starts"] : ["a ends"]);
      // A temporary child is forgotten, another one stays known.
      assertEquals(
        supervisor.countChildren().specs,
        restart === "temporary" ? 0 : 1,
      );
      await supervisor.shutdown();
    },
  );
}

Deno.test("Supervisor gives up after more restarts than intensity allows, in reverse, with shutdown", async () => {
  const bench = createBench();
  const reports: string[] = [];
  const supervisor = await bench.start([bench.spec("a"), bench.spec("b")], {
    intensity: 2,
    periodMs: 1000,
    onReport: (report) => reports.push(`${report.type} ${report.id}`),
  });
  await bench.fall("a");
  await bench.fall("a");
  assertEquals(exitOf(supervisor), "still running");
  await bench.fall("a");
  assertEquals(bench.log, ["a ends", "b is asked", "b ends"]);
  assertEquals(exitOf(supervisor), "shutdown");
  assertEquals(reports.at(-1), "gave_up a");
});

Deno.test("Supervisor bears restarts that are spread out", async () => {
  const bench = createBench();
  const supervisor = await bench.start([bench.spec("a")], {
    intensity: 1,
    periodMs: 1000,
  });
  for (let i = 0; i < 10; i++) {
    await bench.fall("a");
    await bench.runtime.advance(1001);
  }
  assertEquals(exitOf(supervisor), "still running");
  assertEquals(supervisor.whichChildren()[0]!.restarts, 10);
  await supervisor.shutdown();
});

Deno.test("Supervisor escalates: its own supervisor restarts it with fresh children", async () => {
  const bench = createBench();
  const top = await bench.start([
    {
      id: "sub",
      type: "supervisor",
      start: (signal) =>
        startSupervisor({
          runtime: bench.runtime,
          intensity: 0,
          children: [bench.spec("leaf")],
          signal,
        }),
    },
  ]);
  const first = top.child("sub");
  await bench.fall("leaf");
  assertEquals(bench.log, ["leaf ends", "leaf starts"]);
  assertEquals(exitOf(first!), "shutdown");
  assertEquals(top.child("sub") === first, false);
  await top.shutdown();
  assertEquals(bench.log.at(-1), "leaf ends");
});

Deno.test("Supervisor tries a restart again that fails, and counts it each time", async () => {
  const bench = createBench();
  const supervisor = await bench.start([bench.spec("a")], {
    intensity: 3,
    periodMs: 1000,
  });
  bench.failures.set("a", 2);
  await bench.fall("a");
  assertEquals(bench.log, [
    "a ends",
    "a does not start",
    "a does not start",
    "a starts",
  ]);
  assertEquals(supervisor.whichChildren()[0]!.restarts, 3);
  bench.failures.set("a", 99);
  await bench.fall("a");
  assertEquals(exitOf(supervisor), "shutdown");
});

Deno.test("Supervisor kills a child that does not stop within its shutdown time", async () => {
  const bench = createBench();
  const supervisor = await bench.start([
    bench.spec("a"),
    bench.spec("stubborn", { shutdown: 700 }),
  ]);
  bench.log.length = 0;
  const stopped = supervisor.shutdown();
  await bench.runtime.advance(699);
  assertEquals(bench.log, ["stubborn is asked"]);
  await bench.runtime.advance(1);
  await stopped;
  assertEquals(bench.log, [
    "stubborn is asked",
    "stubborn is killed",
    "stubborn ends",
    "a is asked",
    "a ends",
  ]);
  assertEquals(bench.runtime.pendingTimers, 0);
});

Deno.test("Supervisor kills a brutal child without asking, and waits for an infinite one", async () => {
  const bench = createBench();
  const supervisor = await bench.start([
    bench.spec("stubborn", { shutdown: "infinity" }),
    bench.spec("b", { shutdown: "brutal" }),
  ]);
  bench.log.length = 0;
  const stopped = supervisor.shutdown();
  await bench.runtime.advance(1_000_000);
  assertEquals(bench.log, ["b is killed", "b ends", "stubborn is asked"]);
  bench.probes.get("stubborn")!.fall("shutdown");
  assertEquals(await stopped, "shutdown");
});

Deno.test("Supervisor pauses longer before each restart in a row, and starts over once the child stays up", async () => {
  const bench = createBench();
  const supervisor = await bench.start([
    bench.spec("a", {
      backoff: { minMs: 100, maxMs: 350, factor: 2, jitter: 0.5 },
    }),
  ]);
  for (const pauseMs of [100, 200, 350, 350]) {
    await bench.fall("a");
    await bench.runtime.advance(pauseMs - 1);
    assertEquals(bench.log, ["a ends"]);
    assertEquals(supervisor.whichChildren()[0]!.status, "restarting");
    await bench.runtime.advance(1);
    assertEquals(bench.log, ["a ends", "a starts"]);
  }
  await bench.runtime.advance(351);
  bench.runtime.chance = 0.5;
  await bench.fall("a");
  await bench.runtime.advance(75);
  assertEquals(bench.log, ["a ends", "a starts"]);
  await supervisor.shutdown();
});

Deno.test("Supervisor reports a restart that is not at once, for how long and why", async () => {
  const bench = createBench();
  const reports: SupervisorReport[] = [];
  const supervisor = await bench.start([
    bench.spec("a", {
      backoff: { minMs: 100, maxMs: 100, atOnce: 1, jitter: 0 },
    }),
  ], { onReport: (report) => reports.push(report) });
  await bench.fall("a");
  assertEquals(reports.at(-1)?.type, "child_started");
  await bench.fall("a");
  const [fell, delayed] = reports.slice(-2);
  if (fell?.type !== "child_exited") throw new Error(`It is ${fell?.type}`);
  assertEquals(delayed, {
    type: "restart_delayed",
    supervisor: supervisor.name,
    id: "a",
    afterMs: 100,
    reason: fell.reason,
  });
  await supervisor.shutdown();
});

Deno.test("Supervisor stops while a child waits for its restart, and leaves no timer behind", async () => {
  const bench = createBench();
  const supervisor = await bench.start([
    bench.spec("a", { backoff: { minMs: 100, maxMs: 100 } }),
  ]);
  await bench.fall("a");
  assertEquals(await supervisor.shutdown(), "shutdown");
  assertEquals(bench.runtime.pendingTimers, 0);
});

Deno.test("Supervisor stops the rest of a group before the pause and starts it after", async () => {
  const bench = createBench();
  const supervisor = await bench.start([
    bench.spec("a", { backoff: { minMs: 100, maxMs: 100, jitter: 0 } }),
    bench.spec("b"),
  ], { strategy: "one_for_all" });
  await bench.fall("a");
  assertEquals(bench.log, ["a ends", "b is asked", "b ends"]);
  await bench.runtime.advance(100);
  assertEquals(bench.log.slice(3), ["a starts", "b starts"]);
  await supervisor.shutdown();
});

Deno.test("Supervisor answers requests with OTP's errors", async () => {
  const bench = createBench();
  const supervisor = await bench.start([bench.spec("a")]);
  await assertCode(
    supervisor.startChild(bench.spec("a")),
    "already_started",
  );
  await assertCode(supervisor.restartChild("a"), "running");
  await assertCode(supervisor.deleteChild("a"), "running");
  await assertCode(supervisor.terminateChild("nobody"), "not_found");
  await assertCode(supervisor.restartChild("nobody"), "not_found");
  await assertCode(supervisor.deleteChild("nobody"), "not_found");
  await supervisor.terminateChild("a");
  assertEquals(supervisor.countChildren(), {
    specs: 1,
    active: 0,
    supervisors: 0,
    workers: 1,
  });
  await assertCode(
    supervisor.startChild(bench.spec("a")),
    "already_present",
  );
  assertEquals(supervisor.getChildSpec("a").id, "a");
  assertEquals(
    await supervisor.restartChild("a"),
    bench.probes.get("a"),
  );
  await supervisor.terminateChild("a");
  await supervisor.deleteChild("a");
  assertEquals(supervisor.whichChildren(), []);
  assertEquals(
    await supervisor.startChild(bench.spec("a")),
    bench.probes.get("a"),
  );
  await supervisor.shutdown();
  await assertCode(supervisor.startChild(bench.spec("z")), "noproc");
});

Deno.test("Supervisor refuses to restart or delete a child that waits for its restart", async () => {
  const bench = createBench();
  const supervisor = await bench.start([
    bench.spec("a", { backoff: { minMs: 100, maxMs: 100 } }),
  ]);
  await bench.fall("a");
  await assertCode(supervisor.restartChild("a"), "restarting");
  await assertCode(supervisor.deleteChild("a"), "restarting");
  await supervisor.terminateChild("a");
  await bench.runtime.advance(1000);
  assertEquals(bench.log, ["a ends"]);
  await supervisor.shutdown();
});

Deno.test("Supervisor keeps nothing of a child that could not be added", async () => {
  const bench = createBench();
  const supervisor = await bench.start([]);
  bench.failures.set("a", 1);
  await assertCode(supervisor.startChild(bench.spec("a")), "start_failed");
  assertEquals(supervisor.whichChildren(), []);
  await assertCode(
    Promise.resolve().then(() => supervisor.getChildSpec("a")),
    "not_found",
  );
  await supervisor.startChild(bench.spec("a"));
  await supervisor.shutdown();
});

Deno.test("Supervisor takes a delete and an add of one id that are asked for together", async () => {
  const bench = createBench();
  const supervisor = await bench.start([bench.spec("a")]);
  await Promise.all([
    supervisor.terminateChild("a"),
    supervisor.deleteChild("a"),
    supervisor.startChild(bench.spec("a", { restart: "temporary" })),
  ]);
  assertEquals(supervisor.getChildSpec("a").restart, "temporary");
  await supervisor.shutdown();
});

Deno.test("Supervisor cuts a slow start short when it has to stop", async () => {
  const bench = createBench();
  const supervisorStopped = new AbortController();
  const starting = bench.start([
    bench.spec("a"),
    {
      id: "slow",
      start: (signal) =>
        new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(new Error("aborted")))
        ),
    },
  ], { signal: supervisorStopped.signal });
  await bench.runtime.settle();
  supervisorStopped.abort();
  await assertRejects(() => starting, SupervisorError);
  assertEquals(bench.log, ["a starts", "a is asked", "a ends"]);
});

Deno.test("Supervisor stops a child that finishes starting during the shutdown", async () => {
  const bench = createBench();
  const gate = Promise.withResolvers<Child>();
  const supervisor = await bench.start([bench.spec("a")]);
  const adding = assertCode(
    supervisor.startChild({ id: "slow", start: () => gate.promise }),
    "noproc",
  );
  const stopped = supervisor.shutdown();
  await bench.runtime.settle();
  bench.log.length = 0;
  gate.resolve(new Probe("slow", bench.log));
  await stopped;
  await adding;
  assertEquals(bench.log, [
    "slow starts",
    "slow is asked",
    "slow ends",
    "a is asked",
    "a ends",
  ]);
});

Deno.test("Supervisor.kill() ends everything at once, latecomers included", async () => {
  const bench = createBench();
  const gate = Promise.withResolvers<Child>();
  const supervisor = await bench.start([
    bench.spec("a"),
    bench.spec("stubborn"),
  ]);
  const adding = assertCode(
    supervisor.startChild({ id: "slow", start: () => gate.promise }),
    "noproc",
  );
  bench.log.length = 0;
  supervisor.kill();
  assertEquals(exitOf(supervisor), "killed");
  assertEquals(bench.log, [
    "stubborn is killed",
    "stubborn ends",
    "a is killed",
    "a ends",
  ]);
  const late = new Probe("slow", bench.log);
  gate.resolve(late);
  await adding;
  await bench.runtime.settle();
  assertEquals(late.exitReason, "killed");
});

Deno.test("Supervisor shuts down when any significant child ends for good", async () => {
  const bench = createBench();
  const supervisor = await bench.start([
    bench.spec("a"),
    bench.spec("b", { restart: "transient", significant: true }),
  ], { autoShutdown: "any_significant" });
  await bench.fall("b");
  assertEquals(bench.log, ["b ends", "b starts"]);
  await bench.fall("b", "normal");
  assertEquals(bench.log, ["b ends", "a is asked", "a ends"]);
  assertEquals(exitOf(supervisor), "shutdown");
});

Deno.test("Supervisor shuts down when all significant children have ended", async () => {
  const bench = createBench();
  const significant = { restart: "temporary", significant: true } as const;
  const supervisor = await bench.start([
    bench.spec("a", significant),
    bench.spec("b", significant),
    bench.spec("c"),
  ], { autoShutdown: "all_significant" });
  await bench.fall("a");
  assertEquals(exitOf(supervisor), "still running");
  await bench.fall("b");
  assertEquals(exitOf(supervisor), "shutdown");
});

Deno.test("Supervisor does not count a crash that its own group restart overtook", async () => {
  const bench = createBench();
  const supervisor = await bench.start([
    bench.spec("a"),
    bench.spec("stubborn", { shutdown: 100 }),
    bench.spec("c"),
  ], { strategy: "rest_for_one", intensity: 1, periodMs: 1000 });
  await bench.fall("a");
  // c has stopped, `stubborn` is being asked: now it crashes by itself.
  await bench.fall("stubborn");
  assertEquals(bench.log, [
    "stubborn ends",
    "a starts",
    "stubborn starts",
    "c starts",
  ]);
  assertEquals(exitOf(supervisor), "still running");
  supervisor.kill();
});
