import { assertEquals } from "@std/assert";
import { BackgroundPace } from "./background_pace.ts";

Deno.test("BackgroundPace lets work go on as long as nobody else wants anything", () => {
  const pace = new BackgroundPace(2, 20);
  pace.worked(0, 2);
  assertEquals(pace.waitMs(2), 0);
});

Deno.test("BackgroundPace puts work off by a multiple of what it took, of all that is done together, while commands come", () => {
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

Deno.test("BackgroundPace puts nothing off for longer than it may be", () => {
  const pace = new BackgroundPace(2, 20);
  pace.noteCommand();
  pace.worked(0, 5_000);
  assertEquals(pace.waitMs(5_000), 20);
});
