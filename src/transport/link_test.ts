import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { type Log, silentLog } from "../environment/log.ts";
import type { ByteStream } from "../environment/transport.ts";
import { FRAME_BYTES_MAX, writeFrame } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { RECORD_BYTES_MAX, RECORD_HEADER_BYTES } from "../wire/record.ts";
import { openRecords, recordsOf } from "../wire/testing/records.ts";
import {
  Link,
  type LinkClosed,
  type LinkHandler,
  type LinkLimits,
  sendUnknownType,
} from "./link.ts";
import type { LinkPeer } from "./link_peer.ts";
import { MemoryNetwork } from "./memory_transport.ts";

const PEER: LinkPeer = {
  name: "peer",
  nodeId: "id",
  incarnation: 1,
  cluster: "test",
  kind: "peer",
  address: "far:1",
  openedBy: "this_node",
  protocolVersion: 2,
  linkId: "0".repeat(32),
};

/** Counts what a link does to its stream, and passes it on. */
class CountingStream implements ByteStream {
  writes: number[] = [];
  underWay = 0;
  underWayMax = 0;

  constructor(readonly inner: ByteStream) {}

  get remoteAddress(): string {
    return this.inner.remoteAddress;
  }

  read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    return this.inner.read(into);
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.writes.push(bytes.length);
    this.underWayMax = Math.max(this.underWayMax, ++this.underWay);
    await this.inner.write(bytes);
    this.underWay--;
  }

  close(): void {
    this.inner.close();
  }
}

/** A link at one end of a stream in memory; the other end speaks bytes. */
class Bench implements AsyncDisposable {
  readonly runtime: ManualRuntime = new ManualRuntime();
  readonly network: MemoryNetwork = new MemoryNetwork(this.runtime);
  readonly frames: string[] = [];
  readonly closes: LinkClosed[] = [];
  readonly logged: string[] = [];
  heard = 0;
  onFrame: LinkHandler["onFrame"] = (
    _link,
    type,
    flags,
    correlation,
    bytes,
    start,
    end,
  ) => {
    this.frames.push(
      `${type} ${flags} ${correlation} ${
        new TextDecoder().decode(bytes.subarray(start, end))
      }`,
    );
  };
  stream!: CountingStream;
  link!: Link;
  far!: ByteStream;

  static async create(
    limits: LinkLimits = {},
    leftover: Uint8Array = new Uint8Array(0),
  ): Promise<Bench> {
    const bench = new Bench();
    const accepted = Promise.withResolvers<ByteStream>();
    await bench.network.transport("far").listen("far:1", accepted.resolve);
    bench.stream = new CountingStream(
      await bench.network.transport("near").connect("far:1"),
    );
    bench.far = await accepted.promise;
    const log: Log = {
      ...silentLog,
      warn: (message) => bench.logged.push(`warn ${message}`),
      error: (message) => bench.logged.push(`error ${message}`),
    };
    bench.link = new Link(
      bench.stream,
      PEER,
      { runtime: bench.runtime, log, limits },
      {
        onFrame: (...frame) => bench.onFrame(...frame),
        onHeard: () => bench.heard++,
        onClosed: (_link, closed) => bench.closes.push(closed),
      },
      leftover,
    );
    bench.link.start();
    return bench;
  }

  send(text: string, correlation = 1): void {
    this.link.begin(FrameType.operation, correlation).rawText(text);
    this.link.end();
  }

  /** Everything that has come out of the link, frame by frame. */
  async received(): Promise<string[]> {
    await this.runtime.settle();
    const into = new Uint8Array(1024 * 1024);
    const count = await this.far.read(into);
    if (count === null) return ["end"];
    const { frames, taken } = openRecords(into.subarray(0, count));
    assertEquals(taken, count);
    const texts: string[] = [];
    const view = new DataView(frames.buffer);
    for (let at = 0; at < frames.length;) {
      const length = view.getUint32(at);
      texts.push(
        `${frames[at + 4]} ${view.getUint32(at + 10)} ${
          new TextDecoder().decode(frames.subarray(at + 14, at + 4 + length))
        }`,
      );
      at += 4 + length;
    }
    return texts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.far.close();
    this.link.close();
    await this.link.finished;
    assertEquals(this.runtime.pendingTimers, 0, "a closed link has no timer");
    assertEquals(this.network.openStreams, 0);
  }
}

type FrameText = { type: number; correlation?: number; payload?: string };

/** Whole frames in one record. */
function recordWith(...frames: FrameText[]): Uint8Array<ArrayBuffer> {
  return recordsOf(framesOf(...frames));
}

/** Whole frames as bytes. */
function framesOf(
  ...frames: FrameText[]
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  for (const { type, correlation = 1, payload = "" } of frames) {
    writeFrame(into, type, correlation, new TextEncoder().encode(payload));
  }
  return into.copy();
}

Deno.test("Link sends the frames of one turn in one write", async () => {
  await using bench = await Bench.create();
  for (let i = 1; i <= 3; i++) bench.send(`frame ${i}`, i);
  assertEquals(bench.stream.writes, [], "nothing leaves within the turn");
  assertEquals(await bench.received(), [
    "70 1 frame 1",
    "70 2 frame 2",
    "70 3 frame 3",
  ]);
  assertEquals(bench.stream.writes.length, 1);
});

Deno.test("Link gathers while a write is under way and never has two", async () => {
  await using bench = await Bench.create();
  bench.network.stall("near", "far");
  bench.send("x".repeat(300 * 1024));
  await bench.runtime.settle();
  assertEquals(bench.stream.underWay, 1);
  for (let i = 0; i < 100; i++) {
    bench.send("small");
    await Promise.resolve();
  }
  assertEquals(bench.stream.writes.length, 1);
  assert(bench.link.bufferedBytes > 300 * 1024);
  bench.network.heal("near", "far");
  let small = 0;
  while (small < 100) {
    const into = new Uint8Array(512 * 1024);
    await bench.far.read(into);
    small += new TextDecoder().decode(into).split("small").length - 1;
  }
  // The large frame fills one record and begins another.
  assertEquals(bench.stream.writes.length, 3, "the hundred left in one write");
  assertEquals(bench.stream.underWayMax, 1);
  assertEquals(bench.link.bufferedBytes, 0);
});

Deno.test("Link cuts what waits into records that hold what was written", async () => {
  await using bench = await Bench.create();
  const text = Array.from({ length: 100_000 }, (_, i) => i).join(" ");
  bench.send("before");
  bench.send(text);
  bench.send("after");
  const whole = framesOf(
    { type: 70, payload: "before" },
    { type: 70, payload: text },
    { type: 70, payload: "after" },
  );
  const into = new Uint8Array(1024 * 1024);
  let count = 0;
  for (let opened = 0; opened < whole.length;) {
    await bench.runtime.settle();
    count += await bench.far.read(into.subarray(count)) ?? 0;
    opened = openRecords(into.subarray(0, count)).frames.length;
  }
  assertEquals(openRecords(into.subarray(0, count)).frames, whole);
  assertEquals(bench.stream.writes, [
    RECORD_HEADER_BYTES + RECORD_BYTES_MAX,
    RECORD_HEADER_BYTES + RECORD_BYTES_MAX,
    RECORD_HEADER_BYTES + whole.length - 2 * RECORD_BYTES_MAX,
  ]);
});

Deno.test("Link believes nothing in a record of which any bit has changed", async () => {
  const good = recordWith({ type: 70, payload: "good" });
  const bad = recordWith(
    { type: 71, payload: "one" },
    { type: FrameType.ping },
    { type: FrameType.goodbye, payload: "\0\x03two" },
  );
  for (let bit = 0; bit < bad.length * 8; bit++) {
    await using bench = await Bench.create();
    const bytes = new Uint8Array([...good, ...bad]);
    bytes[good.length + (bit >> 3)]! ^= 1 << (bit & 7);
    await bench.far.write(bytes);
    // No pong stands before the goodbye.
    assertEquals(await bench.received(), ["12 0 \0\x0eprotocol_error"]);
    assertEquals(bench.frames, ["70 0 1 good"]);
    const { code, message, badRecord } = bench.closes[0]!;
    assertEquals([bench.closes.length, code, badRecord], [
      1,
      "protocol_error",
      true,
    ]);
    assert(message.includes("changed on the way"), message);
    assertEquals(bench.logged.length, 1);
  }
});

Deno.test("Link believes nothing in a record that only begins a good frame", async () => {
  await using bench = await Bench.create();
  const bytes = recordsOf(framesOf({ type: 70, payload: "in parts" }), 10);
  bytes[bytes.length - 1]! ^= 1;
  await bench.far.write(bytes);
  await bench.runtime.settle();
  assertEquals(bench.frames, []);
  assertEquals(bench.closes.map(({ badRecord }) => badRecord), [true]);
});

Deno.test("Link tells a frame that cannot be from bytes that were changed", async () => {
  await using bench = await Bench.create();
  await bench.far.write(recordsOf(new Uint8Array(20)));
  await bench.runtime.settle();
  assertEquals(bench.closes, [{
    code: "protocol_error",
    message: "Cannot receive a frame of 0 bytes: the least is 10",
  }]);
});

Deno.test("Link closes as overloaded when too many bytes wait", async () => {
  await using bench = await Bench.create({ bufferedBytesMax: 1024 * 1024 });
  bench.network.stall("near", "far");
  let sent = 0;
  while (bench.link.closed === undefined) {
    bench.send("y".repeat(100_000));
    sent++;
    await bench.runtime.settle();
    assert(sent < 20, "the bound holds");
  }
  assertEquals(bench.link.closed.code, "overloaded");
  assertEquals(bench.closes.length, 1);
  // Those who do not look go on sending into nothing.
  bench.send("late");
  assert(bench.link.bufferedBytes < 2 * 1024 * 1024);
});

Deno.test("Link closes when a write does not finish in time", async () => {
  await using bench = await Bench.create({ writeDeadlineMs: 1_000 });
  bench.network.stall("near", "far");
  bench.send("z".repeat(400 * 1024));
  await bench.runtime.advance(900);
  assertEquals(bench.closes, []);
  await bench.runtime.advance(600);
  assertEquals(bench.closes.map(({ code }) => code), ["write_timeout"]);
});

Deno.test("Link does not time out a slow reader who makes progress", async () => {
  await using bench = await Bench.create({ writeDeadlineMs: 1_000 });
  bench.send("z".repeat(8 * 1024 * 1024));
  const into = new Uint8Array(256 * 1024);
  let received = 0;
  // 8 MiB at 1 MiB in 800 ms take far longer than one deadline.
  for (let i = 0; received < 8 * 1024 * 1024; i++) {
    await bench.runtime.advance(200);
    assertEquals(bench.closes, [], `after ${received} bytes`);
    received += await bench.far.read(into) ?? 0;
    assert(i < 100);
  }
});

Deno.test("Link hands on frames that are fed one byte at a time", async () => {
  await using bench = await Bench.create();
  const bytes = recordWith(
    { type: 70, correlation: 1, payload: "one" },
    { type: 71, correlation: 2 },
    { type: 72, correlation: 3, payload: "three" },
  );
  for (let i = 0; i < bytes.length; i++) {
    await bench.far.write(bytes.slice(i, i + 1));
    await bench.runtime.settle();
  }
  assertEquals(bench.frames, ["70 0 1 one", "71 0 2 ", "72 0 3 three"]);
});

Deno.test("Link hands on what came behind the handshake", async () => {
  const bytes = recordWith({ type: 70, payload: "early" }, { type: 71 });
  await using bench = await Bench.create({}, bytes.subarray(0, 25));
  await bench.far.write(bytes.slice(25));
  await bench.runtime.settle();
  assertEquals(bench.frames, ["70 0 1 early", "71 0 1 "]);
});

Deno.test("Link takes a frame of exactly the limit and gives its memory back", async () => {
  await using bench = await Bench.create();
  let largest = 0;
  bench.onFrame = (_link, _type, _flags, _correlation, _bytes, start, end) =>
    largest = Math.max(largest, end - start);
  const frame = new Uint8Array(FRAME_BYTES_MAX + 4);
  const view = new DataView(frame.buffer);
  view.setUint32(0, FRAME_BYTES_MAX);
  view.setUint8(4, 70);
  await bench.far.write(recordsOf(frame));
  await bench.runtime.settle();
  assertEquals(largest, FRAME_BYTES_MAX - 10);
  assertEquals(bench.closes, []);
});

Deno.test("Link says goodbye to a frame above the limit as soon as its length is read", async () => {
  await using bench = await Bench.create();
  const header = new Uint8Array(4);
  new DataView(header.buffer).setUint32(0, FRAME_BYTES_MAX + 1);
  await bench.far.write(recordsOf(header));
  await bench.runtime.settle();
  assertEquals(bench.closes.map(({ code }) => code), ["protocol_error"]);
  assertEquals(await bench.received(), ["12 0 \0\x0eprotocol_error"]);
  assertEquals(bench.logged.length, 1);
});

Deno.test("Link ends on garbage, after the frames that stood before it", async () => {
  for (
    const garbage of [
      "GET / HTTP/1.1\r\n\r\n",
      "\0\0\0\0\0\0\0\0",
      "\0\0\0\x09123456789",
      "\0\0\0\x0a\x46\0\xff\xff\xff\xff\xff\xff\xff\xff",
    ]
  ) {
    await using bench = await Bench.create();
    const good = framesOf({ type: 70, payload: "good" });
    const bytes = new ByteWriter();
    bytes.raw(good);
    for (const char of garbage) bytes.u8(char.charCodeAt(0));
    await bench.far.write(recordsOf(bytes.copy()));
    await bench.runtime.settle();
    assertEquals(bench.frames, ["70 0 1 good"]);
    assertEquals(bench.closes.map(({ code }) => code), ["protocol_error"]);
  }
});

Deno.test("Link gives up a frame that does not go on behind a whole record", async () => {
  await using bench = await Bench.create();
  const frame = framesOf({ type: 70, payload: "never whole" });
  await bench.far.write(recordsOf(frame.subarray(0, 20)));
  await bench.runtime.advance(4_000);
  assertEquals(bench.closes, []);
  await bench.runtime.advance(2_000);
  assertEquals(bench.closes.map(({ code }) => code), ["protocol_error"]);
});

Deno.test("Link gives up a record that does not go on", async () => {
  await using bench = await Bench.create();
  const bytes = recordWith({ type: 70, payload: "never whole" });
  await bench.far.write(bytes.slice(0, 10));
  await bench.runtime.advance(4_000);
  assertEquals(bench.closes, []);
  await bench.far.write(bytes.slice(10, 15));
  await bench.runtime.advance(4_000);
  assertEquals(bench.closes, [], "a byte is progress");
  await bench.runtime.advance(2_000);
  assertEquals(bench.closes.map(({ code }) => code), ["protocol_error"]);
});

Deno.test("Link does not mind silence between frames", async () => {
  await using bench = await Bench.create();
  await bench.far.write(recordWith({ type: 70, payload: "whole" }));
  await bench.runtime.advance(600_000);
  assertEquals(bench.closes, []);
  assertEquals(bench.runtime.pendingTimers, 0);
});

Deno.test("Link is lost when the other end hangs up, even within a frame", async () => {
  await using bench = await Bench.create();
  await bench.far.write(recordWith({ type: 70, payload: "cut" }).slice(0, 9));
  bench.far.close();
  await bench.runtime.settle();
  assertEquals(bench.closes.map(({ code }) => code), ["lost"]);
  assertEquals(bench.frames, []);
});

Deno.test("Link answers pings by itself and reports pongs", async () => {
  await using bench = await Bench.create();
  await bench.far.write(recordWith(
    { type: FrameType.ping, correlation: 42 },
    { type: FrameType.pong, correlation: 7 },
  ));
  assertEquals(await bench.received(), ["11 42 "]);
  assertEquals([bench.heard, bench.frames], [1, []]);
  bench.link.ping();
  assertEquals(await bench.received(), ["10 1 "]);
});

Deno.test("Link says in a ping whether a pong has come since the one before, and hears it said", async () => {
  await using bench = await Bench.create();
  const flags = async (): Promise<number | undefined> => {
    bench.link.ping();
    await bench.runtime.settle();
    const into = new Uint8Array(1024);
    const count = await bench.far.read(into) ?? 0;
    const { frames } = openRecords(into.subarray(0, count));
    assertEquals(frames[4], FrameType.ping);
    return frames[5];
  };
  assertEquals(await flags(), 0);
  await bench.far.write(recordWith({ type: FrameType.pong }));
  await bench.runtime.settle();
  assertEquals([await flags(), await flags()], [1, 0]);
  assertEquals(bench.heard, 1);
  const told = new ByteWriter();
  writeFrame(told, FrameType.ping, 3, new Uint8Array(0), 1);
  writeFrame(told, FrameType.ping, 4, new Uint8Array(0));
  await bench.far.write(recordsOf(told.copy()));
  assertEquals(await bench.received(), ["11 3 ", "11 4 "]);
  assertEquals(bench.heard, 2);
});

/** The types and lengths of all frames that come out of the link until `type` has come so often. */
async function framesUntil(
  bench: Bench,
  type: number,
  times: number,
): Promise<string[]> {
  let taken = new Uint8Array(0);
  for (let round = 0;; round++) {
    assert(round < 1_000, "frames go on coming");
    await bench.runtime.settle();
    const into = new Uint8Array(1024 * 1024);
    const count = await bench.far.read(into) ?? 0;
    taken = new Uint8Array([...taken, ...into.subarray(0, count)]);
    const { frames } = openRecords(taken);
    const view = new DataView(frames.buffer);
    const all: string[] = [];
    for (let at = 0; at + 14 <= frames.length;) {
      const length = view.getUint32(at);
      if (at + 4 + length > frames.length) break;
      all.push(`${frames[at + 4]} ${length - 10}`);
      at += 4 + length;
    }
    const seen = all.filter((text) => text.startsWith(`${type} `)).length;
    if (seen === times) return all;
  }
}

Deno.test("Link lets pings and pongs overtake the frames that wait behind the one under way", async () => {
  await using bench = await Bench.create();
  const texts = [600_000, 10, 700_000].map((length) => "x".repeat(length));
  // The first leaves at once and is stuck, as nobody reads; the others wait.
  for (const text of texts) bench.send(text);
  await bench.runtime.settle();
  for (const text of texts) bench.send(text);
  await bench.far.write(recordWith({ type: FrameType.ping, correlation: 9 }));
  await bench.runtime.settle();
  bench.link.ping();
  const frames = await framesUntil(bench, 70, 6);
  assertEquals(frames, [
    "70 600000",
    "11 0",
    "10 0",
    "70 10",
    "70 700000",
    "70 600000",
    "70 10",
    "70 700000",
  ]);
  assertEquals(bench.link.bufferedBytes, 0);
});

Deno.test("Link lets a ping overtake what has not begun to leave", async () => {
  await using bench = await Bench.create();
  bench.send("x".repeat(600_000));
  bench.link.ping();
  assertEquals(await framesUntil(bench, 70, 1), ["10 0", "70 600000"]);
});

Deno.test("Link lets a ping that comes with the last record of a batch leave before the next batch", async () => {
  await using bench = await Bench.create();
  bench.send("x".repeat(100_000));
  await bench.runtime.settle();
  // That record is under way as long as nobody reads, and is the only one.
  bench.network.stall("near", "far");
  bench.send("y".repeat(200_000));
  await bench.runtime.settle();
  bench.send("z".repeat(300_000));
  bench.link.ping();
  bench.network.heal("near", "far");
  assertEquals(await framesUntil(bench, 70, 3), [
    "70 100000",
    "70 200000",
    "10 0",
    "70 300000",
  ]);
});

Deno.test("Link answers more pings than one record holds in several", async () => {
  await using bench = await Bench.create();
  bench.network.stall("near", "far");
  bench.send("x".repeat(300 * 1024));
  await bench.runtime.settle();
  const pings = recordWith(
    ...Array.from({ length: 10_000 }, () => ({ type: FrameType.ping })),
  );
  for (let i = 0; i < 3; i++) {
    await bench.far.write(pings.slice());
    await bench.runtime.settle();
  }
  bench.network.heal("near", "far");
  const frames = await framesUntil(bench, FrameType.pong, 30_000);
  assertEquals(frames.length, 30_001);
  assertEquals(bench.closes, []);
});

Deno.test("Link closes as overloaded when pings are sent and no answer is taken", async () => {
  await using bench = await Bench.create({ bufferedBytesMax: 512 * 1024 });
  bench.send("x".repeat(300 * 1024));
  const pings = recordWith(
    ...Array.from({ length: 10_000 }, () => ({ type: FrameType.ping })),
  );
  for (let i = 0; bench.link.closed === undefined; i++) {
    assert(i < 20, "the bound holds");
    await bench.far.write(pings.slice());
    await bench.runtime.settle();
  }
  assertEquals(bench.link.closed.code, "overloaded");
});

Deno.test("sendUnknownType() answers with the type that is not known", async () => {
  await using bench = await Bench.create();
  bench.onFrame = (link, type, _flags, correlation) =>
    sendUnknownType(link, type, correlation);
  await bench.far.write(recordWith({ type: 99, correlation: 5 }));
  assertEquals(await bench.received(), ["13 5 c"]);
});

Deno.test("Link closes with a goodbye behind what was written", async () => {
  await using bench = await Bench.create();
  bench.send("last");
  bench.link.close("stopping");
  assertEquals(bench.closes, [{ code: "closed", message: "stopping" }]);
  bench.send("too late");
  assertEquals(await bench.received(), ["70 1 last", "12 0 \0\x08stopping"]);
  bench.link.close("again");
  assertEquals(bench.closes.length, 1);
});

Deno.test("Link waits only so long for the other end to hang up", async () => {
  await using bench = await Bench.create();
  bench.link.close();
  await bench.runtime.advance(499);
  assertEquals(bench.network.openStreams, 2);
  await bench.runtime.advance(1);
  assertEquals(bench.network.openStreams, 1);
  await bench.link.finished;
});

Deno.test("Link closes at once when both ends say goodbye", async () => {
  await using bench = await Bench.create();
  bench.link.close("mine");
  await bench.far.write(
    recordWith({ type: FrameType.goodbye, payload: "\0\x05yours" }),
  );
  await bench.runtime.settle();
  await bench.link.finished;
  assertEquals(bench.closes, [{ code: "closed", message: "mine" }]);
});

Deno.test("Link reports the reason of the other end's goodbye, cut to size", async () => {
  await using bench = await Bench.create();
  const long = "\x01\x00" + "r".repeat(256);
  await bench.far.write(recordWith({ type: FrameType.goodbye, payload: long }));
  await bench.runtime.settle();
  assertEquals(bench.closes, [{
    code: "goodbye",
    message: "r".repeat(200),
  }]);
});

Deno.test("Link hands on nothing after it is closed, not even of the same read", async () => {
  await using bench = await Bench.create();
  bench.onFrame = (link, type) => {
    bench.frames.push(`${type}`);
    link.close();
  };
  await bench.far.write(recordWith({ type: 70 }, { type: 71 }, { type: 72 }));
  await bench.runtime.settle();
  assertEquals(bench.frames, ["70"]);
});

Deno.test("Link ends and logs when its handler throws", async () => {
  await using bench = await Bench.create();
  bench.onFrame = () => {
    throw new TypeError("a bug");
  };
  await bench.far.write(recordWith({ type: 70 }));
  await bench.runtime.settle();
  assertEquals(bench.closes, [{ code: "failed", message: "a bug" }]);
  assertEquals(await bench.received(), ["12 0 \0\x08internal"]);
  assertEquals(bench.logged.length, 1);
});

Deno.test("Link takes a protocol error of its handler as the other end's", async () => {
  await using bench = await Bench.create();
  bench.onFrame = () => {
    throw new WhorlError("protocol_error", "Cannot read this payload");
  };
  await bench.far.write(recordWith({ type: 70 }));
  await bench.runtime.settle();
  assertEquals(bench.closes.map(({ code }) => code), ["protocol_error"]);
});

Deno.test("Link refuses to send a frame above the limit and stays whole", async () => {
  await using bench = await Bench.create();
  const writer = bench.link.begin(FrameType.operation, 1);
  writer.raw(new Uint8Array(FRAME_BYTES_MAX));
  const error = assertThrows(() => bench.link.end(), WhorlError);
  assertEquals(error.code, "frame_too_large");
  bench.send("fine");
  assertEquals(await bench.received(), ["70 1 fine"]);
});

Deno.test("Link drops a frame whose writer threw, not those around it", async () => {
  await using bench = await Bench.create();
  bench.send("before");
  bench.link.begin(FrameType.operation, 2).rawText("half");
  // Its writer throws here, and end() is never called.
  assertEquals(await bench.received(), ["70 1 before"]);
  bench.send("after", 3);
  assertEquals(await bench.received(), ["70 3 after"]);
  assertEquals(bench.logged.length, 1);
});

Deno.test("Link is told silent at once and sends nothing more", async () => {
  await using bench = await Bench.create();
  bench.send("unsent");
  bench.link.closeSilent(5_000);
  assertEquals(bench.closes, [{
    code: "silent",
    message: "No answer for 5000 ms",
  }]);
  assertEquals(await bench.received(), ["end"]);
});

Deno.test("Link.whenBelow() calls back as the stream takes pieces, without a timer", async () => {
  await using bench = await Bench.create();
  const waited: string[] = [];
  const wait = (bytes: number): void =>
    bench.link.whenBelow(
      bytes,
      () => waited.push(`${bytes} ${bench.link.bufferedBytes <= bytes}`),
    );
  bench.send("x".repeat(3 * 1024 * 1024));
  const timers = bench.runtime.pendingTimers;
  wait(1.5 * 1024 * 1024);
  wait(2.5 * 1024 * 1024);
  assertEquals(bench.runtime.pendingTimers, timers);
  await bench.runtime.settle();
  assertEquals(waited, []);
  const into = new Uint8Array(64 * 1024);
  for (let taken = 0; taken < 1.1 * 1024 * 1024;) {
    taken += await bench.far.read(into) ?? 0;
  }
  assertEquals(waited, ["2621440 true"]);
  for (let taken = 0; taken < 1.2 * 1024 * 1024;) {
    taken += await bench.far.read(into) ?? 0;
  }
  assertEquals(waited, ["2621440 true", "1572864 true"]);
  wait(2.5 * 1024 * 1024);
  assertEquals(waited.length, 2, "never at once");
  await bench.runtime.settle();
  assertEquals(waited.length, 3);
});

Deno.test("Link.whenBelow() tells the next only while there is room", async () => {
  await using bench = await Bench.create();
  const waited: number[] = [];
  for (const number of [1, 2]) {
    bench.link.whenBelow(1000, () => {
      waited.push(number);
      bench.send("x".repeat(2000));
    });
  }
  await Promise.resolve();
  assertEquals(waited, [1]);
  await bench.received();
  await bench.runtime.settle();
  assertEquals(waited, [1, 2]);
});

Deno.test("Link.whenBelow() calls back when the link ends, and then at once", async () => {
  for (
    const end of [
      (bench: Bench) => bench.link.close(),
      (bench: Bench) => bench.link.closeSilent(1),
    ]
  ) {
    await using bench = await Bench.create();
    const waited: string[] = [];
    bench.send("x".repeat(3 * 1024 * 1024));
    bench.link.whenBelow(0, () => waited.push(bench.link.closed?.code ?? ""));
    await bench.runtime.settle();
    assertEquals(waited, []);
    end(bench);
    await bench.runtime.settle();
    bench.link.whenBelow(0, () => waited.push("again"));
    await bench.runtime.settle();
    assertEquals(waited, [bench.link.closed?.code, "again"]);
  }
});

Deno.test("Link ends when whoever waited for room throws", async () => {
  await using bench = await Bench.create();
  bench.link.whenBelow(0, () => {
    throw new RangeError("a bug");
  });
  await bench.runtime.settle();
  assertEquals(bench.closes, [{ code: "failed", message: "a bug" }]);
  assertEquals(bench.logged, [
    "error Closing a link as sending more on it failed",
  ]);
});
