import { assertEquals } from "@std/assert";
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

Deno.test("BackgroundPace does not count for commands that come later what was done before them", () => {
  const pace = new BackgroundPace(3, 60, "once");
  pace.worked(0, 6);
  assertEquals([pace.waitMs(6), pace.disturbs], [0, false]);
  pace.noteCommand();
  pace.worked(4, 8);
  assertEquals([pace.waitMs(8), pace.disturbs], [6, true]);
});
