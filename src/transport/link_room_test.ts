import { assertEquals } from "@std/assert";
import { LinkBench } from "./testing/link_bench.ts";

Deno.test("Link.whenBelow() calls back as the stream accepts pieces, without a timer", async () => {
  await using bench = await LinkBench.create();
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

Deno.test("Link.whenBelow() calls the next callback only while there is room", async () => {
  await using bench = await LinkBench.create();
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
      (bench: LinkBench) => bench.link.close(),
      (bench: LinkBench) => bench.link.closeSilent(1),
    ]
  ) {
    await using bench = await LinkBench.create();
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

Deno.test("Link ends when a callback that waited for room throws", async () => {
  await using bench = await LinkBench.create();
  bench.link.whenBelow(0, () => {
    throw new RangeError("a bug");
  });
  await bench.runtime.settle();
  assertEquals(bench.closes, [{ code: "failed", message: "a bug" }]);
  assertEquals(bench.logged, [
    "error Closing a link as sending more on it failed",
  ]);
});
