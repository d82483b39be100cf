/**
 * flavio's messages on the move: handoffs, lost nodes and resizes of the ring, on
 * real nodes and on simulated ones.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import flavioSimulation from "../examples/flavio/flavio_simulation.ts";
import { MESSAGES_MAX } from "../examples/flavio/message.ts";
import { type NodeOptions, partitionOf } from "../mod.ts";
import { simulate } from "../src/simulation/mod.ts";
import { until } from "./harness/until.ts";
import {
  flavioOf,
  messagesIn,
  namesOf,
  partitionsOf,
  startFlavioNode,
} from "./harness/flavio_node.ts";

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

Deno.test("flavio continues its numbers when the first replica of a stream has moved", async () => {
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

Deno.test("flavio continues its numbers while a replica of a stream is away, which has everything when it is back", async () => {
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

Deno.test("flavio's messages follow a resize of the ring, including those posted during it", async () => {
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
  Deno.test(`flavio keeps what it has acknowledged in simulations: ${profile}`, async () => {
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
