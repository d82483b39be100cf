/**
 * How long a member with a long log keeps others waiting when it starts: its
 * logs are opened, and what it had applied is applied again.
 *
 *     deno task bench:raft_start [entries]
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
import type { RaftMember } from "../../src/raft/raft_member.ts";
import type { RaKvState } from "../../src/ra_kv/ra_kv_machine.ts";
import { GROUP, startSystem } from "./lone_member.ts";

const ENTRIES = Number(Deno.args[0] ?? 500_000);
const AT_ONCE = 4_000;
const VALUE = new Uint8Array(100);

/** Puts the key of that number, and resolves when it is applied. */
function put(member: RaftMember, number: number): Promise<void> {
  const into = new ByteWriter(256);
  into.u8(RaKvOp.put);
  // In no order.
  const key = (number * 7_919) % ENTRIES;
  writePutChange(into, `customer/${key}/address`, VALUE);
  return new Promise((resolve, reject) =>
    member.propose(into.view(), {
      done: () => resolve(),
      failed: (reason) => reject(new Error(reason)),
    })
  );
}

const parent = await Deno.makeTempDir({ prefix: "whorl-long-log-" });
try {
  // It takes no snapshot: all of the log is applied again.
  const first = await startSystem(`${parent}/raft`, 2 * ENTRIES);
  await first.system.createMember({
    group: GROUP,
    groupId: 1,
    uid: 1,
    machine: RA_KV_MACHINE,
    initial: [{ node: "a@h", uid: 1, kind: "voter", target: 0 }],
  });
  const member = first.system.member(GROUP);
  if (member === undefined) throw new Error("The member has not started");
  while (member.role !== "leader") {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  for (let from = 0; from < ENTRIES; from += AT_ONCE) {
    const count = Math.min(AT_ONCE, ENTRIES - from);
    await Promise.all(
      Array.from({ length: count }, (_, i) => put(member, from + i)),
    );
  }
  await first.stop();
  console.log("entries in the log", ENTRIES);
  const next = await startSystem(`${parent}/raft`, 2 * ENTRIES);
  const state = next.system.member(GROUP)?.state as RaKvState;
  console.log("keys applied", state.keys.size);
  await next.stop();
} finally {
  await Deno.remove(parent, { recursive: true });
}
