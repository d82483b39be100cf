import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { resolvePools, WorkPool } from "./work_pool.ts";

/** A pool of two, for which two may wait, and jobs that end when they are told to. */
class Bench {
  readonly runtime = new ManualRuntime();
  readonly pool = new WorkPool("sums", { size: 2, queueMax: 2 }, this.runtime);
  readonly owner = {};
  /** Jobs that have begun, in order. */
  readonly begun: string[] = [];
  /** What has become of jobs. */
  readonly ended: [string, unknown][] = [];
  readonly #gates = new Map<string, PromiseWithResolvers<string>>();
  readonly signals = new Map<string, AbortSignal>();

  submit(
    name: string,
    limits: { timeLeftMs?: number; signal?: AbortSignal } = {},
    owner: object = this.owner,
  ): void {
    const gate = Promise.withResolvers<string>();
    this.#gates.set(name, gate);
    this.pool.run(owner, (signal) => {
      this.begun.push(name);
      this.signals.set(name, signal);
      return gate.promise;
    }, limits).then(
      (value) => this.ended.push([name, value]),
      (error) => this.ended.push([name, error.code ?? error.message]),
    );
  }

  async end(name: string, error?: Error): Promise<void> {
    if (error === undefined) this.#gates.get(name)?.resolve(`${name} is done`);
    else this.#gates.get(name)?.reject(error);
    await this.runtime.advance(0);
  }
}

Deno.test("WorkPool runs a bounded number of jobs at a time, queues others in order, and refuses jobs beyond its bound", async () => {
  const bench = new Bench();
  for (const name of "abcde") bench.submit(name);
  // Not in the turn of the vnode that asks.
  assertEquals(bench.begun, []);
  await bench.runtime.advance(0);
  assertEquals(bench.begun, ["a", "b"]);
  assertEquals(bench.ended, [["e", "overload"]]);
  assertEquals([bench.pool.running, bench.pool.waiting], [2, 2]);
  await bench.end("b");
  await bench.runtime.advance(0);
  assertEquals(bench.begun, ["a", "b", "c"]);
  await bench.end("a");
  await bench.end("c");
  await bench.end("d");
  assertEquals(bench.begun, ["a", "b", "c", "d"]);
  assertEquals(
    bench.ended.slice(1),
    ["b", "a", "c", "d"].map((name) => [name, `${name} is done`]),
  );
  assertEquals([bench.pool.running, bench.pool.waiting], [0, 0]);
  assertEquals(bench.pool.counts, {
    done: 4,
    failed: 0,
    refused: 1,
    givenUp: 0,
  });
  assertEquals(bench.runtime.pendingTimers, 0);
});

Deno.test("WorkPool passes a job's error to its caller, and continues with the next job", async () => {
  const bench = new Bench();
  for (const name of "abc") bench.submit(name);
  await bench.runtime.advance(0);
  await bench.end("a", new Error("no luck"));
  await bench.runtime.advance(0);
  assertEquals(bench.ended, [["a", "no luck"]]);
  assertEquals(bench.begun, ["a", "b", "c"]);
  await bench.end("b");
  const thrown = assertRejects(
    () =>
      bench.pool.run(bench.owner, () => {
        throw new RangeError("at once");
      }),
    RangeError,
    "at once",
  );
  await bench.runtime.advance(0);
  await thrown;
  assertEquals(bench.pool.counts.failed, 2);
});

Deno.test("WorkPool answers for a job at its deadline, and has room again once the job has ended", async () => {
  const bench = new Bench();
  bench.submit("runs", { timeLeftMs: 10 });
  bench.submit("also runs");
  bench.submit("waits", { timeLeftMs: 20 });
  bench.submit("follows");
  await bench.runtime.advance(10);
  assertEquals(bench.ended, [["runs", "timeout"]]);
  assertEquals(bench.signals.get("runs")?.aborted, true);
  assertEquals(bench.pool.running, 2);
  await bench.runtime.advance(10);
  assertEquals(bench.ended[1], ["waits", "timeout"]);
  assertEquals(bench.pool.waiting, 1);
  await bench.end("runs");
  await bench.runtime.advance(0);
  // What was given up while it waited has never begun.
  assertEquals(bench.begun, ["runs", "also runs", "follows"]);
  assertEquals(bench.ended.length, 2);
  assertEquals(bench.pool.counts.givenUp, 2);
});

Deno.test("WorkPool cancels a job when its signal fires, whether it has begun or not", async () => {
  const bench = new Bench();
  const controllers = new Map<string, AbortController>();
  for (const name of "abc") {
    const controller = new AbortController();
    controllers.set(name, controller);
    bench.submit(name, { signal: controller.signal });
  }
  // Before its turn has come.
  controllers.get("a")?.abort();
  await bench.runtime.advance(0);
  await bench.runtime.advance(0);
  assertEquals(bench.begun, ["b", "c"]);
  controllers.get("b")?.abort();
  await bench.runtime.settle();
  assertEquals(bench.ended, [["a", "cancelled"], ["b", "cancelled"]]);
  assertEquals(bench.signals.get("b")?.aborted, true);
  bench.submit("late", { signal: AbortSignal.abort() });
  await bench.runtime.settle();
  assertEquals(bench.ended.at(-1), ["late", "cancelled"]);
});

Deno.test("WorkPool drops the jobs of a vnode that has ended, and no others", async () => {
  const bench = new Bench();
  const other = {};
  bench.submit("a");
  bench.submit("b", {}, other);
  bench.submit("c");
  bench.submit("d", {}, other);
  await bench.runtime.advance(0);
  bench.pool.leave(bench.owner);
  await bench.runtime.settle();
  assertEquals(bench.ended, [["a", "vnode_crashed"], ["c", "vnode_crashed"]]);
  assertEquals(bench.signals.get("a")?.aborted, true);
  assertEquals(bench.signals.get("b")?.aborted, false);
  await bench.end("a");
  await bench.runtime.advance(0);
  assertEquals(bench.begun, ["a", "b", "d"]);
});

Deno.test("WorkPool.close() answers for all jobs and waits for running ones", async () => {
  const bench = new Bench();
  for (const name of "abc") bench.submit(name);
  await bench.runtime.advance(0);
  let closed = false;
  const closing = bench.pool.close().then(() => closed = true);
  await bench.runtime.settle();
  assertEquals(
    bench.ended,
    [..."abc"].map((name) => [name, "closed"]),
  );
  await bench.end("a");
  assertEquals(closed, false);
  await bench.end("b");
  await closing;
  assertEquals(bench.begun, ["a", "b"]);
  bench.submit("d");
  await bench.runtime.settle();
  assertEquals(bench.ended.at(-1), ["d", "closed"]);
  await new WorkPool("idle", { size: 1, queueMax: 0 }, bench.runtime).close();
});

Deno.test("resolvePools() fills in defaults and refuses invalid options", () => {
  assertEquals(resolvePools("m", { a: { size: 2 } }), {
    a: { size: 2, queueMax: 1_000 },
  });
  const many = Object.fromEntries(
    Array.from({ length: 33 }, (_, i) => [`p${i}`, { size: 1 }]),
  );
  const cases: [Parameters<typeof resolvePools>[1], string][] = [
    [many, "its pools may be 32: current value is 33"],
    [{ "a-b": { size: 1 } }, `current value is "a-b"`],
    [{ a: { size: 0 } }, "the size of its pool 'a' must be"],
    [{ a: { size: 1.5 } }, "current value is 1.5"],
    [{ a: { size: 1_025 } }, "from 1 to 1024: current value is 1025"],
    [{ a: { size: 1, queueMax: -1 } }, "'queueMax' of its pool 'a'"],
  ];
  for (const [pools, message] of cases) {
    const error = assertThrows(
      () => resolvePools("m", pools),
      WhorlError,
      message,
    );
    assertEquals(error.code, "vnode_module_failed");
  }
  assert(Object.isFrozen(resolvePools("m", {})));
});
