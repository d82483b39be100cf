/**
 * What a member does while it starts: its machine may want things already as it
 * is given again what it had applied.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { seededChance } from "../../src/base/chance.ts";
import type { Disk, DiskReader } from "../../src/environment/disk.ts";
import type { StorageEnvironment } from "../../src/environment/environment.ts";
import { silentLog } from "../../src/environment/log.ts";
import { RA_KV_MACHINE } from "../../src/ra_kv/ra_kv_command_codec.ts";
import { GroupProcess } from "../../src/raft/group_process.ts";
import type { GroupWorld } from "../../src/raft/group_world.ts";
import { StartTurns } from "../../src/raft/log/start_turns.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import type { MachineEffect, RaftMachine } from "../../src/raft/machine.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { testConfig, testEntry } from "../raft_log/log_driver.ts";
import { GROUP, NodeBench } from "./node_bench.ts";

const ENTRIES = 4_000;
/** Of a read from a segment: longer than an election. */
const READ_MS = 1_000;
const RELEASED = 500;
const options = { folder: "/raft", walBytesMax: 50_000 };
const silent = { onWritten() {}, onFailed() {}, onRotten() {} };

/** Its state is how many commands it has seen; at one of them it lets go of those before. */
class Releasing implements RaftMachine<number[]> {
  readonly name = "test";
  readonly version = 0;
  /** Indexes of the entries that it was given, in order. */
  readonly given: number[] = [];

  init(): number[] {
    return [0];
  }

  apply(
    { index }: { readonly index: number },
    _command: unknown,
    state: number[],
  ) {
    this.given.push(index);
    state[0] = (state[0] as number) + 1;
    const effects: MachineEffect[] = index === RELEASED
      ? [{ type: "release_cursor", index: index - 1 }]
      : [];
    return { reply: undefined, effects };
  }

  encode([count]: number[]) {
    return [new TextEncoder().encode(`${count}`)];
  }

  decode(pieces: Iterable<Uint8Array<ArrayBuffer>>): number[] {
    return [Number(new TextDecoder().decode([...pieces][0]))];
  }
}

/** A disk that is slow to read segments. */
function withSlowSegments(environment: StorageEnvironment): StorageEnvironment {
  const { disk } = environment;
  const openRead: Disk["openRead"] = async (path) => {
    const reader = await disk.openRead(path);
    if (reader === undefined || !path.includes("/seg-")) return reader;
    const readAt: DiskReader["readAt"] = async (into, offset) => {
      await new Promise<void>((resolve) =>
        environment.setTimer(READ_MS, resolve)
      );
      return await reader.readAt(into, offset);
    };
    return { readAt, close: () => reader.close() };
  };
  const slow = new Proxy(disk, {
    get(target, name) {
      if (name === "openRead") return openRead;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { ...environment, disk: slow };
}

function aloneIn(runtime: StorageEnvironment): GroupWorld {
  const fail = (error: Error): void => {
    throw error;
  };
  return {
    node: "a@h",
    runtime,
    turns: new StartTurns(runtime),
    wallClock: () => 0,
    chance: seededChance(1),
    log: silentLog,
    snapshotEntriesMin: Infinity,
    beginMessage: () => undefined,
    endMessage() {},
    isUp: () => true,
    sendSnapshot: () => Promise.resolve(0),
    expectSnapshot() {},
    forgetSnapshot() {},
    diskFailed: fail,
    failed: fail,
    rotten: fail,
    over() {},
    changed() {},
  };
}

Deno.test("a start applies each entry once, though a snapshot is taken and an election is due meanwhile", async () => {
  const bench = new DiskBench("member start");
  const first = await bench.run(
    openRaftLogs({ ...options, environment: bench.live() }),
  );
  await bench.run(first.create(testConfig(7)));
  const log = await bench.run(first.open(7, silent));
  for (let index = 1; index <= ENTRIES; index++) {
    log.append([testEntry(index, 1, "x".repeat(100))]);
    if (index % 200 === 0) await bench.happen(60);
  }
  log.noteApplied(ENTRIES);
  await bench.happen(2_000);
  assertEquals(log.entryInMemory(ENTRIES / 2), undefined);
  await bench.run(log.close());
  await bench.run(first.close());

  const environment = withSlowSegments(bench.live());
  const logs = await bench.run(openRaftLogs({ ...options, environment }));
  const machine = new Releasing();
  const member = await bench.run(GroupProcess.start({
    uid: 7,
    logs,
    machineOf: () => machine,
    world: aloneIn(environment),
  }));
  assertEquals(member.log.snapshot?.index, RELEASED);
  assertEquals(
    machine.given,
    Array.from({ length: ENTRIES }, (_, i) => i + 1),
  );
  assertEquals(member.state, [ENTRIES]);
  await bench.run(member.close());
  await bench.run(logs.close());
});

Deno.test("members that start together make way for others together", async () => {
  const members = [7, 8, 9];
  const entries = 12_000;
  const machine = new Releasing();
  const node = new NodeBench("together", machine as RaftMachine);
  const first = await node.run(
    openRaftLogs({ folder: "/raft", environment: node.bench.live() }),
  );
  for (const uid of members) {
    await node.run(
      first.create({ ...testConfig(uid), machine: RA_KV_MACHINE }),
    );
    const log = await node.run(first.open(uid, silent));
    log.append(
      Array.from({ length: entries }, (_, i) => testEntry(i + 1, 1, "x")),
    );
    log.noteApplied(entries);
    await node.run(log.close());
  }
  await node.run(first.close());

  const givenAtTurns = [0];
  const live = node.bench.live.bind(node.bench);
  node.bench.live = () => {
    const environment = live();
    const setTimer: StorageEnvironment["setTimer"] = (afterMs, callback) => {
      if (afterMs === 0) givenAtTurns.push(machine.given.length);
      return environment.setTimer(afterMs, callback);
    };
    return { ...environment, setTimer };
  };
  await node.run(node.begin());
  assertEquals(machine.given.length, members.length * entries);
  givenAtTurns.push(machine.given.length);
  const most = Math.max(
    ...givenAtTurns.map((given, i) => given - (givenAtTurns[i - 1] ?? 0)),
  );
  // A slice, and a step.
  assert(most <= 16_384 + 512, `${most} entries`);
});

Deno.test("a member that lost its log asks to be taken back, also one that was added when the group had others already", async () => {
  for (const index of [0, 5]) {
    const node = new NodeBench(`lost ${index}`);
    await node.run(node.begin());
    // What it begins with after a loss: those it knew of, itself under the number it had.
    await node.run(node.logs.create({
      uid: 9,
      groupId: 1,
      name: GROUP,
      machine: RA_KV_MACHINE,
      initial: {
        index,
        members: [
          { node: "a@h", uid: 3, kind: "voter", target: 0 },
          { node: "b@h", uid: 4, kind: "voter", target: 0 },
        ],
      },
    }));
    await node.again();
    await node.bench.happen(10);
    assertEquals([...new Set(node.called)], ["raft_rejoin b@h"]);
    node.bench.crash("process");
  }
});

Deno.test("a node whose disk refuses before its members have started is told so, that they may start anew", async () => {
  const node = new NodeBench("refuses");
  await node.run(node.begin());
  for (const uid of [7, 8]) {
    const config = { ...testConfig(uid), machine: RA_KV_MACHINE };
    await node.run(node.logs.create(config));
  }
  node.beforeStart = async () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const log = await node.logs.open(8, { ...silent, onFailed: resolve });
    node.bench.disk.writeErrorProbability = 1;
    log.append([testEntry(1, 1, "lost")]);
    await promise;
    node.bench.disk.writeErrorProbability = 0;
  };
  await node.again();
  const { time } = node.bench;
  await time.run(time.now() + 10_000);
  assert(
    node.said.some((line) => line.includes("Cannot use the Raft log")),
    node.said.join(),
  );
  node.bench.crash("process");
});
