/**
 * How long a follower that gets a snapshot of many keys keeps others waiting: a
 * member whose log is on a real disk takes it piece by piece, as from a
 * connection, and then starts again from it. The longest time between two turns
 * of the event loop is what a put of another group would have waited; what the
 * thread worked in that time is told besides, as other programs work as well.
 *
 *     deno task bench:raft_snapshot [keys]
 *
 * @module
 */
// deno-lint-ignore-file no-console -- a program that prints
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { seededChance } from "../../src/base/chance.ts";
import { WhorlError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/environment/log.ts";
import {
  RA_KV_MACHINE,
  RaKvOp,
  writePutChange,
} from "../../src/ra_kv/ra_kv_command_codec.ts";
import { raKvMachine } from "../../src/ra_kv/ra_kv_machine.ts";
import { entryBody } from "../../src/raft/entry_body.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import type { RaftMachine } from "../../src/raft/machine.ts";
import { EntryKind, type RaftEntry } from "../../src/raft/raft_entry.ts";
import { RaftSystemProcess } from "../../src/raft/raft_system.ts";
import { writeEntries, writeOffer } from "../../src/raft/snapshot_calls.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";

const KEYS = Number(Deno.args[0] ?? 1_000_000);
const GROUP = "g";
const TERM = 5;
const ENTRIES_AT_ONCE = 256;
const machine = raKvMachine({ hashSeed: 1 });

/** A put of the key of that number, at the index after it; its keys are written in no order. */
function entryOf(number: number): RaftEntry {
  const into = new ByteWriter(128);
  into.u8(RaKvOp.put);
  const key = (number * 7_919) % KEYS;
  writePutChange(into, `customer/${key}/address`, "a value");
  return {
    index: number + 1,
    term: TERM,
    body: entryBody(EntryKind.command, 1_000, into.copy()),
  };
}

/** Processor time of this thread, in milliseconds. */
function workedMs(): number {
  const path = `/proc/self/task/${Deno.pid}/schedstat`;
  return Number(Deno.readTextFileSync(path).split(" ")[0]) / 1e6;
}

/** Tells the longest time between two turns of the event loop while `work` is done. */
async function longestBlock<T>(
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  let longest = 0;
  let longestWork = 0;
  let last = performance.now();
  let lastWork = workedMs();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const note = (): void => {
    const now = performance.now();
    const work = workedMs();
    longest = Math.max(longest, now - last);
    longestWork = Math.max(longestWork, work - lastWork);
    last = now;
    lastWork = work;
  };
  const look = (): void => {
    note();
    timer = setTimeout(look, 0);
  };
  look();
  const startMs = performance.now();
  try {
    return await work();
  } finally {
    note();
    clearTimeout(timer);
    console.log(
      `${what.padEnd(28)} ${
        Math.round(performance.now() - startMs)
      } ms, longest block ${longest.toFixed(1)} ms, of work ${
        longestWork.toFixed(1)
      } ms`,
    );
  }
}

async function startSystem(folder: string) {
  const alone = new WhorlError("not_reachable", "alone");
  const logs = await longestBlock(
    "logs opened",
    () => openRaftLogs({ folder, environment: systemStorage }),
  );
  const system = new RaftSystemProcess({
    node: "a@h",
    runtime: systemStorage,
    wallClock: Date.now,
    chance: seededChance(1),
    log: silentLog,
    logs,
    machines: new Map([[RA_KV_MACHINE, machine as RaftMachine]]),
    snapshotEntriesMin: 2 * KEYS,
    begin: () => undefined,
    end: () => {},
    isUp: () => false,
    secretNumber: () => 999,
    call: () => Promise.reject(alone),
    connect: () => Promise.reject(alone),
    onReport: () => {},
    failed: (error) => console.error(error),
  });
  await longestBlock("start", () => system.start());
  const stop = async (): Promise<void> => {
    await system.stopMember(GROUP);
    await system.close();
    await logs.close();
  };
  return { system, stop };
}

const state = machine.init();
for (let number = 0; number < KEYS; number++) {
  const { index, term, body } = entryOf(number);
  const meta = { index, term, timeMs: 1_000, machineVersion: 0 };
  machine.apply(meta, body.subarray(7), state);
}
const pieces = [...machine.encode(state)];

const parent = await Deno.makeTempDir({ prefix: "whorl-snapshot-" });
try {
  const first = await startSystem(`${parent}/raft`);
  const initial = ["a@h", "b@h"].map((node, at) => ({
    node,
    uid: at + 1,
    kind: "voter" as const,
    target: 0,
  }));
  await first.system.createMember({
    group: GROUP,
    groupId: 1,
    uid: 1,
    machine: RA_KV_MACHINE,
    initial,
  });
  const connection = {};
  const call = (method: string, args: unknown): Promise<unknown> =>
    first.system.snapshotCall(connection, "b@h", method, args);
  /** As over a connection, where each is answered before the next one comes, in a turn of its own. */
  const send = async (method: string, bytes: Uint8Array): Promise<void> => {
    await call(`raft_snapshot_${method}`, { group: GROUP, transfer: 1, bytes });
    await new Promise((resolve) => setTimeout(resolve, 0));
  };
  const offer = {
    group: GROUP,
    groupId: 1,
    uid: 2,
    term: TERM,
    transfer: 1,
    snapshot: {
      index: KEYS,
      term: TERM,
      membership: { index: 0, members: initial },
      machineVersion: 0,
    },
  };
  await call("raft_snapshot_begin", writeOffer(offer));
  // Without a word from the leader it would be given up.
  const beats = setInterval(
    () =>
      first.system.member(GROUP)?.message("b@h", 2, {
        type: "heartbeat",
        term: TERM,
        commitIndex: 0,
      }),
    200,
  );
  await longestBlock("live entries", async () => {
    for (let from = 0; from < KEYS; from += ENTRIES_AT_ONCE) {
      const entries: RaftEntry[] = [];
      const end = Math.min(KEYS, from + ENTRIES_AT_ONCE);
      for (let number = from; number < end; number++) {
        entries.push(entryOf(number));
      }
      await send("live", writeEntries(entries));
    }
  });
  await longestBlock("state", async () => {
    for (const piece of pieces) await send("state", piece);
  });
  await longestBlock("end", () => send("end", new Uint8Array(0)));
  console.log(
    "keys installed",
    (first.system.member(GROUP)?.state as typeof state).keys.size,
  );
  clearInterval(beats);
  await first.stop();
  const next = await startSystem(`${parent}/raft`);
  const member = next.system.member(GROUP);
  if (member === undefined) throw new Error("The member has not started");
  console.log("keys read", (member.state as typeof state).keys.size);
  // Something new, or there would be nothing to take one of.
  member.message("b@h", 2, {
    type: "append",
    term: TERM,
    prevIndex: KEYS,
    prevTerm: TERM,
    commitIndex: KEYS + 1,
    entries: [entryOf(KEYS)],
  });
  while (member.appliedIndex <= KEYS) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await longestBlock("snapshot taken", () => member.takeSnapshot());
  await next.stop();
} finally {
  await Deno.remove(parent, { recursive: true });
}
