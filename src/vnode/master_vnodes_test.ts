import { assert, assertEquals } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { MasterBench } from "./testing/master_bench.ts";

Deno.test("VnodeMaster restarts only the vnode that throws, and commands for it wait meanwhile", async () => {
  await using bench = await new MasterBench().start();
  const terminated: unknown[] = [];
  Object.assign(bench.extra, {
    terminate: (reason: unknown) => void terminated.push(reason),
  });
  await bench.ask(1, "fine");
  await bench.ask(2, "fine");
  const signal = bench.contexts.get(1)!.signal;
  bench.handler = (request) => {
    if (request === "bad") throw new Error("out of ideas");
    return request;
  };
  assertEquals(await bench.ask(1, "bad"), [
    "vnode_error",
    "The vnode of partition 1 failed: out of ideas",
  ]);
  assertEquals(signal.aborted, true);
  assertEquals(terminated.length, 1);
  assertEquals(bench.events, [{
    type: "vnode_crashed",
    partition: 1,
    error: "out of ideas",
  }]);
  bench.send(1, "meanwhile");
  assertEquals(await bench.ask(2, "untouched"), ["reply", "untouched"]);
  assertEquals(bench.started, [1, 2]);
  await bench.runtime.advance(5);
  assertEquals(bench.started, [1, 2, 1]);
  assertEquals(bench.answers.at(-1), [4, "reply", "meanwhile"]);
  assertEquals(bench.failures, []);
});

Deno.test("VnodeMaster answers each command of a message although one of them ends its vnode", async () => {
  await using bench = await new MasterBench().start();
  await bench.ask(1, "fine");
  bench.handler = (request) => {
    if (request === "bad") throw new Error("out of ideas");
    return request;
  };
  bench.send(1, "bad");
  bench.send(1, "behind it");
  bench.send(2, "elsewhere");
  await bench.runtime.settle();
  assertEquals(bench.answers.slice(1).map(([of, code]) => [of, code]), [
    [2, "vnode_error"],
    [3, "vnode_crashed"],
    [4, "reply"],
  ]);
});

Deno.test("VnodeMaster answers commands that wait for a vnode that does not start, logs it, and tries again", async () => {
  await using bench = await new MasterBench().start();
  bench.init = () => {
    throw new Error("no such table");
  };
  bench.send(1, "a");
  bench.send(1, "b");
  await bench.runtime.settle();
  assertEquals(bench.answers.map(([of, code]) => [of, code]), [[
    1,
    "vnode_crashed",
  ], [2, "vnode_crashed"]]);
  const [event] = bench.events as {
    type: string;
    partition: number;
    error: string;
  }[];
  assertEquals([event!.type, event!.partition], ["vnode_failed", 1]);
  assert(event!.error.includes("no such table"));
  bench.init = () => {};
  assertEquals(await bench.ask(1, "c"), ["reply", "c"]);
});

Deno.test("VnodeMaster fails once when several vnodes find its store broken", async () => {
  await using bench = await new MasterBench().start();
  await bench.ask(1, "fine");
  await bench.ask(2, "fine");
  for (const partition of [1, 2]) {
    bench.contexts.get(partition)!.crash(
      new WhorlError("store_unavailable", "The disk is gone"),
    );
  }
  await bench.runtime.settle();
  assertEquals(
    bench.failures.map((error) => {
      const { code, message } = error as WhorlError;
      return [code, message];
    }),
    [["store_unavailable", "The disk is gone"]],
  );
});

Deno.test("VnodeMaster starts each requested vnode once", async () => {
  await using bench = await new MasterBench().start();
  assertEquals(await bench.link.call("start_vnodes", [1, 2]), null);
  await bench.link.call("start_vnodes", [2, 3]);
  await bench.runtime.settle();
  assertEquals(bench.started, [1, 2, 3]);
});

Deno.test("VnodeMaster reports a crash whose message is not a string", async () => {
  await using bench = await new MasterBench().start();
  bench.handler = () => {
    throw new Error("no key '\ud800'");
  };
  assertEquals(await bench.ask(1, "bad"), [
    "vnode_error",
    "The vnode of partition 1 failed: no key '\ufffd'",
  ]);
  assertEquals(bench.events, [{
    type: "vnode_crashed",
    partition: 1,
    error: "no key '\ufffd'",
  }]);
});
