import { assertEquals } from "@std/assert";
import { RATE_SPAN_MS, RateMeter } from "./rate_meter.ts";

Deno.test("RateMeter averages over the time since it started counting", () => {
  const meter = new RateMeter(1_000);
  assertEquals(meter.perSecond(1_000), 0);
  meter.add(10, 1_000);
  // It has hardly begun: the span is half a second at least.
  assertEquals(meter.perSecond(1_000), 20);
  assertEquals(meter.perSecond(2_000), 10);
  meter.add(30, 2_900);
  assertEquals(meter.perSecond(3_000), 20);
});

Deno.test("RateMeter forgets what is older than its span", () => {
  const meter = new RateMeter(0);
  for (let ms = 0; ms < 60_000; ms += 100) meter.add(5, ms);
  assertEquals(Math.round(meter.perSecond(59_999)), 50);
  assertEquals(meter.perSecond(60_000 + RATE_SPAN_MS), 0);
  meter.add(50, 200_000);
  assertEquals(meter.perSecond(200_000), 10);
});

Deno.test("RateMeter treats a clock that went back as standing still", () => {
  const meter = new RateMeter(10_000);
  meter.add(10, 10_000);
  meter.add(10, 3_000);
  assertEquals(meter.perSecond(10_000), 40);
});
