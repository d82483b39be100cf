import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { systemRuntime } from "../../supervisors/runtime.ts";
import { WhorlError } from "../base/errors.ts";
import {
  PoolWorkers,
  resolveWorkers,
  type WorkersConfig,
} from "./pool_workers.ts";
import type { SumJob } from "./testdata/sum_work.ts";

const URL_OF_WORK = new URL("./testdata/sum_work.ts", import.meta.url).href;
const OWNER = {};

/** Workers in threads of their own, ended with the test. */
class Bench implements AsyncDisposable {
  readonly workers: PoolWorkers;
  zombies = 0;
  /** Told when the tree may have changed. */
  #changed = (): void => {};

  constructor(config: Partial<WorkersConfig> = {}) {
    this.workers = new PoolWorkers("sums", {
      size: 1,
      queueMax: 10,
      url: URL_OF_WORK,
      jobMsMax: 60_000,
      ...config,
    }, {
      runtime: systemRuntime,
      zombie: () => this.zombies++,
      changed: () => this.#changed(),
    });
  }

  run(job: SumJob): Promise<unknown> {
    return this.workers.run(OWNER, job);
  }

  /** The message of what a job fails with. */
  async failure(job: SumJob): Promise<string> {
    const error = await assertRejects(() => this.run(job), WhorlError);
    assertEquals(error.code, "vnode_error");
    assertEquals(error.details, { pool: "sums" });
    return error.message;
  }

  /** The workers as the tree shows them, once `holds` of them. */
  async shown(holds: (shown: readonly string[]) => boolean): Promise<string[]> {
    for (;;) {
      const shown = this.workers.tree()?.children.map((
        { id, kind, status, restarts, lastExit },
      ) => `${id} ${kind} ${status} ${restarts} ${lastExit ?? ""}`.trim());
      if (shown !== undefined && holds(shown)) return shown;
      const { promise, resolve } = Promise.withResolvers<void>();
      // What it changes to is there in the next turn.
      this.#changed = resolve;
      await promise;
      await turn();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workers.close();
    await this.workers.end();
    assertEquals(this.zombies, 0);
  }
}

/** Lets what is due have its turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("PoolWorkers run jobs in other threads, in order, and answer overload beyond the bound", async () => {
  await using bench = new Bench({ size: 2, queueMax: 4 });
  const sums = Array.from(
    { length: 6 },
    (_, i) => bench.run({ type: "sum", upTo: 100 + i }),
  );
  const error = await assertRejects(
    () => bench.run({ type: "sum", upTo: 1 }),
    WhorlError,
  );
  assertEquals(error.code, "overload");
  assertEquals(
    await Promise.all(sums),
    [5050, 5151, 5253, 5356, 5460, 5565],
  );
  // They are there, and do another.
  assertEquals(await bench.run({ type: "sum", upTo: 3 }), 6);
  assertEquals(bench.workers.pool.counts.done, 7);
});

Deno.test("PoolWorkers pass a job's error to its caller, and the worker continues", async () => {
  await using bench = new Bench();
  assertEquals(await bench.failure({ type: "throw" }), "It does not add up");
  const unsendable = await bench.failure({ type: "unsendable" });
  assert(unsendable.startsWith("Cannot encode"), unsendable);
  assertEquals(await bench.run({ type: "sum", upTo: 2 }), 3);
});

Deno.test("PoolWorkers fail the job of a worker that dies, and restart the worker for the next job", async () => {
  await using bench = new Bench();
  const dies = bench.failure({ type: "die" });
  const waits = bench.run({ type: "sum", upTo: 4 });
  const message = await dies;
  assert(
    message.startsWith("A worker of pool 'sums' did not do its work: ") &&
      message.includes("It is too much"),
    message,
  );
  assertEquals(await waits, 10);
});

Deno.test("PoolWorkers.tree() shows the workers, how often each was restarted and why", async () => {
  await using bench = new Bench({ size: 2 });
  assertEquals(bench.workers.tree(), undefined);
  await bench.run({ type: "sum", upTo: 4 });
  const bothRun = (shown: readonly string[]) =>
    shown.every((one) => one.includes("running"));
  assertEquals(await bench.shown(bothRun), [
    "sums-0 worker running 0",
    "sums-1 worker running 0",
  ]);
  await bench.failure({ type: "die" });
  const again = await bench.shown((shown) =>
    bothRun(shown) && shown.some((one) => one.includes("running 1"))
  );
  const [died, ...others] = again.filter((one) => one.includes("running 1"));
  assert(died?.includes("It is too much"), died);
  assertEquals(others, []);
});

Deno.test("PoolWorkers end a worker whose job takes too long, and restart it", async () => {
  await using bench = new Bench({ jobMsMax: 50 });
  const message = await bench.failure({ type: "hang" });
  assert(message.endsWith("killed"), message);
  assertEquals(await bench.run({ type: "sum", upTo: 4 }), 10);
});

Deno.test("PoolWorkers report why a worker does not start, and try again with the next job", async () => {
  await using bench = new Bench({
    url: new URL("./testdata/no_work.ts", import.meta.url).href,
  });
  for (let i = 0; i < 2; i++) {
    const message = await bench.failure({ type: "sum", upTo: 1 });
    assert(message.includes("no_work.ts"), message);
  }
});

Deno.test("PoolWorkers answer for all jobs when they are closed", async () => {
  const bench = new Bench();
  await bench.run({ type: "sum", upTo: 1 });
  // Its room is free only when it has ended.
  await turn();
  const jobs = [
    bench.run({ type: "hang" }),
    bench.run({ type: "sum", upTo: 1 }),
  ];
  const outcomes = Promise.allSettled(jobs);
  // The first one is at work.
  await turn();
  let closed = false;
  const closing = bench.workers.close().then(() => closed = true);
  await turn();
  assertEquals([closed, bench.workers.pool.running], [false, 1]);
  await bench.workers.end();
  await closing;
  assertEquals(
    (await outcomes).map((outcome) =>
      outcome.status === "rejected" && outcome.reason.code
    ),
    ["closed", "closed"],
  );
});

Deno.test("resolveWorkers() fills in defaults and refuses invalid options", () => {
  const url = new URL(URL_OF_WORK);
  assertEquals(resolveWorkers("m", { sums: { size: 2, url } }), {
    sums: { size: 2, queueMax: 1_000, url: URL_OF_WORK, jobMsMax: 600_000 },
  });
  assertThrows(
    () => resolveWorkers("m", { sums: { size: 1, url, jobMsMax: 0 } }),
    WhorlError,
    "'jobMsMax' of its workers 'sums' must be a whole number of at least 1: current value is 0",
  );
  assertThrows(
    () => resolveWorkers("m", { sums: { size: 0, url } }),
    WhorlError,
    "the size of its pool 'sums'",
  );
});
