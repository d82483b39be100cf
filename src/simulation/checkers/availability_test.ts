import { assertEquals } from "@std/assert";
import { drawSchedule } from "../schedule/draw_schedule.ts";
import type { OperationRecord } from "../history.ts";
import type { PlannedFault, Schedule } from "../schedule/schedule.ts";
import { checkAvailability } from "./availability.ts";
import type { KvInput, KvOutput } from "./kv_history.ts";

/** When the load begins. */
const BEGAN_MS = 1_000;

/** A schedule of a calm cluster of three with these faults only, for 20 s. */
function scheduleWith(...faults: readonly PlannedFault[]): Schedule {
  const drawn = drawSchedule(1, { nodes: 3, faults: [], loadMs: 20_000 });
  return {
    ...drawn,
    network: { ...drawn.network, lossProbability: 0 },
    faults,
  };
}

function failedAt(
  atMs: number,
  input: KvInput = { type: "get", quorum: "sloppy" },
): OperationRecord<KvInput, KvOutput> {
  return {
    id: 4,
    client: "c1",
    key: "k",
    input,
    invokedAtMs: BEGAN_MS + atMs,
    returnedAtMs: BEGAN_MS + atMs + 500,
    outcome: "unknown",
    output: undefined,
    error: "quorum_unavailable",
  };
}

/** Whether a failure at `atMs` is a violation. */
function isHeldTo(atMs: number, ...faults: readonly PlannedFault[]): boolean {
  const schedule = scheduleWith(...faults);
  return checkAvailability([failedAt(atMs)], schedule, BEGAN_MS).length > 0;
}

const kill = (node: number): PlannedFault => ({
  type: "kill",
  node,
  atMs: 2_000,
  forMs: 6_000,
});

Deno.test("checkAvailability() requires operations to succeed once deaths are known", () => {
  assertEquals(isHeldTo(100), true);
  assertEquals(isHeldTo(2_600, kill(0)), true);
  assertEquals(isHeldTo(5_600, kill(0), kill(1)), true);
});

Deno.test("checkAvailability() excuses operations during a fault or shortly after it", () => {
  assertEquals(isHeldTo(2_400, kill(0)), false);
  const powerLoss: PlannedFault = { ...kill(0), type: "power_loss", node: 0 };
  assertEquals(isHeldTo(5_400, powerLoss), false);
  assertEquals(isHeldTo(5_600, powerLoss), true);
  assertEquals(isHeldTo(7_800, kill(0)), false);
  assertEquals(isHeldTo(13_000, kill(0)), false);
  assertEquals(isHeldTo(14_100, kill(0)), true);
  const pause: PlannedFault = { ...kill(2), type: "pause", node: 2 };
  assertEquals(isHeldTo(5_600, kill(0), pause), false);
  assertEquals(isHeldTo(5_600, kill(0), kill(1), kill(2)), false);
});

Deno.test("checkAvailability() ignores strict quorums, and networks with loss", () => {
  const strict = failedAt(100, { type: "get", quorum: "strict" });
  assertEquals(checkAvailability([strict], scheduleWith(), BEGAN_MS), []);
  const calm = scheduleWith();
  const lossy = { ...calm, network: { ...calm.network, lossProbability: 0.1 } };
  assertEquals(checkAvailability([failedAt(100)], lossy, BEGAN_MS), []);
});
