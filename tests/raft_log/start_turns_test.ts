/**
 * Whether others on a node have their turn while a member with a long log
 * starts: its logs are opened, and what it had applied is applied again.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import type { StorageEnvironment } from "../../src/environment/environment.ts";
import { EntryApplier } from "../../src/raft/entry_applier.ts";
import type { RaftLogs } from "../../src/raft/log/raft_log.ts";
import { StartTurns } from "../../src/raft/log/start_turns.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import type { RaftMachine } from "../../src/raft/machine.ts";
import { MachineHost } from "../../src/raft/machine_host.ts";
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
  assertEquals(turns.count, 13, "a batch of 1,000 each, and room behind them");

  const found = await bench.run(next.open(7, silent));
  assertEquals(found.recovered.appliedIndex, ENTRIES);
  const host = new MachineHost(machine, [0], undefined, testMembership, {
    runtime: turns.environment,
    leads: () => false,
    isUp: () => true,
    propose() {},
    applied() {},
    release() {},
    checkpoint() {},
  });
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
  await bench.run(applier.applyKnown(turns.environment));
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
