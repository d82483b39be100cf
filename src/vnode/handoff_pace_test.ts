import { assertEquals } from "@std/assert";
import { HandoffPace, PACE_MS_MAX } from "./handoff_pace.ts";

Deno.test("HandoffPace lets transfers work as long as nobody else wants anything", () => {
  const pace = new HandoffPace();
  pace.worked(0, 2);
  assertEquals(pace.waitMs(2), 0);
});

Deno.test("HandoffPace puts work off by as long as it took, of all transfers together, while commands come", () => {
  const pace = new HandoffPace();
  pace.noteCommand();
  pace.worked(0, 2);
  assertEquals(pace.waitMs(2), 2);
  pace.noteCommand();
  pace.worked(2, 4);
  assertEquals([pace.waitMs(4), pace.waitMs(5), pace.waitMs(9)], [2, 1, 0]);
  // Two that work at the same time.
  pace.noteCommand();
  pace.worked(10, 12);
  pace.noteCommand();
  pace.worked(10, 12);
  assertEquals(pace.waitMs(12), 4);
  pace.worked(20, 22);
  assertEquals(pace.waitMs(22), 0);
});

Deno.test("HandoffPace puts nothing off for longer than PACE_MS_MAX", () => {
  const pace = new HandoffPace();
  pace.noteCommand();
  pace.worked(0, 5_000);
  assertEquals(pace.waitMs(5_000), PACE_MS_MAX);
});
