/**
 * flavio without its prompt: its vnode, its commands on one node, its HTTP
 * interface, its messages on the move. `integration/flavio_prompt_test.ts` has
 * the transcripts of its tutorial.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  Flavio,
  type Listing,
  mergedMessages,
  type Read,
  type Replica,
} from "../examples/flavio/flavio.ts";
import { BODY_BYTES_MAX, serveFlavio } from "../examples/flavio/flavio_http.ts";
import flavioSimulation from "../examples/flavio/flavio_simulation.ts";
import flavioModule from "../examples/flavio/flavio_vnode.ts";
import {
  decodeMessage,
  encodeMessage,
  keyAfter,
  keyPrefix,
  type Message,
  messageKey,
  MESSAGES_MAX,
  MSG_BYTES_MAX,
  NAME_BYTES_MAX,
  partsOfKey,
} from "../examples/flavio/message.ts";
import {
  connect,
  type NodeOptions,
  partitionOf,
  startNode,
  type VnodeContext,
  WhorlError,
  type WhorlNode,
} from "../mod.ts";
import { simulate } from "../src/simulation/mod.ts";
import { openMemoryStore } from "../src/storage/memory_store.ts";
import { WatchedPartition } from "../src/vnode/watched_partition.ts";
import { until } from "./harness/until.ts";

const cookie = "a secret all nodes share";

function startFlavioNode(
  name = "flavio@127.0.0.1",
  options: Partial<NodeOptions> = {},
): Promise<WhorlNode> {
  return startNode({
    name,
    cookie,
    ...options,
    modules: [{
      url: new URL("../examples/flavio/flavio_vnode.ts", import.meta.url),
      module: flavioModule as never,
    }],
    masterPlacement: "task",
  });
}

const NOW = 1_400_000_000_000;

function flavioOf(node: WhorlNode, origin = "here"): Flavio {
  return new Flavio(node.module(flavioModule), { now: () => NOW, origin });
}

function partitionsOf(rows: readonly Replica[]): number[] {
  return rows.map(({ partition }) => partition);
}

function messagesIn(reply: Read): readonly Message[] {
  if ("messages" in reply) return reply.messages;
  throw new Error(`${reply.partition} has answered ${reply.error}`);
}

/** What each partition has counted, where that is something. */
async function counts(flavio: Flavio): Promise<[number, number][]> {
  const { status, rows } = await flavio.stats();
  assertEquals([status, rows.length], ["ok", 64]);
  return rows.filter(({ opsCount }) => opsCount > 0)
    .map(({ partition, opsCount }) => [partition, opsCount]);
}

/** Names by partition. */
function namesOf(
  { status, rows }: Listing<Replica & { readonly names: readonly string[] }>,
): [number, readonly string[]][] {
  assertEquals(status, "ok");
  return rows.map(({ partition, names }) => [partition, names]);
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

Deno.test("flavio does the same for a client that is elsewhere", async () => {
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

Deno.test("flavio refuses what cannot be added, posted or read", async () => {
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

Deno.test("flavio's vnodes answer an error to what they do not know, and go on", async () => {
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

Deno.test("mergedMessages() has each message once, in order, those that share a number as well", () => {
  const message = (id: number, origin: string): Message => ({
    id,
    origin,
    date: NOW,
    lat: 0,
    lng: 0,
    ref: 0,
    type: 0,
    size: 1,
    msg: `${id}`,
  });
  const [one, two, three] = [1, 2, 3].map((id) => message(id, "a"));
  const twin = message(2, "b");
  const replies = [
    { messages: [one!, two!] },
    { error: "outofbound" as const },
    { messages: [one!, twin, three!] },
  ];
  assertEquals(mergedMessages(replies, 1, 10), [one, two, twin, three]);
  assertEquals(mergedMessages(replies, 1, 2), [one, two]);
  assertEquals(mergedMessages(replies, null, 2), [twin, three]);
});

Deno.test("messageKey() keeps streams together and in the order of their numbers", () => {
  const keys = [
    messageKey("a", "s", { id: 1, origin: "z" }),
    messageKey("a", "s", { id: 255, origin: "a" }),
    messageKey("a", "s", { id: 256, origin: "a" }),
    messageKey("a", "s", { id: 2 ** 53 - 1, origin: "a" }),
    messageKey("a", "t", { id: 1, origin: "a" }),
    messageKey("b", "s", { id: 1, origin: "a" }),
  ];
  const text = keys.map((key) => key.toHex());
  assertEquals(text, text.toSorted());
  const after = keyAfter(keyPrefix("a", "s")).toHex();
  assert(text[3]! < after && after <= text[4]!);
  // A name may end with the largest byte there is in UTF-8, and a length in 0xff.
  for (const name of ["\u{10ffff}", "x".repeat(255)]) {
    const beyond = keyAfter(keyPrefix(name)).toHex();
    assert(messageKey(name, "s", { id: 9, origin: "a" }).toHex() < beyond);
  }
  assertEquals(partsOfKey(keys[2]!), {
    user: "a",
    stream: "s",
    id: 256,
    origin: "a",
  });
});

/** A vnode of partition 42 on a store of its own. */
async function startVnode(id = "0") {
  const store = openMemoryStore(id.repeat(16));
  const context = {
    storage: new WatchedPartition(store.partition(42)),
    store: { tailLost: false },
    ringSize: 64,
  };
  // It needs nothing else of its context.
  return {
    vnode: await flavioModule.init(42, context as unknown as VnodeContext),
    context,
  };
}

Deno.test("flavio's vnode hands messages over, and taking them in twice or beside others changes nothing", async () => {
  const { vnode: from } = await startVnode("0");
  const { vnode: to, context } = await startVnode("1");
  const put = async (
    vnode: typeof from,
    id: number,
    origin: string,
  ): Promise<Uint8Array> => {
    const key = messageKey("mariano", "english", { id, origin });
    const value = encodeMessage(
      { date: NOW, lat: 0, lng: 0, ref: 0, type: 0, msg: origin } as Message,
    );
    const bytes = vnode.encodeHandoffItem({ sortKey: key, item: value })!;
    await vnode.handleHandoffData(bytes);
    return key;
  };
  await put(from, 2, "a");
  await put(from, 1, "a");
  await put(to, 2, "b");
  for (let i = 0; i < 2; i++) {
    for await (const item of from.fold()) {
      assertEquals(from.keySpaceOf?.(item, 64), 42);
      assertEquals(from.keySpaceOf?.(item, 128), 84);
      assertEquals(await from.itemAt?.(item.sortKey), item);
      await to.handleHandoffData(from.encodeHandoffItem(item)!);
    }
  }
  const found: string[] = [];
  for await (const { key, value } of context.storage.scan()) {
    const { id, origin, msg } = decodeMessage(key, value);
    found.push(`${id} ${origin} ${msg}`);
  }
  assertEquals(found, ["1 a a", "2 a a", "2 b b"]);
  assertEquals(await to.itemAt?.(new Uint8Array([1])), undefined);
  assertEquals(await to.isEmpty(), false);
  await to.delete();
  assertEquals(await to.isEmpty(), true);
});

Deno.test("flavio's vnode gives out no numbers and no messages while its store lacks commits", async () => {
  const { vnode, context } = await startVnode();
  context.store.tailLost = true;
  const failures: string[] = [];
  const call = {
    fail: (failure: string) => void failures.push(failure),
  } as never;
  const name = { user: "u", stream: "s" };
  await vnode.handleCommand.reserve(name, call);
  await vnode.handleCommand.read({ ...name, from: null, count: 1 }, call);
  assertEquals(failures, ["tail_lost", "tail_lost"]);
});

Deno.test("flavio keeps every message once on every replica when half of the ring moves to a second node", async () => {
  await using one = await startFlavioNode("flavio1@127.0.0.1");
  const flavio = flavioOf(one);
  const streams = Array.from({ length: 16 }, (_, i) => `stream-${i}`);
  for (const stream of streams) {
    for (let i = 0; i < 10; i++) await flavio.postMsg("u", stream, `m${i}`);
  }
  await using two = await startFlavioNode("flavio2@127.0.0.1");
  await two.join(one.address);
  const { transitions } = await one.plan();
  assertEquals(transitions[0]!.transfers, [
    { from: one.name, to: two.name, partitions: 32 },
  ]);
  await one.commit();
  assert(await one.settled(20_000, ["flavio"]));
  assert(await two.settled(20_000, ["flavio"]));
  const nodes = new Set<string>();
  for (const stream of streams) {
    const { replies } = await flavioOf(two).getMsgs("u", stream, 1, 100);
    for (const reply of replies) {
      nodes.add(reply.node);
      assertEquals(
        messagesIn(reply).map(({ id, msg }) => [id, msg]),
        Array.from({ length: 10 }, (_, i) => [i + 1, `m${i}`]),
      );
      assertEquals(messagesIn(reply), messagesIn(replies[0]!));
    }
  }
  assertEquals([...nodes].sort(), [one.name, two.name]);
  // The listing says the same: three rows a stream, none of them by who had it before.
  const listing = namesOf(await flavioOf(two).listStreams("u"));
  for (const stream of streams) {
    const first = partitionOf("u", stream, 64);
    assertEquals(
      listing.filter(([, names]) => names.includes(stream))
        .map(([partition]) => partition)
        .sort((a, b) => a - b),
      [0, 1, 2].map((i) => (first + i) % 64).sort((a, b) => a - b),
    );
  }
});

Deno.test("flavio goes on numbering where it was when the first replica of a stream has moved", async () => {
  await using one = await startFlavioNode("flavio1@127.0.0.1");
  await flavioOf(one).postMsg("u", "s", "before");
  await using two = await startFlavioNode("flavio2@127.0.0.1");
  await two.join(one.address);
  await one.plan();
  await one.commit();
  // While partitions move, as well as when they have.
  let posted = 1;
  let settled = false;
  const moving = Promise.all(
    [one, two].map((node) => node.settled(20_000, ["flavio"])),
  ).then((done) => settled = done.every(Boolean));
  for (; !settled || posted < 20; posted++) {
    const node = posted % 2 === 0 ? one : two;
    await flavioOf(node, `o${posted}`).postMsg("u", "s", `m${posted}`);
  }
  assert(await moving);
  const ids = Array.from(
    { length: Math.min(posted, MESSAGES_MAX) },
    (_, i) => i + 1,
  ).join(" ");
  // What a fallback took while the one node did not see the other serve is on its way home.
  let found = "nothing";
  await until(
    () => `all replicas have what was posted: ${found}`,
    async () => {
      const { replies } = await flavioOf(two).getMsgs(
        "u",
        "s",
        1,
        MESSAGES_MAX,
      );
      const all = replies.map((reply) =>
        messagesIn(reply).map(({ id }) => id).join(" ")
      );
      found = all.join(", ");
      return all.every((its) => its === ids);
    },
    20_000,
  );
});

Deno.test("flavio goes on numbering while a replica of a stream is away, which has everything when it is back", async () => {
  const folder = await Deno.makeTempDir();
  const onDisk = (name: string): Partial<NodeOptions> => ({
    dataDirectory: `${folder}/${name}`,
  });
  try {
    await using one = await startFlavioNode("one@127.0.0.1", onDisk("one"));
    await using two = await startFlavioNode("two@127.0.0.1", onDisk("two"));
    await two.join(one.address);
    await one.plan();
    await one.commit();
    for (const node of [one, two]) {
      assert(await node.settled(20_000, ["flavio"]));
    }
    const flavio = flavioOf(one);
    // Whichever node it is that goes, it has the first replica of some of them.
    const streams = Array.from({ length: 8 }, (_, i) => `stream-${i}`);
    const post = async (msg: string, id: number) => {
      for (const stream of streams) {
        const { replies } = await flavio.postMsg("u", stream, msg);
        assertEquals(replies[0]!.message.id, id);
      }
    };
    const found = async (stream: string) =>
      (await flavio.getMsgs("u", stream, null, 10)).replies;
    await post("before", 1);
    const before = await found(streams[0]!);
    await two.stop();
    await until(
      "one stands in for two",
      async () =>
        (await found(streams[0]!)).every(({ node }) => node === one.name),
      10_000,
    );
    await post("meanwhile", 2);
    const partial = await flavio.listStreams("u");
    assertEquals(partial.status, "partial");
    assertMatch(partial.reason ?? "", /^Nobody answers for all of/);
    await using back = await startFlavioNode(two.name, {
      ...onDisk("two"),
      listen: two.address,
    });
    await until(
      "all replicas are at home, and have both messages",
      async () => {
        for (const stream of streams) {
          const replies = await found(stream);
          const nodes = new Set(replies.map(({ node }) => node));
          const whole = replies.every((reply) =>
            messagesIn(reply).map(({ id, msg }) => `${id} ${msg}`).join() ===
              "1 before,2 meanwhile"
          );
          if (!whole || !nodes.has(back.name)) return false;
        }
        return true;
      },
      20_000,
    );
    assertEquals(
      partitionsOf(await found(streams[0]!)),
      partitionsOf(before),
    );
    assertEquals((await flavio.listStreams("u")).status, "ok");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("flavio's messages follow a resize of the ring, and so do those posted meanwhile", async () => {
  await using node = await startFlavioNode("one@127.0.0.1", { ringSize: 16 });
  const flavio = flavioOf(node);
  const streams = Array.from({ length: 6 }, (_, i) => `stream-${i}`);
  const posted = new Map<string, number>();
  const post = async () => {
    for (const stream of streams) {
      const { replies } = await flavio.postMsg("u", stream, "hi");
      posted.set(stream, replies[0]!.message.id);
    }
  };
  await post();
  await node.resizeRing(32);
  await node.plan();
  await node.commit();
  let resized = false;
  const resizing = node.settled(20_000, ["flavio"])
    .then((settled) => resized = settled);
  while (!resized) {
    await post();
    if (posted.get(streams[0]!)! > 200) break;
  }
  assert(await resizing);
  await post();
  for (const stream of streams) {
    const { replies } = await flavio.getMsgs("u", stream, 1, MESSAGES_MAX);
    const first = partitionOf("u", stream, 32);
    assertEquals(
      partitionsOf(replies),
      [0, 1, 2].map((next) => (first + next) % 32),
    );
    for (const reply of replies) {
      assertEquals(
        messagesIn(reply).map(({ id }) => id),
        Array.from({ length: posted.get(stream)! }, (_, i) => i + 1),
      );
    }
  }
});

// These seeds catch a vnode that answers before a message is durable (2 and 23),
// one whose messages do not follow a partition that moves (16 and 29), and one
// that lives on when what was handed to it cannot be committed (176).
for (
  const [profile, seeds] of [["small", [2, 23]], ["membership", [
    16,
    29,
    176,
  ]]] as const
) {
  Deno.test(`flavio keeps in simulations what it has acknowledged: ${profile}`, async () => {
    for (const seed of seeds) {
      const { violations } = await simulate({
        seed,
        profile,
        ...flavioSimulation,
      });
      assertEquals(violations, [], `seed ${seed}`);
    }
  });
}

Deno.test("flavio's HTTP interface posts and reads messages, and says what is wrong with a request", async (t) => {
  await using node = await startFlavioNode();
  await using server = serveFlavio(flavioOf(node), {
    hostname: "127.0.0.1",
    port: 0,
  }, 300);
  const root = `http://127.0.0.1:${server.addr.port}`;
  const at = `${root}/msgs/mariano/english`;
  const fetched = async (
    input: string,
    init: RequestInit = {},
  ): Promise<[number, unknown]> => {
    const response = await fetch(input, init);
    return [response.status, await response.json()];
  };
  const post = (body: BodyInit, type = "application/json", url = at) =>
    fetched(url, {
      method: "POST",
      body,
      headers: { "content-type": type },
    });
  const shown = (id: number, msg: string) => ({
    id,
    lat: 9001,
    lng: 9001,
    date: NOW,
    ref: 0,
    type: 0,
    msg,
  });
  const typeOf = ([status, body]: [number, unknown]) => [
    status,
    (body as { type: string }).type,
  ];

  await t.step("messages", async () => {
    assertEquals(await fetched(at), [200, []]);
    for (const [i, msg] of ["hi", "there", "¿qué?"].entries()) {
      assertEquals(
        await post(JSON.stringify({ msg }), "application/json; charset=utf-8"),
        [200, shown(i + 1, msg)],
      );
    }
    assertEquals(await fetched(at), [200, [shown(3, "¿qué?")]]);
    assertEquals(await fetched(`${at}?limit=2`), [200, [
      shown(2, "there"),
      shown(3, "¿qué?"),
    ]]);
    assertEquals(await fetched(`${at}?from=1&limit=2`), [200, [
      shown(1, "hi"),
      shown(2, "there"),
    ]]);
    assertEquals(await fetched(`${at}?from=2`), [200, [shown(2, "there")]]);
    assertEquals(await fetched(`${at}?from=10&limit=3`), [200, []]);
    const all = await fetched(`${at}?from=1&limit=999999`);
    assertEquals((all[1] as unknown[]).length, 3);
  });
  await t.step("numbers that are none", async () => {
    for (const bad of ["x", "-1", "0", "1.5", "", "1e3", "9".repeat(30)]) {
      assertEquals(
        await fetched(`${at}?from=${bad}&limit=${bad}`),
        [200, [shown(3, "¿qué?")]],
        bad,
      );
    }
  });
  await t.step("names", async () => {
    const odd = `${root}/msgs/${encodeURIComponent("a/b é")}/%E2%82%AC`;
    assertEquals(
      await post('{"msg":"odd"}', "application/json", odd),
      [200, shown(1, "odd")],
    );
    const { rows } = await flavioOf(node).listStreams("a/b é");
    assertEquals(rows[0]?.names, ["€"]);
    assertEquals(
      typeOf(await fetched(`${root}/msgs/%ff/x`)),
      [400, "invalid-path"],
    );
    for (const path of ["/a/", "//x", `/${"x".repeat(257)}/y`]) {
      assertEquals(
        typeOf(await fetched(`${root}/msgs${path}`)),
        [400, "invalid-name"],
        path,
      );
    }
    for (const path of ["", "/msgs", "/msgs/a", "/msgs/a/b/c", "/else"]) {
      assertEquals(
        typeOf(await fetched(root + path)),
        [404, "not-found"],
        path,
      );
    }
  });
  await t.step("refusals", async () => {
    assertEquals(typeOf(await post("{}")), [400, "no-msg"]);
    assertEquals(typeOf(await post('{"msg":7}')), [400, "no-msg"]);
    assertEquals(typeOf(await post("{no json")), [400, "invalid-body"]);
    assertEquals(typeOf(await post("")), [400, "invalid-body"]);
    assertEquals(typeOf(await post("[]")), [400, "invalid-body"]);
    assertEquals(typeOf(await post("null")), [400, "invalid-body"]);
    assertEquals(typeOf(await post(new Uint8Array([0x22, 0xff, 0x22]))), [
      400,
      "invalid-body",
    ]);
    assertEquals(typeOf(await post('{"msg":"hi"}', "text/plain")), [
      415,
      "unsupported-media-type",
    ]);
    assertEquals(
      typeOf(await post(`{"msg":"${"x".repeat(MSG_BYTES_MAX + 1)}"}`)),
      [413, "too-large"],
    );
    assertEquals(typeOf(await post("x".repeat(BODY_BYTES_MAX + 1))), [
      413,
      "too-large",
    ]);
    for (const method of ["PUT", "DELETE", "PATCH"]) {
      const response = await fetch(at, { method });
      assertEquals(
        [response.status, response.headers.get("allow")],
        [405, "GET, POST"],
      );
      await response.body?.cancel();
    }
    assertEquals((await fetched(`${root}/ping`))[0], 200);
  });
  await t.step("a body that does not come", async () => {
    using connection = await Deno.connect({ port: server.addr.port });
    await connection.write(new TextEncoder().encode(
      "POST /msgs/mariano/english HTTP/1.1\r\nhost: 127.0.0.1\r\n" +
        "content-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    ));
    const answer = new Uint8Array(64);
    await connection.read(answer);
    assertMatch(new TextDecoder().decode(answer), /^HTTP\/1\.1 408 /);
  });
  await t.step("a stream that cannot be reached", async () => {
    await node.stop();
    assertEquals(typeOf(await fetched(at)), [503, "closed"]);
  });
});
