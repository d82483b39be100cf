import { assert, assertEquals, assertThrows } from "@std/assert";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { FRAME_BYTES_MAX } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { RECORD_BYTES_MAX, RECORD_HEADER_BYTES } from "../wire/record.ts";
import { openRecords, recordsOf } from "../wire/testing/records.ts";
import { sendUnknownType } from "./link.ts";
import { framesOf, LinkBench, recordWith } from "./testing/link_bench.ts";

Deno.test("Link sends the frames of one turn in one write", async () => {
  await using bench = await LinkBench.create();
  for (let i = 1; i <= 3; i++) bench.send(`frame ${i}`, i);
  assertEquals(bench.stream.writes, [], "nothing leaves within the turn");
  assertEquals(await bench.received(), [
    "70 1 frame 1",
    "70 2 frame 2",
    "70 3 frame 3",
  ]);
  assertEquals(bench.stream.writes.length, 1);
});

Deno.test("Link gathers frames while a write is under way and never has two writes", async () => {
  await using bench = await LinkBench.create();
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

Deno.test("Link splits waiting frames into records that hold what was written", async () => {
  await using bench = await LinkBench.create();
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

Deno.test("Link delivers no frame of a record in which any bit has changed", async () => {
  const good = recordWith({ type: 70, payload: "good" });
  const bad = recordWith(
    { type: 71, payload: "one" },
    { type: FrameType.ping },
    { type: FrameType.goodbye, payload: "\0\x03two" },
  );
  for (let bit = 0; bit < bad.length * 8; bit++) {
    await using bench = await LinkBench.create();
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

Deno.test("Link delivers no frame of a damaged record that only begins with a valid frame", async () => {
  await using bench = await LinkBench.create();
  const bytes = recordsOf(framesOf({ type: 70, payload: "in parts" }), 10);
  bytes[bytes.length - 1]! ^= 1;
  await bench.far.write(bytes);
  await bench.runtime.settle();
  assertEquals(bench.frames, []);
  assertEquals(bench.closes.map(({ badRecord }) => badRecord), [true]);
});

Deno.test("Link distinguishes an invalid frame from changed bytes", async () => {
  await using bench = await LinkBench.create();
  await bench.far.write(recordsOf(new Uint8Array(20)));
  await bench.runtime.settle();
  assertEquals(bench.closes, [{
    code: "protocol_error",
    message: "Cannot receive a frame of 0 bytes: the least is 10",
  }]);
});

Deno.test("Link closes as overloaded when too many bytes wait to be sent", async () => {
  await using bench = await LinkBench.create({ bufferedBytesMax: 1024 * 1024 });
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
  await using bench = await LinkBench.create({ writeDeadlineMs: 1_000 });
  bench.network.stall("near", "far");
  bench.send("z".repeat(400 * 1024));
  await bench.runtime.advance(900);
  assertEquals(bench.closes, []);
  await bench.runtime.advance(600);
  assertEquals(bench.closes.map(({ code }) => code), ["write_timeout"]);
});

Deno.test("Link does not time out a slow reader that makes progress", async () => {
  await using bench = await LinkBench.create({ writeDeadlineMs: 1_000 });
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

Deno.test("Link delivers frames that arrive one byte at a time", async () => {
  await using bench = await LinkBench.create();
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

Deno.test("Link delivers frames that arrived together with the end of the handshake", async () => {
  const bytes = recordWith({ type: 70, payload: "early" }, { type: 71 });
  await using bench = await LinkBench.create({}, bytes.subarray(0, 25));
  await bench.far.write(bytes.slice(25));
  await bench.runtime.settle();
  assertEquals(bench.frames, ["70 0 1 early", "71 0 1 "]);
});

Deno.test("Link accepts a frame of exactly the limit and frees its memory", async () => {
  await using bench = await LinkBench.create();
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
  await using bench = await LinkBench.create();
  const header = new Uint8Array(4);
  new DataView(header.buffer).setUint32(0, FRAME_BYTES_MAX + 1);
  await bench.far.write(recordsOf(header));
  await bench.runtime.settle();
  assertEquals(bench.closes.map(({ code }) => code), ["protocol_error"]);
  assertEquals(await bench.received(), ["12 0 \0\x0eprotocol_error"]);
  assertEquals(bench.logged.length, 1);
});

Deno.test("Link ends on invalid bytes, after it delivers the frames before them", async () => {
  for (
    const garbage of [
      "GET / HTTP/1.1\r\n\r\n",
      "\0\0\0\0\0\0\0\0",
      "\0\0\0\x09123456789",
      "\0\0\0\x0a\x46\0\xff\xff\xff\xff\xff\xff\xff\xff",
    ]
  ) {
    await using bench = await LinkBench.create();
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

Deno.test("Link times out a frame that does not continue after a complete record", async () => {
  await using bench = await LinkBench.create();
  const frame = framesOf({ type: 70, payload: "never whole" });
  await bench.far.write(recordsOf(frame.subarray(0, 20)));
  await bench.runtime.advance(4_000);
  assertEquals(bench.closes, []);
  await bench.runtime.advance(2_000);
  assertEquals(bench.closes.map(({ code }) => code), ["protocol_error"]);
});

Deno.test("Link times out a record that does not continue", async () => {
  await using bench = await LinkBench.create();
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

Deno.test("Link does not time out on silence between frames", async () => {
  await using bench = await LinkBench.create();
  await bench.far.write(recordWith({ type: 70, payload: "whole" }));
  await bench.runtime.advance(600_000);
  assertEquals(bench.closes, []);
  assertEquals(bench.runtime.pendingTimers, 0);
});

Deno.test("Link is lost when the other end closes the connection, even within a frame", async () => {
  await using bench = await LinkBench.create();
  await bench.far.write(recordWith({ type: 70, payload: "cut" }).slice(0, 9));
  bench.far.close();
  await bench.runtime.settle();
  assertEquals(bench.closes.map(({ code }) => code), ["lost"]);
  assertEquals(bench.frames, []);
});

Deno.test("sendUnknownType() answers with the unknown type", async () => {
  await using bench = await LinkBench.create();
  bench.onFrame = (link, type, _flags, correlation) =>
    sendUnknownType(link, type, correlation);
  await bench.far.write(recordWith({ type: 99, correlation: 5 }));
  assertEquals(await bench.received(), ["13 5 c"]);
});

Deno.test("Link closes with a goodbye after the frames written before", async () => {
  await using bench = await LinkBench.create();
  bench.send("last");
  bench.link.close("stopping");
  assertEquals(bench.closes, [{ code: "closed", message: "stopping" }]);
  bench.send("too late");
  assertEquals(await bench.received(), ["70 1 last", "12 0 \0\x08stopping"]);
  bench.link.close("again");
  assertEquals(bench.closes.length, 1);
});

Deno.test("Link waits a bounded time for the other end to close the connection", async () => {
  await using bench = await LinkBench.create();
  bench.link.close();
  await bench.runtime.advance(499);
  assertEquals(bench.network.openStreams, 2);
  await bench.runtime.advance(1);
  assertEquals(bench.network.openStreams, 1);
  await bench.link.finished;
});

Deno.test("Link closes at once when both ends say goodbye", async () => {
  await using bench = await LinkBench.create();
  bench.link.close("mine");
  await bench.far.write(
    recordWith({ type: FrameType.goodbye, payload: "\0\x05yours" }),
  );
  await bench.runtime.settle();
  await bench.link.finished;
  assertEquals(bench.closes, [{ code: "closed", message: "mine" }]);
});

Deno.test("Link reports the reason in the other end's goodbye, truncated to its bound", async () => {
  await using bench = await LinkBench.create();
  const long = "\x01\x00" + "r".repeat(256);
  await bench.far.write(recordWith({ type: FrameType.goodbye, payload: long }));
  await bench.runtime.settle();
  assertEquals(bench.closes, [{
    code: "goodbye",
    message: "r".repeat(200),
  }]);
});

Deno.test("Link delivers nothing after it is closed, not even from the same read", async () => {
  await using bench = await LinkBench.create();
  bench.onFrame = (link, type) => {
    bench.frames.push(`${type}`);
    link.close();
  };
  await bench.far.write(recordWith({ type: 70 }, { type: 71 }, { type: 72 }));
  await bench.runtime.settle();
  assertEquals(bench.frames, ["70"]);
});

Deno.test("Link ends and logs when its handler throws", async () => {
  await using bench = await LinkBench.create();
  bench.onFrame = () => {
    throw new TypeError("a bug");
  };
  await bench.far.write(recordWith({ type: 70 }));
  await bench.runtime.settle();
  assertEquals(bench.closes, [{ code: "failed", message: "a bug" }]);
  assertEquals(await bench.received(), ["12 0 \0\x08internal"]);
  assertEquals(bench.logged.length, 1);
});

Deno.test("Link treats a protocol_error thrown by its handler as the other end's fault", async () => {
  await using bench = await LinkBench.create();
  bench.onFrame = () => {
    throw new WhorlError("protocol_error", "Cannot read this payload");
  };
  await bench.far.write(recordWith({ type: 70 }));
  await bench.runtime.settle();
  assertEquals(bench.closes.map(({ code }) => code), ["protocol_error"]);
});

Deno.test("Link refuses to send a frame above the limit and stays usable", async () => {
  await using bench = await LinkBench.create();
  const writer = bench.link.begin(FrameType.operation, 1);
  writer.raw(new Uint8Array(FRAME_BYTES_MAX));
  const error = assertThrows(() => bench.link.end(), WhorlError);
  assertEquals(error.code, "frame_too_large");
  bench.send("fine");
  assertEquals(await bench.received(), ["70 1 fine"]);
});

Deno.test("Link drops a frame whose writer threw, and keeps those around it", async () => {
  await using bench = await LinkBench.create();
  bench.send("before");
  bench.link.begin(FrameType.operation, 2).rawText("half");
  // Its writer throws here, and end() is never called.
  assertEquals(await bench.received(), ["70 1 before"]);
  bench.send("after", 3);
  assertEquals(await bench.received(), ["70 3 after"]);
  assertEquals(bench.logged.length, 1);
});

Deno.test("Link.closeSilent() ends the link at once and sends nothing more", async () => {
  await using bench = await LinkBench.create();
  bench.send("unsent");
  bench.link.closeSilent(5_000);
  assertEquals(bench.closes, [{
    code: "silent",
    message: "No answer for 5000 ms",
  }]);
  assertEquals(await bench.received(), ["end"]);
});
