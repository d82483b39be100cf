/**
 * What a member applies from the disk while its log changes.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Disk, DiskReader } from "../../src/environment/disk.ts";
import type { StorageEnvironment } from "../../src/environment/environment.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { EntryApplier } from "../../src/raft/entry_applier.ts";
import { entryBody } from "../../src/raft/entry_body.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import type { RaftMachine } from "../../src/raft/machine.ts";
import { MachineHost } from "../../src/raft/machine_host.ts";
import { loneWorld } from "../../src/raft/testing/lone_world.ts";
import {
  EntryKind,
  type Membership,
  type RaftEntry,
} from "../../src/raft/raft_entry.ts";

const INITIAL: Membership = {
  index: 0,
  members: [{ node: "a@h", uid: 7, kind: "voter", target: 0 }],
};

/** Its state is the indexes of what it was given. */
const machine: RaftMachine<number[]> = {
  name: "indexes",
  version: 0,
  init: () => [],
  apply(meta, _command, state) {
    state.push(meta.index);
    return { reply: undefined };
  },
  encode: (state) => [new TextEncoder().encode(JSON.stringify(state))],
  decode: (pieces) => JSON.parse(new TextDecoder().decode([...pieces][0])),
};

function entry(index: number, term: number): RaftEntry {
  return {
    index,
    term,
    body: entryBody(EntryKind.command, 0, new Uint8Array(90)),
  };
}

/** A disk on which segments are not read while `isHeld`. */
function holdSegments(environment: StorageEnvironment) {
  const held = { isHeld: false, reads: 0 };
  const { disk } = environment;
  const openRead: Disk["openRead"] = async (path) => {
    const reader = await disk.openRead(path);
    if (reader === undefined || !path.includes("/seg-")) return reader;
    const readAt: DiskReader["readAt"] = async (into, offset) => {
      held.reads++;
      while (held.isHeld) {
        await new Promise<void>((resolve) => environment.setTimer(1, resolve));
      }
      return await reader.readAt(into, offset);
    };
    return { readAt, close: () => reader.close() };
  };
  const holding = new Proxy(disk, {
    get(target, name) {
      if (name === "openRead") return openRead;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { held, environment: { ...environment, disk: holding } };
}

/** A member's log on `environment`, and what applies it. */
async function applierOn(environment: StorageEnvironment, did: string[]) {
  const logs = await openRaftLogs({
    folder: "/raft",
    environment,
    walBytesMax: 300,
    segmentEntriesMax: 2,
  });
  await logs.create({
    uid: 7,
    groupId: 1,
    name: "g",
    machine: machine.name,
    initial: INITIAL,
  });
  const log = await logs.open(7, {
    onWritten() {},
    onFailed() {},
    onRotten() {},
  });
  const host = new MachineHost<number[]>(
    machine,
    [],
    undefined,
    INITIAL,
    loneWorld(environment),
  );
  const applier = new EntryApplier(log, host, {
    closed: () => false,
    defer: (callback) => environment.defer(callback),
    applied: () => void did.push(`applied ${host.index}`),
    failed: (error) => void did.push(error.message),
  });
  return { logs, log, host, applier };
}

/** A snapshot takes the place of what is read; the read ends before the machine has it, or after. */
async function readThrough(endsBefore: boolean): Promise<void> {
  const bench = new DiskBench("applier");
  const { held, environment } = holdSegments(bench.live());
  const did: string[] = [];
  await bench.run((async () => {
    const { logs, log, host, applier } = await applierOn(environment, did);
    const pause = (): Promise<void> =>
      new Promise((resolve) => environment.setTimer(10, resolve));
    for (let index = 1; index <= 10; index++) {
      log.append([entry(index, 1)]);
      await pause();
    }
    assertEquals(log.entryInMemory(4), undefined);
    held.isHeld = true;
    applier.commit(8);
    while (held.reads === 0) await pause();
    const meta = {
      index: 20,
      term: 2,
      membership: INITIAL,
      machineVersion: 0,
    };
    const receiver = await log.receiveSnapshot(meta);
    await receiver.writeState(new TextEncoder().encode("[20]"));
    await receiver.finish([]);
    if (endsBefore) {
      held.isHeld = false;
      await pause();
    }
    host.install(meta, [20]);
    log.append([entry(21, 2), entry(22, 2)]);
    applier.commit(22);
    assertEquals(host.state, endsBefore ? [20, 21, 22] : [20]);
    held.isHeld = false;
    while (did.length < 2) await pause();
    assertEquals(did, ["applied 0", "applied 22"]);
    assertEquals(host.state, [20, 21, 22]);
    await logs.close();
  })());
}

Deno.test("EntryApplier goes on behind a received snapshot that took the place of what it was reading", async () => {
  await readThrough(false);
  await readThrough(true);
});

Deno.test("EntryApplier does not fall behind what it knows to be committed, though the core of a new life learns of it bit by bit", async () => {
  const bench = new DiskBench("bit by bit");
  await bench.run((async () => {
    const { logs, log, host, applier } = await applierOn(bench.live(), []);
    log.append([1, 2, 3, 4].map((index) => entry(index, 1)));
    applier.commit(4);
    applier.commit(2);
    assertEquals([applier.commitIndex, host.index], [4, 4]);
    applier.commitSoon(3);
    assertEquals(applier.commitIndex, 4);
    await logs.close();
  })());
});
