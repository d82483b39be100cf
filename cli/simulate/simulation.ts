/**
 * What the command needs of something that can be simulated.
 *
 * @module
 */
import type { ScheduleProfile } from "../../src/simulation/schedule/draw_schedule.ts";
import type { Schedule } from "../../src/simulation/schedule/schedule.ts";
import type { RunSchedule } from "../../src/simulation/schedule/shrink.ts";

/** What was set on the command line. */
export interface SimulationSettings {
  /** What kind of schedule is drawn. */
  readonly profile?: ScheduleProfile | undefined;
  /** Nodes of each cluster. */
  readonly nodes?: number | undefined;
  /** Operations of each run. */
  readonly operations?: number | undefined;
  /** URL of a module whose default export says what else to simulate. */
  readonly setup?: string | undefined;
}

/** Something that can be simulated. */
export interface Simulation {
  /** The schedule of a seed. */
  readonly draw: (seed: string) => Schedule;
  /** Carries out a schedule. */
  readonly run: RunSchedule;
}

/** Makes what `settings` describe ready. */
export type PrepareSimulation = (
  settings: SimulationSettings,
) => Promise<Simulation>;
