import { assertEquals } from "@std/assert";
import { answersLater } from "./vnode.ts";
import { RequestFlag } from "./vnode_wire.ts";
import { type RunCall, VnodeBench } from "./testing/vnode_bench.ts";

Deno.test("VnodeProcess runs the next command while a handler answers later", async () => {
  const bench = new VnodeBench();
  await bench.start();
  const calls: RunCall[] = [];
  bench.handler = (_request, call) => {
    calls.push(call);
    return answersLater;
  };
  bench.send("a");
  bench.send("b");
  assertEquals(bench.handled, ["a", "b"]);
  assertEquals(bench.process.load, 2);
  calls[1]!.reply("second");
  calls[0]!.reply("first");
  assertEquals(bench.answers, [[2, "reply", "second"], [1, "reply", "first"]]);
  assertEquals(bench.process.load, 0);
});

Deno.test("VnodeProcess accepts a promise of answersLater, and waits for its call", async () => {
  const bench = new VnodeBench();
  await bench.start();
  let late: RunCall | undefined;
  bench.handler = (request, call) => {
    if (request !== "a") return request;
    late = call;
    return Promise.resolve(answersLater);
  };
  bench.send("a");
  bench.send("b");
  await bench.runtime.settle();
  assertEquals(bench.outcome, [[2, "reply"]]);
  assertEquals(bench.process.load, 1);
  late!.reply("at last");
  assertEquals(bench.answers[1], [1, "reply", "at last"]);
});

Deno.test("VnodeProcess sends an early answer once, only to callers that asked for it, and then the final one", async () => {
  const bench = new VnodeBench();
  await bench.start();
  bench.handler = (_request, call) => {
    call.accepted("early");
    call.accepted("again");
    call.reply("final");
    call.accepted("too late");
    return answersLater;
  };
  bench.send("a", { flags: RequestFlag.wantsAccepted });
  bench.send("b");
  assertEquals(bench.answers, [
    [1, "accepted", "early"],
    [1, "reply", "final"],
    [2, "reply", "final"],
  ]);
});

Deno.test("VnodeProcess uses only the first answer of a call", async () => {
  const bench = new VnodeBench();
  await bench.start();
  bench.handler = (_request, call) => {
    call.reply("first");
    call.reply("second");
    call.fail("refused", "third");
    return "fourth";
  };
  bench.send("a");
  assertEquals(bench.answers, [[1, "reply", "first"]]);
});

Deno.test("Call.fail() answers with a declared failure, and the vnode continues", async () => {
  const bench = new VnodeBench();
  await bench.start();
  bench.handler = (request, call) => {
    if (request !== "a") return request;
    call.fail("refused", "Not today");
    return answersLater;
  };
  bench.send("a");
  bench.send("b");
  assertEquals(bench.answers, [[1, "vnode_error", "Not today"], [
    2,
    "reply",
    "b",
  ]]);
  assertEquals([bench.exits.length, bench.process.load], [0, 0]);
  assertEquals(bench.process.counts.failed, 1);
});

Deno.test("Call.timeLeftMs decreases with time and stops at 0", async () => {
  const bench = new VnodeBench();
  await bench.start();
  let call: RunCall | undefined;
  bench.handler = (_request, given) => {
    call = given;
    return answersLater;
  };
  bench.send("a", { timeLeftMs: 300 });
  assertEquals(call!.timeLeftMs, 300);
  await bench.runtime.advance(200);
  assertEquals(call!.timeLeftMs, 100);
  await bench.runtime.advance(200);
  assertEquals(call!.timeLeftMs, 0);
});

for (const how of ["answers later", "never settles"]) {
  Deno.test(`VnodeProcess.giveUpOverdue() answers for a handler that ${how}, after the deadline and a grace`, async () => {
    const bench = new VnodeBench();
    await bench.start();
    let late: RunCall | undefined;
    const gate = Promise.withResolvers<string>();
    bench.handler = (_request, call) => {
      late = call;
      return how === "answers later" ? answersLater : gate.promise;
    };
    bench.send("slow", {
      timeLeftMs: 300,
      flags: RequestFlag.wantsAccepted,
    });
    assertEquals([bench.inHand, bench.process.load], [1, 1]);
    for (const byMs of [300, 499]) {
      await bench.runtime.advance(byMs);
      assertEquals(bench.process.giveUpOverdue(), 1);
    }
    assertEquals(bench.answers, []);
    await bench.runtime.advance(1);
    assertEquals(bench.process.giveUpOverdue(), 0);
    const given: typeof bench.answers = [[
      1,
      "timeout",
      "The vnode of partition 5 did not answer until the deadline had passed",
    ]];
    assertEquals(bench.answers, given);
    assertEquals([bench.process.load, bench.process.counts.expired], [0, 1]);
    // It was given up once, and what the handler still says is nobody's.
    assertEquals(bench.process.giveUpOverdue(), 0);
    assertEquals([bench.process.abandoned, bench.process.idle], [1, false]);
    late!.accepted("too late");
    late!.reply("too late");
    late!.fail("refused", "too late");
    gate.resolve("too late");
    await bench.runtime.settle();
    assertEquals(bench.answers, given);
    assertEquals([bench.process.abandoned, bench.process.idle], [0, true]);
    assertEquals(bench.process.counts, {
      handled: 0,
      failed: 0,
      refused: 0,
      declined: 0,
      shed: 0,
      expired: 1,
    });
    bench.handler = (request) => request;
    bench.send("next");
    assertEquals(bench.answers[1], [2, "reply", "next"]);
  });
}

Deno.test("VnodeProcess.giveUpOverdue() ignores a handler that has answered and is still running", async () => {
  const bench = new VnodeBench();
  await bench.start();
  const gate = Promise.withResolvers<string>();
  bench.handler = (_request, call) => {
    call.reply("early");
    return gate.promise;
  };
  bench.send("slow", { timeLeftMs: 100 });
  assertEquals(bench.outcome, [[1, "reply"]]);
  await bench.runtime.advance(1_000);
  assertEquals(bench.process.giveUpOverdue(), 0);
  assertEquals([bench.process.load, bench.process.idle], [0, false]);
  assertEquals(bench.outcome, [[1, "reply"]]);
  gate.resolve("nobody's");
  await bench.runtime.settle();
  assertEquals(bench.process.idle, true);
  assertEquals(bench.outcome, [[1, "reply"]]);
});

Deno.test("VnodeProcess.giveUpOverdue() answers at their deadlines for commands that wait behind a handler whose promise never settles", async () => {
  const bench = new VnodeBench();
  await bench.start();
  const before = Promise.withResolvers<string>();
  const gate = Promise.withResolvers<string>();
  bench.handler = (request) =>
    request === "before"
      ? before.promise
      : request === "stuck"
      ? gate.promise
      : request;
  bench.send("before");
  bench.send("stuck", { timeLeftMs: 10_000 });
  const waiting = [200, 5_000, 100, 200, 201];
  for (const timeLeftMs of waiting) bench.send(`${timeLeftMs}`, { timeLeftMs });
  // Each of them may be the first one there is.
  assertEquals(bench.inHand, 7);
  before.resolve("done");
  await bench.runtime.settle();
  assertEquals(bench.answers.splice(0), [[1, "reply", "done"]]);
  await bench.runtime.advance(99);
  assertEquals(bench.process.giveUpOverdue(), 6);
  assertEquals(bench.answers, []);
  await bench.runtime.advance(101);
  assertEquals(bench.process.giveUpOverdue(), 3);
  const message =
    "The vnode of partition 5 was busy until the deadline had passed";
  assertEquals(bench.answers, [3, 5, 6].map((of) => [of, "timeout", message]));
  await bench.runtime.advance(1);
  assertEquals(bench.process.giveUpOverdue(), 2);
  assertEquals(bench.outcome[3], [7, "timeout"]);
  // The one that still has time is done when its turn comes after all.
  gate.resolve("at last");
  await bench.runtime.settle();
  assertEquals(bench.handled, ["before", "stuck", "5000"]);
  assertEquals(bench.answers.slice(4), [
    [2, "reply", "at last"],
    [4, "reply", "5000"],
  ]);
  assertEquals([bench.process.load, bench.process.counts.expired], [0, 4]);
});

Deno.test("VnodeProcess.giveUpOverdue() answers for commands that wait for an init that hangs", async () => {
  const bench = new VnodeBench();
  const gate = Promise.withResolvers<void>();
  bench.init = () => gate.promise;
  const started = bench.start();
  bench.send("early", { timeLeftMs: 100 });
  await bench.runtime.advance(100);
  assertEquals(bench.process.giveUpOverdue(), 0);
  assertEquals(bench.outcome, [[1, "timeout"]]);
  gate.resolve();
  await started;
  assertEquals(bench.handled, []);
});

Deno.test("VnodeProcess does not answer a given-up command again when it ends", async () => {
  for (const end of ["stop", "kill", "crash"] as const) {
    const bench = new VnodeBench();
    await bench.start();
    const gate = Promise.withResolvers<string>();
    bench.handler = () => gate.promise;
    bench.send("stuck", { timeLeftMs: 100 });
    await bench.runtime.advance(600);
    bench.process.giveUpOverdue();
    if (end === "stop") bench.process.stop("shutdown");
    else if (end === "kill") bench.process.kill();
    else gate.reject(new Error("broken at last"));
    await bench.runtime.settle();
    assertEquals(bench.outcome, [[1, "timeout"]]);
    assertEquals(bench.exits.length, 1);
    assertEquals(bench.process.giveUpOverdue(), 0);
  }
});
