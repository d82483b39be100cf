import { assertEquals } from "@std/assert";
import { seededChance } from "../base/chance.ts";
import { BackgroundPace } from "./background_pace.ts";

Deno.test("BackgroundPace lets work continue while no commands come", () => {
  const pace = new BackgroundPace(2, 20);
  pace.worked(0, 2);
  assertEquals(pace.waitMs(2), 0);
});

Deno.test("BackgroundPace delays work by a multiple of the time it took, summed over all concurrent work, while commands come", () => {
  const pace = new BackgroundPace(2, 20);
  pace.noteCommand();
  pace.worked(0, 2);
  assertEquals([pace.waitMs(2), pace.disturbs], [4, true]);
  pace.noteCommand();
  pace.worked(6, 8);
  assertEquals([pace.waitMs(8), pace.waitMs(9), pace.waitMs(13)], [4, 3, 0]);
  // Two that work at the same time.
  pace.noteCommand();
  pace.worked(20, 22);
  pace.worked(20, 22);
  assertEquals(pace.waitMs(22), 8);
  pace.worked(140, 142);
  assertEquals([pace.waitMs(142), pace.disturbs], [0, false]);
});

Deno.test("BackgroundPace delays no work for longer than its bound", () => {
  const pace = new BackgroundPace(2, 20);
  pace.noteCommand();
  pace.worked(0, 5_000);
  assertEquals(pace.waitMs(5_000), 20);
});

Deno.test("BackgroundPace counts time once, where told to, when several pieces of work wait for the disk together", () => {
  const pace = new BackgroundPace(3, 60, "once");
  pace.noteCommand();
  pace.worked(0, 6);
  assertEquals(pace.waitMs(6), 18);
  // One that began meanwhile and ended later, and one that began after both.
  pace.worked(3, 7);
  assertEquals(pace.waitMs(7), 20);
  pace.noteCommand();
  pace.worked(30, 32);
  assertEquals(pace.waitMs(32), 6);
});

Deno.test("BackgroundPace counts all of a slice that others ended within, less what those took, and nothing twice", () => {
  const pace = new BackgroundPace(1, 100, "once");
  pace.noteCommand();
  pace.worked(2, 4);
  pace.worked(6, 7);
  assertEquals(pace.waitMs(7), 1);
  // From 0 to 10 something worked, without a pause.
  pace.worked(0, 10);
  assertEquals(pace.waitMs(10), 7);
  pace.worked(1, 10);
  pace.worked(9, 12);
  assertEquals(pace.waitMs(12), 7);
});

Deno.test("BackgroundPace counts what was worked at any time, whatever overlaps", () => {
  const chance = seededChance(20261201);
  for (let run = 0; run < 200; run++) {
    const slices = Array.from({ length: 1 + chance.below(20) }, () => {
      const beganMs = chance.below(60);
      return { beganMs, endedMs: beganMs + chance.below(15) };
    }).sort((a, b) => a.endedMs - b.endedMs);
    const pace = new BackgroundPace(1, Infinity, "once");
    // All that is put off is put off from here.
    let delayedMs = 0;
    let untilMs = 0;
    for (const { beganMs, endedMs } of slices) {
      pace.noteCommand();
      const before = Math.max(untilMs, endedMs);
      pace.worked(beganMs, endedMs);
      untilMs = endedMs + pace.waitMs(endedMs);
      delayedMs += untilMs - before;
    }
    const worked = new Set(
      slices.flatMap(({ beganMs, endedMs }) =>
        Array.from({ length: endedMs - beganMs }, (_, i) => beganMs + i)
      ),
    );
    assertEquals(delayedMs, worked.size, JSON.stringify(slices));
  }
});

Deno.test("BackgroundPace does not count for commands that come later what was done before them", () => {
  const pace = new BackgroundPace(3, 60, "once");
  pace.worked(0, 6);
  assertEquals([pace.waitMs(6), pace.disturbs], [0, false]);
  pace.noteCommand();
  pace.worked(4, 8);
  assertEquals([pace.waitMs(8), pace.disturbs], [6, true]);
});
