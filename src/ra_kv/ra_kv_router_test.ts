import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import {
  OPERATION_FLAGS_OFFSET,
  OperationFlag,
  OperationKind,
} from "../request/operation_codec.ts";
import { GetFlag, RaKvOperation, readGroupNames } from "./ra_kv_codec.ts";
import {
  writeDeleteChange,
  writeKey,
  writePutChange,
} from "./ra_kv_command_codec.ts";
import { LONELY_MS } from "./next_hop.ts";
import {
  HINTS_MAX,
  isRaftCorrelation,
  RAFT_CORRELATION_FIRST,
  RETRY_INTERVAL_MS,
} from "./ra_kv_router.ts";
import { readValue } from "./ra_kv_value.ts";
import { FakeCluster } from "./testing/fake_cluster.ts";
import {
  BODY_START,
  failureOf,
  found,
  get,
  onCluster,
  operation,
  put,
  remove,
  submit,
  watch,
  watched,
  written,
} from "./testing/routed_operations.ts";

onCluster(
  "a put at the leader is answered with its entry, and a get finds it",
  async (cluster) => {
    assertEquals(await written(cluster, "a", put("k", "v")), {
      index: 1,
      term: 2,
      timeMs: 1_000,
      machineVersion: 0,
      leader: "a",
    });
    const answer = await found(cluster, "a", get("k"));
    assertEquals([answer.found, answer.index, answer.term], [true, 1, 2]);
    assertEquals(readValue(answer.value), "v");
    assertEquals(readGroupNames(new ByteReader(answer.group)), {
      leader: "a",
      members: ["a", "b", "c"],
    });
    const absent = await found(cluster, "a", get("other"));
    assertEquals([absent.found, absent.index, absent.value.length], [
      false,
      0,
      0,
    ]);
    assertEquals(cluster.sent, []);
  },
);

onCluster(
  "a follower sends operations on to the leader, once",
  async (cluster) => {
    assertEquals((await written(cluster, "b", put("k", "v"))).leader, "a");
    assertEquals((await found(cluster, "c", get("k"))).index, 1);
    assertEquals(cluster.sent, ["b > a", "c > a"]);
  },
);

onCluster(
  "a node without a member asks who has one, and remembers",
  async (cluster) => {
    await written(cluster, "d", put("k", "v"));
    await found(cluster, "d", get("k"));
    assertEquals(cluster.sent, ["d > a", "d > a"]);
    assertEquals(cluster.finds, 1);
  },
);

onCluster(
  "a node whose member no longer hears of a leader finds the one that others have",
  async (cluster) => {
    await written(cluster, "a", put("k", "v"));
    // What it knew before it was removed no longer counts.
    await found(cluster, "d", get("k"));
    cluster.node("b").router.remember("store", {
      leader: "c",
      members: ["c"],
    });
    await cluster.runtime.advance(1);
    const member = cluster.node("b").member("store")!;
    member.lonelySinceMs = cluster.runtime.now();
    cluster.sent.length = cluster.finds = 0;
    const writing = written(cluster, "b", put("k", "w"));
    await cluster.runtime.advance(LONELY_MS - 1);
    // It may be an election.
    assertEquals([cluster.sent, cluster.finds], [[], 0]);
    await cluster.runtime.advance(RETRY_INTERVAL_MS);
    assertEquals((await writing).leader, "a");
    assertEquals([cluster.sent, cluster.finds], [["b > a"], 1]);
    // Later operations need not wait, nor ask again.
    const answers = [
      await found(cluster, "b", get("k")),
      await found(cluster, "b", get("k", GetFlag.local)),
    ];
    assertEquals(answers.map(({ value }) => readValue(value)), ["w", "w"]);
    assertEquals([cluster.sent.length, cluster.finds], [3, 1]);
    const stale = await found(cluster, "b", get("k", GetFlag.stale));
    assertEquals([stale.found, cluster.sent.length], [true, 3]);
  },
);

onCluster(
  "a node asks at most ten times a second while no member has a leader",
  async (cluster, group) => {
    group.lead(undefined);
    const reading = [1, 2, 3].map(() =>
      failureOf(submit(
        cluster,
        "b",
        operation(
          RaKvOperation.get,
          (into) => {
            into.u8(0);
            writeKey(into, "k");
          },
          "store",
          LONELY_MS + 500,
        ),
      ))
    );
    await cluster.runtime.advance(LONELY_MS + 600);
    for (const { code } of await Promise.all(reading)) {
      assertEquals(code, "timeout");
    }
    assertEquals(cluster.sent, []);
    assert(cluster.finds > 1 && cluster.finds <= 6, `${cluster.finds}`);
  },
);

onCluster(
  "deleting a key that does not exist fails and names the leader",
  async (cluster) => {
    await written(cluster, "b", put("k", "v"));
    await written(cluster, "b", remove("k"));
    const error = await failureOf(submit(cluster, "b", remove("k")));
    assertEquals(error.code, "not_found");
    assertEquals(error.details, { cluster: "store", leader: "a", index: 3 });
  },
);

onCluster(
  "a refused condition reports the index of the key",
  async (cluster) => {
    await written(cluster, "a", put("k", "v"));
    const error = await failureOf(
      submit(
        cluster,
        "a",
        operation(RaKvOperation.put, (into) => {
          into.u8(RaKvOperation.put);
          writePutChange(into, "k", "w", { ifIndex: 0 });
        }),
      ),
    );
    assertEquals(error.code, "index_mismatch");
    assertEquals(error.details["index"], 1);
  },
);

onCluster(
  "operations wait while there is no leader, and go to the new one",
  async (cluster, group) => {
    group.lead(undefined);
    const writing = written(cluster, "b", put("k", "v"));
    const reading = written(cluster, "d", put("l", "v"));
    await cluster.runtime.advance(50);
    assertEquals(group.entries.length, 0);
    group.lead("c");
    await cluster.runtime.advance(50);
    assertEquals([(await writing).leader, (await reading).leader], ["c", "c"]);
  },
);

onCluster(
  "operations go elsewhere while the groups of the node have yet to start",
  async (cluster) => {
    const node = cluster.node("b");
    node.groups.clear();
    node.starting = true;
    const writing = written(cluster, "b", put("k", "v"));
    const reading = found(cluster, "b", get("k", GetFlag.local));
    await cluster.runtime.advance(20);
    assertEquals((await writing).leader, "a");
    assertEquals((await reading).found, true);
    assertEquals(cluster.sent, ["b > a", "b > a"]);
  },
);

onCluster(
  "operations wait for a member that has yet to start or restart, if no other node has one",
  async (cluster) => {
    await cluster.form("alone", ["d"]);
    const node = cluster.node("d");
    const member = node.groups.get("alone")!;
    for (const isUp of [false, true]) {
      node.groups.delete("alone");
      node.starting = !isUp;
      if (isUp) node.down.add("alone");
      const writing = written(cluster, "d", put("k", "v", "alone"));
      await cluster.runtime.advance(3_000);
      node.groups.set("alone", member);
      node.starting = false;
      node.down.clear();
      await cluster.runtime.advance(1_000);
      assertEquals((await writing).leader, "d");
    }
  },
);

onCluster(
  "a follower that is wrong about the leader finds the right one",
  async (cluster, group) => {
    group.members.get("b")!.mistaken = "c";
    const writing = written(cluster, "b", put("k", "v"));
    await cluster.runtime.advance(20);
    assertEquals(cluster.sent[0], "b > c");
    // c names a, but b has a member, and relies on that.
    group.members.get("b")!.mistaken = undefined;
    await cluster.runtime.advance(20);
    assertEquals((await writing).leader, "a");
  },
);

onCluster(
  "a node without a member follows when the leader moves",
  async (cluster, group) => {
    await written(cluster, "d", put("k", "v"));
    group.lead("b");
    assertEquals((await written(cluster, "d", put("k", "w"))).leader, "b");
    assertEquals(cluster.sent, ["d > a", "d > a", "d > b"]);
    assertEquals(cluster.finds, 1);
  },
);

onCluster(
  "a write without a majority fails at its deadline, and its outcome is unknown",
  async (cluster, group) => {
    group.frozen = true;
    const [here, there] = ["a", "b"].map((node) =>
      failureOf(submit(cluster, node, put("k", "v")))
    );
    await cluster.runtime.advance(5_200);
    for (const failure of [here!, there!]) {
      const error = await failure;
      assertEquals([error.code, error.details["outcomeUnknown"]], [
        "timeout",
        true,
      ]);
    }
    // A later answer of the group is ignored.
    group.lead("a");
  },
);

onCluster(
  "a write that nobody could accept has certainly not happened",
  async (cluster, group) => {
    group.lead(undefined);
    const failure = failureOf(submit(cluster, "b", put("k", "v")));
    await cluster.runtime.advance(5_200);
    const error = await failure;
    assertEquals([error.code, error.details["outcomeUnknown"]], [
      "timeout",
      false,
    ]);
    assertEquals(group.entries.length, 0);
  },
);

onCluster(
  "when the leader loses its leadership a read starts over and a write does not",
  async (cluster, group) => {
    await written(cluster, "a", put("k", "v"));
    group.frozen = true;
    const writing = failureOf(submit(cluster, "a", put("k", "w")));
    const reading = found(cluster, "a", get("k"));
    const far = found(cluster, "d", get("k"));
    await cluster.runtime.advance(20);
    group.lead("b");
    await cluster.runtime.advance(100);
    assertEquals((await writing).code, "leader_lost");
    assertEquals([(await reading).index, (await far).index], [1, 1]);
  },
);

onCluster(
  "when the node it was sent to is lost a read goes elsewhere and a write fails",
  async (cluster, group) => {
    await written(cluster, "d", put("k", "v"));
    cluster.silent.add("a");
    const writing = failureOf(submit(cluster, "d", put("k", "w")));
    const reading = found(cluster, "d", get("k"));
    await cluster.runtime.advance(10);
    group.lead("b");
    cluster.cut.add("a");
    const { router } = cluster.node("d");
    router.nodeLost("c", () => new WhorlError("connection_closed", "lost"));
    assertEquals(router.size, 2);
    router.nodeLost("a", () => new WhorlError("connection_closed", "lost"));
    const error = await writing;
    assertEquals(error.code, "connection_closed");
    assert(error.message.includes("Cannot tell"));
    await cluster.runtime.advance(50);
    assertEquals((await reading).index, 1);
  },
);

onCluster("a leader that cannot be reached is waited for", async (cluster) => {
  cluster.cut.add("a");
  const writing = written(cluster, "b", put("k", "v"));
  await cluster.runtime.advance(100);
  cluster.cut.clear();
  await cluster.runtime.advance(20);
  assertEquals((await writing).leader, "a");
});

onCluster(
  "a cluster that no node has is unknown, at once if all nodes say so",
  async (cluster) => {
    const error = await failureOf(submit(cluster, "a", get("k", 0, "other")));
    assertEquals(error.code, "unknown_cluster");
    cluster.cut.add("c");
    const failure = failureOf(submit(cluster, "a", get("k", 0, "other")));
    await cluster.runtime.advance(250);
    assertEquals(cluster.finds, 1 + 3);
    cluster.cut.clear();
    await cluster.runtime.advance(200);
    assertEquals((await failure).code, "unknown_cluster");
  },
);

onCluster("an operation that was sent on goes no further", async (cluster) => {
  for (const [node, code] of [["b", "not_leader"], ["d", "unknown_cluster"]]) {
    const into = put("k", "v");
    into.setU8(OPERATION_FLAGS_OFFSET, OperationFlag.forwarded);
    const error = await failureOf(submit(cluster, node!, into));
    assertEquals(error.code, code);
    if (code === "not_leader") assertEquals(error.details["leader"], "a");
  }
  assertEquals(cluster.sent, []);
});

onCluster(
  "a local read is served by the node's own member, and is as fresh as any",
  async (cluster, group) => {
    await written(cluster, "a", put("k", "v"));
    const follower = group.members.get("b")!;
    follower.paused = true;
    await written(cluster, "a", put("k", "w"));
    const local = found(cluster, "b", get("k", GetFlag.local));
    const stale = await found(cluster, "b", get("k", GetFlag.stale));
    assertEquals(stale.index, 1);
    await cluster.runtime.advance(50);
    follower.paused = false;
    follower.catchUp();
    assertEquals((await local).index, 2);
    assertEquals(cluster.sent, []);
  },
);

onCluster("a stale read needs no leader", async (cluster, group) => {
  await written(cluster, "a", put("k", "v"));
  group.lead(undefined);
  assertEquals((await found(cluster, "b", get("k", GetFlag.stale))).index, 1);
});

onCluster(
  "a read starts over when its entry is gone, three attempts at most",
  async (cluster, group) => {
    await written(cluster, "a", put("k", "v"));
    group.onDisk = true;
    let overwrites = 2;
    group.beforeRead = () => {
      if (overwrites-- <= 0) return;
      group.append(2, put("k", "w").view().slice(BODY_START));
      for (const member of group.members.values()) member.catchUp();
      group.compact();
    };
    const answer = await found(cluster, "a", get("k"));
    assertEquals(answer.index, 3);
    overwrites = 3;
    const error = await failureOf(submit(cluster, "a", get("k")));
    assertEquals(error.code, "compacted");
    overwrites = 3;
    const stale = await failureOf(
      submit(cluster, "a", get("k", GetFlag.stale)),
    );
    assertEquals(stale.code, "compacted");
  },
);

onCluster(
  "a value that is not what was put is not returned",
  async (cluster, group) => {
    await written(cluster, "a", put("k", "some value"));
    const { body } = group.entries[0]!;
    body[body.length - 1]! ^= 1;
    for (const onDisk of [false, true]) {
      group.onDisk = onDisk;
      const error = await failureOf(submit(cluster, "a", get("k")));
      assertEquals(error.code, "value_corrupt");
    }
  },
);

onCluster(
  "a value that was damaged in transit is not stored",
  async (cluster, group) => {
    const into = put("k", "some value");
    into.bytes[into.length - 1]! ^= 1;
    const error = await failureOf(submit(cluster, "a", into));
    assertEquals(error.code, "value_corrupt");
    assertEquals(group.entries.length, 0);
  },
);

onCluster(
  "invalid operations are refused",
  async (cluster, group) => {
    const refused = async (into: ByteWriter): Promise<string> =>
      (await failureOf(submit(cluster, "a", into))).code;
    const foreign = put("k", "v");
    foreign.setU32(2, 1);
    assertEquals(await refused(foreign), "unknown_command");
    assertEquals(
      await refused(operation(99, () => {})),
      "unknown_command",
    );
    assertEquals(
      await refused(
        operation(RaKvOperation.put, (into) => into.u8(RaKvOperation.delete)),
      ),
      "protocol_error",
    );
    assertEquals(
      await refused(operation(RaKvOperation.put, (into) => {
        into.u8(RaKvOperation.delete);
        writeDeleteChange(into, "k", undefined);
      })),
      "protocol_error",
    );
    // Only leaders propose a sweep.
    assertEquals(
      await refused(operation(4, (into) => into.u8(4))),
      "unknown_command",
    );
    assertEquals(
      await refused(operation(RaKvOperation.get, (into) => into.u8(0))),
      "protocol_error",
    );
    const cut = put("k", "v");
    cut.length -= 1;
    assertEquals(await refused(cut), "protocol_error");
    assertEquals(group.entries.length, 0);
    assertEquals(put("k", "v").bytes[0], OperationKind.raft);
  },
);

onCluster(
  "an entry is read from the log of the node's own member",
  async (cluster, group) => {
    await written(cluster, "a", put("k", "v"));
    const entry = operation(RaKvOperation.readEntry, (into) => into.u48(1));
    const bytes = await submit(cluster, "b", entry);
    assertEquals(bytes!.subarray(12), group.entries[0]!.body);
    const none = operation(RaKvOperation.readEntry, (into) => into.u48(2));
    assertEquals(await submit(cluster, "b", none), undefined);
    assertEquals(cluster.sent, []);
  },
);

Deno.test("RaKvRouter.close() fails all operations in progress, once", async () => {
  const cluster = new FakeCluster(["a", "b", "c", "d"]);
  const group = await cluster.form("store", ["a", "b", "c"]);
  group.frozen = true;
  const outcomes = [
    submit(cluster, "a", put("k", "v")),
    submit(cluster, "b", watch("k", 0, 0)),
    submit(cluster, "d", get("k")),
    submit(cluster, "d", get("l")),
    submit(cluster, "a", watch("k", 0, 0)),
    submit(cluster, "a", watch("l", 0, 0)),
  ].map(failureOf);
  await cluster.runtime.advance(20);
  cluster.nodes.forEach(({ router }) => router.close());
  group.lead("b");
  for (const node of ["b", "d"]) {
    assertEquals(cluster.node(node).router.size, 0);
  }
  assertEquals((await outcomes[1]!).code, "closed");
  assertEquals((await outcomes[2]!).code, "closed");
  assertEquals((await outcomes[0]!).code, "leader_lost");
  // There may be 65,536 of them, and creating an error takes time.
  assertStrictEquals(await outcomes[3], await outcomes[2]);
  assertStrictEquals(await outcomes[5], await outcomes[4]);
  const late = await failureOf(submit(cluster, "a", get("k")));
  assertEquals(late.code, "closed");
  assertEquals(cluster.runtime.pendingTimers, 0);
});

Deno.test("isRaftCorrelation() tells answers for a router from those for coordinators", () => {
  assertEquals(isRaftCorrelation(RAFT_CORRELATION_FIRST), true);
  assertEquals(isRaftCorrelation(RAFT_CORRELATION_FIRST * 2 - 1), true);
  assertEquals(isRaftCorrelation(8), false);
  assertEquals(isRaftCorrelation(2 ** 49 * 8), false);
});

onCluster(
  "a write that was refused everywhere has certainly not happened",
  async (cluster, group) => {
    group.members.get("b")!.mistaken = "c";
    const failure = failureOf(submit(cluster, "b", put("k", "v")));
    await cluster.runtime.advance(5_200);
    const error = await failure;
    assertEquals([error.code, error.details["outcomeUnknown"]], [
      "timeout",
      false,
    ]);
    assert(cluster.sent.length > 10);
  },
);

onCluster(
  "a write that was sent to a silent node may have happened",
  async (cluster) => {
    cluster.silent.add("a");
    const failure = failureOf(submit(cluster, "b", put("k", "v")));
    await cluster.runtime.advance(5_200);
    const error = await failure;
    assertEquals([error.code, error.details["outcomeUnknown"]], [
      "timeout",
      true,
    ]);
    assertEquals(error.details["node"], "a");
  },
);

onCluster(
  "a member that is behind reports nothing that was seen elsewhere",
  async (cluster, group) => {
    const follower = group.members.get("b")!;
    await written(cluster, "a", put("k", "1"));
    follower.paused = true;
    await written(cluster, "a", put("k", "2"));
    await written(cluster, "a", put("k", "3"));
    const waiting = watched(cluster, "b", watch("k", 3, 0));
    await written(cluster, "a", put("k", "4"));
    follower.paused = false;
    follower.catchUp();
    assertEquals((await waiting).events.map(({ index }) => index), [4]);
  },
);

Deno.test("RaKvRouter remembers a bounded number of clusters, the latest ones", () => {
  const cluster = new FakeCluster(["a"]);
  const { router } = cluster.node("a");
  for (let n = 0; n <= HINTS_MAX; n++) {
    router.remember(`c${n}`, { leader: "a", members: ["a"] });
    // A cluster that is in use is kept.
    router.remember("c0", { leader: "a", members: ["a"] });
  }
  assertEquals(router.hintOf("c1"), undefined);
  assert(router.hintOf("c0") !== undefined);
  assert(router.hintOf(`c${HINTS_MAX}`) !== undefined);
  cluster.close();
});
