import { assertEquals } from "@std/assert";
import { seededChance } from "../base/chance.ts";
import { SimulatedProcess } from "./simulated_process.ts";
import { VirtualTime } from "./virtual_time.ts";

Deno.test("VirtualTime.run() calls events by time, and simultaneous ones in the order they were scheduled", async () => {
  const time = new VirtualTime();
  const chance = seededChance("order");
  const expected: { atMs: number; order: number }[] = [];
  const happened: { atMs: number; order: number }[] = [];
  for (let order = 0; order < 500; order++) {
    const atMs = chance.below(50);
    expected.push({ atMs, order });
    time.schedule(atMs, () => happened.push({ atMs: time.now(), order }));
  }
  expected.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
  assertEquals(await time.run(1_000), "nothing_left");
  assertEquals(happened, expected);
  assertEquals([time.now(), time.events], [1_000, 500]);
});

Deno.test("VirtualTime.run() finishes a chain of promises before the next event of the same moment", async () => {
  const time = new VirtualTime();
  const seen: string[] = [];
  time.schedule(1, async () => {
    for (let i = 0; i < 1_000; i++) await Promise.resolve();
    seen.push("chain");
  });
  time.schedule(1, () => seen.push("event"));
  await time.run(2);
  assertEquals(seen, ["chain", "event"]);
});

Deno.test("VirtualTime.run() stops at the given time and continues from there", async () => {
  const time = new VirtualTime();
  const seen: number[] = [];
  for (const atMs of [10, 20, 30]) {
    time.schedule(atMs, () => seen.push(atMs));
  }
  const off = time.schedule(15, () => seen.push(15));
  time.cancel(off);
  assertEquals(await time.run(25), "time_over");
  assertEquals([seen, time.now(), time.pending()], [[10, 20], 25, 1]);
  assertEquals(await time.run(100, () => seen.length === 3), "done");
  assertEquals(time.now(), 30);
});

Deno.test("VirtualTime.run() ends a loop that takes no time", async () => {
  const time = new VirtualTime();
  const again = (): void => void time.schedule(0, again);
  again();
  assertEquals(await time.run(1, undefined, 100), "too_many_events");
});

Deno.test("VirtualTime.run() loses no event when it ends at its limit", async () => {
  const time = new VirtualTime();
  const seen: number[] = [];
  for (const atMs of [1, 2, 3]) time.schedule(atMs, () => seen.push(atMs));
  assertEquals(await time.run(10, undefined, 2), "too_many_events");
  assertEquals([seen, time.now(), time.pending()], [[1, 2], 2, 1]);
  assertEquals(await time.run(10), "nothing_left");
  assertEquals(seen, [1, 2, 3]);
});

Deno.test("VirtualTime.run() finishes every chain of promises, however short the runs", async () => {
  const time = new VirtualTime();
  const seen: string[] = [];
  const expected: string[] = [];
  for (let event = 0; event < 200; event++) {
    expected.push(`${event} begins`, `${event} ends`);
    time.schedule(1, async () => {
      seen.push(`${event} begins`);
      for (let i = 0; i < event; i++) await Promise.resolve();
      seen.push(`${event} ends`);
    });
  }
  // Many short runs leave each other turns that were requested and not used.
  while (time.pending() > 0) await time.run(1, undefined, 7);
  assertEquals(seen, expected);
});

function started(): { time: VirtualTime; process: SimulatedProcess } {
  const time = new VirtualTime();
  return { time, process: new SimulatedProcess("n1", time, seededChance(1)) };
}

Deno.test("SimulatedProcess.clearTimer() cancels a timer, which then causes no event", async () => {
  const { time, process } = started();
  const seen: string[] = [];
  const timer = process.setTimer(1, () => seen.push("forgotten"));
  process.setTimer(2, () => seen.push("fired"));
  process.clearTimer(timer);
  assertEquals([process.pendingTimers, time.pending()], [1, 1]);
  await time.run(10);
  assertEquals([seen, time.events, process.pendingTimers], [["fired"], 1, 0]);
});

Deno.test("SimulatedProcess.pause() holds what falls due, in order, until resume()", async () => {
  const { time, process } = started();
  const seen: string[] = [];
  process.setTimer(10, () => seen.push(`a at ${process.now()}`));
  process.setTimer(20, () => seen.push(`b at ${process.now()}`));
  const forgotten = process.setTimer(15, () => seen.push("forgotten"));
  process.setTimer(60, () => seen.push(`c at ${process.now()}`));
  process.pause();
  await time.run(50);
  assertEquals(seen, []);
  process.clearTimer(forgotten);
  process.resume();
  await time.run(100);
  assertEquals(seen, ["a at 50", "b at 50", "c at 60"]);
  assertEquals(process.pendingTimers, 0);
});

Deno.test("SimulatedProcess.kill() ends everything in the process", async () => {
  const { time, process } = started();
  const seen: string[] = [];
  process.setTimer(10, () => seen.push("timer"));
  process.pause();
  await time.run(20);
  process.kill();
  process.resume();
  process.setTimer(1, () => seen.push("set after death"));
  await time.run(100);
  assertEquals([seen, process.state, process.pendingTimers], [[], "dead", 0]);
});

Deno.test("VirtualTime.observe() tells in which processes an event happened", async () => {
  const { time, process } = started();
  const other = new SimulatedProcess("n2", time, seededChance("n2"));
  const seen: string[] = [];
  time.observe((entered) =>
    void seen.push((entered as SimulatedProcess[]).map((p) => p.name).join())
  );
  process.setTimer(10, () => {});
  time.schedule(20, () => {});
  // As the network does with what arrives.
  time.schedule(30, () => {
    other.call(() => {});
    process.call(() => {});
    other.call(() => {});
  });
  process.setTimer(40, () => {});
  time.schedule(35, () => process.pause());
  time.schedule(50, () => process.resume());
  await time.run(60);
  // The first one is told before anything happens.
  assertEquals(seen, [
    "",
    process.name,
    "",
    `n2,${process.name}`,
    "",
    "",
    "",
    process.name,
  ]);
});
