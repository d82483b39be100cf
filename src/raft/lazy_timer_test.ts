import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { LazyTimer } from "./lazy_timer.ts";

Deno.test("LazyTimer fires once, at the time that was set last", async () => {
  const runtime = new ManualRuntime();
  const firedAt: number[] = [];
  const begin = runtime.now();
  const timer = new LazyTimer(
    runtime,
    () => firedAt.push(runtime.now() - begin),
  );
  timer.set(100);
  await runtime.advance(80);
  timer.set(100);
  await runtime.advance(80);
  assertEquals(firedAt, []);
  await runtime.advance(40);
  assertEquals(firedAt, [180]);
  timer.set(100);
  await runtime.advance(80);
  timer.again();
  await runtime.advance(99);
  assertEquals(firedAt, [180]);
  await runtime.advance(1);
  assertEquals(firedAt.splice(1), [380]);
  // It can be set to an earlier time too.
  timer.set(1000);
  timer.set(10);
  await runtime.advance(10);
  assertEquals(firedAt.length, 2);
  await runtime.advance(2000);
  assertEquals(firedAt.length, 2);
});

Deno.test("LazyTimer does not fire once cleared, and leaves nothing when closed", async () => {
  const runtime = new ManualRuntime();
  let fired = 0;
  const timer = new LazyTimer(runtime, () => fired++);
  timer.set(10);
  timer.clear();
  await runtime.advance(20);
  timer.set(10);
  await runtime.advance(10);
  assertEquals(fired, 1);
  timer.set(10);
  timer.close();
  await runtime.advance(20);
  assertEquals([fired, runtime.pendingTimers], [1, 0]);
});
