/**
 * Disks that are full or fail for some seconds: no node goes down because of
 * it, nodes report what they cannot do meanwhile, and they serve again on their
 * own.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { drawSchedule } from "./schedule/draw_schedule.ts";
import type { PlannedFault } from "./schedule/schedule.ts";
import { simulate } from "./simulate.ts";
import type { SimulationResult } from "./simulation_result.ts";

/** Trace texts of `kind` in `run`, in order. */
function said(run: SimulationResult, kind: string): readonly string[] {
  return run.trace.events.filter((event) => event.kind === kind)
    .map(({ place, text }) => `${place} ${text}`);
}

/** Runs `faults` and nothing else. */
function under(
  seed: number,
  faults: readonly PlannedFault[],
): Promise<SimulationResult> {
  return simulate({
    seed,
    trace: true,
    schedule: {
      ...drawSchedule(seed, { loadMs: 6_000, start: "formed" }),
      faults,
    },
  });
}

for (
  const fault of [
    { type: "disk_full", node: 0 },
    { type: "disk_errors", node: 0, probability: 1 },
    { type: "disk_errors", node: 0, probability: 0.2 },
  ] as const
) {
  const name = "probability" in fault
    ? `${fault.type} at ${fault.probability}`
    : fault.type;
  Deno.test(`a node lives on through ${name} of 2 s, and its masters wait between their restarts`, async () => {
    let waits = 0;
    for (let seed = 0; seed < 10; seed++) {
      const run = await under(seed, [{ ...fault, atMs: 1_000, forMs: 2_000 }]);
      assertEquals(run.violations, [], `seed ${seed}`);
      // The nodes end when they are stopped, once each.
      assertEquals(
        said(run, "end").filter((text) => !text.endsWith("stopped")),
        [],
        `seed ${seed}`,
      );
      waits += said(run, "log")
        .filter((text) => text.includes("restart_delayed")).length;
    }
    assert(waits > 10, `${waits}`);
  });
}

Deno.test("no mix of full and failing disks takes a node down", async () => {
  for (let seed = 0; seed < 30; seed++) {
    const run = await simulate({
      seed,
      faults: ["disk_full", "disk_errors"],
      trace: true,
    });
    assertEquals(run.violations, [], `seed ${seed}`);
    assertEquals(
      said(run, "end").filter((text) => !text.endsWith("stopped")),
      [],
      `seed ${seed}`,
    );
  }
});

Deno.test("no node gives up because it cannot store a changed ring", async () => {
  for (let seed = 80; seed < 100; seed++) {
    const run = await simulate({
      seed,
      faults: ["declared_down", "disk_full"],
      trace: true,
    });
    assertEquals(run.violations, [], `seed ${seed}`);
    assertEquals(
      said(run, "end").filter((text) => text.includes("gave up")),
      [],
      `seed ${seed}`,
    );
  }
});
