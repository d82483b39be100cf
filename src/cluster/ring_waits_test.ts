import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import type { Ring } from "../ring/ring.ts";
import { freshRing, putRingMeta } from "../ring/ring_change.ts";
import { RingWaits } from "./ring_waits.ts";

const first = freshRing({
  clusterName: "default",
  size: 8,
  seed: "0000000000000001",
  node: { name: "a", address: "a:1", nodeId: "id-a" },
  wallMs: 0,
});
const second = putRingMeta(first, "a", "color", "green", 0);

function holdsColor(ring: Ring): boolean {
  return ring.meta.has("color");
}

Deno.test("RingWaits.whenStored() runs once a ring with the changes is stored, not before", () => {
  const waits = new RingWaits(new ManualRuntime());
  const outcomes: string[] = [];
  waits.whenStored(second, (outcome) => outcomes.push(outcome));
  waits.ringStored(first);
  assertEquals(outcomes, []);
  waits.ringStored(second);
  assertEquals(outcomes, ["stored"]);
  waits.whenStored(first, (outcome) => outcomes.push(outcome));
  assertEquals(outcomes, ["stored", "stored"]);
});

Deno.test("RingWaits.whenStored() reports the outcome of a change that will no longer be stored", () => {
  const waits = new RingWaits(new ManualRuntime());
  const outcomes: string[] = [];
  const told = (outcome: string) => void outcomes.push(outcome);
  waits.ringStored(first);
  waits.whenStored(second, told);
  waits.abandon();
  assertEquals(outcomes, ["abandoned"]);
  // What was stored was of another cluster, and so may be what is on its way.
  waits.whenStored(first, told);
  waits.ringStored({
    ...second,
    clusterId: { ...second.clusterId, seed: "0000000000000002" },
  });
  assertEquals(outcomes, ["abandoned"]);
  waits.stop();
  waits.whenStored(first, told);
  assertEquals(outcomes, ["abandoned", "stopped", "stopped"]);
});

Deno.test("RingWaits.until() settles when the ring satisfies it, at its deadline or when the process stops, and leaves no timer", async () => {
  const runtime = new ManualRuntime();
  const waits = new RingWaits(runtime);
  assertEquals(await waits.until(second, holdsColor, 100), true);

  const byRing = waits.until(first, holdsColor, 100);
  waits.ringChanged(first);
  waits.ringChanged(second);
  assertEquals(await byRing, true);

  const byClock = waits.until(first, holdsColor, 100);
  await runtime.advance(100);
  assertEquals(await byClock, false);

  const byEnd = waits.until(first, holdsColor, 100);
  waits.stop();
  assertEquals(await byEnd, false);
  assertEquals(await waits.until(first, holdsColor, 100), false);
  assertEquals(runtime.pendingTimers, 0);
});
