import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { TurnClock } from "./turn_clock.ts";

Deno.test("TurnClock looks at the clock once a turn", async () => {
  const runtime = new ManualRuntime();
  let looks = 0;
  const clock = new TurnClock({
    ...runtime,
    now: () => ++looks * 10,
    defer: (callback) => runtime.defer(callback),
  } as ManualRuntime);
  assertEquals([clock.now(), clock.now()], [10, 10]);
  await Promise.resolve();
  assertEquals([clock.now(), clock.now()], [20, 20]);
  await Promise.resolve();
});
