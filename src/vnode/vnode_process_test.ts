import { BackgroundPace } from "./background_pace.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ChildBase } from "../../supervisors/child.ts";
import {
  crash,
  type ExitReason,
  formatReason,
} from "../../supervisors/exit_reason.ts";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { BatchingSink } from "../wire/batching_sink.ts";
import { readFailure } from "../wire/failure.ts";
import { FRAME_BYTES_MAX, readFrames } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { decodeMsgpack, encodeMsgpack } from "../wire/msgpack.ts";
import { bytesCodec, command, defineVnode } from "./define_vnode.ts";
import {
  MAILBOX_BOUNDS_DEFAULT,
  type MailboxBounds,
} from "./mailbox_bounds.ts";
import {
  answersLater,
  type Call,
  type Codec,
  type Vnode,
  type VnodeContext,
  type VnodeModule,
} from "./vnode.ts";
import { commandTableOf } from "./command_table.ts";
import { VnodeProcess } from "./vnode_process.ts";
import { VnodeTurns } from "./vnode_turns.ts";
import { RequestFlag } from "./vnode_wire.ts";

/** Fails when it has already written something. */
const halfCodec: Codec<string> = {
  encode(value, into): void {
    into.text(value);
    throw new RangeError("the rest does not fit");
  },
  decode: (from) => from.text(),
};
const commands = {
  run: command<string, unknown, "refused">({ failures: ["refused"] }),
  raw: command<number, Uint8Array>({ reply: bytesCodec }),
  half: command<string, string>({ reply: halfCodec }),
};
const REQUESTS_MAX = MAILBOX_BOUNDS_DEFAULT.requestsMax;
const RUN = 0, RAW = 1, HALF = 2;
type TestCommands = typeof commands;
type RunCall = Call<TestCommands["run"]>;

/** A vnode of one handler, and every answer it gives. */
class Bench {
  readonly runtime = new ManualRuntime();
  /** Answers in order: correlation, then `reply`, `accepted` or a failure's code, then the value or the message. */
  readonly answers: [number, string, unknown][] = [];
  /** The details of each failure. */
  readonly details: unknown[] = [];
  /** What the handler was given, in order. */
  readonly handled: string[] = [];
  handler: (request: string, call: RunCall) => unknown = (request) => request;
  readonly extra: Partial<Vnode<TestCommands>> = {};
  init: (() => unknown) | undefined;
  readonly exits: ExitReason[] = [];
  readonly process: VnodeProcess;
  /** How often the process has said that it has requests in hand. */
  inHand = 0;
  /** What it has said of its load. */
  readonly overloads: boolean[] = [];
  #next = 1;

  constructor(mailbox: Partial<MailboxBounds> = {}) {
    const module = defineVnode({
      name: "test",
      commands,
      mailbox,
      init: async () => {
        await this.init?.();
        return {
          handleCommand: {
            run: (request, call) => {
              this.handled.push(request);
              return this.handler(request, call) as string;
            },
            raw: (size) => new Uint8Array(size),
            half: (request) => request,
          },
          fold: () => [],
          encodeHandoffItem: () => null,
          handleHandoffData: () => {},
          isEmpty: () => true,
          delete: () => {},
          ...this.extra,
        };
      },
    }) as unknown as VnodeModule;
    const sink = new BatchingSink((flush) => flush(), (batch) => {
      readFrames(batch, 0, batch.length, FRAME_BYTES_MAX, this.#onFrame);
    });
    this.process = new VnodeProcess(
      {
        answers: sink,
        now: () => this.runtime.now(),
        pace: new BackgroundPace(2, 20),
        coveragePace: new BackgroundPace(4, 20),
        turns: new VnodeTurns(this.runtime),
        later: (afterMs, callback) =>
          void this.runtime.setTimer(afterMs, callback),
        requestsInHand: () => this.inHand++,
        overloaded: (_process, is) => this.overloads.push(is),
        released: () => {},
        removed: () => {},
      },
      module,
      commandTableOf(module),
      5,
    );
    this.process.onExit((reason) => this.exits.push(reason));
  }

  readonly #onFrame = (
    type: number,
    _flags: number,
    correlation: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void => {
    const body = bytes.slice(start, end);
    if (type === FrameType.vnodeError) {
      const { code, message, details } = readFailure(body);
      this.details.push(details);
      this.answers.push([correlation, code, message]);
      return;
    }
    this.answers.push([
      correlation,
      type === FrameType.vnodeAccepted ? "accepted" : "reply",
      body.length === 0 ? undefined : decodeMsgpack(body),
    ]);
  };

  start(): Promise<void> {
    return this.process.start({} as VnodeContext);
  }

  /** Sends a command; its correlation is how manieth it is. */
  send(
    request: unknown,
    {
      command = RUN,
      flags = 0,
      timeLeftMs = 1_000,
      body = encodeMsgpack(request) as Uint8Array,
    } = {},
  ): void {
    // As in a message: other bytes stand before and after the body.
    const into = new ByteWriter();
    into.u32(0xffff_ffff);
    into.raw(body);
    const end = into.length;
    into.u32(0xffff_ffff);
    this.process.request(
      this.#next++,
      command,
      flags,
      this.runtime.now() + timeLeftMs,
      into.copy(),
      4,
      end,
    );
  }

  /** The codes of the answers, by correlation. */
  get outcome(): [number, string][] {
    return this.answers.map(([correlation, code]) => [correlation, code]);
  }
}

class Linked extends ChildBase {
  readonly kind = "task";
  stop(reason: ExitReason): void {
    this.end(reason);
  }
  kill(): void {
    this.end("killed");
  }
}

Deno.test("VnodeProcess handles commands in order of arrival, those first that came before its start", async () => {
  const bench = new Bench();
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

Deno.test("VnodeProcess handles one command at a time while a handler's promise is open", async () => {
  const bench = new Bench();
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

Deno.test("VnodeProcess goes on with the next command when a handler answers later", async () => {
  const bench = new Bench();
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

Deno.test("VnodeProcess lets a promise end in answersLater, and waits for its call", async () => {
  const bench = new Bench();
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

Deno.test("VnodeProcess answers early only callers who asked for it, once, and then in full", async () => {
  const bench = new Bench();
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

Deno.test("VnodeProcess counts the first answer of a call and no other", async () => {
  const bench = new Bench();
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

Deno.test("Call.fail() answers with a declared failure, and the vnode goes on", async () => {
  const bench = new Bench();
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

Deno.test("Call.timeLeftMs falls with time and stops at 0", async () => {
  const bench = new Bench();
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

Deno.test("VnodeProcess ends by what a handler throws: vnode_error for its caller, vnode_crashed for those who wait", async () => {
  for (const later of [false, true]) {
    const bench = new Bench();
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
  const bench = new Bench();
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

Deno.test("VnodeProcess.stop() answers all who wait, then terminates, then ends", async () => {
  const bench = new Bench();
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
  const bench = new Bench();
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

Deno.test("VnodeProcess terminates a vnode whose init returns after the end", async () => {
  const bench = new Bench();
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

Deno.test("VnodeProcess takes so many commands into its mailbox and answers a further one with overload", async () => {
  const bench = new Bench();
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

Deno.test("VnodeProcess refuses what goes beyond its bounds while a handler is stuck, and serves again when it goes on", async () => {
  const bench = new Bench({ requestsMax: 4 });
  await bench.start();
  const gate = Promise.withResolvers<string>();
  bench.handler = () => gate.promise;
  for (const request of "abcde") bench.send(request);
  assertEquals(bench.outcome, [[5, "overload"]]);
  assertEquals(bench.overloads, [true]);
  bench.send("f");
  assertEquals(bench.overloads, [true]);
  assertEquals(
    [bench.process.waiting, bench.process.overloaded],
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

Deno.test("VnodeProcess counts calls it has promised to answer, and has room again when they are given up", async () => {
  const bench = new Bench({ requestsMax: 2 });
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

Deno.test("VnodeProcess bounds the bytes that wait, and lets one large command wait alone", async () => {
  const bench = new Bench({ bytesMax: 1_000 });
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

Deno.test("VnodeProcess declines what another replica can do once its soft limit is reached", async () => {
  const bench = new Bench({ requestsSoft: 2 });
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

Deno.test("VnodeProcess that is behind answers at once what came long ago, and handles what came lately", async () => {
  const bench = new Bench({ behindAfterMs: 500, waitMsMax: 50 });
  await bench.start();
  const gate = Promise.withResolvers<string>();
  bench.handler = () => gate.promise;
  const timeLeftMs = 60_000;
  for (const request of "abc") bench.send(request, { timeLeftMs });
  await bench.runtime.advance(499);
  bench.process.giveUpOverdue();
  assertEquals(bench.answers, []);
  await bench.runtime.advance(1);
  // Nobody is made to wait until the handler ends.
  bench.process.giveUpOverdue();
  assertEquals(bench.outcome, [[2, "overload"], [3, "overload"]]);
  bench.send("d", { timeLeftMs });
  await bench.runtime.advance(51);
  bench.send("e", { timeLeftMs });
  bench.handler = (request) => request;
  gate.resolve("a");
  await bench.runtime.settle();
  assertEquals(bench.outcome.slice(2), [
    [1, "reply"],
    [4, "overload"],
    [5, "reply"],
  ]);
  assertEquals(bench.handled, ["a", "e"]);
  assertEquals(bench.process.counts.shed, 3);
});

Deno.test("VnodeProcess takes no time in which it stands still for time it is behind", async () => {
  const bench = new Bench({ behindAfterMs: 500, waitMsMax: 50 });
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
  const bench = new Bench();
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

Deno.test("VnodeProcess does not do what nobody waits for any more", async () => {
  const bench = new Bench();
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
      "The command waited for partition 5 until its deadline had passed",
    ],
    [3, "reply", "lasts"],
  ]);
  assertEquals(bench.process.counts.expired, 1);
});

for (const how of ["answers later", "never settles"]) {
  Deno.test(`VnodeProcess.giveUpOverdue() answers for a handler that ${how}, after the deadline and a grace`, async () => {
    const bench = new Bench();
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

Deno.test("VnodeProcess.giveUpOverdue() lets a handler be that has answered and goes on", async () => {
  const bench = new Bench();
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
  const bench = new Bench();
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
  const bench = new Bench();
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

Deno.test("VnodeProcess answers a command it has given up no second time when it ends", async () => {
  for (const end of ["stop", "kill", "crash"] as const) {
    const bench = new Bench();
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

Deno.test("VnodeProcess refuses commands it does not have and bodies it cannot read, and goes on", async () => {
  const bench = new Bench();
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

Deno.test("VnodeProcess answers vnode_error for what its codec cannot encode, and goes on", async () => {
  const bench = new Bench();
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

Deno.test("VnodeProcess answers vnode_error for an answer that fits in no frame, and goes on", async () => {
  const bench = new Bench();
  await bench.start();
  bench.send(FRAME_BYTES_MAX, { command: RAW });
  bench.send("good");
  assertEquals(bench.outcome, [[1, "vnode_error"], [2, "reply"]]);
  assert(String(bench.answers[0]![2]).includes("the limit is 16777216"));
});

Deno.test("VnodeProcess.start() fails with what init throws", async () => {
  const bench = new Bench();
  bench.init = () => {
    throw new RangeError("no such table");
  };
  await assertRejects(() => bench.start(), RangeError, "no such table");
  assertEquals(bench.process.active, false);
});

Deno.test("VnodeProcess.start() refuses a vnode without a handler for each command", async () => {
  const bench = new Bench();
  Object.assign(bench.extra, { handleCommand: { run: () => "" } });
  const error = await assertRejects(
    () => bench.start(),
    WhorlError,
    "no handler for its command 'raw'",
  );
  assertEquals(error.code, "vnode_module_failed");
});

Deno.test("VnodeProcess.link() ends the vnode with a process that crashes, and the process with the vnode", async () => {
  const bench = new Bench();
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

Deno.test("VnodeProcess.link() tells handleExit, whose failure ends the vnode", async () => {
  const bench = new Bench();
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
