import { assert, assertEquals } from "@std/assert";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { WhorlError } from "../../src/base/errors.ts";
import {
  END_COMMAND,
  RA_KV_MACHINE,
  RaKvOp,
  writePutChange,
} from "../../src/ra_kv/ra_kv_command_codec.ts";
import type { AppliedCommand } from "../../src/raft/raft_member.ts";
import { GROUP, member, NodeBench } from "./node_bench.ts";

/** Has its member break, as if by an error of its own. */
function fail(node: NodeBench): void {
  node.system.member(GROUP)!.message("b@h", 1, null as never);
}

/** A put of one byte. */
const PUT = putCommand();

function putCommand(): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(64);
  into.u8(RaKvOp.put);
  writePutChange(into, "k", 1);
  return into.copy();
}

function onNode(
  name: string,
  test: (node: NodeBench) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const node = new NodeBench(name);
    await node.run(node.begin());
    await test(node);
  });
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(() => "done", ({ code }) => code);
}

onNode(
  "dropMember() hits the member of that number and none else",
  async (node) => {
    const { system } = node;
    await node.run(system.createMember(member(5)));
    assertEquals(await node.run(system.dropMember(4)), false);
    assertEquals(node.system.member(GROUP)?.uid, 5);
    assertEquals(await node.run(system.dropMember(5)), true);
    assertEquals([node.uids, await node.folders], [[], []]);
    await node.run(system.createMember(member(6)));
    assertEquals(await node.run(system.dropMember(5)), false);
    assertEquals(system.member(GROUP)?.uid, 6);
  },
);

onNode(
  "a member says since when it has had no leader",
  async (node) => {
    const { system, bench } = node;
    // The other one is never heard of.
    await node.run(system.createMember(member(5, 1, ["a@h", "b@h"])));
    const lonely = system.member(GROUP)!;
    const since = lonely.leaderlessSinceMs!;
    await bench.time.run(bench.time.now() + 5_000);
    assertEquals(lonely.leaderlessSinceMs, since);
    await node.run(system.dropMember(5));
    await node.run(system.createMember(member(6)));
    const leader = await node.lead();
    assertEquals(leader.leaderlessSinceMs, undefined);
    leader.message("b@h", 7, {
      type: "vote",
      term: leader.term + 1,
      lastIndex: 0,
      lastTerm: 0,
      transfer: true,
    });
    assert(leader.leaderlessSinceMs! > since);
  },
);

onNode(
  "createMember() makes none that was dropped before it was made",
  async (node) => {
    const { system } = node;
    assertEquals(await node.run(system.dropMember(5)), false);
    assertEquals(
      await node.run(codeOf(system.createMember(member(5)))),
      "cancelled",
    );
    assertEquals([node.uids, await node.folders], [[], []]);
    await node.run(system.createMember(member(6)));
  },
);

Deno.test("a member that is dropped while it is made is gone in the end, whenever that was", async () => {
  let events = 0;
  const first = new NodeBench("making");
  await first.run(first.begin());
  const made = first.system.createMember(member(5));
  let isMade = false;
  made.then(() => isMade = true);
  await first.bench.time.run(Infinity, () => {
    events++;
    return isMade;
  });
  assert(events > 10, `${events}`);
  for (let after = 0; after <= events; after++) {
    const node = new NodeBench("making");
    await node.run(node.begin());
    const { system } = node;
    const making = codeOf(system.createMember(member(5)));
    await node.bench.happen(after);
    assertEquals(await node.run(system.dropMember(5)), true);
    await node.run(making);
    assertEquals([node.uids, await node.folders], [[], []], `${after}`);
    // And the name is free.
    await node.run(system.createMember(member(6)));
    assertEquals(system.member(GROUP)?.uid, 6);
  }
});

onNode(
  "createMember() fails with what the disk said when that has refused the log",
  async (node) => {
    const { system, bench } = node;
    await node.run(system.createMember(member(5)));
    const leader = await node.lead();
    bench.disk.writeErrorProbability = 1;
    leader.propose(PUT, { done() {}, failed() {} });
    await bench.happen(100);
    bench.disk.writeErrorProbability = 0;
    const other = { ...member(6), group: "other", groupId: 60 };
    const error = await node.run(
      system.createMember(other).then(() => undefined, (error) => error),
    );
    assert(error instanceof WhorlError, `${error}`);
    assertEquals(node.uids, [5]);
  },
);

onNode(
  "createMember() says so when the groups of its node are being ended",
  async (node) => {
    node.system.groups.stop("shutdown");
    assertEquals(
      await node.run(codeOf(node.system.createMember(member(5)))),
      "closed",
    );
  },
);

onNode(
  "a member is removed once, though it is dropped twice, and the next one waits for that",
  async (node) => {
    const { system } = node;
    await node.run(system.createMember(member(5)));
    const [one, two, three] = await node.run(Promise.all([
      system.dropMember(5),
      system.removeMember(GROUP),
      system.createMember(member(6)),
    ]));
    assertEquals([one, two, three.uid], [true, undefined, 6]);
    assertEquals([node.uids, await node.folders], [[6], ["6"]]);
  },
);

Deno.test("a member that is dropped after it fell is not started again, whenever that is", async () => {
  const ends = new Set<string>();
  for (const afterMs of [0, 1, 10, 40, 60, 100]) {
    const node = new NodeBench(`fell ${afterMs}`);
    await node.run(node.begin());
    const { system, bench } = node;
    await node.run(system.createMember(member(5)));
    fail(node);
    assertEquals(system.member(GROUP), undefined);
    assertEquals(system.memberAtRest(GROUP), {
      uid: 5,
      groupId: 1,
      machine: RA_KV_MACHINE,
      reason: undefined,
    });
    if (afterMs > 0) await bench.time.run(bench.time.now() + afterMs);
    assertEquals(await node.run(system.dropMember(5)), true);
    await bench.time.run(bench.time.now() + 20_000);
    ends.add(node.ended.join());
    assertEquals([node.uids, await node.folders], [[], []]);
    assert(system.groups.alive);
  }
  // While it ended, and while it was waited for to be started again.
  assertEquals([...ends].toSorted(), ["", "child_exited"]);
});

onNode(
  "a member that began anew is started again under its new number",
  async (node) => {
    await node.run(node.system.createMember(member(5, 1, ["a@h", "b@h"])));
    node.bench.crash("process");
    await node.spoil("/raft/groups/5/manifest");
    await node.run(node.begin());
    assertEquals([node.system.member(GROUP)?.uid, node.uids], [999, [999]]);
    // What is left of its log may be looked at.
    assertEquals((await node.folders).toSorted(), ["5", "999"]);
    for (let times = 0; times < 3; times++) {
      const before = node.system.member(GROUP);
      fail(node);
      await node.bench.time.run(Infinity, () => {
        const there = node.system.member(GROUP);
        return there !== undefined && there !== before;
      });
      assertEquals(node.system.member(GROUP)?.uid, 999);
    }
    assertEquals(node.system.groups.alive, true);
  },
);

onNode(
  "a member whose log is damaged blocks nobody: it is put aside when it is dropped",
  async (node) => {
    await node.run(node.system.createMember(member(5)));
    await node.propose(PUT);
    node.bench.crash("process");
    await node.spoil("/raft/groups/5/manifest");
    await node.run(node.begin());
    const { system } = node;
    assertEquals(system.member(GROUP), undefined);
    const resting = system.memberAtRest(GROUP)!;
    assertEquals(resting.uid, 5);
    assert(resting.reason?.includes("acknowledged"), resting.reason);
    assertEquals(
      await node.run(codeOf(system.createMember(member(6)))),
      "already_exists",
    );
    assertEquals(await node.run(system.dropMember(5)), true);
    await node.run(system.createMember(member(6)));
    assertEquals(system.memberAtRest(GROUP), undefined);
    assertEquals([node.uids, (await node.folders).toSorted()], [[6], [
      "5",
      "6",
    ]]);
    await node.again();
    assertEquals([node.uids, node.system.member(GROUP)?.uid], [[6], 6]);
    assertEquals((await node.folders).toSorted(), ["5", "6"]);
  },
);

onNode(
  "what cannot be read at all is put aside, and said once",
  async (node) => {
    await node.run(node.system.createMember(member(5)));
    node.bench.crash("process");
    await node.spoil("/raft/groups/5/manifest");
    await node.spoil("/raft/groups/5/config");
    await node.run(node.begin());
    assertEquals(node.said, [
      "The remains of a member cannot be read and were put aside",
    ]);
    await node.run(node.system.createMember(member(6)));
    await node.again();
    assertEquals([node.said.length, node.uids], [1, [6]]);
  },
);

onNode(
  "a group that has agreed on its end goes, and does not come back",
  async (node) => {
    const { system, bench } = node;
    await node.run(system.createMember(member(5)));
    const there = system.member(GROUP)!;
    await node.propose(PUT);
    const told: string[] = [];
    const target = {
      done: ({ meta }: AppliedCommand) => void told.push(`at ${meta.index}`),
      failed: (reason: string) => void told.push(reason),
    };
    there.propose(PUT, target);
    there.propose(END_COMMAND, target);
    there.propose(PUT, target);
    await bench.time.run(Infinity, () => told.length === 3);
    assertEquals(told, ["at 3", "at 4", "deleted"]);
    there.propose(PUT, target);
    there.consistentRead({
      done: () => told.push("read"),
      failed: target.failed,
    });
    assertEquals(told.slice(3), ["deleted", "deleted"]);
    await bench.time.run(Infinity, () => node.uids.length === 0);
    assertEquals(system.member(GROUP), undefined);
    assert(system.isDeleted(1));
    assertEquals(
      await node.run(codeOf(system.createMember(member(6, 1)))),
      "unknown_cluster",
    );
    assertEquals(
      await node.run(system.standing({ group: GROUP, groupId: 1, uid: 3 })),
      false,
    );
    // Another group may have its name, and is not taken for it.
    await node.run(system.createMember(member(7, 2)));
    assertEquals(
      await node.run(system.standing({ group: GROUP, groupId: 1, uid: 3 })),
      false,
    );
    assertEquals(
      await node.run(
        codeOf(
          system.rejoin("b@h", {
            group: GROUP,
            groupId: 1,
            node: "b@h",
            uid: 3,
          }),
        ),
      ),
      "not_member",
    );
    assertEquals(
      await node.run(
        codeOf(
          system.rejoin("b@h", {
            group: GROUP,
            groupId: 9,
            node: "b@h",
            uid: 3,
          }),
        ),
      ),
      "not_found",
    );
    await node.again();
    assertEquals([node.uids, node.system.isDeleted(1)], [[7], true]);
  },
);

Deno.test("a group whose end was acknowledged is gone after a crash at any moment", async () => {
  let moments = 0;
  for (let at = 1, isGone = false; !isGone; at++, moments++) {
    const node = new NodeBench(`end ${at}`);
    await node.run(node.begin());
    await node.run(node.system.createMember(member(5)));
    await node.propose(PUT);
    const { counts } = node.bench.disk;
    const until = counts.operations + at;
    let isTold = false;
    node.system.member(GROUP)!.propose(END_COMMAND, {
      done: () => isTold = true,
      failed: () => {},
    });
    await node.bench.time.run(Infinity, () => {
      isGone = node.uids.length === 0;
      return isGone || counts.operations >= until;
    });
    node.bench.crash("power");
    await node.run(node.begin());
    const there = node.system.member(GROUP);
    if (there !== undefined) {
      // It leads by itself, and then knows that its end was agreed upon.
      there.standNow();
      await node.bench.time.run(node.bench.time.now() + 5_000);
    }
    if (isTold) assertEquals([node.uids, await node.folders], [[], []]);
    else if (node.uids.length > 0) {
      assertEquals(await node.propose(PUT), `at ${4}`);
    }
  }
  assert(moments > 5, `${moments}`);
});
