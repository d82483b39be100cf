import { assertEquals } from "@std/assert";
import { WaitMeter } from "./wait_meter.ts";

const RULE = { behindAfterMs: 500, waitMsMax: 50 };

function openMeter(): WaitMeter {
  const meter = new WaitMeter(RULE);
  meter.open(0);
  return meter;
}

Deno.test("WaitMeter is behind once every command taken over a long time has waited too long", () => {
  const meter = openMeter();
  for (let nowMs = 100; nowMs < 600; nowMs += 10) {
    // The first of them is over its time at 99.
    meter.look(nowMs - 51, nowMs, false);
    assertEquals(meter.behind, false);
  }
  meter.look(549, 600, false);
  assertEquals(meter.behind, true);
});

Deno.test("WaitMeter is not behind if one command in between waited only briefly, nor if the mailbox was empty", () => {
  for (const between of ["short wait", "empty"]) {
    const meter = openMeter();
    meter.look(0, 100, false);
    if (between === "empty") meter.emptied();
    else meter.look(250, 300, false);
    meter.look(500, 600, false);
    assertEquals(meter.behind, false, between);
    meter.look(500, 1_050, false);
    assertEquals(meter.behind, true, between);
  }
});

Deno.test("WaitMeter in a swamped thread is behind once the first command has waited too long", () => {
  const meter = openMeter();
  meter.look(100, 150, true);
  assertEquals(meter.behind, false);
  meter.look(100, 151, true);
  assertEquals(meter.behind, true);
  meter.look(200, 210, false);
  assertEquals(meter.behind, true);
});

Deno.test("WaitMeter stays behind when its mailbox is empty, until nothing waits in its thread", () => {
  const meter = openMeter();
  meter.look(0, 550, false);
  meter.emptied();
  meter.look(600, 610, false);
  assertEquals(meter.behind, true);
  meter.keptUp();
  assertEquals(meter.behind, false);
  meter.look(600, 700, false);
  assertEquals(meter.behind, false);
});

Deno.test("WaitMeter does not count time in which the vnode takes no commands", () => {
  const meter = new WaitMeter(RULE);
  meter.look(0, 10_000, false);
  assertEquals(meter.behind, false);
  meter.open(10_000);
  meter.look(0, 10_549, false);
  assertEquals(meter.behind, false);
  meter.look(0, 10_550, false);
  assertEquals(meter.behind, true);
  meter.close();
  assertEquals(meter.behind, false);
});

Deno.test("WaitMeter.expectedMs() is the measured time of the commands before it", () => {
  const meter = openMeter();
  assertEquals(meter.expectedMs(10), 0);
  // Five that came at once and take ten milliseconds each.
  for (let i = 0; i < 5; i++) meter.serve(0, 0, 10 * (i + 1));
  assertEquals(meter.expectedMs(0), 10);
  assertEquals(meter.expectedMs(9), 100);
  // What is slower or faster now soon counts for most of it.
  let nowMs = 1_000;
  for (let i = 0; i < 200; i++) {
    meter.serve(nowMs, meter.handled, nowMs + 20);
    nowMs += 20;
  }
  assertEquals(Math.round(meter.expectedMs(0)), 20);
  meter.keptUp();
  assertEquals(meter.expectedMs(10), 0);
});
