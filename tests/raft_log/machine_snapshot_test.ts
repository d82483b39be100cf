/**
 * A snapshot of a machine that is taken while commands go on: by the view that
 * the machine gives of itself, into a log on a simulated disk.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import type { StorageEnvironment } from "../../src/environment/environment.ts";
import {
  raKvMachine,
  type RaKvState,
  stateDigest,
} from "../../src/ra_kv/ra_kv_machine.ts";
import { RaKvOp, writePutChange } from "../../src/ra_kv/ra_kv_command_codec.ts";
import { entryBody } from "../../src/raft/entry_body.ts";
import type { GroupLog } from "../../src/raft/log/raft_log.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import { MachineHost } from "../../src/raft/machine_host.ts";
import { loneWorld } from "../../src/raft/testing/lone_world.ts";
import { EntryKind, type Membership } from "../../src/raft/raft_entry.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";

const initial: Membership = { index: 0, members: [] };
const silent = { onWritten() {}, onFailed() {}, onRotten() {} };
const machine = raKvMachine({ hashSeed: 1 });
const KEYS = 6_000;

async function openLog(environment: StorageEnvironment) {
  const logs = await openRaftLogs({ folder: "/raft", environment });
  if (logs.groups.length === 0) {
    const config = { uid: 7, groupId: 7, name: "g", machine: "m", initial };
    await logs.create(config);
  }
  return { logs, log: await logs.open(7, silent) };
}

function hostOf(
  { runtime, state, log }: {
    runtime: StorageEnvironment;
    state: RaKvState;
    log: GroupLog;
  },
): MachineHost<RaKvState> {
  return new MachineHost(
    machine,
    state,
    log.snapshot,
    initial,
    loneWorld(runtime),
  );
}

function put(log: GroupLog, host: MachineHost<RaKvState>, key: number): void {
  const index = log.lastIndex + 1;
  const into = new ByteWriter();
  into.u8(RaKvOp.put);
  writePutChange(into, `${"long ".repeat(20)}${key}`, `at ${index}`);
  const entry = {
    index,
    term: 1,
    body: entryBody(EntryKind.command, 1_000, into.copy()),
  };
  log.append([entry]);
  host.apply(entry);
}

Deno.test("a snapshot holds the state of its index and every live entry, though commands go on while it is taken", async () => {
  const bench = new DiskBench("view", { operationMsMax: 3 });
  const environment = bench.live();
  let digest = 0;
  let live: Set<number> = new Set();
  await bench.run((async () => {
    const { logs, log } = await openLog(environment);
    const host = hostOf({ runtime: environment, state: machine.init(), log });
    for (let key = 0; key < KEYS; key++) put(log, host, key);
    for (let key = 0; key < KEYS; key += 3) put(log, host, key);
    digest = stateDigest(host.state);
    live = new Set(machine.liveIndexes!(host.state));
    const { index } = host.meta;
    const view = host.view();
    let isTaken = false;
    const taken = log.takeSnapshot(host.meta, view.pieces, view.live).finally(
      () => {
        isTaken = true;
        view.release();
      },
    );
    let meanwhile = 0;
    while (!isTaken) {
      for (let i = 0; i < 50; i++) {
        put(log, host, KEYS - ++meanwhile % KEYS);
      }
      await new Promise<void>((resolve) => environment.setTimer(1, resolve));
    }
    await taken;
    assert(meanwhile > 500, `${meanwhile}`);
    assertEquals(log.snapshot?.index, index);
    await log.close();
    await logs.close();
  })());
  bench.crash("power");
  await bench.run((async () => {
    const { logs, log } = await openLog(bench.live());
    const stored = await log.readSnapshot();
    assertEquals([...stored?.live ?? []], [...live].sort((a, b) => a - b));
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for await (const piece of stored!.state) pieces.push(piece);
    assert(pieces.length > 3);
    assertEquals(stateDigest(machine.decode(pieces)), digest);
    const found = await log.read([...live]);
    assertEquals(found.size, live.size);
    await log.close();
    await logs.close();
  })());
});
