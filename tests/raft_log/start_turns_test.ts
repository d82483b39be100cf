/**
 * Whether others on a node have their turn while members with long logs start:
 * the logs are opened, and what had been applied is applied again.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import type { StorageEnvironment } from "../../src/environment/environment.ts";
import { EntryApplier } from "../../src/raft/entry_applier.ts";
import type { RaftLogs } from "../../src/raft/log/raft_log.ts";
import { StartTurns } from "../../src/raft/log/start_turns.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import type { RaftMachine } from "../../src/raft/machine.ts";
import { MachineHost } from "../../src/raft/machine_host.ts";
import { loneWorld } from "../../src/raft/testing/lone_world.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { testConfig, testEntry, testMembership } from "./log_driver.ts";

const ENTRIES = 12_000;
const ENTRY_TEXT = "x".repeat(150);
const silent = { onWritten() {}, onFailed() {}, onRotten() {} };

/** Its state is how many commands it has seen. */
const machine: RaftMachine<number[]> = {
  name: "count",
  version: 0,
  init: () => [0],
  apply(_meta, _command, state) {
    state[0] = (state[0] as number) + 1;
    return { reply: undefined };
  },
  encode: () => [],
  decode: () => [0],
};

/** Counts the turns that others get. Between two looks at the clock it goes on by 5 ms, as if much had been done. */
class CountedTurns {
  readonly environment: StorageEnvironment;
  count = 0;
  onTurn: () => void = () => {};
  #looks = 0;

  constructor(environment: StorageEnvironment) {
    this.environment = {
      ...environment,
      now: () => environment.now() + 5 * this.#looks++,
      setTimer: (afterMs, callback) => {
        if (afterMs === 0) {
          this.count++;
          this.onTurn();
        }
        return environment.setTimer(afterMs, callback);
      },
    };
  }
}

Deno.test("a start gives others their turn, however much is in the log", async () => {
  const bench = new DiskBench("turns");
  const open = (environment = bench.live()): Promise<RaftLogs> =>
    bench.run(openRaftLogs({ folder: "/raft", environment }));
  const logs = await open();
  await bench.run(logs.create(testConfig(7)));
  const log = await bench.run(logs.open(7, silent));
  for (let index = 1; index <= ENTRIES; index++) {
    log.append([testEntry(index, 1, ENTRY_TEXT)]);
    if (index % 1_000 === 0) await bench.happen(2);
  }
  log.noteApplied(ENTRIES);
  await bench.run(log.close());
  await bench.run(logs.close());

  const turns = new CountedTurns(bench.live());
  const next = await open(turns.environment);
  assertEquals(
    turns.count,
    2 * 13,
    "a batch of 1,000 each, and room behind them; a turn is two timers",
  );

  const found = await bench.run(next.open(7, silent));
  assertEquals(found.recovered.appliedIndex, ENTRIES);
  const host = new MachineHost(
    machine,
    [0],
    undefined,
    testMembership,
    loneWorld(turns.environment),
  );
  const applier = new EntryApplier(found, host, {
    closed: () => false,
    defer: (callback) => turns.environment.defer(callback),
    applied() {},
    failed(error) {
      throw error;
    },
  });
  const appliedAtTurns: number[] = [];
  turns.onTurn = () => void appliedAtTurns.push(host.index);
  await bench.run(applier.applyKnown(new StartTurns(turns.environment)));
  assertEquals(host.state, [ENTRIES]);
  const slices = appliedAtTurns.map((index, i) =>
    index - (appliedAtTurns[i - 1] ?? 0)
  );
  assertEquals(Math.max(...slices), 512);
  await bench.run(next.close());
});

Deno.test("StartTurns lets others have their turn after a while, or after many entries where the clock stands still", async () => {
  const runtime = new ManualRuntime();
  const turns = new StartTurns(runtime);
  turns.begin();
  let done = 0;
  const work = (entries: number): Promise<void> =>
    turns.done(entries).then(() => void done++);
  await work(16_000);
  assertEquals(done, 1);
  const waiting = work(400);
  await Promise.resolve();
  assertEquals(done, 1);
  await runtime.advance(0);
  await waiting;
  await runtime.advance(3);
  await work(1);
  assertEquals(done, 3);
  await runtime.advance(1);
  const late = work(1);
  await Promise.resolve();
  assertEquals(done, 3);
  await runtime.advance(0);
  await late;
});

/** An event loop at its worst: others have their turn only when no timer is due. Work takes time, and a timer for now a millisecond. */
class BusyLoop implements Runtime {
  #nowMs = 0;
  #timers: { readonly atMs: number; readonly callback: () => void }[] = [];
  /** Since others had their turn last, in milliseconds. */
  #workedMs = 0;
  /** The most of all. */
  workedMsMax = 0;

  now(): number {
    return this.#nowMs;
  }

  setTimer(afterMs: number, callback: () => void): void {
    const atMs = this.#nowMs + Math.max(1, afterMs);
    this.#timers.push({ atMs, callback });
  }

  clearTimer(): void {}

  random(): number {
    return 0;
  }

  defer(callback: () => void): void {
    queueMicrotask(callback);
  }

  work(ms: number): void {
    this.#nowMs += ms;
    this.#workedMs += ms;
    this.workedMsMax = Math.max(this.workedMsMax, this.#workedMs);
  }

  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => void (isSettled = true);
    promise.then(settle, settle);
    for (;;) {
      // All microtasks.
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (isSettled) return await promise;
      const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs);
      this.#timers = this.#timers.filter(({ atMs }) => atMs > this.#nowMs);
      for (const { callback } of due) callback();
      if (due.length > 0) continue;
      assert(this.#timers.length > 0, "nothing would ever happen");
      this.#workedMs = 0;
      this.#nowMs++;
    }
  }
}

Deno.test("StartTurns lets others have their turn however many members start at once", async () => {
  const loop = new BusyLoop();
  const order: number[] = [];
  const turns = new StartTurns(loop);
  const start = async (member: number): Promise<void> => {
    turns.begin();
    for (let step = 0; step < 6; step++) {
      await turns.step(512, () => {
        loop.work(1);
        order.push(member);
      });
    }
  };
  const members = Array.from({ length: 20 }, (_, member) => member);
  await loop.run(Promise.all(members.map(start)));
  assertEquals(order.length, 120);
  assert(loop.workedMsMax <= 5, `${loop.workedMsMax} ms`);
});

Deno.test("a start that begins long after another has its own slice", async () => {
  const runtime = new ManualRuntime();
  const turns = new StartTurns(runtime);
  turns.begin();
  await turns.step(16_384, () => {});
  await runtime.advance(4);
  let worked = 0;
  turns.begin();
  await turns.step(16_384, () => worked++);
  assertEquals(worked, 1);
  const next = turns.step(1, () => worked++);
  await Promise.resolve();
  assertEquals(worked, 1, "its slice is over");
  await runtime.advance(0);
  await next;
  assertEquals(worked, 2);
});
