import { assert, assertEquals } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { LONELY_MS } from "./next_hop.ts";
import {
  GetFlag,
  RaKvOperation,
  readWatchAnswer,
  WATCH_BYTES_MAX,
  WatchFlag,
} from "./ra_kv_codec.ts";
import { writePutChange } from "./ra_kv_command_codec.ts";
import { RETRY_INTERVAL_MS } from "./ra_kv_router.ts";
import { readValue } from "./ra_kv_value.ts";
import {
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
  "a watch reports what has happened since its index",
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
  "a watch waits for the keys it wants, at any member",
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
  "a watch without events reports up to where it has seen everything",
  async (cluster) => {
    const waiting = watched(cluster, "b", watch("k", 0, 0));
    await written(cluster, "a", put("other", "x"));
    await cluster.runtime.advance(1_100);
    assertEquals(await waiting, { missed: false, next: 1, events: [] });
  },
);

onCluster(
  "watches that come and go wait for a member's next entry once, and let go of the member then",
  async (cluster, group) => {
    const { watches } = cluster.node("c").router;
    const member = group.members.get("c")!;
    for (let turn = 0; turn < 3; turn++) {
      const waiting = watched(cluster, "c", watch("k", 0, 0));
      await cluster.runtime.advance(1_100);
      await waiting;
      assertEquals([watches.size, member.waiterCount], [0, 1]);
    }
    const told = watched(cluster, "c", watch("k", 0, 0));
    await written(cluster, "a", put("k", "v"));
    assertEquals((await told).events.length, 1);
    assertEquals([watches.memberCount, member.waiterCount], [0, 0]);
  },
);

onCluster(
  "a watch reports that it has missed something",
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

onCluster(
  "a watch goes to the leader when its member has had none for long",
  async (cluster) => {
    // It may have been removed while it was unreachable.
    const member = cluster.node("b").member("store")!;
    member.paused = true;
    member.lonelySinceMs = cluster.runtime.now();
    await cluster.runtime.advance(LONELY_MS);
    const waiting = watched(cluster, "b", watch("k", 0, 0));
    await cluster.runtime.advance(RETRY_INTERVAL_MS);
    await written(cluster, "a", put("k", "v"));
    assertEquals((await waiting).events.map(({ index }) => index), [1]);
    assertEquals(cluster.sent, ["b > a"]);
  },
);

onCluster(
  "a watch is told what its member has, though it has had no leader for long, and then goes to the leader",
  async (cluster) => {
    await written(cluster, "a", put("k", "v"));
    await written(cluster, "a", put("other", "x"));
    const member = cluster.node("b").member("store")!;
    member.paused = true;
    member.lonelySinceMs = cluster.runtime.now();
    await cluster.runtime.advance(LONELY_MS);
    await written(cluster, "a", put("k", "w"));
    for (const [node, sent] of [["b", []], ["d", ["d > b"]]] as const) {
      cluster.sent.length = 0;
      // The node d has no member, and takes that of b for the best.
      cluster.node("d").router.remember("store", {
        leader: undefined,
        members: ["b", "a"],
      });
      const begun = await watched(
        cluster,
        node,
        watch("k", 0, WatchFlag.fromNow),
      );
      assertEquals(begun, { missed: false, next: 2, events: [] });
      const told = await watched(cluster, node, watch("k", 0, 0));
      assertEquals(told.events.map(({ index }) => index), [1]);
      assertEquals([told.next, cluster.sent], [2, [...sent, ...sent]]);
    }
    cluster.sent.length = 0;
    const waiting = watched(cluster, "b", watch("k", 2, 0));
    await cluster.runtime.advance(RETRY_INTERVAL_MS);
    assertEquals((await waiting).events.map(({ index }) => index), [3]);
    assertEquals(cluster.sent, ["b > a"]);
  },
);

onCluster(
  "a watch is told what its member has while no leader can be found, and otherwise waits for one",
  async (cluster, group) => {
    await written(cluster, "a", put("k", "v"));
    group.lead(undefined);
    await cluster.runtime.advance(LONELY_MS);
    const begun = await watched(
      cluster,
      "b",
      watch("k", 0, WatchFlag.fromNow),
    );
    assertEquals([begun.next, begun.events.length], [1, 0]);
    const told = await watched(cluster, "b", watch("k", 0, 0));
    assertEquals(told.events.map(({ index }) => index), [1]);
    const waiting = watched(cluster, "b", watch("k", 1, 0));
    await cluster.runtime.advance(100);
    assertEquals(cluster.node("b").router.watches.size, 0);
    group.lead("c");
    await cluster.runtime.advance(100);
    await written(cluster, "c", put("k", "w"));
    assertEquals((await waiting).events.map(({ index }) => index), [2]);
  },
);

onCluster(
  "a node does not ask its member that has heard nothing from its group yet",
  async (cluster, group) => {
    await written(cluster, "a", put("k", "v"));
    for (const [name, member] of group.members) {
      if (name === "a") continue;
      member.paused = member.isNew = true;
    }
    for (const [at, node] of ["b", "d"].entries()) {
      cluster.sent.length = 0;
      const seen = await watched(cluster, node, watch("k", 0, 0));
      const stale = await found(cluster, node, get("k", GetFlag.stale));
      assertEquals([seen.events.length, stale.found], [at + 1, true]);
      assertEquals((await written(cluster, node, put("k", "w"))).leader, "a");
      assertEquals(cluster.sent, Array(3).fill(`${node} > a`));
    }
    // Nor does it answer others that take it for a member.
    cluster.node("d").router.remember("store", {
      leader: undefined,
      members: ["b", "a"],
    });
    const stale = found(cluster, "d", get("k", GetFlag.stale));
    await cluster.runtime.advance(RETRY_INTERVAL_MS);
    assertEquals((await stale).found, true);
    assertEquals(cluster.sent.slice(3), ["d > b", "d > a"]);
  },
);

onCluster(
  "a watch answers with whole entries, however many changes they have",
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
  "a watch answers with a bounded size, and continues from there",
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
