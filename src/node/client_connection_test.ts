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
import { MemoryNetwork } from "../transport/memory_transport.ts";
import { PeerLinks } from "../transport/peer_links.ts";
import { partitionOf } from "../ring/chash.ts";
import { writeFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  CLIENT_KEPT_BYTES_MAX,
  ClientConnection,
} from "./client_connection.ts";

const MIB = 1024 * 1024;

const secretBytes = (count: number): Uint8Array<ArrayBuffer> =>
  crypto.getRandomValues(new Uint8Array(count));

/** A client, and a node that records its operations and answers when told. */
class Bench implements AsyncDisposable {
  readonly runtime = new ManualRuntime();
  readonly network = new MemoryNetwork(this.runtime);
  readonly client: ClientConnection;
  /** Numbers of the operations that reached the node, in order. */
  readonly arrived: number[] = [];
  /** The outcomes that the client received, by number of the operation. */
  readonly told: string[] = [];
  linkCount = 0;
  #node: PeerLinks;
  #unanswered: { link: Link; correlation: number }[] = [];

  constructor(overloads?: HeededOverloads) {
    this.#node = new PeerLinks({
      runtime: this.runtime,
      log: silentLog,
      transport: this.network.transport("node"),
      secretBytes,
      cookie: new Cookie("secret"),
      identity: { name: "a@node", nodeId: "a", incarnation: 1, cluster: "t" },
      knownIdentity: () => undefined,
      events: {
        onUp() {},
        onDown() {},
        onSuspect() {},
        onAlive() {},
        onClientUp: () => this.linkCount++,
        onClientDown() {},
        onBulkUp() {},
        onBulkDown() {},
        onFrame: (link, _type, _flags, correlation, bytes, _start, end) => {
          this.arrived.push(bytes[end - 1] as number);
          this.#unanswered.push({ link, correlation });
        },
      },
    });
    this.client = new ClientConnection({
      environment: Object.assign(this.runtime, {
        transport: this.network.transport("client"),
        log: silentLog,
        secretBytes,
      }) as unknown as Environment,
      addresses: ["node:1"],
      cookie: new Cookie("secret"),
      reconnect: true,
      ...(overloads === undefined ? {} : { overloads }),
    });
  }

  static async open(overloads?: HeededOverloads): Promise<Bench> {
    const bench = new Bench(overloads);
    await bench.#node.listen("node:1");
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
    const closing = [this.client.close(), this.#node.close()];
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
