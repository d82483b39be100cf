/**
 * How long a follower that gets a snapshot of many keys keeps others waiting: a
 * member whose log is on a real disk takes it piece by piece, as from a
 * connection, starts again from it, and takes one of its own.
 *
 *     deno task bench:raft_snapshot [keys]
 *
 * @module
 */
// deno-lint-ignore-file no-console -- a program that prints
import { ByteWriter } from "../../src/base/byte_writer.ts";
import {
  RA_KV_MACHINE,
  RaKvOp,
  writePutChange,
} from "../../src/ra_kv/ra_kv_command_codec.ts";
import { entryBody } from "../../src/raft/entry_body.ts";
import { EntryKind, type RaftEntry } from "../../src/raft/raft_entry.ts";
import { writeEntries, writeOffer } from "../../src/raft/snapshot_calls.ts";
import { GROUP, longestBlock, machine, startSystem } from "./lone_member.ts";

const KEYS = Number(Deno.args[0] ?? 1_000_000);
const TERM = 5;
const ENTRIES_AT_ONCE = 256;

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

const state = machine.init();
for (let number = 0; number < KEYS; number++) {
  const { index, term, body } = entryOf(number);
  const meta = { index, term, timeMs: 1_000, machineVersion: 0 };
  machine.apply(meta, body.subarray(7), state);
}
const pieces = [...machine.encode(state)];

const parent = await Deno.makeTempDir({ prefix: "whorl-snapshot-" });
try {
  const first = await startSystem(`${parent}/raft`, 2 * KEYS);
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
  const next = await startSystem(`${parent}/raft`, 2 * KEYS);
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
