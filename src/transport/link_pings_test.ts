import { assert, assertEquals } from "@std/assert";
import { ByteWriter } from "../base/byte_writer.ts";
import { writeFrame } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { openRecords, recordsOf } from "../wire/testing/records.ts";
import { LinkBench, recordWith } from "./testing/link_bench.ts";

Deno.test("Link answers pings by itself and reports pongs", async () => {
  await using bench = await LinkBench.create();
  await bench.far.write(recordWith(
    { type: FrameType.ping, correlation: 42 },
    { type: FrameType.pong, correlation: 7 },
  ));
  assertEquals(await bench.received(), ["11 42 "]);
  assertEquals([bench.heard, bench.frames], [1, []]);
  bench.link.ping();
  assertEquals(await bench.received(), ["10 1 "]);
});

Deno.test("Link sends in a ping whether a pong has come since the previous ping, and reports the other end's flag", async () => {
  await using bench = await LinkBench.create();
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
  bench: LinkBench,
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

Deno.test("Link sends pings and pongs before frames that wait behind the write under way", async () => {
  await using bench = await LinkBench.create();
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

Deno.test("Link sends a ping before frames whose write has not begun", async () => {
  await using bench = await LinkBench.create();
  bench.send("x".repeat(600_000));
  bench.link.ping();
  assertEquals(await framesUntil(bench, 70, 1), ["10 0", "70 600000"]);
});

Deno.test("Link sends a ping queued during the last record of a batch before the next batch", async () => {
  await using bench = await LinkBench.create();
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

Deno.test("Link answers more pings than fit in one record with several records", async () => {
  await using bench = await LinkBench.create();
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
  await using bench = await LinkBench.create({ bufferedBytesMax: 512 * 1024 });
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
