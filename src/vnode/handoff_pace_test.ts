import { assertEquals } from "@std/assert";
import { HandoffPace, PACE_MS_MAX } from "./handoff_pace.ts";

Deno.test("HandoffPace lets transfers work as long as nobody else wants anything", () => {
  const pace = new HandoffPace();
  pace.worked(0, 2);
  assertEquals(pace.waitMs(2), 0);
});

Deno.test("HandoffPace puts work off by twice as long as it took, of all transfers together, while commands come", () => {
  const pace = new HandoffPace();
  pace.noteCommand();
  pace.worked(0, 2);
  assertEquals([pace.waitMs(2), pace.disturbs], [4, true]);
  pace.noteCommand();
  pace.worked(6, 8);
  assertEquals([pace.waitMs(8), pace.waitMs(9), pace.waitMs(13)], [4, 3, 0]);
  // Two that work at the same time.
  pace.noteCommand();
  pace.worked(20, 22);
  pace.noteCommand();
  pace.worked(20, 22);
  assertEquals(pace.waitMs(22), 8);
  pace.worked(40, 42);
  assertEquals([pace.waitMs(42), pace.disturbs], [0, false]);
});

Deno.test("HandoffPace puts nothing off for longer than PACE_MS_MAX", () => {
  const pace = new HandoffPace();
  pace.noteCommand();
  pace.worked(0, 5_000);
  assertEquals(pace.waitMs(5_000), PACE_MS_MAX);
});
