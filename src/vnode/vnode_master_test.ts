import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { seededChance } from "../base/chance.ts";
import { WhorlError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import { silentLog } from "../environment/log.ts";
import type { Store } from "../environment/storage.ts";
import { openMemoryStore } from "../storage/memory_store.ts";
import { command, defineVnode } from "./define_vnode.ts";
import {
  answersLater,
  type Call,
  type ClusterEvent,
  type Vnode,
  type VnodeContext,
  type VnodeModule,
} from "./vnode.ts";
import { MAILBOX_BOUNDS_DEFAULT } from "./mailbox_bounds.ts";
import { TURN_ANSWER_BYTES, VnodeMaster } from "./vnode_master.ts";
import { VnodeMasterLink } from "./vnode_master_link.ts";
import { TURN_MS } from "./vnode_turns.ts";
import { moduleIdOf, writeVnodeRequestHeader } from "./vnode_wire.ts";
import { FrameType } from "../wire/frame_type.ts";
import { decodeMsgpack, encodeMsgpack } from "../wire/msgpack.ts";
import { readFailure } from "../wire/failure.ts";

const commands = { run: command<string, unknown>() };
const RING_SIZE = 8;

/** A clock that moves on while commands are handled. */
class BusyRuntime extends ManualRuntime {
  spentMs = 0;

  override now(): number {
    return super.now() + this.spentMs;
  }
}

/** A master with its node's end, as they stand on both sides of a port. */
class Bench implements AsyncDisposable {
  readonly runtime = new BusyRuntime();
  readonly store: Store;
  /** Warnings of the log. */
  readonly warnings: string[] = [];
  readonly events: unknown[] = [];
  readonly failures: unknown[] = [];
  /** Partitions whose vnode was started, in order. */
  readonly started: number[] = [];
  /** What was handled, with the partition. */
  readonly handled: [number, string][] = [];
  readonly contexts = new Map<number, VnodeContext>();
  /** Correlation, then `reply` and the value, or the failure's code and message. */
  readonly answers: [number, string, unknown][] = [];
  readonly details: unknown[] = [];
  handler: (
    request: string,
    call: Call<typeof commands["run"]>,
    partition: number,
  ) => unknown = (request) => request;
  init: (partition: number) => unknown = () => {};
  readonly extra: Partial<Vnode<typeof commands>> = {};
  readonly link: VnodeMasterLink;
  readonly master: VnodeMaster;
  #next = 1;

  constructor(store: Store = openMemoryStore("0123456789abcdef")) {
    this.store = store;
    const module = defineVnode({
      name: "test",
      commands,
      pools: { slow: { size: 1, queueMax: 1 } },
      init: async (partition, context) => {
        this.started.push(partition);
        this.contexts.set(partition, context);
        await this.init(partition);
        return {
          handleCommand: {
            run: (request, call) => {
              this.handled.push([partition, request]);
              return this.handler(request, call, partition) as string;
            },
          },
          fold: () => [],
          encodeHandoffItem: () => null,
          handleHandoffData: () => {},
          isEmpty: async () => await context.storage.count() === 0,
          delete: () => {},
          ...this.extra,
        };
      },
    });
    this.link = new VnodeMasterLink(
      this.runtime,
      (event) => {
        // Each start is told; `started` has them.
        if ((event as { type: string }).type === "vnode_started") return;
        this.events.push(event);
      },
    );
    this.master = new VnodeMaster({
      module: module as unknown as VnodeModule,
      node: "a@host",
      ringSizes: new Map([[0, RING_SIZE]]),
      store: this.store,
      runtime: this.runtime,
      wallClock: () => 1_000_000 + this.runtime.now(),
      chance: seededChance(1),
      secretBytes: (count) => new Uint8Array(count),
      log: {
        ...silentLog,
        warn: (message) => void this.warnings.push(message),
      },
      send: (message) => this.link.receive(message),
      onFailed: (error) => this.failures.push(error),
    });
  }

  async start(): Promise<this> {
    await this.master.start();
    this.link.attach({ send: (message) => this.master.receive(message) });
    return this;
  }

  vnodeAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const body = bytes.slice(start, end);
    if (type === FrameType.vnodeError) {
      const { code, message, details } = readFailure(body);
      this.answers.push([correlation, code, message]);
      this.details.push(details);
    } else {
      this.answers.push([
        correlation,
        "reply",
        body.length === 0 ? undefined : decodeMsgpack(body),
      ]);
    }
  }

  /** Sends a command; its correlation is how manieth it is. */
  send(
    partition: number,
    request: string,
    { flags = 0, timeLeftMs = 60_000, moduleId = moduleIdOf("test") } = {},
  ): void {
    const into = this.link.beginRequest(this, this.#next++, timeLeftMs);
    invariant(into instanceof ByteWriter, "the link takes it");
    writeVnodeRequestHeader(into, moduleId, partition, 0, flags, timeLeftMs);
    into.raw(encodeMsgpack(request));
    this.link.endRequest();
  }

  /** {@linkcode Bench.send}, and the answer that comes without time. */
  async ask(
    partition: number,
    request: string,
    options?: { flags?: number },
  ): Promise<[string, unknown]> {
    const correlation = this.#next;
    this.send(partition, request, options);
    await this.runtime.settle();
    const answer = this.answers.find(([of]) => of === correlation);
    invariant(answer !== undefined, `${request} is answered`);
    return [answer[1], answer[2]];
  }

  write(partition: number): void {
    this.store.partition(partition).write([{
      key: Uint8Array.of(1),
      value: Uint8Array.of(2),
    }], () => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.master.stop();
    this.link.close();
    assertEquals(this.runtime.pendingTimers, 0);
  }
}

Deno.test("VnodeMaster starts a vnode with the first request for it, and keeps the order", async () => {
  await using bench = await new Bench().start();
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

Deno.test("VnodeMaster shows a vnode its node, its store and its clocks", async () => {
  await using bench = await new Bench().start();
  await bench.runtime.advance(5);
  await bench.ask(3, "a");
  const context = bench.contexts.get(3)!;
  assertEquals([context.node, context.ringSize, context.storage.partition], [
    "a@host",
    RING_SIZE,
    3,
  ]);
  assertEquals(context.store, { ...bench.store.state, durable: false });
  assertEquals([context.clock.now(), context.clock.wallClock()], [
    5,
    1_000_005,
  ]);
  await bench.ask(4, "a");
  assert(context.chance.next() !== bench.contexts.get(4)!.chance.next());
  assertEquals(context.signal.aborted, false);
});

/** A bench whose vnodes answer with three quarters of what they may say in a turn, or little. */
async function talkative(): Promise<Bench> {
  const bench = await new Bench().start();
  const much = new Uint8Array(TURN_ANSWER_BYTES * 3 / 4);
  bench.handler = (request) => request === "much" ? much : request;
  await bench.ask(0, "started");
  await bench.ask(1, "started");
  bench.handled.length = 0;
  bench.answers.length = 0;
  return bench;
}

Deno.test("VnodeMaster lets others have their turn when it has answered much, and keeps the order", async () => {
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

Deno.test("VnodeMaster does not do what nobody waits for any more when its turn comes", async () => {
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

Deno.test("VnodeMaster.stop() answers what waits for a turn", async () => {
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

Deno.test("VnodeMaster lets others have their turn when commands have taken long, each vnode in order, and drops what nobody waits for", async () => {
  await using bench = await new Bench().start();
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

Deno.test("VnodeMaster pauses also when each command comes with a message of its own", async () => {
  await using bench = await new Bench().start();
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

Deno.test("VnodeMaster refuses what is for another module or outside the ring", async () => {
  await using bench = await new Bench().start();
  bench.send(1, "a", { moduleId: moduleIdOf("other") });
  bench.send(RING_SIZE, "b");
  await bench.runtime.settle();
  assertEquals(bench.answers.map(([of, code]) => [of, code]), [[
    1,
    "invalid_argument",
  ], [2, "invalid_argument"]]);
  assertEquals(bench.started, []);
});

Deno.test("VnodeMaster restarts a vnode that throws, alone, and what comes meanwhile waits for it", async () => {
  await using bench = await new Bench().start();
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

Deno.test("VnodeMaster answers each command of a message in which one ends its vnode", async () => {
  await using bench = await new Bench().start();
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

Deno.test("VnodeMaster answers what waits for a vnode that does not start, says so, and tries again", async () => {
  await using bench = await new Bench().start();
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

Deno.test("VnodeMaster ends as a whole, once, when vnodes find its store broken", async () => {
  await using bench = await new Bench().start();
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

Deno.test("VnodeMaster starts the vnodes it is told to, each once", async () => {
  await using bench = await new Bench().start();
  assertEquals(await bench.link.call("start_vnodes", [1, 2]), null);
  await bench.link.call("start_vnodes", [2, 3]);
  await bench.runtime.settle();
  assertEquals(bench.started, [1, 2, 3]);
});

Deno.test("VnodeMaster passes cluster events to its vnodes until they take their listener back or end", async () => {
  await using bench = await new Bench().start();
  const told: [number, ClusterEvent][] = [];
  const remove = new Map<number, () => void>();
  for (const partition of [1, 2, 3]) {
    await bench.ask(partition, "fine");
    remove.set(
      partition,
      bench.contexts.get(partition)!.onClusterEvent((event) =>
        told.push([partition, event])
      ),
    );
  }
  const event: ClusterEvent = { type: "ring_changed", ringVersion: 7 };
  remove.get(2)!();
  bench.handler = () => {
    throw new Error("fell");
  };
  await bench.ask(3, "falls");
  bench.link.cast("cluster_event", event);
  await bench.runtime.settle();
  assertEquals(told, [[1, event]]);
});

Deno.test("VnodeMaster ends a vnode whose listener throws, and tells the others all the same", async () => {
  await using bench = await new Bench().start();
  const told: number[] = [];
  for (const partition of [1, 2, 3]) {
    await bench.ask(partition, "fine");
    bench.contexts.get(partition)!.onClusterEvent(() => {
      told.push(partition);
      if (partition === 2) throw new Error("no such ring");
    });
  }
  const event: ClusterEvent = { type: "ring_changed", ringVersion: 7 };
  bench.link.cast("cluster_event", event);
  await bench.runtime.settle();
  assertEquals(told, [1, 2, 3]);
  assertEquals(bench.events, [{
    type: "vnode_crashed",
    partition: 2,
    error: "no such ring",
  }]);
  assertEquals(
    [1, 2, 3].map((of) => bench.contexts.get(of)!.signal.aborted),
    [false, true, false],
  );
  assertEquals(await bench.ask(1, "goes on"), ["reply", "goes on"]);
  await bench.runtime.advance(5);
  assertEquals(bench.started, [1, 2, 3, 2]);
  // The listener has gone with the vnode that it was of.
  bench.link.cast("cluster_event", event);
  await bench.runtime.settle();
  assertEquals(told, [1, 2, 3, 1, 3]);
  assertEquals(bench.failures, []);
});

Deno.test("VnodeMaster tells each vnode, also when they share one listener", async () => {
  await using bench = await new Bench().start();
  let told = 0;
  const listener = (): void => void told++;
  await bench.ask(1, "fine");
  await bench.ask(2, "fine");
  bench.contexts.get(1)!.onClusterEvent(listener);
  const remove = bench.contexts.get(2)!.onClusterEvent(listener);
  const event: ClusterEvent = { type: "ring_changed", ringVersion: 7 };
  bench.link.cast("cluster_event", event);
  await bench.runtime.settle();
  assertEquals(told, 2);
  remove();
  bench.link.cast("cluster_event", event);
  await bench.runtime.settle();
  assertEquals(told, 3);
});

Deno.test("VnodeMaster tells of a crash whose message is no text", async () => {
  await using bench = await new Bench().start();
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

for (const how of ["answers later", "returns a promise"]) {
  Deno.test(`VnodeMaster gives up promised answers nobody waits for, and counts them until the handler that ${how} has finished`, async () => {
    await using bench = await new Bench().start();
    const gate = Promise.withResolvers<string>();
    let call: Call<typeof commands["run"]> | undefined;
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

Deno.test("VnodeMaster says which partitions it holds: those with data, and those whose vnodes run, busy or not", async () => {
  await using bench = await new Bench().start();
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

Deno.test("VnodeMaster looks for overdue requests as long as some are in hand, and no longer", async () => {
  await using bench = await new Bench().start();
  const calls: Call<typeof commands["run"]>[] = [];
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

Deno.test("VnodeMaster.stop() leaves no timer behind, whatever is in hand", async () => {
  const bench = await new Bench().start();
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
  await using bench = await new Bench().start();
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

Deno.test("VnodeMaster serves the vnodes beside one that is overloaded, says so and counts it", async () => {
  const { requestsMax } = MAILBOX_BOUNDS_DEFAULT;
  await using bench = await new Bench().start();
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

/** A bench whose commands are done in a pool; what a command says ends with its gate. */
async function pooledBench(): Promise<
  { bench: Bench; gate: PromiseWithResolvers<string>; signals: AbortSignal[] }
> {
  const bench = await new Bench().start();
  const gate = Promise.withResolvers<string>();
  const signals: AbortSignal[] = [];
  bench.handler = (request, call, partition) => {
    if (request === "here") return "at once";
    bench.contexts.get(partition)!.pool("slow").run((signal) => {
      signals.push(signal);
      return request === "fails"
        ? Promise.reject(new Error("no"))
        : gate.promise;
    }, call).then(
      (value) => call.reply(`${request}: ${value}`),
      (error) => call.reject(error),
    );
    return answersLater;
  };
  return { bench, gate, signals };
}

Deno.test("VnodeMaster has work done in a pool while its vnodes serve, and says overload when too much waits", async () => {
  const { bench, gate } = await pooledBench();
  await using _bench = bench;
  for (const partition of [1, 2]) await bench.ask(partition, "here");
  bench.answers.length = 0;
  bench.send(1, "a");
  bench.send(2, "b");
  bench.send(1, "c");
  assertEquals(await bench.ask(1, "here"), ["reply", "at once"]);
  await bench.runtime.advance(0);
  assertEquals(bench.answers.map(([of, code]) => [of, code]), [
    [6, "reply"],
    [5, "overload"],
  ]);
  gate.resolve("done");
  await bench.runtime.advance(0);
  await bench.runtime.advance(0);
  assertEquals(bench.answers.slice(2), [
    [3, "reply", "a: done"],
    [4, "reply", "b: done"],
  ]);
});

Deno.test("VnodeMaster answers vnode_error for work that fails, and the vnode goes on", async () => {
  const { bench } = await pooledBench();
  await using _bench = bench;
  bench.send(1, "fails");
  await bench.runtime.advance(0);
  assertEquals(bench.answers, [[1, "vnode_error", "no"]]);
  assertEquals(await bench.ask(1, "here"), ["reply", "at once"]);
  assertEquals(bench.started, [1]);
});

Deno.test("VnodeMaster gives work up whose caller has stopped waiting or whose vnode has ended", async () => {
  const { bench, gate, signals } = await pooledBench();
  await using _bench = bench;
  bench.send(1, "a", { timeLeftMs: 10 });
  bench.send(2, "b");
  await bench.runtime.advance(10);
  assertEquals(bench.answers.map(([of, code]) => [of, code]), [[1, "timeout"]]);
  assertEquals(signals[0]?.aborted, true);
  bench.contexts.get(2)!.crash(new Error("bad luck"));
  await bench.runtime.advance(0);
  assertEquals(bench.answers[1]?.slice(0, 2), [2, "vnode_crashed"]);
  gate.resolve("late");
  await bench.runtime.advance(100);
  // What had waited for the crashed vnode was never begun.
  assertEquals([signals.length, bench.answers.length], [1, 2]);
});

Deno.test("VnodeMaster names the pools there are when it is asked for another", async () => {
  await using bench = await new Bench().start();
  await bench.ask(1, "a");
  const error = assertThrows(
    () => bench.contexts.get(1)!.pool("fast"),
    WhorlError,
    "Cannot find pool 'fast' of 'test': it has declared slow",
  );
  assertEquals(error.code, "invalid_argument");
});

Deno.test("VnodeMaster waits for work that runs before it closes its store, but not for ever", async () => {
  for (const ends of [true, false]) {
    const { bench, gate, signals } = await pooledBench();
    bench.send(1, "a");
    bench.send(2, "b");
    await bench.runtime.advance(0);
    let stopped = false;
    const stopping = bench.master.stop().then(() => stopped = true);
    await bench.runtime.settle();
    assertEquals([stopped, signals[0]?.aborted], [false, true]);
    assertEquals(
      bench.answers.map(([, code]) => code),
      ["vnode_crashed", "vnode_crashed"],
    );
    if (ends) {
      gate.resolve("done");
      await bench.runtime.settle();
    } else await bench.runtime.advance(3_000);
    await stopping;
    assertEquals(bench.warnings.length, ends ? 0 : 1);
    bench.link.close();
  }
});

/** A store that has lost its tail, until that is repaired. */
function storeWithoutTail(): Store {
  const inner = openMemoryStore("0123456789abcdef");
  const state = { storeId: "0123456789abcdef", epoch: 7, tailLost: true };
  return Object.create(inner, {
    state: { get: () => ({ ...state }) },
    partition: { value: (partition: number) => inner.partition(partition) },
    partitions: { value: () => inner.partitions() },
    stats: { value: () => inner.stats() },
    close: { value: () => inner.close() },
    tailRepaired: {
      value: () => {
        state.tailLost = false;
        return Promise.resolve();
      },
    },
  });
}

Deno.test("VnodeMaster says that its store has lost its tail: to the node, the log, its vnodes and in its figures, until that is repaired", async () => {
  await using bench = await new Bench(storeWithoutTail()).start();
  await bench.ask(1, "runs");
  assertEquals(bench.events, [
    { type: "tail_lost", storeId: "0123456789abcdef", epoch: 7 },
  ]);
  assertEquals(bench.warnings.length, 1);
  const { store: seen } = bench.contexts.get(1)!;
  const figures = async () => {
    const stats = await bench.link.call("stats", null);
    const { epoch, tailLost } = (stats as { store: Record<string, number> })
      .store;
    return { epoch, tailLost };
  };
  assertEquals(
    [seen.storeId, seen.epoch, seen.tailLost],
    ["0123456789abcdef", 7, true],
  );
  assertEquals(await figures(), { epoch: 7, tailLost: 1 });
  await bench.store.tailRepaired();
  // Those that run already see it too.
  assertEquals(seen.tailLost, false);
  assertEquals(await figures(), { epoch: 7, tailLost: 0 });
});

Deno.test("VnodeMaster answers calls it does not know with unknown_command", async () => {
  await using bench = await new Bench().start();
  const error = await assertRejects(
    () => bench.link.call("sing", null),
    WhorlError,
    "Cannot do 'sing' in a vnode master",
  );
  assertEquals(error.code, "unknown_command");
});

Deno.test("VnodeMaster.stop() answers what waits, terminates its vnodes and closes the store", async () => {
  const bench = await new Bench().start();
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

Deno.test("VnodeMaster.stop() does not wait for an init that never returns", async () => {
  const bench = await new Bench().start();
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
