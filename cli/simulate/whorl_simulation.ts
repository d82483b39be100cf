/**
 * What `whorl simulate` simulates: Whorl itself, or an application's module on
 * it. Loaded by the thread that runs one seed and by the workers that run
 * thousands, since nothing else needs all of it.
 *
 * @module
 */
import { UsageError } from "../command.ts";
import { reasonOf } from "../../src/base/errors.ts";
import { drawSchedule } from "../../src/simulation/schedule/draw_schedule.ts";
import {
  simulate,
  type SimulateOptions,
} from "../../src/simulation/simulate.ts";
import type { Simulation, SimulationSettings } from "./simulation.ts";

/** What the default export of a `--setup` module is. */
export type SimulationSetup = Omit<
  SimulateOptions,
  "seed" | "schedule" | "trace"
>;

/**
 * Whorl itself, or an application's module on it.
 *
 * @throws {UsageError} If the setup cannot be loaded.
 */
export async function prepareSimulation(
  { profile, nodes, operations, setup }: SimulationSettings,
): Promise<Simulation> {
  const options: SimulationSetup = {
    ...(setup === undefined ? {} : await loadSetup(setup)),
    ...(profile === undefined ? {} : { profile }),
    ...(nodes === undefined ? {} : { nodes }),
    ...(operations === undefined ? {} : { operations }),
  };
  return {
    draw: (seed) => drawSchedule(seed, options),
    run: (schedule, { trace }) =>
      simulate({ ...options, seed: schedule.seed, schedule, trace }),
  };
}

async function loadSetup(url: string): Promise<SimulationSetup> {
  let loaded: { default?: unknown };
  try {
    loaded = await import(url);
  } catch (cause) {
    throw new UsageError(`Cannot load --setup ${url}: ${reasonOf(cause)}`, {
      cause,
    });
  }
  if (typeof loaded.default !== "object" || loaded.default === null) {
    throw new UsageError(
      `--setup ${url} must export the options of simulate() as its default: it exports ${
        Object.keys(loaded).join(", ") || "nothing"
      }`,
    );
  }
  return loaded.default as SimulationSetup;
}
