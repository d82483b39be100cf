import { assertEquals, assertRejects } from "@std/assert";
import { ManualRuntime } from "../../../supervisors/manual_runtime.ts";
import { WhorlError } from "../../base/errors.ts";
import { WorkPace } from "./work_pace.ts";

function makePace() {
  const runtime = new ManualRuntime();
  const pace = new WorkPace(runtime, 1_000);
  const done: string[] = [];
  const pause = (who: string, bytes: number): void =>
    void pace.pause(bytes).then(() => done.push(who));
  return { runtime, pace, done, pause };
}

Deno.test("WorkPace is shared by all that work together", async () => {
  const { runtime, done, pause } = makePace();
  pause("a", 100);
  pause("b", 100);
  await runtime.advance(100);
  assertEquals(done, ["a"]);
  await runtime.advance(100);
  assertEquals(done, ["a", "b"]);
  // Time that was not used is not made up for.
  await runtime.advance(1_000);
  pause("c", 100);
  await runtime.advance(99);
  assertEquals(done.length, 2);
  await runtime.advance(1);
  assertEquals(done.length, 3);
});

Deno.test("WorkPace.hurry() skips pauses until all that hurry are done", async () => {
  const { runtime, pace, done, pause } = makePace();
  const calm = pace.hurry();
  const other = pace.hurry();
  calm();
  calm();
  pause("a", 5_000);
  await runtime.advance(0);
  assertEquals(done, ["a"]);
  other();
  pause("b", 100);
  await runtime.advance(0);
  assertEquals(done, ["a"]);
  await runtime.advance(100);
  assertEquals(done, ["a", "b"]);
});

Deno.test("WorkPace.run() yields between slices, and ends with the pace", async () => {
  const { runtime, pace } = makePace();
  const order: string[] = [];
  const work = pace.run((function* () {
    for (const slice of ["first", "second"]) {
      order.push(slice);
      runtime.setTimer(0, () => order.push(`after the ${slice}`));
      yield;
    }
    return "done";
  })());
  await runtime.advance(0);
  assertEquals(await work, "done");
  assertEquals(order, [
    "first",
    "after the first",
    "second",
    "after the second",
  ]);
  const endless = pace.run((function* () {
    for (;;) yield;
  })());
  pace.end();
  await assertRejects(() => endless, WhorlError);
});
