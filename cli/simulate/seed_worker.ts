/**
 * The program of one worker: runs the slices of seeds it is given and reports
 * each seed as it is done.
 *
 * @module
 */
import { summarize } from "../../src/simulation/schedule/seed_summary.ts";
import type { SeedSummary } from "../../src/simulation/schedule/seed_summary.ts";
import type { Schedule } from "../../src/simulation/schedule/schedule.ts";
import type { SeedRange } from "../../src/simulation/schedule/run_seeds.ts";
import type { PrepareSimulation, SimulationSettings } from "./simulation.ts";

/** The first message to a worker. */
export interface WorkerBegin {
  /** URL of a module that exports a {@linkcode PrepareSimulation} by the name `prepareSimulation`. */
  readonly simulation: string;
  readonly settings: SimulationSettings;
}

/** Every message to a worker but the first. */
export type WorkerSlice = SeedRange;

/** What a worker has to say. */
export type WorkerReport =
  | { readonly type: "ready" }
  | { readonly type: "result"; readonly summary: SeedSummary }
  /** The simulation itself broke down; nothing more comes of this worker. */
  | { readonly type: "threw"; readonly reason: string };

/** The worker's side of its channel; the compiler knows only the global scope of a window. */
interface WorkerScope {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(report: WorkerReport): void;
}

const scope = globalThis as unknown as WorkerScope;

// Taken before anything runs: while simulated code runs, the world is closed to it.
const report = scope.postMessage.bind(scope);

scope.onmessage = ({ data }: MessageEvent<WorkerBegin>): void => {
  begin(data).catch(giveUp);
};

function giveUp(error: unknown): void {
  const reason = error instanceof Error
    ? error.stack ?? error.message
    : String(error);
  report({ type: "threw", reason });
}

async function begin({ simulation, settings }: WorkerBegin): Promise<void> {
  const { prepareSimulation }: { prepareSimulation: PrepareSimulation } =
    await import(simulation);
  const { draw, run } = await prepareSimulation(settings);
  scope.onmessage = ({ data }: MessageEvent<WorkerSlice>): void => {
    runSlice(data).catch(giveUp);
  };
  report({ type: "ready" });

  async function runWithoutStacks(schedule: Schedule) {
    const limit = Error.stackTraceLimit;
    try {
      // Nodes make some thirty errors a seed, and stacks are most of their cost.
      // Who wants to read one runs the seed again.
      Error.stackTraceLimit = 0;
      return await run(schedule, { trace: false });
    } finally {
      Error.stackTraceLimit = limit;
    }
  }

  async function runSlice({ from, count }: WorkerSlice): Promise<void> {
    for (let seed = from; seed < from + count; seed++) {
      const result = await runWithoutStacks(draw(String(seed)));
      report({ type: "result", summary: summarize(result) });
    }
  }
}
