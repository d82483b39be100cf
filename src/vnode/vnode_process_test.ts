import { assert, assertEquals, assertRejects } from "@std/assert";
import { ChildBase } from "../../supervisors/child.ts";
import {
  crash,
  type ExitReason,
  formatReason,
} from "../../supervisors/exit_reason.ts";
import { WhorlError } from "../base/errors.ts";
import { FRAME_BYTES_MAX } from "../wire/frame.ts";
import { answersLater } from "./vnode.ts";
import { HALF, RAW, VnodeBench } from "./testing/vnode_bench.ts";

class Linked extends ChildBase {
  readonly kind = "task";
  stop(reason: ExitReason): void {
    this.end(reason);
  }
  kill(): void {
    this.end("killed");
  }
}

Deno.test("VnodeProcess handles commands in order of arrival, first those that came before its start", async () => {
  const bench = new VnodeBench();
  bench.send("a");
  bench.send("b");
  assertEquals(bench.process.fresh, true);
  assertEquals(bench.process.load, 2);
  await bench.start();
  bench.send("c");
  assertEquals(bench.handled, ["a", "b", "c"]);
  assertEquals(bench.answers, [
    [1, "reply", "a"],
    [2, "reply", "b"],
    [3, "reply", "c"],
  ]);
  assertEquals(
    [bench.process.active, bench.process.fresh, bench.process.load],
    [true, false, 0],
  );
  assertEquals(bench.process.counts.handled, 3);
});

Deno.test("VnodeProcess handles no other command while a handler's promise is pending", async () => {
  const bench = new VnodeBench();
  await bench.start();
  const gates = new Map<string, PromiseWithResolvers<string>>();
  bench.handler = (request) => {
    const gate = Promise.withResolvers<string>();
    gates.set(request, gate);
    return gate.promise;
  };
  for (const request of ["a", "b", "c"]) bench.send(request);
  assertEquals(bench.handled, ["a"]);
  assertEquals(bench.process.load, 3);
  gates.get("a")!.resolve("done a");
  await bench.runtime.settle();
  assertEquals(bench.handled, ["a", "b"]);
  gates.get("b")!.resolve("done b");
  await bench.runtime.settle();
  gates.get("c")!.resolve("done c");
  await bench.runtime.settle();
  assertEquals(bench.answers, [
    [1, "reply", "done a"],
    [2, "reply", "done b"],
    [3, "reply", "done c"],
  ]);
  assertEquals(bench.process.load, 0);
});

Deno.test("VnodeProcess ends when a handler throws: vnode_error for its caller, vnode_crashed for waiting callers", async () => {
  for (const later of [false, true]) {
    const bench = new VnodeBench();
    let terminated: unknown;
    Object.assign(bench.extra, {
      terminate: (reason: unknown) => void (terminated = reason),
    });
    bench.send("promised");
    bench.send("fails");
    bench.send("waits");
    const broken = new RangeError("off by one");
    bench.handler = (request) => {
      if (request === "promised") return answersLater;
      if (!later) throw broken;
      return Promise.reject(broken);
    };
    await bench.start();
    await bench.runtime.settle();
    assertEquals(bench.handled, ["promised", "fails"]);
    assertEquals(bench.answers, [
      [2, "vnode_error", "The vnode of partition 5 failed: off by one"],
      [1, "vnode_crashed", "The vnode of partition 5 stopped: off by one"],
      [3, "vnode_crashed", "The vnode of partition 5 stopped: off by one"],
    ]);
    assertEquals(bench.exits, [crash(broken)]);
    assertEquals(terminated, broken);
    assertEquals([bench.process.active, bench.process.load], [false, 0]);
  }
});

Deno.test("VnodeProcess answers commands that come after its end at once", async () => {
  const bench = new VnodeBench();
  const gate = Promise.withResolvers<void>();
  Object.assign(bench.extra, { terminate: () => gate.promise });
  bench.handler = () => {
    throw new Error("broken");
  };
  await bench.start();
  bench.send("fails");
  // The vnode is on its way out and its supervisor does not know yet.
  assertEquals(bench.exits, []);
  bench.send("late");
  assertEquals(bench.outcome, [[1, "vnode_error"], [2, "vnode_crashed"]]);
  gate.resolve();
  await bench.runtime.settle();
  assertEquals(bench.exits.length, 1);
  bench.send("later still");
  assertEquals(bench.outcome[2], [3, "vnode_crashed"]);
  assertEquals(bench.process.load, 0);
});

Deno.test("VnodeProcess.stop() answers all waiting callers, then runs terminate, then ends", async () => {
  const bench = new VnodeBench();
  const order: string[] = [];
  Object.assign(bench.extra, {
    terminate: (reason: unknown) => {
      order.push(`terminate ${reason} after ${bench.answers.length} answers`);
    },
  });
  await bench.start();
  const gate = Promise.withResolvers<string>();
  bench.handler = () => gate.promise;
  bench.send("handled");
  bench.send("waits");
  bench.process.onExit((reason) => order.push(`exit ${reason}`));
  bench.process.stop("shutdown");
  bench.process.stop("shutdown");
  gate.resolve("too late");
  await bench.runtime.settle();
  assertEquals(bench.answers, [
    [1, "vnode_crashed", "The vnode of partition 5 stopped: shutdown"],
    [2, "vnode_crashed", "The vnode of partition 5 stopped: shutdown"],
  ]);
  assertEquals(order, ["terminate shutdown after 2 answers", "exit shutdown"]);
  assertEquals(bench.exits, ["shutdown"]);
});

Deno.test("VnodeProcess.kill() ends at once, without terminate", async () => {
  const bench = new VnodeBench();
  let terminated = false;
  Object.assign(bench.extra, { terminate: () => void (terminated = true) });
  await bench.start();
  bench.handler = () => answersLater;
  bench.send("a");
  bench.process.kill();
  assertEquals(bench.exits, ["killed"]);
  assertEquals(bench.outcome, [[1, "vnode_crashed"]]);
  assertEquals(terminated, false);
});

Deno.test("VnodeProcess runs terminate on a vnode whose init returns after the end", async () => {
  const bench = new VnodeBench();
  const gate = Promise.withResolvers<void>();
  let terminated = 0;
  Object.assign(bench.extra, { terminate: () => void terminated++ });
  bench.init = () => gate.promise;
  const starting = bench.start();
  bench.send("waits");
  bench.process.kill();
  gate.resolve();
  await starting;
  assertEquals(terminated, 1);
  assertEquals(bench.handled, []);
  assertEquals(bench.outcome, [[1, "vnode_crashed"]]);
  assertEquals(bench.process.active, false);
});

Deno.test("VnodeProcess refuses unknown commands and unreadable bodies, and continues", async () => {
  const bench = new VnodeBench();
  await bench.start();
  bench.send("a", { command: 3 });
  bench.send("b", { body: Uint8Array.of(0xc1) });
  bench.send("c");
  assertEquals(bench.outcome, [[1, "unknown_command"], [2, "protocol_error"], [
    3,
    "reply",
  ]]);
  assertEquals(bench.handled, ["c"]);
  assertEquals(bench.exits, []);
});

Deno.test("VnodeProcess answers vnode_error for an answer that its codec cannot encode, and continues", async () => {
  const bench = new VnodeBench();
  await bench.start();
  bench.handler = (request) => request === "bad" ? 10n : request;
  bench.send("bad");
  bench.send("good");
  bench.send("half", { command: HALF });
  assertEquals(bench.outcome.slice(0, 2), [[1, "vnode_error"], [2, "reply"]]);
  assertEquals(bench.answers[2], [
    3,
    "vnode_error",
    "Cannot encode the answer of 'test': the rest does not fit",
  ]);
  assert(
    String(bench.answers[0]![2]).startsWith(
      "Cannot encode the answer of 'test': ",
    ),
  );
});

Deno.test("VnodeProcess answers vnode_error for an answer too large for a frame, and continues", async () => {
  const bench = new VnodeBench();
  await bench.start();
  bench.send(FRAME_BYTES_MAX, { command: RAW });
  bench.send("good");
  assertEquals(bench.outcome, [[1, "vnode_error"], [2, "reply"]]);
  assert(String(bench.answers[0]![2]).includes("the limit is 16777216"));
});

Deno.test("VnodeProcess.start() fails with the error that init throws", async () => {
  const bench = new VnodeBench();
  bench.init = () => {
    throw new RangeError("no such table");
  };
  await assertRejects(() => bench.start(), RangeError, "no such table");
  assertEquals(bench.process.active, false);
});

Deno.test("VnodeProcess.start() refuses a vnode without a handler for each command", async () => {
  const bench = new VnodeBench();
  Object.assign(bench.extra, { handleCommand: { run: () => "" } });
  const error = await assertRejects(
    () => bench.start(),
    WhorlError,
    "no handler for its command 'raw'",
  );
  assertEquals(error.code, "vnode_module_failed");
});

Deno.test("VnodeProcess.link() ends the vnode when the process crashes, and the process when the vnode ends", async () => {
  const bench = new VnodeBench();
  await bench.start();
  const fine = new Linked(), broken = new Linked(), other = new Linked();
  bench.process.link("fine", fine);
  bench.process.link("broken", broken);
  bench.process.link("other", other);
  fine.stop("normal");
  await bench.runtime.settle();
  assertEquals(bench.exits, []);
  broken.stop(crash(new Error("lost its way")));
  await bench.runtime.settle();
  assertEquals(bench.exits.length, 1);
  assert(formatReason(bench.exits[0]!).includes("broken ended: "));
  assertEquals(other.exitReason, bench.exits[0]);
});

Deno.test("VnodeProcess.link() calls handleExit, whose failure ends the vnode", async () => {
  const bench = new VnodeBench();
  const told: [string, ExitReason][] = [];
  Object.assign(bench.extra, {
    handleExit: (source: string, reason: ExitReason) => {
      told.push([source, reason]);
      if (source === "worse") throw new Error("cannot do without");
    },
  });
  await bench.start();
  const bad = new Linked(), worse = new Linked();
  bench.process.link("bad", bad);
  bench.process.link("worse", worse);
  bad.kill();
  await bench.runtime.settle();
  assertEquals([told, bench.exits], [[["bad", "killed"]], []]);
  worse.kill();
  await bench.runtime.settle();
  assertEquals(told[1], ["worse", "killed"]);
  assertEquals(bench.exits.length, 1);
  assert(formatReason(bench.exits[0]!).includes("cannot do without"));
});
