import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { Environment } from "../environment/environment.ts";
import { silentLog } from "../environment/log.ts";
import { writeModuleKey } from "../kv/key_limits.ts";
import {
  emptyOperationHeader,
  OperationKind,
  writeOperationHeader,
  writeOperationResult,
} from "../request/operation_codec.ts";
import { Cookie } from "../transport/cookie.ts";
import type { Link } from "../transport/link.ts";
import { HeededOverloads } from "../request/heeded_overloads.ts";
import { answerCall } from "../transport/link_calls.ts";
import { MemoryNetwork } from "../transport/memory_transport.ts";
import { PeerLinks } from "../transport/peer_links.ts";
import { partitionOf } from "../ring/chash.ts";
import { writeFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  CLIENT_KEPT_BYTES_MAX,
  ClientConnection,
} from "./client_connection.ts";
import { hasLeftCluster } from "./departure.ts";

const MIB = 1024 * 1024;

const secretBytes = (count: number): Uint8Array<ArrayBuffer> =>
  crypto.getRandomValues(new Uint8Array(count));

/** A client, and nodes that record its operations and answer when told. */
class Bench implements AsyncDisposable {
  readonly runtime = new ManualRuntime();
  readonly network = new MemoryNetwork(this.runtime);
  readonly client: ClientConnection;
  /** Numbers of the operations that reached a node, in order. */
  readonly arrived: number[] = [];
  /** The same, with the host of the node. */
  readonly arrivedAt: string[] = [];
  /** The outcomes that the client received, by number of the operation. */
  readonly told: string[] = [];
  linkCount = 0;
  openLinks = 0;
  readonly #hosts: readonly string[];
  readonly #nodes: readonly PeerLinks[];
  #calls: { link: Link; correlation: number }[] = [];
  #unanswered: { link: Link; correlation: number; number: number }[] = [];

  constructor(
    overloads?: HeededOverloads,
    hosts: readonly string[] = ["node"],
  ) {
    this.#hosts = hosts;
    this.#nodes = hosts.map((host) => this.#node(host));
    this.client = new ClientConnection({
      environment: Object.assign(this.runtime, {
        transport: this.network.transport("client"),
        log: silentLog,
        secretBytes,
      }) as unknown as Environment,
      addresses: hosts.map((host) => `${host}:1`),
      cookie: new Cookie("secret"),
      reconnect: true,
      ...(overloads === undefined ? {} : { overloads }),
    });
  }

  #node(host: string): PeerLinks {
    return new PeerLinks({
      runtime: this.runtime,
      log: silentLog,
      transport: this.network.transport(host),
      secretBytes,
      cookie: new Cookie("secret"),
      identity: {
        name: `a@${host}`,
        nodeId: host,
        incarnation: 1,
        cluster: "t",
      },
      knownIdentity: () => undefined,
      events: {
        onUp() {},
        onDown() {},
        onSuspect() {},
        onAlive() {},
        onClientUp: () => {
          this.linkCount++;
          this.openLinks++;
        },
        onClientDown: () => this.openLinks--,
        onBulkUp() {},
        onBulkDown() {},
        onFrame: (link, type, _flags, correlation, bytes, _start, end) => {
          if (type === FrameType.call) {
            this.#calls.push({ link, correlation });
            return;
          }
          const number = bytes[end - 1] as number;
          this.arrived.push(number);
          this.arrivedAt.push(`${number} ${host}`);
          this.#unanswered.push({ link, correlation, number });
        },
      },
    });
  }

  static async open(
    overloads?: HeededOverloads,
    hosts?: readonly string[],
  ): Promise<Bench> {
    const bench = new Bench(overloads, hosts);
    await Promise.all(
      bench.#nodes.map((node, i) => node.listen(`${bench.#hosts[i]}:1`)),
    );
    await bench.client.open();
    return bench;
  }

  /** Sends an operation of `bodyBytes` on the key "k" whose last byte is `number`. */
  submit(
    number: number,
    kind: "get" | "put",
    bodyBytes = 100,
    timeLeftMs = 5_000,
  ): void {
    const into = new ByteWriter(bodyBytes + 64);
    writeOperationHeader(into, {
      ...emptyOperationHeader(),
      kind: OperationKind[kind],
      timeLeftMs,
    });
    writeModuleKey("b", "k", into);
    into.raw(new Uint8Array(bodyBytes));
    into.bytes[into.length - 1] = number;
    this.client.submit(into.bytes, 0, into.length, {
      operationDone: () => this.told.push(`${number} done`),
      operationFailed: ({ code }) => this.told.push(`${number} ${code}`),
    });
  }

  async answerAll(): Promise<void> {
    for (const { link, correlation } of this.#unanswered.splice(0)) {
      writeOperationResult(
        link.begin(FrameType.operationReply, correlation),
        { object: undefined, replies: [], replicas: [] },
      );
      link.end();
    }
    await this.runtime.settle();
  }

  /** The nodes that have them fail the operations with these numbers. */
  async failWith(error: WhorlError, ...numbers: number[]): Promise<void> {
    const failing = this.#unanswered.filter(({ number }) =>
      numbers.includes(number)
    );
    this.#unanswered = this.#unanswered.filter((one) => !failing.includes(one));
    for (const { link, correlation } of failing) {
      writeFailure(link.begin(FrameType.operationError, correlation), error);
      link.end();
    }
    await this.runtime.settle();
  }

  async answerCalls(): Promise<void> {
    for (const { link, correlation } of this.#calls.splice(0)) {
      await answerCall(link, correlation, () => "answered");
    }
    await this.runtime.settle();
  }

  /** Vnodes of the key are overloaded. */
  async refuseAll(againAfterMs: number): Promise<void> {
    const error = new WhorlError("overload", "It is not done", {
      details: {
        againAfterMs,
        keyPartition: partitionOf("b", "k", 64),
        ringSize: 64,
      },
    });
    for (const { link, correlation } of this.#unanswered.splice(0)) {
      writeFailure(link.begin(FrameType.operationError, correlation), error);
      link.end();
    }
    await this.runtime.settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = [
      this.client.close(),
      ...this.#nodes.map((node) => node.close()),
    ];
    await this.runtime.advance(1_000);
    await Promise.all(closing);
    assertEquals(this.network.openStreams, 0, "no stream is left");
    assertEquals(this.runtime.pendingTimers, 0, "no timer is left");
  }
}

Deno.test("ClientConnection sends more than a link can hold, as the link drains", async () => {
  await using bench = await Bench.open();
  const numbers = Array.from({ length: 20 }, (_, i) => i + 1);
  for (const number of numbers) bench.submit(number, "put", 5 * MIB);
  bench.submit(21, "put");
  await bench.runtime.settle();
  assertEquals(bench.arrived, [...numbers, 21]);
  await bench.answerAll();
  assertEquals(bench.told, [...numbers, 21].map((number) => `${number} done`));
  assertEquals(bench.linkCount, 1);
});

Deno.test("ClientConnection refuses to hold more bytes than its bound, and accepts more when some have left", async () => {
  await using bench = await Bench.open();
  bench.network.stall("client", "node");
  const fit = CLIENT_KEPT_BYTES_MAX / (15 * MIB);
  // One is in the link, and is not held.
  for (let number = 1; number <= Math.ceil(fit); number++) {
    bench.submit(number, "put", 15 * MIB);
  }
  assertEquals(bench.told, []);
  bench.submit(99, "put", 15 * MIB);
  assertEquals(bench.told, ["99 overload"]);
  bench.network.heal("client", "node");
  await bench.runtime.settle();
  bench.submit(100, "put", 15 * MIB);
  await bench.runtime.settle();
  await bench.answerAll();
  assertEquals(bench.told.at(-1), "100 done");
  assertEquals(bench.told.length, Math.ceil(fit) + 2);
});

Deno.test("ClientConnection fails an operation that fits in no frame, by name", async () => {
  await using bench = await Bench.open();
  bench.submit(1, "put", 17 * MIB);
  bench.submit(2, "put", 5 * MIB);
  bench.submit(3, "put", 17 * MIB);
  assertEquals(bench.told, ["1 frame_too_large"]);
  await bench.runtime.settle();
  await bench.answerAll();
  assertEquals(bench.told, [
    "1 frame_too_large",
    "3 frame_too_large",
    "2 done",
  ]);
  assertEquals(bench.linkCount, 1);
});

Deno.test("ClientConnection does not send an operation that has waited past its deadline", async () => {
  await using bench = await Bench.open();
  bench.network.stall("client", "node");
  bench.submit(1, "put", 5 * MIB);
  bench.submit(2, "put", 5 * MIB, 100);
  bench.submit(3, "put");
  await bench.runtime.advance(400);
  assertEquals(bench.told, ["2 timeout"]);
  bench.network.heal("client", "node");
  await bench.runtime.settle();
  assertEquals(bench.arrived, [1, 3]);
});

Deno.test("ClientConnection repeats reads and sends what had not left when its link breaks", async () => {
  await using bench = await Bench.open();
  bench.network.stall("client", "node");
  bench.submit(1, "get", 5 * MIB);
  bench.submit(2, "put", 5 * MIB);
  await bench.runtime.settle();
  bench.submit(3, "put", 5 * MIB);
  bench.network.cut("client", "node");
  await bench.runtime.settle();
  assertEquals(bench.told, []);
  bench.network.heal("client", "node");
  await bench.runtime.advance(2_500);
  assertEquals([bench.linkCount, bench.arrived], [2, [1, 2, 3]]);
  await bench.answerAll();
  assertEquals(bench.told, ["1 done", "2 done", "3 done"]);

  bench.submit(4, "put");
  bench.submit(5, "get");
  await bench.runtime.settle();
  bench.network.cut("client", "node");
  await bench.runtime.settle();
  assertEquals(bench.told.slice(3), ["4 connection_closed"]);
  bench.network.heal("client", "node");
  await bench.runtime.advance(2_500);
  assertEquals(bench.arrived, [1, 2, 3, 4, 5, 5]);
});

Deno.test("ClientConnection reads through the next node what one that has left answers closed, and awaits the rest there", async () => {
  await using bench = await Bench.open(undefined, ["x", "y"]);
  for (const number of [1, 2, 3]) bench.submit(number, "get");
  for (const number of [4, 5]) bench.submit(number, "put");
  await bench.runtime.settle();
  const left = hasLeftCluster("a@x");
  await bench.failWith(left, 1);
  assertEquals(bench.told, []);
  // What follows goes to the next node as well.
  bench.submit(6, "put");
  await bench.runtime.settle();
  assertEquals(bench.arrivedAt.slice(5), ["1 y", "6 y"]);
  assertEquals([bench.client.node, bench.openLinks], ["a@y", 2]);

  // Over the link that was left; the write may have happened.
  await bench.failWith(left, 2, 4);
  assertEquals(bench.arrivedAt.slice(7), ["2 y"]);
  assertEquals(bench.told, ["4 closed"]);
  await bench.answerAll();
  assertEquals(
    bench.told.slice(1).sort(),
    ["1 done", "2 done", "3 done", "5 done", "6 done"],
  );
  assertEquals([bench.client.node, bench.openLinks], ["a@y", 1]);
});

Deno.test("ClientConnection fails a read that every node has answered closed, and one whose deadline has passed", async () => {
  await using bench = await Bench.open(undefined, ["x", "y"]);
  const stopping = new WhorlError("closed", "The node is starting or stopping");
  bench.submit(1, "get");
  await bench.runtime.settle();
  // As a node that starts or stops says of `ra_kv`.
  await bench.failWith(new WhorlError("not_leader", "It leads no group"), 1);
  await bench.failWith(stopping, 1);
  assertEquals(bench.arrivedAt, ["1 x", "1 y"]);
  assertEquals(bench.told, ["1 closed"]);
  assertEquals([bench.client.node, bench.openLinks], ["a@y", 1]);

  bench.submit(2, "get", 100, 50);
  await bench.runtime.advance(100);
  await bench.failWith(stopping, 2);
  assertEquals(bench.arrivedAt.slice(2), ["2 y"]);
  assertEquals(bench.told.slice(1), ["2 closed"]);
});

Deno.test("ClientConnection passes closed on if it knows no other node, and of a write, after which it goes on elsewhere", async () => {
  await using bench = await Bench.open();
  await using other = await Bench.open(undefined, ["x", "y"]);
  bench.submit(1, "get");
  other.submit(1, "put");
  for (const { runtime } of [bench, other]) await runtime.settle();
  await bench.failWith(hasLeftCluster("a@node"), 1);
  await other.failWith(hasLeftCluster("a@x"), 1);
  assertEquals([bench.told, other.told], [["1 closed"], ["1 closed"]]);
  assertEquals([bench.linkCount, other.linkCount], [1, 2]);
  assertEquals([other.client.node, other.openLinks], ["a@y", 1]);
  // That another node has left is no reason to leave this one.
  other.submit(2, "put");
  await other.runtime.settle();
  await other.failWith(hasLeftCluster("a@x"), 2);
  assertEquals(other.told.slice(1), ["2 closed"]);
  assertEquals([other.client.node, other.linkCount], ["a@y", 2]);
});

Deno.test("ClientConnection keeps using its link until the next node, to which a refused read goes, has accepted", async () => {
  await using bench = await Bench.open(undefined, ["x", "y"]);
  bench.network.stall("client", "y");
  bench.submit(1, "get");
  bench.submit(2, "get", 100, 1_000);
  await bench.runtime.settle();
  await bench.failWith(new WhorlError("closed", "Its host starts again"), 1, 2);
  bench.submit(3, "put");
  bench.submit(4, "get");
  await bench.runtime.settle();
  assertEquals(bench.arrivedAt.slice(2), ["3 x", "4 x"]);
  await bench.answerAll();
  assertEquals(bench.told, ["3 done", "4 done"]);
  await bench.runtime.advance(1_500);
  assertEquals(bench.told.slice(2), ["2 timeout"]);
  bench.network.heal("client", "y");
  await bench.runtime.advance(1);
  assertEquals(bench.arrivedAt.slice(4), ["1 y"]);
  assertEquals([bench.client.node, bench.openLinks], ["a@y", 1]);
  await bench.answerAll();
  assertEquals(bench.told.slice(3), ["1 done"]);
});

Deno.test("ClientConnection stays where it is if no other node accepts before refused reads are given up", async () => {
  await using bench = await Bench.open(undefined, ["x", "y"]);
  bench.network.cut("client", "y");
  bench.submit(1, "get", 100, 1_000);
  await bench.runtime.settle();
  await bench.failWith(new WhorlError("closed", "Its host starts again"), 1);
  await bench.runtime.advance(10_000);
  assertEquals(bench.told, ["1 timeout"]);
  bench.network.heal("client", "y");
  await bench.runtime.advance(10_000);
  assertEquals([bench.client.node, bench.linkCount], ["a@x", 1]);
  bench.submit(2, "get");
  await bench.runtime.settle();
  assertEquals(bench.arrivedAt, ["1 x", "2 x"]);
});

Deno.test("ClientConnection awaits what is owed over each of the links that it has left", async () => {
  await using bench = await Bench.open(undefined, ["x", "y", "z"]);
  bench.submit(1, "get");
  bench.submit(2, "put");
  await bench.runtime.settle();
  await bench.failWith(hasLeftCluster("a@x"), 1);
  bench.submit(3, "put");
  await bench.runtime.settle();
  await bench.failWith(hasLeftCluster("a@y"), 1);
  assertEquals(bench.arrivedAt, ["1 x", "2 x", "1 y", "3 y", "1 z"]);
  assertEquals([bench.told, bench.openLinks], [[], 3]);
  await bench.answerAll();
  assertEquals(bench.told.sort(), ["1 done", "2 done", "3 done"]);
  assertEquals([bench.client.node, bench.openLinks], ["a@z", 1]);
});

Deno.test("ClientConnection leaves no link open however late in the opening of one it is closed", async () => {
  for (let turns = 0; turns < 200; turns++) {
    await using bench = await Bench.open(undefined, ["x", "y"]);
    bench.submit(1, "get");
    await bench.runtime.settle();
    const failed = bench.failWith(hasLeftCluster("a@x"), 1);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    const closing = bench.client.close();
    await failed;
    await bench.runtime.advance(1_000);
    await closing;
    assertEquals(bench.openLinks, 0, `after ${turns} turns`);
  }
});

Deno.test("ClientConnection sends reads again, and fails writes, when the link that it has left breaks", async () => {
  await using bench = await Bench.open(undefined, ["x", "y"]);
  bench.submit(1, "get");
  bench.submit(2, "get");
  bench.submit(3, "put");
  await bench.runtime.settle();
  await bench.failWith(hasLeftCluster("a@x"), 1);
  bench.submit(4, "put");
  await bench.runtime.settle();
  bench.network.cut("client", "x");
  await bench.runtime.settle();
  assertEquals(bench.told, ["3 connection_closed"]);
  assertEquals(bench.arrivedAt.slice(3), ["1 y", "4 y", "2 y"]);
  await bench.answerAll();
  assertEquals(bench.told.slice(1), ["1 done", "4 done", "2 done"]);
  assertEquals([bench.client.node, bench.openLinks], ["a@y", 1]);
});

Deno.test("ClientConnection keeps the link that it has left until its calls are answered", async () => {
  await using bench = await Bench.open(undefined, ["x", "y"]);
  const answer = bench.client.call("ping", {});
  bench.submit(1, "get");
  await bench.runtime.settle();
  await bench.failWith(hasLeftCluster("a@x"), 1);
  assertEquals([bench.client.node, bench.openLinks], ["a@y", 2]);
  await bench.answerCalls();
  assertEquals(await answer, "answered");
  await bench.runtime.settle();
  assertEquals([bench.client.node, bench.openLinks], ["a@y", 1]);
});

Deno.test("ClientConnection answers a call by its deadline, even without a connection", async () => {
  await using bench = await Bench.open();
  bench.network.cut("client", "node");
  await bench.runtime.settle();
  const told: string[] = [];
  const call = (name: string, timeoutMs?: number, signal?: AbortSignal) =>
    void bench.client.call("ping", {}, { timeoutMs, signal })
      .catch(({ code }) => told.push(`${name} ${code}`));
  const stop = new AbortController();
  call("short", 300);
  call("default");
  call("cancelled", 60_000, stop.signal);
  await bench.runtime.advance(299);
  assertEquals(told, []);
  stop.abort();
  await bench.runtime.settle();
  call("late", 60_000, stop.signal);
  await bench.runtime.advance(1);
  assertEquals(told, [
    "cancelled cancelled",
    "late cancelled",
    "short timeout",
  ]);
  await bench.runtime.advance(9_000);
  assertEquals(told.length, 3);
  // It is connected again, and the time spent waiting for that counts.
  bench.network.heal("client", "node");
  await bench.runtime.advance(699);
  assertEquals(told.length, 3);
  await bench.runtime.advance(1);
  assertEquals(told.slice(3), ["default timeout"]);
});

Deno.test("ClientConnection refuses operations that share the fate of a refused one, for as long as it was told", async () => {
  await using bench = await Bench.open(new HeededOverloads(() => 0.5));
  bench.submit(1, "put");
  await bench.runtime.settle();
  await bench.refuseAll(100);
  bench.submit(2, "put");
  bench.submit(3, "get");
  await bench.runtime.settle();
  // A read has other demands than a write.
  assertEquals(bench.arrived, [1, 3]);
  assertEquals(bench.told, ["1 overload", "2 overload"]);
  await bench.runtime.advance(100);
  bench.submit(4, "put");
  await bench.runtime.settle();
  assertEquals(bench.arrived, [1, 3, 4]);
});

Deno.test("ClientConnection shares its knowledge of overload with others, and always asks if told to ignore it", async () => {
  const overloads = new HeededOverloads(() => 0.5);
  await using told = await Bench.open(overloads);
  await using shares = await Bench.open(overloads);
  await using other = await Bench.open();
  for (const bench of [told, shares, other]) {
    // One clock for all of them.
    await bench.runtime.advance(1_000 - bench.runtime.now());
    bench.submit(1, "put");
    await bench.runtime.settle();
  }
  await told.refuseAll(100);
  await other.refuseAll(100);
  for (const bench of [told, shares, other]) {
    bench.submit(2, "put");
    await bench.runtime.settle();
  }
  assertEquals(
    [told.arrived, shares.arrived, other.arrived],
    [[1], [1], [1, 2]],
  );
});
