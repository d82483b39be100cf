import { assert, assertEquals } from "@std/assert";
import { drawSchedule } from "./draw_schedule.ts";
import { limitOutages, OUTAGE_MAX, outageMs } from "./outages.ts";
import type { PlannedFault } from "./schedule.ts";

const LOAD_MS = 1_000;

const kill = (node: number, atMs: number, forMs: number): PlannedFault => ({
  type: "kill",
  node,
  atMs,
  forMs,
});
const full = (node: number, atMs: number, forMs: number): PlannedFault => ({
  type: "disk_full",
  node,
  atMs,
  forMs,
});

Deno.test("outageMs() is the time of the load in which no node can serve", () => {
  const outage = (...faults: PlannedFault[]) => outageMs(faults, 2, LOAD_MS);
  assertEquals(outage(), 0);
  assertEquals(outage(kill(0, 0, 1_000)), 0);
  assertEquals(outage(kill(0, 100, 300), full(1, 200, 500)), 200);
  assertEquals(outage(kill(0, 800, 9_000), full(1, 700, 9_000)), 200);
  // One node twice is one node.
  assertEquals(outage(kill(0, 0, 500), full(0, 0, 500)), 0);
  assertEquals(
    outage(kill(0, 0, 100), full(1, 0, 1_000), kill(0, 600, 100)),
    200,
  );
});

Deno.test("limitOutages() shortens the later fault, and only if too much of the load is an outage", () => {
  const limit = (...faults: PlannedFault[]) => limitOutages(faults, 2, LOAD_MS);
  const apart = [kill(0, 0, 500), full(1, 400, 500)];
  assertEquals(limit(...apart), apart);
  assertEquals(limit(kill(0, 0, 1_000), full(1, 100, 800)), [
    kill(0, 0, 1_000),
    full(1, 100, 400),
  ]);
});

// Seed 7005022 had two nodes killed and the disk of the third full for all of the load.
Deno.test("drawSchedule() leaves some node that can serve for most of the load", () => {
  for (const seed of [7005022, ...Array.from({ length: 2_000 }, (_, i) => i)]) {
    const { faults, nodes, loadMs } = drawSchedule(seed);
    const outage = outageMs(faults, nodes, loadMs);
    assert(outage <= OUTAGE_MAX * loadMs, `seed ${seed}: ${outage} ms`);
  }
});
