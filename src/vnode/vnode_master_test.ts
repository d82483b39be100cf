import { assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { answersLater } from "./vnode.ts";
import { MAILBOX_BOUNDS_DEFAULT } from "./mailbox_bounds.ts";
import { moduleIdOf } from "./vnode_wire.ts";
import { RING_SIZE } from "./testing/attached_master.ts";
import { MasterBench, type MasterCall } from "./testing/master_bench.ts";

Deno.test("VnodeMaster starts a vnode with the first request for it, and keeps the order", async () => {
  await using bench = await new MasterBench().start();
  const gate = Promise.withResolvers<void>();
  bench.init = () => gate.promise;
  bench.send(3, "a");
  bench.send(3, "b");
  bench.send(5, "c");
  await bench.runtime.settle();
  assertEquals(bench.answers, []);
  gate.resolve();
  await bench.runtime.settle();
  assertEquals(bench.started, [3, 5]);
  assertEquals(bench.handled, [[3, "a"], [3, "b"], [5, "c"]]);
  assertEquals(bench.answers, [[1, "reply", "a"], [2, "reply", "b"], [
    3,
    "reply",
    "c",
  ]]);
});

Deno.test("VnodeMaster refuses requests for another module or a partition outside the ring", async () => {
  await using bench = await new MasterBench().start();
  bench.send(1, "a", { moduleId: moduleIdOf("other") });
  bench.send(RING_SIZE, "b");
  await bench.runtime.settle();
  assertEquals(bench.answers.map(([of, code]) => [of, code]), [[
    1,
    "invalid_argument",
  ], [2, "invalid_argument"]]);
  assertEquals(bench.started, []);
});

for (const how of ["answers later", "returns a promise"]) {
  Deno.test(`VnodeMaster gives up later answers that nobody waits for, and counts them until the handler that ${how} has finished`, async () => {
    await using bench = await new MasterBench().start();
    const gate = Promise.withResolvers<string>();
    let call: MasterCall | undefined;
    bench.handler = (_request, given) => {
      call = given;
      return how === "answers later" ? answersLater : gate.promise;
    };
    bench.send(1, "slow", { timeLeftMs: 300 });
    await bench.runtime.settle();
    const figures = async () => {
      const { waiting, expired, abandoned } = await bench.link.call(
        "stats",
        null,
      ) as Record<string, unknown>;
      return [waiting, expired, abandoned];
    };
    await bench.runtime.advance(999);
    // The node has answered for it; the vnode may still be at it.
    assertEquals(bench.answers.map(([of, code]) => [of, code]), [[
      1,
      "timeout",
    ]]);
    await bench.runtime.advance(1);
    // Nobody waits for it, but it may write yet.
    assertEquals(await figures(), [0, 1, 1]);
    if (how === "answers later") call!.reply("at last");
    else gate.resolve("at last");
    // It is finished once, however often it says so.
    call!.fail("refused" as never, "and again");
    await bench.runtime.settle();
    assertEquals(await figures(), [0, 1, 0]);
    assertEquals(bench.answers.filter(([of]) => of === 1).length, 1);
  });
}

Deno.test("VnodeMaster lists the partitions it holds: those with data, and those whose vnodes run, busy or not", async () => {
  await using bench = await new MasterBench().start();
  const gate = Promise.withResolvers<string>();
  bench.handler = (request) => request === "slow" ? gate.promise : request;
  await bench.ask(7, "runs and has nothing");
  bench.send(2, "slow");
  for (const partition of [2, 3]) bench.write(partition);
  await bench.runtime.settle();
  assertEquals(
    await bench.link.call("held_vnodes", null, 1_000),
    [2, 3, 7],
  );
  gate.resolve("done");
  await bench.runtime.settle();
});

Deno.test("VnodeMaster checks for overdue requests only while some are unanswered", async () => {
  await using bench = await new MasterBench().start();
  const calls: MasterCall[] = [];
  bench.handler = (_request, call) => {
    calls.push(call);
    return answersLater;
  };
  assertEquals(bench.runtime.pendingTimers, 0);
  bench.send(1, "short", { timeLeftMs: 100 });
  bench.send(2, "long", { timeLeftMs: 5_000 });
  const expired = async (): Promise<unknown> => {
    const stats = await bench.link.call("stats", null);
    return (stats as { expired: number }).expired;
  };
  await bench.runtime.advance(1_000);
  assertEquals(await expired(), 1);
  await bench.runtime.advance(5_000);
  assertEquals(await expired(), 2);
  // The node's end looks once more, for the call.
  await bench.runtime.advance(250);
  assertEquals(bench.runtime.pendingTimers, 0);
  // Those that were answered in time leave one look behind, which finds nothing.
  bench.send(1, "answered");
  await bench.runtime.settle();
  calls.at(-1)!.reply("done");
  await bench.runtime.advance(1_000);
  assertEquals(bench.answers.at(-1), [3, "reply", "done"]);
  assertEquals(bench.runtime.pendingTimers, 0);
});

Deno.test("VnodeMaster.stop() leaves no timer behind, whatever is unanswered", async () => {
  const bench = await new MasterBench().start();
  const gate = Promise.withResolvers<string>();
  bench.handler = (request) => request === "open" ? gate.promise : answersLater;
  bench.send(1, "promised");
  bench.send(2, "open");
  bench.send(2, "waits");
  await bench.runtime.settle();
  await bench.master.stop();
  bench.link.close();
  assertEquals(bench.runtime.pendingTimers, 0);
  assertEquals(bench.answers.map(([of, code]) => [of, code]).sort(), [
    [1, "vnode_crashed"],
    [2, "vnode_crashed"],
    [3, "vnode_crashed"],
  ]);
  gate.resolve("too late");
  await bench.runtime.settle();
  assertEquals(bench.runtime.pendingTimers, 0);
});

Deno.test("VnodeMaster counts what its vnodes have done", async () => {
  await using bench = await new MasterBench().start();
  await bench.ask(1, "a");
  await bench.ask(2, "b");
  bench.handler = () => answersLater;
  bench.send(2, "c");
  await bench.runtime.settle();
  bench.write(1);
  const { store, ...counts } = await bench.link.call("stats", null) as Record<
    string,
    unknown
  >;
  assertEquals(counts, {
    vnodes: 2,
    handled: 2,
    failed: 0,
    refused: 0,
    declined: 0,
    shed: 0,
    expired: 0,
    waiting: 1,
    abandoned: 0,
    longestTurnMs: 0,
    mailbox: { requests: 0, bytes: 0, longest: 0, overloaded: 0, behind: 0 },
    pools: {
      slow: {
        done: 0,
        failed: 0,
        refused: 0,
        givenUp: 0,
        waiting: 0,
        running: 0,
      },
    },
    workers: {},
  });
  assertEquals((store as { writes: number }).writes, 1);
});

Deno.test("VnodeMaster serves its other vnodes while one is overloaded, and logs and counts the overload", async () => {
  const { requestsMax } = MAILBOX_BOUNDS_DEFAULT;
  await using bench = await new MasterBench().start();
  const gate = Promise.withResolvers<string>();
  bench.handler = (request, _call, partition) =>
    partition === 1 ? gate.promise : request;
  for (let i = 0; i < requestsMax + 5; i++) bench.send(1, "a");
  await bench.runtime.settle();
  assertEquals(
    bench.answers.map(([, code]) => code),
    Array(5).fill("overload"),
  );
  assertEquals(await bench.ask(2, "b"), ["reply", "b"]);
  assertEquals(bench.warnings, [
    "A vnode refuses commands as too many wait for it",
  ]);
  const { refused, mailbox } = await bench.link.call("stats", null) as Record<
    string,
    unknown
  >;
  assertEquals([refused, mailbox], [5, {
    requests: requestsMax - 1,
    // Each is one letter.
    bytes: 2 * (requestsMax - 1),
    longest: requestsMax - 1,
    overloaded: 1,
    behind: 0,
  }]);
  gate.resolve("done");
});

Deno.test("VnodeMaster answers unknown calls with unknown_command", async () => {
  await using bench = await new MasterBench().start();
  const error = await assertRejects(
    () => bench.link.call("sing", null),
    WhorlError,
    "Cannot do 'sing' in a vnode master",
  );
  assertEquals(error.code, "unknown_command");
});

Deno.test("VnodeMaster.stop() answers waiting requests, terminates its vnodes and closes the store", async () => {
  const bench = await new MasterBench().start();
  const terminated: unknown[] = [];
  Object.assign(bench.extra, {
    terminate: (reason: unknown) => void terminated.push(reason),
  });
  bench.handler = () => answersLater;
  bench.send(1, "a");
  bench.send(2, "b");
  await bench.runtime.settle();
  await bench.master.stop();
  assertEquals(bench.answers.map(([of, code]) => [of, code]).sort(), [[
    1,
    "vnode_crashed",
  ], [2, "vnode_crashed"]]);
  assertEquals(terminated, ["shutdown", "shutdown"]);
  assertEquals([bench.failures, bench.started], [[], [1, 2]]);
  const error = await assertRejects(
    async () => await bench.store.partition(1).get(Uint8Array.of(1)),
    WhorlError,
  );
  assertEquals(error.code, "closed");
  // Whoever comes now is told so.
  assertEquals((await bench.ask(3, "late"))[0], "closed");
  bench.link.close();
});
