/**
 * What a node does with a member that was created to be added to its group and
 * has not heard from it: the group goes on elsewhere, and may never add it.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { GetFlag } from "../../src/ra_kv/ra_kv_codec.ts";
import { RaKvMethods } from "../../src/ra_kv/ra_kv_methods.ts";
import { RaKvRouter } from "../../src/ra_kv/ra_kv_router.ts";
import type { MemberPlace } from "../../src/ra_kv/ra_kv_protocol.ts";
import { get } from "../../src/ra_kv/testing/routed_operations.ts";
import type { Member } from "../../src/raft/raft_entry.ts";
import { isYetToBeAdded, type NewMember } from "../../src/raft/raft_member.ts";
import { GROUP, member, NodeBench } from "./node_bench.ts";

const UID = 5;

/** As `MemberChanges.add` creates it: the group began with members elsewhere. */
function added(others: readonly string[]): NewMember {
  const initial = others.map((node, at): Member => ({
    node,
    uid: UID + 1 + at,
    kind: "voter",
    target: 0,
  }));
  return { ...member(UID), initial };
}

/** What the node does with a stale read, what it tells about its member, and what others conclude. */
async function seen(node: NodeBench) {
  const sent: string[] = [];
  const answered: boolean[] = [];
  const { environment: runtime } = node;
  const system = () => node.system;
  const router = new RaKvRouter({
    self: "a@h",
    system,
    runtime,
    routes: {
      beginOperation(to) {
        sent.push(to);
        return new ByteWriter();
      },
      endOperation() {},
      find: () =>
        Promise.resolve({
          hint: { leader: undefined, members: ["b@h"] },
          certain: true,
        }),
    },
  });
  const bytes = get("k", GetFlag.stale, GROUP).copy();
  const read = {
    operationDone: () => void answered.push(true),
    operationFailed: () => void answered.push(false),
  };
  router.submit(bytes, 0, bytes.length, read);
  await node.bench.time.run(
    Infinity,
    () => sent.length > 0 || answered.length > 0,
  );
  const here = answered.slice();
  router.close();
  const shared = {
    isStarting: () => false,
    runtime,
    newNumber: () => 1,
  };
  const nodes = () => ["a@h", "z@h"];
  const call = (_to: string, method: string, args: unknown) =>
    methods.perform(method, args);
  const methods: RaKvMethods = new RaKvMethods({
    ...shared,
    system,
    peers: { self: "a@h", nodes, call },
  });
  const stranger = new RaKvMethods({
    ...shared,
    system: () => undefined,
    peers: { self: "z@h", nodes, call },
  });
  const place = await methods.perform("ra_kv_locate", { cluster: GROUP });
  const { uid, toBeAdded } = place as MemberPlace;
  const { hint, certain } = await node.run(stranger.find(GROUP));
  return {
    sent,
    here,
    place: { uid, toBeAdded },
    others: { members: hint?.members, certain },
  };
}

Deno.test("a member that its group has yet to add is not asked, by its node or others, also after a restart", async () => {
  const node = new NodeBench("yet to be added");
  await node.run(node.begin());
  await node.run(node.system.createMember(added(["b@h", "c@h"])));
  for (let life = 0; life < 2; life++) {
    assertEquals(await seen(node), {
      sent: ["b@h"],
      here: [],
      // Who wants to remove it must find it.
      place: { uid: UID, toBeAdded: true },
      others: { members: undefined, certain: false },
    });
    await node.again();
  }
  await node.run(node.system.close());
});

Deno.test("a member that the group began with is asked before it has heard from the others", async () => {
  const node = new NodeBench("begun with");
  await node.run(node.begin());
  await node.run(
    node.system.createMember(member(UID, 1, ["a@h", "b@h", "c@h"])),
  );
  assertEquals(node.system.member(GROUP)!.log.lastIndex, 0);
  assertEquals(await seen(node), {
    sent: [],
    here: [true],
    place: { uid: UID, toBeAdded: false },
    others: { members: ["a@h"], certain: true },
  });
  await node.run(node.system.close());
});

Deno.test("isYetToBeAdded() is false once there is a log, or only a snapshot, whoever the members are", () => {
  const yet = (lastIndex: number, uids: readonly number[]): boolean =>
    isYetToBeAdded(
      {
        uid: UID,
        log: { lastIndex },
        membership: { index: 0, members: uids.map((uid) => ({ uid })) },
      } as never,
    );
  assertEquals([yet(0, [6]), yet(0, []), yet(0, [6, UID])], [
    true,
    true,
    false,
  ]);
  // A snapshot counts in `lastIndex`; it may tell of the member's removal.
  assertEquals(yet(3, [6]), false);
});
