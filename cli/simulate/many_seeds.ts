/**
 * `whorl simulate --seeds N`: thousands of seeds on all cores.
 *
 * @module
 */
import { renderFailure } from "../../src/simulation/trace/failure_report.ts";
import type { SeedSummary } from "../../src/simulation/schedule/seed_summary.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { ProgressLine } from "../progress_line.ts";
import type { World } from "../world.ts";
import {
  ratesOf,
  renderFailedSeed,
  renderSeedBar,
  renderSeedProgress,
  renderTally,
} from "./seed_figures.ts";
import { runSeedWorkers } from "./seed_workers.ts";
import type { Simulation, SimulationSettings } from "./simulation.ts";

/** How often a line tells of the progress where nobody sees a bar, in milliseconds. */
const LINE_EVERY_MS = 10_000;

/** What to run. */
export interface ManySeeds {
  readonly from: number;
  readonly count: number;
  readonly jobs: number;
  readonly failuresMax: number;
  /** Module of the simulation, for the workers. */
  readonly simulation: string;
  readonly settings: SimulationSettings;
  /** The same simulation, for looking at a failure. */
  readonly prepared: Simulation;
  readonly commit: string | undefined;
  /** The command that runs a seed again. */
  readonly replay: (seed: string) => string;
  readonly json: boolean;
}

/** Runs them and resolves to the exit code. */
export async function runManySeeds(
  options: ManySeeds,
  world: World,
): Promise<number> {
  const { output } = world;
  const { count, jobs, replay, json } = options;
  const stopping = new AbortController();
  using _ = world.onStopSignal(() => stopping.abort());
  const line = new ProgressLine(output);
  let linesAtMs = LINE_EVERY_MS;
  let failuresTold = 0;
  const report = await runSeedWorkers({
    ...options,
    signal: stopping.signal,
    onProgress: (tally, elapsedMs) => {
      // At once, as the rest may take long, and whoever waits can look at it meanwhile.
      for (const failure of tally.failures.slice(failuresTold)) {
        line.clear();
        output.remark(`${renderFailedSeed(failure)}\n`);
      }
      failuresTold = tally.failures.length;
      line.show(renderSeedBar(tally, elapsedMs, { count, jobs }));
      if (output.remarksToTerminal || elapsedMs < linesAtMs) return;
      linesAtMs += LINE_EVERY_MS;
      const text = renderSeedProgress(tally, elapsedMs, { count, jobs });
      output.remark(`${text}\n`);
    },
  });
  line.clear();
  const { tally, elapsedMs, ended, brokenBy } = report;
  // Which worker was faster decides which was found first; a person wants the same order each time.
  const failures = tally.failures.toSorted((a, b) =>
    Number(a.seed) - Number(b.seed)
  );
  if (json) {
    writeJson(output, {
      ...tally,
      failures: failures.map((failure) => ({
        ...failure,
        replay: replay(failure.seed),
      })),
      from: options.from,
      count,
      jobs,
      ended,
      ...(brokenBy === undefined ? {} : { brokenBy }),
      elapsedMs: Math.round(elapsedMs),
      commit: options.commit,
      rates: ratesOf(tally, elapsedMs, jobs),
    });
  } else {
    if (failures[0] !== undefined) {
      output.write(await explained(failures[0], options));
      for (const failure of failures.slice(1)) {
        output.write(
          `${renderFailedSeed(failure)}\n  ${replay(failure.seed)}\n`,
        );
      }
      output.write("\n");
    }
    for (const text of renderTally(tally, elapsedMs, jobs)) {
      output.write(`${text}\n`);
    }
    if (brokenBy !== undefined) {
      output.remark(`No worker can run: ${brokenBy}\n`);
    }
    if (ended === "stopped") {
      output.remark(`Interrupted with ${count - tally.seeds} seeds to go\n`);
    }
    if (ended === "failures_max" && tally.seeds < count) {
      output.remark(
        `Stopped at ${failures.length} failures; --failures N goes on to more\n`,
      );
    }
  }
  if (
    failures.length > 0 || tally.undecidedCount > 0 || ended === "broken"
  ) return ExitCode.failed;
  return ended === "stopped" ? ExitCode.interrupted : ExitCode.ok;
}

/** A failure in full, which takes running it once more. */
async function explained(
  failure: SeedSummary,
  { prepared, commit, replay }: ManySeeds,
): Promise<string> {
  const { seed, violations } = failure;
  const head = `${renderFailedSeed(failure)}\n  ${replay(seed)}\n`;
  // To run it here would crash or hang this program as well.
  if (
    violations.some(({ check }) => check === "crashes" || check === "hangs")
  ) {
    return head;
  }
  const result = await prepared.run(prepared.draw(seed), { trace: true });
  if (result.violations.length === 0) {
    return `${head}  It passed when it was run again, so it depends on more than its seed: that is a failure of the simulation itself\n`;
  }
  return renderFailure(result, { commit, replay: replay(seed) });
}
