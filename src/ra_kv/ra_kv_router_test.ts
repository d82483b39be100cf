import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  OPERATION_FLAGS_OFFSET,
  OperationFlag,
  OperationKind,
} from "../request/operation_codec.ts";
import {
  beginOperation,
  type GetAnswer,
  GetFlag,
  RaKvOperation,
  readGetAnswer,
  readGroupNames,
  readWatchAnswer,
  readWriteAnswer,
  WATCH_BYTES_MAX,
  type WatchAnswer,
  WatchFlag,
  type WriteAnswer,
  writeWatchBody,
} from "./ra_kv_codec.ts";
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
import { write } from "./ra_kv_service.ts";
import { readValue } from "./ra_kv_value.ts";
import { importCommand, sealCommand, shutCommand } from "./succession_codec.ts";
import {
  FakeCluster,
  type FakeGroup,
  type FakeMember,
} from "./testing/fake_cluster.ts";

/** Where the body of an operation on `store` begins. */
const BODY_START = 23;

/** An operation, as a client makes it. */
function operation(
  code: number,
  write: (into: ByteWriter) => void,
  name = "store",
  timeLeftMs = 5_000,
): ByteWriter {
  const into = new ByteWriter();
  beginOperation(into, code, name, timeLeftMs);
  write(into);
  return into;
}

const put = (key: string, value: string, name?: string): ByteWriter =>
  operation(RaKvOperation.put, (into) => {
    into.u8(RaKvOperation.put);
    writePutChange(into, key, value);
  }, name);

const remove = (key: string): ByteWriter =>
  operation(RaKvOperation.delete, (into) => {
    into.u8(RaKvOperation.delete);
    writeDeleteChange(into, key, undefined);
  });

const get = (key: string, flags = 0, name?: string): ByteWriter =>
  operation(RaKvOperation.get, (into) => {
    into.u8(flags);
    writeKey(into, key);
  }, name);

const watch = (
  key: string,
  index: number,
  flags: number,
  waitMs = 1_000,
): ByteWriter =>
  operation(RaKvOperation.watch, (into) =>
    writeWatchBody(into, {
      flags,
      index,
      waitMs,
      key: new TextEncoder().encode(key),
    }));

/** Hands an operation to the router of a node. */
function submit(
  cluster: FakeCluster,
  node: string,
  into: ByteWriter,
): Promise<Uint8Array | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<
    Uint8Array | undefined
  >();
  cluster.node(node).router.submit(into.bytes, 0, into.length, {
    operationDone: ({ object }) => resolve(object),
    operationFailed: reject,
  });
  // Tests look at failures when they are ready to.
  promise.catch(() => {});
  return promise;
}

async function written(
  ...args: Parameters<typeof submit>
): Promise<WriteAnswer> {
  return readWriteAnswer(new ByteReader((await submit(...args))!));
}

async function found(...args: Parameters<typeof submit>): Promise<GetAnswer> {
  return readGetAnswer(new ByteReader((await submit(...args))!));
}

async function watched(
  ...args: Parameters<typeof submit>
): Promise<WatchAnswer> {
  return readWatchAnswer(new ByteReader((await submit(...args))!));
}

async function failureOf(promise: Promise<unknown>): Promise<WhorlError> {
  const outcome = await promise.then(
    (value) => new Error(`It succeeded: ${Deno.inspect(value)}`),
    (error) => error,
  );
  if (!isWhorlError(outcome)) throw outcome;
  return outcome;
}

/** Runs `test` on three nodes a, b and c, of which a leads `store`, and one d that has no member. */
function onCluster(
  name: string,
  test: (cluster: FakeCluster, group: FakeGroup) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const cluster = new FakeCluster(["a", "b", "c", "d"]);
    const group = await cluster.form("store", ["a", "b", "c"]);
    try {
      await test(cluster, group);
      for (const { node, router } of cluster.nodes) {
        assertEquals([node, router.size, router.wheel.size], [node, 0, 0]);
      }
    } finally {
      cluster.close();
    }
    assertEquals(cluster.runtime.pendingTimers, 0);
  });
}

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
  "a node whose member nobody tells of a leader any more finds the one that others have",
  async (cluster) => {
    await written(cluster, "a", put("k", "v"));
    // What it was told before it was removed says nothing of the time since.
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
    // Those that come now need not wait, nor ask again.
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
  "a node asks ten times a second at most while no member has a leader",
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
  "deleting what is not there fails and names the leader",
  async (cluster) => {
    await written(cluster, "b", put("k", "v"));
    await written(cluster, "b", remove("k"));
    const error = await failureOf(submit(cluster, "b", remove("k")));
    assertEquals(error.code, "not_found");
    assertEquals(error.details, { cluster: "store", leader: "a", index: 3 });
  },
);

onCluster(
  "a refused condition says what index the key has",
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
  "operations wait for a member that has yet to start, or to start again, where no other node has one",
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
    // c names a, but b has a member, and goes by that.
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
  "a write without a majority fails in the end, and its outcome is unknown",
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
    // What the group says of it later is too late.
    group.lead("a");
  },
);

onCluster(
  "a write that nobody could take has certainly not happened",
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
  "when the leader loses the lead a read begins anew and a write does not",
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
  "a local read is of the node's own member, and as new as any",
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
  "a read begins anew when its entry is gone, three times at most",
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
  "a value that is not what was put is not handed out",
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
  "a value that was damaged on its way is not stored",
  async (cluster, group) => {
    const into = put("k", "some value");
    into.bytes[into.length - 1]! ^= 1;
    const error = await failureOf(submit(cluster, "a", into));
    assertEquals(error.code, "value_corrupt");
    assertEquals(group.entries.length, 0);
  },
);

onCluster(
  "operations that make no sense are refused",
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
    // A sweep is for leaders to propose.
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

onCluster(
  "a watch is told what has happened since its index",
  async (cluster) => {
    await written(cluster, "a", put("k1", "v"));
    await written(cluster, "a", put("k2", "w"));
    await written(cluster, "a", put("other", "x"));
    await written(cluster, "a", remove("k1"));
    const answer = await watched(cluster, "b", watch("k", 1, WatchFlag.prefix));
    assertEquals([answer.missed, answer.next], [false, 4]);
    assertEquals(
      answer.events.map(({ kind, index, key, value }) => [
        kind,
        index,
        new TextDecoder().decode(key),
        value && readValue(value),
      ]),
      [[1, 2, "k2", "w"], [2, 4, "k1", undefined]],
    );
    const keys = await watched(
      cluster,
      "b",
      watch("", 0, WatchFlag.prefix | WatchFlag.keysOnly),
    );
    assertEquals(keys.events.length, 4);
    assertEquals(keys.events.every(({ value }) => value === undefined), true);
  },
);

onCluster(
  "a watch waits for what it asks for, on any member",
  async (cluster, group) => {
    for (const onDisk of [false, true]) {
      group.onDisk = onDisk;
      const begun = await watched(
        cluster,
        "c",
        watch("k", 0, WatchFlag.fromNow),
      );
      assertEquals(begun.events, []);
      const next = watched(cluster, "c", watch("k", begun.next, 0));
      await written(cluster, "a", put("other", "x"));
      assertEquals(cluster.node("c").router.watches.size, 1);
      await written(cluster, "a", put("k", "v"));
      const answer = await next;
      assertEquals(answer.events.length, 1);
      assertEquals(answer.next, group.entries.length);
      assertEquals(cluster.node("c").router.watches.size, 0);
    }
  },
);

onCluster(
  "a watch that waits in vain says up to where it has seen everything",
  async (cluster) => {
    const waiting = watched(cluster, "b", watch("k", 0, 0));
    await written(cluster, "a", put("other", "x"));
    await cluster.runtime.advance(1_100);
    assertEquals(await waiting, { missed: false, next: 1, events: [] });
  },
);

onCluster(
  "a watch is told that it has missed something",
  async (cluster, group) => {
    const waiting = watched(cluster, "c", watch("k", 0, 0));
    const member = group.members.get("c")!;
    member.paused = true;
    await written(cluster, "a", put("k", "v"));
    await written(cluster, "a", put("x", "v"));
    member.paused = false;
    member.install(group.members.get("a")!);
    assertEquals(await waiting, { missed: true, next: 2, events: [] });
  },
);

onCluster(
  "a watch leaves out a value that was replaced before it was read",
  async (cluster, group) => {
    group.onDisk = true;
    await written(cluster, "a", put("k", "v"));
    await written(cluster, "a", put("k", "w"));
    group.compact();
    const answer = await watched(cluster, "a", watch("k", 0, 0));
    assertEquals(answer.events.map(({ index }) => index), [2]);
  },
);

onCluster("a watch goes elsewhere when its member stops", async (cluster) => {
  const waiting = watched(cluster, "b", watch("k", 0, 0));
  await cluster.runtime.advance(20);
  await cluster.node("b").stopMember("store");
  await cluster.runtime.advance(50);
  await written(cluster, "a", put("k", "v"));
  assertEquals((await waiting).events.length, 1);
});

/** Has the leader of a group apply `command`. */
function applied(
  group: FakeGroup,
  command: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  group.members.get(group.leader as string)?.propose(command, {
    done: () => resolve(),
    failed: reject,
  });
  return promise;
}

onCluster(
  "an operation on a key that has moved goes on with the group that has it, and waits until that is open",
  async (cluster, group) => {
    const next = await cluster.form("next", ["b", "c", "d"]);
    cluster.successor = (name, key, { size }) =>
      name === "store" && size === 16 && new TextDecoder().decode(key) === "k"
        ? "next"
        : undefined;
    await written(cluster, "a", put("k", "v"));
    await applied(next, shutCommand([0]));
    await applied(group, sealCommand({ generation: 1, size: 16 }));
    const writes = ["a", "d"].map((node) =>
      written(cluster, node, put("k", node))
    );
    const read = found(cluster, "c", get("k"));
    // A key of another group is with nobody.
    const error = await failureOf(submit(cluster, "b", put("j", "v")));
    assertEquals(error.code, "moved");
    await cluster.runtime.advance(100);
    assertEquals(cluster.node("a").router.size, 1);
    const last = { term: next.term, source: 0, upTo: 9, sealedAt: 50 };
    await applied(next, importCommand(last, []));
    await cluster.runtime.advance(100);
    const indexes = (await Promise.all(writes)).map(({ index }) => index);
    assert(indexes.every((index) => index > 50), `${indexes}`);
    await read;
    const answer = await found(cluster, "a", get("k"));
    assertEquals(answer.index, Math.max(...indexes));
    await written(cluster, "a", remove("k"));
    assertEquals((await found(cluster, "d", get("k"))).found, false);
  },
);

onCluster(
  "an operation on a group that does not open fails at its deadline, and was not done",
  async (cluster, group) => {
    await applied(group, shutCommand([0]));
    const failures = ["a", "b", "d"].map((node) =>
      failureOf(submit(cluster, node, put("k", "v")))
    );
    await cluster.runtime.advance(6_000);
    for (const { code, details } of await Promise.all(failures)) {
      assertEquals([code, details["outcomeUnknown"]], ["timeout", false]);
    }
  },
);

onCluster(
  "a write to a group that is not open costs no entry of its log, through whatever node it comes",
  async (cluster, group) => {
    await written(cluster, "a", put("k", "v"));
    await applied(group, sealCommand({ generation: 1, size: 16 }));
    const { length } = group.entries;
    for (const node of ["a", "b", "d"]) {
      const error = await failureOf(submit(cluster, node, put("k", "w")));
      assertEquals(error.code, "moved");
      assertEquals(error.details["size"], 16);
    }
    assertEquals(group.entries.length, length);
    const next = await cluster.form("next", ["b", "c", "d"]);
    await applied(next, shutCommand([0]));
    const before = next.entries.length;
    const write = written(cluster, "a", put("k", "v", "next"));
    await cluster.runtime.advance(1_000);
    assertEquals(next.entries.length, before);
    const last = { term: next.term, source: 0, upTo: 9, sealedAt: 50 };
    await applied(next, importCommand(last, []));
    await cluster.runtime.advance(100);
    assert((await write).index > 50);
  },
);

onCluster(
  "a member that does not lead refuses no write as not open, as its state may be old",
  async (cluster, group) => {
    const failed: string[] = [];
    await applied(group, shutCommand([0]));
    for (const node of ["a", "b"]) {
      const into = new ByteWriter();
      into.u8(RaKvOperation.put);
      writePutChange(into, "k", "v");
      const member = group.members.get(node) as FakeMember;
      write(member, into.copy(), {
        answered: () => failed.push("none"),
        failed: ({ code }) => failed.push(code),
      });
    }
    assertEquals(failed, ["not_open", "not_leader"]);
    await cluster.runtime.advance(10);
  },
);

Deno.test("a router that is closed fails what is under way, once", async () => {
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
  // There may be 65,536, and each error that is made takes its time.
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
  "a write that a silent node was given may have happened",
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
  "a member that is behind tells nothing that was seen elsewhere",
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

onCluster(
  "a watch is answered with whole entries, however many changes they bring",
  async (cluster, group) => {
    const batch = (n: number) =>
      operation(RaKvOperation.batch, (into) => {
        into.u8(RaKvOperation.batch);
        into.u16(400);
        for (let at = 0; at < 400; at++) {
          into.u8(RaKvOperation.put);
          writePutChange(into, `${n} ${at}`, "v");
        }
      });
    for (let n = 0; n < 4; n++) await written(cluster, "a", batch(n));
    for (const onDisk of [false, true]) {
      group.onDisk = onDisk;
      const counts: number[] = [];
      for (let next = 0; next < 4;) {
        const answer = await watched(
          cluster,
          "b",
          watch("", next, WatchFlag.prefix),
        );
        counts.push(answer.events.length);
        assertEquals(answer.events[0]!.index, next + 1);
        next = answer.next;
      }
      assertEquals(counts, [800, 800]);
    }
  },
);

onCluster(
  "a watch is answered with a bounded size, and goes on from there",
  async (cluster) => {
    const value = "x".repeat(WATCH_BYTES_MAX / 4);
    for (let n = 0; n < 10; n++) await written(cluster, "a", put("k", value));
    const indexes: number[] = [];
    for (let next = 0; next < 10;) {
      const object = await submit(cluster, "b", watch("k", next, 0));
      assert(object!.length < WATCH_BYTES_MAX + 1_000);
      const answer = readWatchAnswer(new ByteReader(object!));
      indexes.push(...answer.events.map(({ index }) => index));
      assertEquals(answer.next, indexes.at(-1));
      next = answer.next;
    }
    assertEquals(indexes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  },
);

Deno.test("a router remembers a bounded number of clusters, the latest", () => {
  const cluster = new FakeCluster(["a"]);
  const { router } = cluster.node("a");
  for (let n = 0; n <= HINTS_MAX; n++) {
    router.remember(`c${n}`, { leader: "a", members: ["a"] });
    // One that is in use stays.
    router.remember("c0", { leader: "a", members: ["a"] });
  }
  assertEquals(router.hintOf("c1"), undefined);
  assert(router.hintOf("c0") !== undefined);
  assert(router.hintOf(`c${HINTS_MAX}`) !== undefined);
  cluster.close();
});
