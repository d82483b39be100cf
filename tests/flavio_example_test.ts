/**
 * flavio's commands on one node. `flavio_vnode_test.ts` has its vnode,
 * `flavio_handoff_test.ts` its messages on the move, `flavio_http_test.ts` its HTTP
 * interface, and `integration/flavio_prompt_test.ts` the transcripts of its tutorial.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Flavio } from "../examples/flavio/flavio.ts";
import flavioModule from "../examples/flavio/flavio_vnode.ts";
import {
  MESSAGES_MAX,
  MSG_BYTES_MAX,
  NAME_BYTES_MAX,
} from "../examples/flavio/message.ts";
import { connect, partitionOf, WhorlError } from "../mod.ts";
import {
  cookie,
  flavioOf,
  messagesIn,
  namesOf,
  NOW,
  partitionsOf,
  startFlavioNode,
} from "./harness/flavio_node.ts";

/** What each partition has counted, where that is something. */
async function counts(flavio: Flavio): Promise<[number, number][]> {
  const { status, rows } = await flavio.stats();
  assertEquals([status, rows.length], ["ok", 64]);
  return rows.filter(({ opsCount }) => opsCount > 0)
    .map(({ partition, opsCount }) => [partition, opsCount]);
}

Deno.test("flavio sends the same addition to the same vnode, and counts it there", async () => {
  await using node = await startFlavioNode();
  const flavio = flavioOf(node);
  for (let i = 0; i < 5; i++) {
    assertEquals(await flavio.add(2, 5), {
      sum: 7,
      partition: 42,
      node: node.name,
    });
  }
  assertEquals((await flavio.add(3, 5)).partition, 4);
  assertEquals((await flavio.add(2, 9)).partition, 55);
  assertEquals(await counts(flavio), [[4, 1], [42, 5], [55, 1]]);
  const { status, replies } = await flavio.quorumAdd(2, 4);
  assertEquals(status, "ok");
  assertEquals(replies.map(({ sum, partition }) => [sum, partition]), [
    [6, 17],
    [6, 18],
    [6, 19],
  ]);
  assertEquals(partitionsOf((await flavio.quorumAdd(12, 4)).replies), [
    1,
    2,
    3,
  ]);
  assertEquals(
    (await counts(flavio)).map(([partition]) => partition),
    [1, 2, 3, 4, 17, 18, 19, 42, 55],
  );
});

Deno.test("flavio sends additions of a client outside the node to the same vnode", async () => {
  await using node = await startFlavioNode();
  await using client = await connect({ nodes: [node.address], cookie });
  const flavio = new Flavio(client.module(flavioModule));
  assertEquals((await flavio.add(2, 5)).partition, 42);
  assertEquals(partitionsOf((await flavio.quorumAdd(2, 4)).replies), [
    17,
    18,
    19,
  ]);
  const { pong } = await flavio.ping();
  assert(pong >= 0 && pong < 64);
  assertEquals(await counts(flavio), [[17, 1], [18, 1], [19, 1], [42, 1]]);
});

Deno.test("flavio refuses invalid additions, messages and reads", async () => {
  await using node = await startFlavioNode();
  const flavio = flavioOf(node);
  await assertRejects(() => flavio.add(NaN, 1), TypeError);
  assertThrows(() => flavio.quorumAdd("1" as never, 1), TypeError);
  await assertRejects(() => flavio.postMsg("", "s", "hi"), TypeError);
  await assertRejects(
    () => flavio.postMsg("u", "s".repeat(NAME_BYTES_MAX + 1), "hi"),
    TypeError,
  );
  await assertRejects(
    () => flavio.postMsg("u", "s", "é".repeat(MSG_BYTES_MAX / 2) + "!"),
    RangeError,
  );
  for (const [from, count] of [[0, 1], [1, 0], [1, MESSAGES_MAX + 1]]) {
    await assertRejects(
      () => flavio.getMsgs("u", "s", from!, count!),
      RangeError,
    );
  }
  assertEquals((await flavio.listUsers()).rows, []);
});

Deno.test("flavio numbers the messages of a stream from 1, and all replicas have the same", async () => {
  await using node = await startFlavioNode();
  const flavio = flavioOf(node);
  for (const [i, msg] of ["one", "two", "thr€e"].entries()) {
    const { replies } = await flavio.postMsg("mariano", "english", msg);
    const message = {
      id: i + 1,
      origin: `here.${i + 1}`,
      date: NOW,
      lat: 9001,
      lng: 9001,
      ref: 0,
      type: 0,
      size: new TextEncoder().encode(msg).length,
      msg,
    };
    assertEquals(
      replies,
      [42, 43, 44].map((partition) => ({
        partition,
        node: node.name,
        message,
      })),
    );
  }
  const read = async (from: number | null, count: number) => {
    const { replies } = await flavio.getMsgs(
      "mariano",
      "english",
      from,
      count,
    );
    assertEquals(partitionsOf(replies), [42, 43, 44]);
    const [first, ...others] = replies.map((reply) =>
      "error" in reply ? reply.error : reply.messages.map(({ msg }) => msg)
    );
    for (const other of others) assertEquals(other, first);
    return first;
  };
  assertEquals(await read(1, 1), ["one"]);
  assertEquals(await read(1, 3), ["one", "two", "thr€e"]);
  assertEquals(await read(2, 100), ["two", "thr€e"]);
  assertEquals(await read(10, 3), "outofbound");
  assertEquals(await read(null, 2), ["two", "thr€e"]);
  const unknown = await flavio.getMsgs("mariano", "klingon", null, 3);
  assertEquals(
    unknown.replies.map((reply) => "messages" in reply && reply.messages),
    [[], [], []],
  );
  const beyond = await flavio.getMsgs("mariano", "klingon", 1, 3);
  assertEquals(
    beyond.replies.map((reply) => "error" in reply && reply.error),
    ["outofbound", "outofbound", "outofbound"],
  );
});

Deno.test("flavio lists users and streams of all replicas, in order, and no empty rows", async () => {
  await using node = await startFlavioNode();
  const flavio = flavioOf(node);
  assertEquals(namesOf(await flavio.listUsers()), []);
  for (const stream of ["english", "spanish"]) {
    await flavio.postMsg("mariano", stream, "hi");
    await flavio.postMsg("mariano", stream, "again");
  }
  await flavio.postMsg("m", "arianoenglish", "another one");
  const first = partitionOf("m", "arianoenglish", 64);
  assertEquals(
    namesOf(await flavio.listStreams("mariano")),
    [37, 38, 39, 42, 43, 44].map((partition) => [
      partition,
      [partition < 42 ? "spanish" : "english"],
    ]),
  );
  assertEquals(
    partitionsOf((await flavio.listStreams("m")).rows),
    [first, first + 1, first + 2],
  );
  assertEquals((await flavio.listStreams("nobody")).rows, []);
  const users = new Map(namesOf(await flavio.listUsers()));
  for (const partition of [37, 38, 39, 42, 43, 44]) {
    assert(users.get(partition)?.includes("mariano"));
  }
  for (const partition of [first, first + 1, first + 2]) {
    assert(users.get(partition)?.includes("m"));
  }
  assertThrows(() => flavio.listStreams(""), TypeError);
});

Deno.test("flavio gives messages that are posted at once different numbers, without gaps", async () => {
  await using node = await startFlavioNode();
  const posters = ["a", "b", "c"].map((origin) => flavioOf(node, origin));
  await Promise.all(
    Array.from(
      { length: 30 },
      (_, i) => posters[i % 3]!.postMsg("u", "s", `${i}`),
    ),
  );
  const { replies } = await posters[0]!.getMsgs("u", "s", 1, 100);
  const ids = Array.from({ length: 30 }, (_, i) => i + 1);
  for (const reply of replies) {
    assertEquals(messagesIn(reply).map(({ id }) => id), ids);
    assertEquals(messagesIn(reply), messagesIn(replies[0]!));
  }
});

Deno.test("flavio's vnodes answer unknown commands with an error, and continue", async () => {
  await using node = await startFlavioNode();
  const vnodes = node.module(flavioModule);
  await flavioOf(node).add(2, 5);
  const unknown = await assertRejects(
    () => Array.fromAsync(vnodes.coverage("nonsense" as "users", undefined)),
    WhorlError,
  );
  assertEquals(unknown.code, "unknown_command");
  const bodies = [undefined, null, 7, {}, { user: "u", stream: 1 }, {
    user: "u",
    stream: "s",
    message: { id: 0 },
    from: -1,
    count: 1e9,
  }];
  for (const body of bodies) {
    for (const command of ["add", "reserve", "store", "read"] as const) {
      // A user and a stream are all it takes to reserve.
      if (command === "reserve" && body === bodies.at(-1)) continue;
      const error = await assertRejects(
        () => vnodes.request("add", "k", command, body as never, { n: 1 }),
        WhorlError,
      );
      assertEquals(vnodes.failures(command, error), ["invalid_request"]);
    }
  }
  for (const body of [undefined, 7, { user: "" }]) {
    const query = vnodes.coverage("streams", body as never);
    assertEquals(await Array.fromAsync(query), []);
  }
  // None of that has restarted a vnode: its count is still there.
  assertEquals(await counts(flavioOf(node)), [[42, 1]]);
});
