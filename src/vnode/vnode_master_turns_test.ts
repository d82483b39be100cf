import { assert, assertEquals } from "@std/assert";
import { TURN_ANSWER_BYTES } from "./postponed_frames.ts";
import { TURN_MS } from "./vnode_turns.ts";
import { MasterBench } from "./testing/master_bench.ts";

/** A bench whose vnodes answer with three quarters of what they may say in a turn, or little. */
async function talkative(): Promise<MasterBench> {
  const bench = await new MasterBench().start();
  const much = new Uint8Array(TURN_ANSWER_BYTES * 3 / 4);
  bench.handler = (request) => request === "much" ? much : request;
  await bench.ask(0, "started");
  await bench.ask(1, "started");
  bench.handled.length = 0;
  bench.answers.length = 0;
  return bench;
}

Deno.test("VnodeMaster yields to other work when it has answered much, and keeps the order", async () => {
  await using bench = await talkative();
  for (const partition of [0, 1, 0, 1, 0]) bench.send(partition, "much");
  bench.send(1, "last");
  await bench.runtime.settle();
  assertEquals(bench.handled, [[0, "much"], [1, "much"]]);
  // What comes now waits behind the others.
  bench.send(0, "later");
  const calls = bench.link.call("stats", null);
  await bench.runtime.settle();
  assertEquals(bench.handled.length, 2);
  await bench.runtime.advance(0);
  assertEquals(bench.handled, [
    ...[0, 1, 0, 1, 0].map((partition) => [partition, "much"]),
    [1, "last"],
    [0, "later"],
  ]);
  assertEquals(bench.answers.map(([correlation]) => correlation), [
    3,
    4,
    5,
    6,
    7,
    8,
    9,
  ]);
  await calls;
  // A turn of its own begins anew.
  assertEquals((await bench.ask(0, "much"))[0], "reply");
});

Deno.test("VnodeMaster does not run a command whose caller no longer waits when its turn comes", async () => {
  await using bench = await talkative();
  bench.send(0, "much");
  bench.send(0, "much");
  bench.send(0, "short", { timeLeftMs: 0 });
  bench.send(0, "long");
  await bench.runtime.settle();
  await bench.runtime.advance(0);
  assertEquals(bench.handled.map(([, request]) => request), [
    "much",
    "much",
    "long",
  ]);
  assertEquals(bench.answers.map(([, what]) => what), [
    "reply",
    "reply",
    "timeout",
    "reply",
  ]);
});

Deno.test("VnodeMaster.stop() answers commands that wait for a turn", async () => {
  const bench = await talkative();
  bench.send(0, "much");
  bench.send(0, "much");
  bench.send(0, "waits");
  await bench.runtime.settle();
  await bench[Symbol.asyncDispose]();
  assertEquals(bench.handled.length, 2);
  assertEquals(bench.answers.map(([, what]) => what), [
    "reply",
    "reply",
    "closed",
  ]);
});

Deno.test("VnodeMaster yields to other work when commands have taken long, keeps each vnode's order, and drops commands whose callers no longer wait", async () => {
  await using bench = await new MasterBench().start();
  await bench.ask(0, "started");
  await bench.ask(1, "started");
  bench.handled.length = 0;
  bench.handler = (request) => {
    if (request !== "short") bench.runtime.spentMs += TURN_MS / 4;
    return request;
  };
  // That commands are long is known after eight of them, two of which were.
  for (let i = 0; i < 12; i++) bench.send(0, `${i}`);
  bench.send(0, "late", { timeLeftMs: TURN_MS / 2 });
  bench.send(0, "short");
  await bench.runtime.settle();
  assertEquals(bench.handled.length, 6);
  // They wait where they are counted.
  const stats = bench.link.call("stats", null);
  await bench.runtime.settle();
  const { mailbox } = await stats as { mailbox: { requests: number } };
  assertEquals(mailbox.requests, 8);
  // This one would have time, but must not go before others that wait.
  bench.send(1, "short");
  await bench.runtime.settle();
  assertEquals(bench.handled.length, 6);
  await bench.runtime.advance(0);
  assertEquals(
    bench.handled.map(([partition, request]) => `${partition} ${request}`),
    [
      ...Array.from({ length: 10 }, (_, i) => `0 ${i}`),
      "1 short",
      "0 10",
      "0 11",
      "0 short",
    ],
  );
  assertEquals(bench.answers.find(([, code]) => code === "timeout")?.[0], 15);
});

Deno.test("VnodeMaster yields even if each command comes in its own message", async () => {
  await using bench = await new MasterBench().start();
  await bench.ask(0, "started");
  bench.handled.length = 0;
  bench.handler = (request) => {
    bench.runtime.spentMs += TURN_MS * 3 / 4;
    return request;
  };
  await bench.runtime.advance(TURN_MS);
  for (let i = 0; i < 10; i++) {
    bench.send(0, `${i}`);
    await bench.runtime.settle();
  }
  // The others wait where they are counted, and not in the port before it.
  assertEquals(bench.handled.length, 2);
  for (const handled of [4, 6, 8, 10]) {
    await bench.runtime.advance(0);
    assert(bench.handled.length >= handled);
  }
});

Deno.test("VnodeMaster notices that a vnode has caught up even if no command comes after those it refused", async () => {
  await using bench = await new MasterBench().start();
  await bench.ask(0, "started");
  bench.handled.length = 0;
  bench.handler = (request) => {
    bench.runtime.spentMs += TURN_MS;
    // It is refused, and the eight that wait have waited too long.
    if (bench.handled.length === 92) bench.send(0, "late");
    return request;
  };
  const mailbox = async () => {
    const stats = bench.link.call("stats", null);
    await bench.runtime.settle();
    const { mailbox } = await stats as { mailbox: Record<string, number> };
    return [mailbox.requests, mailbox.overloaded, mailbox.behind];
  };
  for (let i = 0; i < 100; i++) bench.send(0, `${i}`);
  await bench.runtime.settle();
  await bench.runtime.advance(0);
  assertEquals(
    bench.answers.filter(([, code]) => code === "overload").length,
    9,
  );
  // Nothing waits, but those may come back.
  assertEquals(await mailbox(), [0, 1, 1]);
  await bench.runtime.advance(2_000);
  assertEquals(await mailbox(), [0, 0, 0]);
});

Deno.test("VnodeMaster.stop() does not wait for an init that never returns", async () => {
  const bench = await new MasterBench().start();
  bench.init = () => new Promise(() => {});
  bench.send(3, "waits");
  await bench.runtime.settle();
  assertEquals(bench.started, [3]);
  let stopped = false;
  const stopping = bench.master.stop().then(() => {
    stopped = true;
  });
  await bench.runtime.advance(6_000);
  await stopping;
  assertEquals(stopped, true);
  assertEquals(bench.answers.map(([, what]) => what).includes("reply"), false);
});
