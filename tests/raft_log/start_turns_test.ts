/**
 * Whether others on a node have their turn while a member with a long log
 * starts: its logs are opened, and what it had applied is applied again.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { EntryApplier } from "../../src/raft/entry_applier.ts";
import type { RaftLogs } from "../../src/raft/log/raft_log.ts";
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

  const environment = bench.live();
  let turns = 0;
  const next = await open({
    ...environment,
    setTimer(afterMs, callback) {
      if (afterMs === 0) turns++;
      return environment.setTimer(afterMs, callback);
    },
  });
  const bytes = ENTRIES * ENTRY_TEXT.length;
  assert(turns >= Math.floor(bytes / (1024 * 1024)), `${turns} turns`);

  const found = await bench.run(next.open(7, silent));
  assertEquals(found.recovered.appliedIndex, ENTRIES);
  const host = new MachineHost(machine, [0], undefined, testMembership, {
    runtime: environment,
    leads: () => false,
    isUp: () => true,
    propose() {},
    applied() {},
    release() {},
    checkpoint() {},
  });
  const appliedAtTurns: number[] = [];
  const applier = new EntryApplier(found, host, {
    closed: () => false,
    defer: (callback) => environment.defer(callback),
    turn() {
      appliedAtTurns.push(host.index);
      return Promise.resolve();
    },
    applied() {},
    failed(error) {
      throw error;
    },
  });
  await bench.run(applier.applyKnown());
  assertEquals(appliedAtTurns, [2_048, 4_096, 6_144, 8_192, 10_240]);
  assertEquals(host.state, [ENTRIES]);
  await bench.run(next.close());
});
