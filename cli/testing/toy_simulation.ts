/**
 * The toy cluster with its planted bug, for testing the command that simulates.
 * In place of a module to set up, `setup` says what is to go wrong besides.
 *
 * @module
 */
import { drawSchedule } from "../../src/simulation/schedule/draw_schedule.ts";
import { TOY_SCHEDULE } from "../../src/simulation/testing/toy_schedule.ts";
import { runToy } from "../../src/simulation/testing/toy_cluster.ts";
import { UNDECIDED } from "../../src/simulation/checkers/violation.ts";
import type { Simulation, SimulationSettings } from "../simulate/simulation.ts";

/** The only seed that shows the planted bug. */
export const TOY_FAILING_SEED = Number(TOY_SCHEDULE.seed);
/** The seed at which a worker crashes or hangs, or a check does not decide, if it is to. */
export const TOY_BAD_SEED = 5;

/** The toy. */
export function prepareSimulation(
  { nodes, operations, setup }: SimulationSettings,
): Promise<Simulation> {
  if (setup?.endsWith("broken")) return Promise.reject(new Error("No toy"));
  return Promise.resolve({
    draw: (seed) =>
      seed === TOY_SCHEDULE.seed ? TOY_SCHEDULE : drawSchedule(seed, {
        ...(nodes === undefined ? {} : { nodes }),
        ...(operations === undefined ? {} : { operations }),
      }),
    run: async (schedule, { trace }) => {
      if (schedule.seed === String(TOY_BAD_SEED)) {
        if (setup?.endsWith("crash")) throw new Error("Planted crash");
        // Nothing but ending the thread ends this.
        if (setup?.endsWith("hang")) { for (;;) await null; }
      }
      const honest = schedule.seed !== TOY_SCHEDULE.seed ||
        (setup?.endsWith("honest") ?? false);
      const result = await runToy(schedule, { trace, honest });
      if (
        !setup?.endsWith("undecided") || schedule.seed !== String(TOY_BAD_SEED)
      ) return result;
      const open = { check: UNDECIDED, message: "Whether k is linearizable" };
      return { ...result, violations: [open], undecided: [open.message] };
    },
  });
}
