import { assert, assertEquals } from "@std/assert";
import { ByteWriter } from "../../base/byte_writer.ts";
import type { ByteStream } from "../../environment/transport.ts";
import { writeFrame } from "../../wire/frame.ts";
import { FrameType } from "../../wire/frame_type.ts";
import {
  RECEIVE_BUFFER_BYTES_MAX,
  SEND_BUFFER_BYTES_MAX,
} from "./simulated_flow.ts";
import { BACKLOG_MAX } from "./simulated_listener.ts";
import { NetworkBench, type Watched } from "../testing/network_bench.ts";

/**
 * Longer than a system takes to notice and recover what was lost in a short
 * fault.
 */
const A_WHILE_MS = 5_000;

Deno.test("SimulatedNetwork delivers bytes with the configured delay", async () => {
  const bench = new NetworkBench();
  const { near, far } = await bench.pair();
  const begunMs = bench.time.now();
  const reading = bench.read(far);
  bench.write(near, "hello");
  await bench.pass(9.999);
  assertEquals(reading, {});
  await bench.pass(0.002);
  assertEquals(reading, { value: "hello" });
  assert(bench.time.now() - begunMs < 10.01);
});

Deno.test("SimulatedNetwork sends what is written at one moment as one segment", async () => {
  const bench = new NetworkBench();
  const { near, far } = await bench.pair();
  const before = bench.network.counts().segments;
  for (let i = 0; i < 9; i++) bench.write(near, `${i}`);
  const reading = bench.read(far);
  await bench.pass(20);
  assertEquals(reading, { value: "012345678" });
  assertEquals(bench.network.counts().segments - before, 1);
});

Deno.test("SimulatedNetwork.hide() makes a host reachable by another name only", async () => {
  const bench = new NetworkBench();
  const { a } = await bench.pair();
  bench.network.hide("b", "door");
  assertEquals([bench.network.nameOf("a"), bench.network.nameOf("b")], [
    "a",
    "door",
  ]);
  const reached = bench.watch(a.transport.connect("door:7"));
  const refused = bench.watch(a.transport.connect("b:7"));
  await bench.pass(A_WHILE_MS);
  assert(reached.value !== undefined);
  assertEquals(
    refused.error,
    "not_reachable: Cannot connect to b:7: the connection was refused, nobody listens there",
  );
});

Deno.test("SimulatedNetwork.slow() delays one direction from now on, until it is 0", async () => {
  const bench = new NetworkBench();
  const { near, far } = await bench.pair();
  bench.network.slow("a", "b", 300);
  const there = bench.read(far), back = bench.read(near);
  bench.write(near, "there");
  bench.write(far, "back");
  await bench.pass(11);
  assertEquals([there, back], [{}, { value: "back" }]);
  await bench.pass(300);
  assertEquals(there, { value: "there" });
  bench.network.slow("a", "b", 0);
  const again = bench.read(far);
  bench.write(near, "again");
  await bench.pass(11);
  assertEquals(again, { value: "again" });
});

Deno.test("SimulatedNetwork.corrupt() changes one bit of each write in one direction, until it is 0", async () => {
  const bench = new NetworkBench();
  const { near, far } = await bench.pair();
  const ones = (text: string): number =>
    [...new TextEncoder().encode(text)].reduce(
      (count, byte) => count + byte.toString(2).replaceAll("0", "").length,
      0,
    );
  bench.network.corrupt("a", "b", 1);
  for (let i = 0; i < 3; i++) {
    const there = bench.read(far), back = bench.read(near);
    // Zeros remain one-byte characters, whichever of their lower bits is set.
    bench.write(near, "\0".repeat(9));
    bench.write(far, "back");
    await bench.pass(11);
    assertEquals(back, { value: "back" });
    assert(there.value !== "\0".repeat(9), "a bit has changed");
    assert(there.value?.includes("\ufffd") || ones(there.value ?? "") === 1);
    assertEquals(bench.network.counts().corrupted, i + 1);
  }
  bench.network.corrupt("a", "b", 0);
  const again = bench.read(far);
  bench.write(near, "again");
  await bench.pass(11);
  assertEquals(again, { value: "again" });
  assertEquals(bench.network.counts().corrupted, 3);
});

Deno.test("SimulatedNetwork refuses a connect after a round trip where nobody listens", async () => {
  const bench = new NetworkBench();
  const { transport } = bench.host("a");
  const connecting = bench.watch(transport.connect("b:7"));
  await bench.pass(19);
  assertEquals([connecting, bench.network.counts().connecting], [{}, 1]);
  await bench.pass(2);
  assertEquals(
    connecting.error,
    "not_reachable: Cannot connect to b:7: the connection was refused, nobody listens there",
  );
  assertEquals(bench.network.counts().connecting, 0);
});

Deno.test("SimulatedNetwork.block() makes a connect hang until its signal fires, in either direction", async () => {
  for (const [from, to] of [["a", "b"], ["b", "a"]] as const) {
    const bench = new NetworkBench();
    const { transport } = bench.host("a");
    bench.network.block(from, to);
    const stop = new AbortController();
    const connecting = bench.watch(
      transport.connect("b:7", { signal: stop.signal }),
    );
    await bench.pass(60_000);
    assertEquals(connecting, {});
    stop.abort(new Error("late"));
    await bench.pass(0);
    assertEquals(
      connecting.error,
      "not_reachable: Cannot connect to b:7: late",
    );
    assertEquals(await bench.time.run(Infinity), "nothing_left");
    assertEquals(bench.network.counts().connecting, 0);
  }
});

Deno.test("SimulatedNetwork gives up a connect after the pauses of seven packets", async () => {
  const bench = new NetworkBench();
  const { transport } = bench.host("a");
  bench.network.block("a", "b");
  const connecting = bench.watch(transport.connect("b:7"));
  await bench.pass(126_999);
  assertEquals(connecting, {});
  await bench.pass(2);
  assertEquals(
    connecting.error,
    "not_reachable: Cannot connect to b:7: nothing came back",
  );
});

Deno.test("SimulatedNetwork.unblock() lets the next packet of a connect through", async () => {
  const bench = new NetworkBench();
  const { transport } = bench.host("a");
  await bench.host("b").transport.listen("b:7", () => {});
  bench.network.block("a", "b");
  const connecting = bench.watch(transport.connect("b:7"));
  await bench.pass(2_000);
  bench.network.unblock("a", "b");
  await bench.pass(2_000);
  assert(connecting.value !== undefined);
});

Deno.test("SimulatedNetwork.block() loses what is in flight, which is sent again after unblock()", async () => {
  const bench = new NetworkBench();
  const { near, far } = await bench.pair();
  bench.write(near, "under way, ");
  await bench.pass(5);
  bench.network.block("a", "b");
  bench.network.block("a", "b");
  bench.write(near, "written meanwhile");
  const first = bench.read(far, 11);
  await bench.pass(1_000);
  bench.network.unblock("a", "b");
  await bench.pass(1_000);
  assertEquals(first, {}, "two faults were begun and one has ended");
  bench.network.unblock("a", "b");
  await bench.pass(A_WHILE_MS);
  assertEquals(first, { value: "under way, " });
  const second = bench.read(far);
  await bench.pass(0);
  assertEquals(second, { value: "written meanwhile" });
  assert(bench.network.counts().retransmitted > 2);
});

Deno.test("SimulatedNetwork.block() of the way back lets bytes arrive and the sender's buffer fill", async () => {
  const bench = new NetworkBench();
  const { near, far } = await bench.pair();
  bench.network.block("b", "a");
  assertEquals(await drained(bench, far, near, SEND_BUFFER_BYTES_MAX), {
    value: "written",
  });
  // All of it has arrived and was read, but the sender does not know.
  const more = bench.write(near, 100);
  await bench.pass(60_000);
  assertEquals(more, {});
  bench.network.unblock("b", "a");
  await bench.pass(120_000);
  assertEquals(more, { value: "written" });
});

/** Writes `count` bytes and reads them all at the other end. */
async function drained(
  bench: NetworkBench,
  far: ByteStream,
  near: ByteStream,
  count: number,
): Promise<Watched<string>> {
  const writing = bench.write(near, count);
  const into = new Uint8Array(count);
  for (let read = 0; read < count;) {
    read += await bench.until(far.read(into)) ?? Infinity;
  }
  return writing;
}

Deno.test("SimulatedNetwork gives up a connection whose other end is silent for very long, without telling that one", async () => {
  const bench = new NetworkBench();
  const { near, far } = await bench.pair();
  bench.network.block("a", "b");
  const [here, there] = [bench.read(near), bench.read(far)];
  bench.write(near, "anybody there?");
  await bench.pass(600_000);
  assertEquals(here, {});
  await bench.pass(600_000);
  assertEquals(
    here.error,
    "connection_closed: Cannot read from b:7: the other end has not answered for too long",
  );
  assertEquals(bench.write(near, "x"), {});
  assertEquals(there, {}, "nobody has told the other end");
  bench.network.unblock("a", "b");
  const writing = bench.write(far, "still there?");
  await bench.pass(A_WHILE_MS);
  assertEquals(writing, { value: "written" });
  assertEquals(
    there.error,
    "connection_closed: Cannot read from a:32768: the other end has reset the connection",
  );
});

Deno.test("SimulatedNetwork.stall() holds bytes, acknowledgements and connects until unstall()", async () => {
  for (const [from, to] of [["a", "b"], ["b", "a"]] as const) {
    const bench = new NetworkBench();
    const { a, near, far } = await bench.pair();
    bench.write(near, "one ");
    await bench.pass(5);
    bench.network.stall(from, to);
    const connecting = bench.watch(a.transport.connect("b:7"));
    const large = bench.write(
      near,
      SEND_BUFFER_BYTES_MAX + RECEIVE_BUFFER_BYTES_MAX,
    );
    const reading = bench.read(far, 4);
    await bench.pass(60_000);
    assertEquals(reading, from === "a" ? {} : { value: "one " });
    assertEquals([connecting, large], [{}, {}]);
    bench.network.unstall(from, to);
    await bench.pass(100);
    assertEquals(reading, { value: "one " });
    assert(connecting.value !== undefined);
    const rest = SEND_BUFFER_BYTES_MAX + RECEIVE_BUFFER_BYTES_MAX;
    const into = new Uint8Array(rest);
    for (let read = 0; read < rest;) {
      read += await bench.until(far.read(into)) ?? rest;
    }
    await bench.pass(100);
    assertEquals(large, { value: "written" });
    assertEquals(bench.network.counts().retransmitted, 0, "nothing was lost");
  }
});

Deno.test("SimulatedNetwork.reset() breaks both ends at once and loses what is in flight", async () => {
  const bench = new NetworkBench();
  const { near, far } = await bench.pair();
  bench.write(near, "arrived");
  await bench.pass(11);
  bench.write(near, "under way");
  const here = bench.read(near);
  assertEquals(bench.network.reset("b", "a"), 1);
  const failed = bench.write(near, "late");
  const arrived = bench.read(far);
  await bench.pass(0);
  assertEquals(
    here.error,
    "connection_closed: Cannot read from b:7: the connection was reset",
  );
  assertEquals(
    failed.error,
    "connection_closed: Cannot write to b:7: the connection was reset",
  );
  // What a system has received can still be read, as in Linux.
  assertEquals(arrived, { value: "arrived" });
  const behind = bench.read(far);
  await bench.pass(A_WHILE_MS);
  assertEquals(
    behind.error,
    "connection_closed: Cannot read from a:32768: the connection was reset",
  );
  assertEquals(bench.network.reset("a", "b"), 0);
  assertEquals(bench.network.counts().openStreams, 2, "nobody has closed");
  near.close();
  far.close();
  assertEquals(bench.network.counts().openStreams, 0);
});

Deno.test("SimulatedNetwork.healAll() ends blocks, stalls and delays", async () => {
  const bench = new NetworkBench();
  const { near, far } = await bench.pair();
  bench.network.block("a", "b");
  bench.network.block("a", "b");
  bench.network.stall("b", "a");
  bench.network.slow("b", "a", 10_000);
  const [there, back] = [bench.read(far), bench.read(near)];
  bench.write(near, "there");
  bench.write(far, "back");
  await bench.pass(1_000);
  assertEquals([there, back], [{}, {}]);
  bench.network.healAll();
  await bench.pass(11);
  assertEquals(back, { value: "back" });
  await bench.pass(A_WHILE_MS);
  assertEquals(there, { value: "there" });
  // Ends of faults that were scheduled earlier have no effect any more.
  bench.network.unblock("a", "b");
  bench.network.block("a", "b");
  const cut = bench.read(far);
  bench.write(near, "cut");
  await bench.pass(A_WHILE_MS);
  assertEquals(cut, {});
});

Deno.test("SimulatedNetwork.processDied() delivers the last bytes, then the end", async () => {
  const bench = new NetworkBench();
  const { a, near, far } = await bench.pair();
  const never = bench.read(near);
  bench.write(near, "last words");
  bench.kill(a);
  const words = bench.read(far);
  await bench.pass(11);
  assertEquals(words, { value: "last words" });
  const end = bench.read(far);
  await bench.pass(0);
  assertEquals(end, { value: "end" });
  // Nobody is there to receive an answer.
  const answering = bench.write(far, "an answer");
  await bench.pass(21);
  assertEquals(answering, { value: "written" });
  const again = bench.write(far, "another");
  await bench.pass(0);
  assertEquals(
    again.error,
    "connection_closed: Cannot write to a:32768: the other end has reset the connection",
  );
  far.close();
  assertEquals(never, {}, "the dead are not called");
  const { openStreams, connections } = bench.network.counts();
  assertEquals([openStreams, connections], [0, 0]);
});

Deno.test("SimulatedNetwork.processDied() resets a connection with something unread", async () => {
  const bench = new NetworkBench();
  const { b, near } = await bench.pair();
  bench.write(near, "a question");
  await bench.pass(11);
  const reading = bench.read(near);
  bench.kill(b);
  await bench.pass(9);
  assertEquals(reading, {});
  await bench.pass(2);
  assertEquals(
    reading.error,
    "connection_closed: Cannot read from b:7: the other end has reset the connection",
  );
});

Deno.test("SimulatedNetwork.processDied() closes listeners, and the next incarnation can listen again", async () => {
  const bench = new NetworkBench();
  const { a, b } = await bench.pair();
  bench.kill(b);
  const refused = bench.watch(a.transport.connect("b:7"));
  await bench.pass(21);
  assert(refused.error?.includes("refused"));
  const next = bench.host("b");
  await next.transport.listen("b:7", () => {});
  const connecting = bench.watch(a.transport.connect("b:7"));
  await bench.pass(21);
  assert(connecting.value !== undefined);
});

Deno.test("SimulatedNetwork.processDied() after a power loss notifies nobody until somebody sends to the next incarnation", async () => {
  const bench = new NetworkBench();
  const { a, b, near, far } = await bench.pair();
  bench.write(far, "on the wire");
  bench.kill(b, true);
  const words = bench.read(near);
  await bench.pass(11);
  assertEquals(words, { value: "on the wire" });
  const end = bench.read(near);
  const connecting = bench.watch(a.transport.connect("b:7"));
  bench.write(near, "anybody there?");
  await bench.pass(20_000);
  assertEquals([end, connecting], [{}, {}]);
  // Healing the network starts no machine.
  bench.network.healAll();
  await bench.pass(20_000);
  assertEquals([end, connecting], [{}, {}]);
  bench.host("b");
  await bench.pass(60_000);
  assertEquals(
    end.error,
    "connection_closed: Cannot read from b:7: the other end has reset the connection",
  );
  assert(connecting.error?.includes("refused"));
});

Deno.test("SimulatedNetwork never calls a dead process, nor performs its requests", async () => {
  const bench = new NetworkBench();
  const { a, b, near, far } = await bench.pair();
  const idle = bench.watch(b.transport.connect("a:9"));
  const read = bench.read(far);
  const write = bench.write(far, 2 * SEND_BUFFER_BYTES_MAX);
  bench.kill(b);
  const asked = [
    bench.read(far),
    bench.write(far, "from the grave"),
    bench.watch(b.transport.connect("a:9")),
    bench.watch(b.transport.listen("b:8", () => {})),
  ];
  far.close();
  bench.write(near, "hello?");
  await bench.pass(A_WHILE_MS);
  assertEquals([idle, read, write, ...asked], Array(7).fill({}));
  assertEquals(bench.network.counts().listeners, 0);
  near.close();
  bench.kill(a);
  assertEquals(await bench.time.run(Infinity), "nothing_left");
  const { openStreams, connections, connecting } = bench.network.counts();
  assertEquals([openStreams, connections, connecting], [0, 0, 0]);
});

Deno.test("SimulatedNetwork fills the buffers of a paused process, then makes the writer wait; the process reads once resumed", async () => {
  const bench = new NetworkBench();
  const { b, near, far } = await bench.pair();
  const reading = bench.read(far, 5);
  b.process.pause();
  assertEquals(bench.write(near, "hello"), {});
  await bench.pass(50);
  let taken = 5;
  let last: Watched<string> = { value: "written" };
  while (last.value === "written") {
    last = bench.write(near, 1_024);
    await bench.pass(50);
    if (last.value === "written") taken += 1_024;
  }
  const bound = SEND_BUFFER_BYTES_MAX + RECEIVE_BUFFER_BYTES_MAX;
  assert(taken <= bound && taken > bound - 2_048, `${taken} bytes were taken`);
  await bench.pass(60_000);
  assertEquals([reading, last], [{}, {}]);
  const before = bench.time.events;
  await bench.pass(600_000);
  assertEquals(bench.time.events, before, "a full buffer costs nothing");
  b.process.resume();
  await bench.pass(0);
  assertEquals(reading, { value: "hello" });
  const into = new Uint8Array(64 * 1024);
  for (let read = 5; read < taken + 1_024;) {
    read += await bench.until(far.read(into)) ?? Infinity;
  }
  await bench.pass(A_WHILE_MS);
  assertEquals(last, { value: "written" });
});

Deno.test("SimulatedNetwork recovers from a lost window update", async () => {
  const bench = new NetworkBench();
  const { near, far } = await bench.pair();
  const total = 3 * (SEND_BUFFER_BYTES_MAX + RECEIVE_BUFFER_BYTES_MAX);
  const writing = bench.write(near, total);
  await bench.pass(A_WHILE_MS);
  assertEquals(writing, {});
  bench.network.block("b", "a");
  const into = new Uint8Array(RECEIVE_BUFFER_BYTES_MAX);
  let read = await bench.until(far.read(into)) ?? 0;
  assertEquals(read, RECEIVE_BUFFER_BYTES_MAX);
  await bench.pass(1_000);
  bench.network.unblock("b", "a");
  while (read < total) read += await bench.until(far.read(into)) ?? Infinity;
  await bench.pass(A_WHILE_MS);
  assertEquals([read, writing], [total, { value: "written" }]);
});

Deno.test("SimulatedNetwork lets a writer without room detect that the other end is gone", async () => {
  const bench = new NetworkBench();
  const { b, near } = await bench.pair();
  const writing = bench.write(near, 2 * SEND_BUFFER_BYTES_MAX + 1);
  await bench.pass(A_WHILE_MS);
  // The reset that the system sends for unread bytes is lost.
  bench.network.block("b", "a");
  bench.kill(b);
  await bench.pass(100);
  bench.network.unblock("b", "a");
  assertEquals(writing, {});
  await bench.pass(A_WHILE_MS);
  assertEquals(
    writing.error,
    "connection_closed: Cannot write to b:7: the other end has reset the connection",
  );
});

Deno.test("SimulatedNetwork gives a paused process its connections and answers once it resumes", async () => {
  const bench = new NetworkBench();
  const { a, b } = await bench.pair();
  const accepted: ByteStream[] = [];
  await b.transport.listen("b:8", (stream) => void accepted.push(stream));
  b.process.pause();
  const connecting = bench.watch(a.transport.connect("b:8"));
  const stop = new AbortController();
  const given = bench.watch(
    a.transport.connect("b:8", { signal: stop.signal }),
  );
  await bench.pass(5);
  a.process.pause();
  await bench.pass(100);
  assertEquals([connecting, accepted], [{}, []]);
  stop.abort(new Error("enough"));
  a.process.resume();
  await bench.pass(100);
  assert(connecting.value !== undefined);
  assertEquals(given.error, "not_reachable: Cannot connect to b:8: enough");
  b.process.resume();
  await bench.pass(100);
  assertEquals(accepted.length, 2);
  // The one that nobody accepted received only the end.
  const ends = accepted.map((stream) => bench.read(stream));
  await bench.pass(100);
  assertEquals(ends.filter(({ value }) => value === "end").length, 1);
});

Deno.test("SimulatedNetwork does not answer connects while a backlog is full", async () => {
  const bench = new NetworkBench();
  const { a, b } = await bench.pair();
  b.process.pause();
  for (let i = 0; i < BACKLOG_MAX; i++) bench.watch(a.transport.connect("b:7"));
  await bench.pass(100);
  const one = bench.watch(a.transport.connect("b:7"));
  await bench.pass(900);
  assertEquals(one, {});
  b.process.resume();
  await bench.pass(1_000);
  assert(one.value !== undefined);
});

Deno.test("SimulatedListener.close() refuses connections that were not accepted yet", async () => {
  const bench = new NetworkBench();
  const { a, listener } = await bench.pair();
  const connecting = bench.watch(a.transport.connect("b:7"));
  // The answer has arrived, but not what the connecting end sends next.
  await bench.pass(25);
  assert(connecting.value !== undefined);
  listener.close();
  const reading = bench.read(connecting.value as ByteStream);
  await bench.pass(A_WHILE_MS);
  assert(reading.error?.includes("the other end has reset the connection"));
});

Deno.test("SimulatedNetwork traces frames where they are sent and where they are read", async () => {
  const bench = new NetworkBench({}, { traced: true });
  const { a, near, far } = await bench.pair();
  const into = new ByteWriter(64);
  for (const type of [FrameType.vnodeRequest, FrameType.vnodeRequest]) {
    writeFrame(into, type, 1, new Uint8Array(10));
  }
  writeFrame(into, FrameType.ping, 1, new Uint8Array(0));
  bench.watch(near.write(into.copy()));
  await bench.pass(15);
  bench.read(far);
  bench.write(far, "not a frame");
  await bench.pass(1);
  bench.kill(a);
  const refused = bench.host("a");
  bench.watch(refused.transport.connect("b:9"));
  await bench.pass(100);
  assertEquals(
    bench.trace.events.map(({ atMs, place, kind, text, message }) =>
      [
        atMs.toFixed(0),
        place,
        kind,
        ...(message === undefined
          ? []
          : [`#${message.id} ${message.from} to ${message.to}`]),
        text,
      ].join(" | ")
    ),
    [
      "20 | a | connect | b:7 has answered",
      "30 | a | send | #1 a to b | 2 vnodeRequest, ping, 62 bytes",
      "45 | b | receive | #1 a to b | 2 vnodeRequest, ping, 62 bytes",
      "45 | b | send | #2 b to a | 11 bytes",
      "55 | a | reset | knows no such connection from b",
      "65 | b | broken | link to a: the other end has reset the connection",
      "66 | a | connect | b:9: the connection was refused, nobody listens there",
    ],
  );
});

Deno.test("SimulatedNetwork.weather changes what leaves from now on", async () => {
  const bench = new NetworkBench();
  const { near, far } = await bench.pair();
  bench.network.weather = { ...bench.network.weather, lossProbability: 1 };
  const reading = bench.read(far);
  bench.write(near, "hello");
  await bench.pass(1_000);
  assertEquals(reading, {});
  bench.network.weather = { ...bench.network.weather, lossProbability: 0 };
  await bench.pass(A_WHILE_MS);
  assertEquals(reading, { value: "hello" });
  const { lost, retransmitted } = bench.network.counts();
  assert(lost >= 3 && retransmitted >= 3, `${lost} ${retransmitted}`);
});
