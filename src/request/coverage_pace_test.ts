import { assertEquals } from "@std/assert";
import { CoveragePace } from "./coverage_pace.ts";

const KIB = 1024;

/** A pace, and the other requests it observes. */
function pacing() {
  const others = {
    counts: { started: 0 },
    size: 1,
  };
  return { others, pace: new CoveragePace(() => others) };
}

Deno.test("CoveragePace lets the first page go, and all pages while nothing else is in progress", () => {
  const { others, pace } = pacing();
  assertEquals(pace.mayGoOn(0), true);
  pace.notePage(64 * KIB, 0);
  assertEquals(pace.mayGoOn(0), false);
  others.size = 0;
  assertEquals(pace.mayGoOn(0), true);
  assertEquals(new CoveragePace(() => undefined).mayGoOn(0), true);
});

Deno.test("CoveragePace holds a page back until many requests have begun", () => {
  const { others, pace } = pacing();
  others.counts.started = 5_000;
  pace.notePage(10 * KIB, 0);
  others.counts.started += 159;
  assertEquals(pace.mayGoOn(0), false);
  others.counts.started++;
  assertEquals(pace.mayGoOn(0), true);
});

Deno.test("CoveragePace counts the pages of all queries", () => {
  const { others, pace } = pacing();
  pace.notePage(10 * KIB, 0);
  pace.notePage(10 * KIB, 0);
  others.counts.started = 319;
  assertEquals(pace.mayGoOn(0), false);
  others.counts.started = 320;
  assertEquals(pace.mayGoOn(0), true);
});

Deno.test("CoveragePace does not wait long for requests that wait for something else", () => {
  const { pace } = pacing();
  pace.notePage(10 * KIB, 100);
  assertEquals(pace.mayGoOn(119), false);
  assertEquals(pace.mayGoOn(120), true);
  for (let page = 0; page < 100; page++) pace.notePage(64 * KIB, 200);
  assertEquals(pace.mayGoOn(699), false);
  assertEquals(pace.mayGoOn(700), true);
});

Deno.test("CoveragePace does not hold pages against a query that it sent while nothing else was in progress", () => {
  const { others, pace } = pacing();
  others.size = 0;
  for (let page = 0; page < 1_000; page++) pace.notePage(256 * KIB, 0);
  others.size = 64;
  others.counts.started = 4_095;
  assertEquals(pace.mayGoOn(0), false);
  others.counts.started = 4_096;
  assertEquals(pace.mayGoOn(0), true);
});
