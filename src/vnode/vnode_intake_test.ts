import { assert, assertEquals } from "@std/assert";
import { answersLater } from "./vnode.ts";
import { RequestFlag } from "./vnode_wire.ts";
import { REQUESTS_MAX, VnodeBench } from "./testing/vnode_bench.ts";

Deno.test("VnodeProcess answers overload to a command beyond the bound of its mailbox", async () => {
  const bench = new VnodeBench();
  for (let i = 0; i < REQUESTS_MAX; i++) bench.send("a");
  assertEquals(bench.answers, []);
  bench.send("one more");
  assertEquals(bench.answers, [[
    REQUESTS_MAX + 1,
    "overload",
    "Cannot take a command for partition 5: 10000 of together 20000 bytes are waiting, 0 are being handled",
  ]]);
  assertEquals(bench.process.counts.refused, 1);
  await bench.start();
  assertEquals(bench.handled.length, REQUESTS_MAX);
  assertEquals(bench.answers.at(-1), [REQUESTS_MAX, "reply", "a"]);
});

Deno.test("VnodeProcess refuses commands beyond its bounds while a handler is stuck, and serves again when it continues", async () => {
  const bench = new VnodeBench({ requestsMax: 4 });
  await bench.start();
  const gate = Promise.withResolvers<string>();
  bench.handler = () => gate.promise;
  for (const request of "abcde") bench.send(request);
  assertEquals(bench.outcome, [[5, "overload"]]);
  assertEquals(bench.overloads, [true]);
  bench.send("f");
  assertEquals(bench.overloads, [true]);
  assertEquals(
    [bench.process.backlog.waiting, bench.process.backlog.overloaded],
    [3, true],
  );
  bench.handler = (request) => request;
  gate.resolve("a");
  await bench.runtime.settle();
  assertEquals(bench.handled, ["a", "b", "c", "d"]);
  assertEquals(bench.outcome.slice(2), [
    [1, "reply"],
    [2, "reply"],
    [3, "reply"],
    [4, "reply"],
  ]);
  assertEquals(bench.overloads, [true, false]);
  bench.send("g");
  assertEquals(bench.answers.at(-1), [7, "reply", "g"]);
  assertEquals(bench.process.counts.refused, 2);
});

Deno.test("VnodeProcess counts calls that it answers later, and has room again when they are given up", async () => {
  const bench = new VnodeBench({ requestsMax: 2 });
  await bench.start();
  bench.handler = () => answersLater;
  for (const request of "abc") bench.send(request);
  assertEquals(bench.outcome, [[3, "overload"]]);
  await bench.runtime.advance(1_500);
  bench.process.giveUpOverdue();
  assertEquals(bench.outcome.slice(1), [[1, "timeout"], [2, "timeout"]]);
  assertEquals(bench.overloads, [true, false]);
  bench.handler = (request) => request;
  bench.send("d");
  assertEquals(bench.answers.at(-1), [4, "reply", "d"]);
});

Deno.test("VnodeProcess bounds the waiting bytes, and accepts one large command if none waits", async () => {
  const bench = new VnodeBench({ bytesMax: 1_000 });
  await bench.start();
  const gate = Promise.withResolvers<string>();
  bench.handler = () => gate.promise;
  bench.send("a");
  bench.send("b".repeat(2_000));
  bench.send("c");
  assertEquals(bench.outcome, [[3, "overload"]]);
  gate.resolve("done");
  await bench.runtime.settle();
  assertEquals(bench.outcome.slice(1), [[1, "reply"], [2, "reply"]]);
});

Deno.test("VnodeProcess declines commands that another replica can run once its soft limit is reached", async () => {
  const bench = new VnodeBench({ requestsSoft: 2 });
  await bench.start();
  const gate = Promise.withResolvers<string>();
  bench.handler = () => gate.promise;
  const flags = RequestFlag.mayDecline;
  bench.send("a", { flags });
  bench.send("b", { flags });
  bench.send("c", { flags });
  bench.send("d");
  assertEquals(bench.outcome, [[3, "overload"]]);
  assertEquals(bench.details[0], { partition: 5, declined: true });
  const { declined, refused } = bench.process.counts;
  assertEquals([declined, refused, bench.overloads], [1, 0, []]);
  gate.resolve("done");
  await bench.runtime.settle();
  assertEquals(bench.handled, ["a", "b", "d"]);
});

Deno.test("VnodeProcess that is behind refuses old commands at once, and handles recent ones", async () => {
  const bench = new VnodeBench({ behindAfterMs: 500, waitMsMax: 50 });
  await bench.start();
  const gate = Promise.withResolvers<string>();
  bench.handler = () => gate.promise;
  const timeLeftMs = 60_000;
  for (const request of "abcd") bench.send(request, { timeLeftMs });
  await bench.runtime.advance(549);
  bench.process.giveUpOverdue();
  assertEquals([bench.answers, bench.process.backlog.behind], [[], false]);
  await bench.runtime.advance(1);
  bench.process.giveUpOverdue();
  // It is a burst as long as nothing comes after it.
  assertEquals([bench.answers, bench.process.backlog.behind], [[], true]);
  bench.send("e", { timeLeftMs });
  bench.send("f", { timeLeftMs, flags: RequestFlag.continues });
  // Nobody is made to wait until the handler ends.
  bench.process.giveUpOverdue();
  assertEquals(bench.outcome, [
    [2, "overload"],
    [3, "overload"],
    [4, "overload"],
  ]);
  await bench.runtime.advance(51);
  bench.handler = (request) => request;
  gate.resolve("a");
  await bench.runtime.settle();
  assertEquals(bench.outcome.slice(3), [
    [1, "reply"],
    [5, "reply"],
    [6, "reply"],
  ]);
  assertEquals(bench.handled, ["a", "e", "f"]);
  assertEquals([bench.process.counts.shed, bench.process.backlog.behind], [
    3,
    false,
  ]);
});

Deno.test("VnodeProcess that is behind refuses at once a command that would wait for long", async () => {
  const bench = new VnodeBench({ behindAfterMs: 500, waitMsMax: 50 });
  await bench.start();
  let gate = Promise.withResolvers<string>();
  bench.handler = () => {
    gate = Promise.withResolvers();
    return gate.promise;
  };
  const timeLeftMs = 60_000;
  /** Twenty milliseconds for each, and another comes meanwhile. */
  const next = async () => {
    bench.send("more", { timeLeftMs });
    await bench.runtime.advance(20);
    gate.resolve("");
    await bench.runtime.settle();
  };
  for (let i = 0; i < 10; i++) bench.send("first", { timeLeftMs });
  while (!bench.process.backlog.behind) {
    assert(bench.outcome.every(([, outcome]) => outcome === "reply"));
    assertEquals(bench.overloads, []);
    await next();
  }
  // What has waited goes, and then only as many wait as it gets on with.
  for (let i = 0; i < 20; i++) await next();
  assertEquals([bench.process.backlog.waiting, bench.overloads], [0, [true]]);
  const { shed, refused } = bench.process.counts;
  assertEquals(bench.process.backlog.behind, true);
  bench.send("fits", { timeLeftMs });
  bench.send("too much", { timeLeftMs });
  assertEquals(bench.answers.at(-1)?.slice(1), [
    "overload",
    "Cannot take a command for partition 5: it would wait for 40 ms behind 1",
  ]);
  await next();
  assertEquals(bench.process.counts.shed, shed);
  assertEquals(bench.process.counts.refused, refused + 2);

  bench.handler = (request) => request;
  gate.resolve("");
  await bench.runtime.settle();
  // Those that were refused may come back.
  assertEquals([bench.process.backlog.waiting, bench.process.backlog.behind], [
    0,
    true,
  ]);
  await bench.runtime.advance(51);
  bench.process.giveUpOverdue();
  assertEquals(bench.process.backlog.behind, false);
  assertEquals(bench.overloads, [true, false]);
  bench.send("again", { timeLeftMs });
  assertEquals(bench.answers.at(-1)?.[1], "reply");
});

Deno.test("VnodeProcess does not count time in which it is paused as time it is behind", async () => {
  const bench = new VnodeBench({ behindAfterMs: 500, waitMsMax: 50 });
  await bench.start();
  bench.process.hold();
  bench.send("a", { timeLeftMs: 60_000 });
  await bench.runtime.advance(10_000);
  bench.process.giveUpOverdue();
  assertEquals(bench.answers, []);
  bench.process.goOn();
  assertEquals(bench.outcome, [[1, "reply"]]);
});

Deno.test("VnodeProcess keeps the order when its mailbox is emptied in parts", async () => {
  const bench = new VnodeBench();
  await bench.start();
  let gate = Promise.withResolvers<string>();
  bench.handler = (request) =>
    Number(request) % 1_500 === 0 ? gate.promise : request;
  const expected: string[] = [];
  for (let i = 0; i < 4_000; i++) {
    bench.send(String(i));
    expected.push(String(i));
  }
  for (let i = 0; i < 3; i++) {
    assert(bench.handled.length < 4_000);
    const open = gate;
    gate = Promise.withResolvers<string>();
    open.resolve("on");
    await bench.runtime.settle();
  }
  assertEquals(bench.handled, expected);
  assertEquals(
    bench.answers.map(([correlation]) => correlation),
    expected.map((at) => Number(at) + 1),
  );
});

Deno.test("VnodeProcess does not run commands whose callers no longer wait", async () => {
  const bench = new VnodeBench();
  await bench.start();
  const gate = Promise.withResolvers<string>();
  bench.handler = (request) => request === "slow" ? gate.promise : request;
  bench.send("slow", { timeLeftMs: 5_000 });
  bench.send("expires", { timeLeftMs: 100 });
  bench.send("lasts", { timeLeftMs: 101 });
  await bench.runtime.advance(100);
  gate.resolve("done");
  await bench.runtime.settle();
  assertEquals(bench.handled, ["slow", "lasts"]);
  assertEquals(bench.answers, [
    [1, "reply", "done"],
    [
      2,
      "timeout",
      "The command waited for partition 5 until it could not be done in time any more",
    ],
    [3, "reply", "lasts"],
  ]);
  assertEquals(bench.process.counts.expired, 1);
});
