/**
 * `whorl simulate --seed S`: one seed, looked at closely.
 *
 * @module
 */
import { formatDuration } from "../../src/admin/figure_text.ts";
import { renderFailure } from "../../src/simulation/trace/failure_report.ts";
import {
  countOf,
  describeSchedule,
} from "../../src/simulation/schedule/fault_words.ts";
import type { Schedule } from "../../src/simulation/schedule/schedule.ts";
import { encodeSchedule } from "../../src/simulation/schedule/schedule_codec.ts";
import {
  shrinkSchedule,
  type ShrunkSchedule,
} from "../../src/simulation/schedule/shrink.ts";
import type { SimulationResult } from "../../src/simulation/simulation_result.ts";
import { traceLine } from "../../src/simulation/trace/trace.ts";
import { renderTracePage } from "../../src/simulation/trace/trace_page.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { ProgressLine } from "../progress_line.ts";
import type { World } from "../world.ts";
import type { Simulation } from "./simulation.ts";

/** Longest time shrinking may take, in milliseconds. */
export const SHRINK_MS_MAX = 50_000;

/** What to run and what to show of it. */
export interface OneSeed {
  readonly schedule: Schedule;
  /** File the schedule came from, if it did. */
  readonly schedulePath: string | undefined;
  readonly prepared: Simulation;
  /** Whether every event is printed. */
  readonly trace: boolean;
  /** File for the page. */
  readonly html: string | undefined;
  readonly shrink: boolean;
  /** File for the schedule. */
  readonly save: string | undefined;
  readonly commit: string | undefined;
  /** The command that runs a seed, or a schedule in a file, again. */
  readonly replay: (seed: string, schedulePath?: string) => string;
  readonly json: boolean;
}

/** Runs it and resolves to the exit code. */
export async function runOneSeed(
  options: OneSeed,
  world: World,
): Promise<number> {
  const { prepared, save } = options;
  const { output } = world;
  const begunAtMs = performance.now();
  let result = await prepared.run(options.schedule, { trace: true });
  const elapsedMs = performance.now() - begunAtMs;
  let { schedulePath } = options;
  let shrunk: ShrunkSchedule | undefined;
  if (options.shrink && result.violations.length > 0) {
    shrunk = await shrink(result, options, world);
    if (shrunk.kept > 0) {
      schedulePath = save ??
        `simulation-${fileName(result.schedule.seed)}.json`;
      result = await prepared.run(shrunk.schedule, { trace: true });
    }
  }
  const savedTo = shrunk !== undefined && shrunk.kept > 0 ? schedulePath : save;
  if (savedTo !== undefined) {
    await Deno.writeTextFile(savedTo, encodeSchedule(result.schedule));
  }
  const replay = options.replay(result.schedule.seed, schedulePath);
  if (options.html !== undefined) {
    const page = renderTracePage(result, { commit: options.commit, replay });
    await Deno.writeTextFile(options.html, page);
  }
  if (options.json) {
    writeJson(output, {
      passed: result.violations.length === 0,
      ...plain(result),
      commit: options.commit,
      elapsedMs: Math.round(elapsedMs),
      replay,
      ...(savedTo === undefined ? {} : { savedTo }),
      ...(shrunk === undefined ? {} : {
        shrunk: {
          runs: shrunk.runs,
          kept: shrunk.kept,
          ended: shrunk.ended,
        },
      }),
      ...(options.trace ? { trace: result.trace.events.map(traceLine) } : {}),
    });
  } else {
    if (options.trace) output.write(result.trace.toString());
    if (shrunk !== undefined) {
      output.write(shrinkText(shrunk, options.schedule));
    }
    output.write(
      result.violations.length > 0
        ? renderFailure(result, {
          commit: options.commit,
          replay,
          schedulePath: savedTo,
          // They stand right above.
          eventsMax: options.trace ? 0 : undefined,
        })
        : passedText(result, elapsedMs, replay),
    );
    if (options.html !== undefined) output.remark(`Page: ${options.html}\n`);
  }
  return result.violations.length > 0 ? ExitCode.failed : ExitCode.ok;
}

async function shrink(
  { schedule, violations }: SimulationResult,
  { prepared }: OneSeed,
  world: World,
): Promise<ShrunkSchedule> {
  const check = violations[0]?.check ?? "";
  const line = new ProgressLine(world.output);
  let stopped = false;
  using _ = world.onStopSignal(() => void (stopped = true));
  const untilMs = performance.now() + SHRINK_MS_MAX;
  try {
    return await shrinkSchedule(schedule, prepared.run, {
      check,
      shouldStop: () => stopped || performance.now() > untilMs,
      onProgress: ({ runs, schedule }) =>
        line.show(`Shrinking: ${runs} runs, ${sizeOf(schedule)}`),
    });
  } finally {
    line.clear();
  }
}

function shrinkText(shrunk: ShrunkSchedule, from: Schedule): string {
  const why = {
    smallest: "nothing smaller fails",
    runs_max: "so many runs were allowed",
    stopped: "it was stopped",
  }[shrunk.ended];
  const refused = shrunk.refused === undefined
    ? ""
    : `\n  (some could not be run at all: ${shrunk.refused})`;
  return `Shrunk from ${sizeOf(from)}\n    to ${
    sizeOf(shrunk.schedule)
  }\n    in ${shrunk.runs} runs: ${why}${refused}\n\n`;
}

function sizeOf({ faults, operations, nodes }: Schedule): string {
  return [
    countOf(faults.length, "fault"),
    countOf(operations.length, "operation"),
    countOf(nodes, "node"),
  ].join(", ");
}

function passedText(
  result: SimulationResult,
  elapsedMs: number,
  replay: string,
): string {
  const { schedule, counts, events, virtualMs, trace } = result;
  return [
    `Seed ${schedule.seed} passed`,
    ...describeSchedule(schedule).map((line) => `  ${line}`),
    `${counts.ok} operations ok, ${counts.failed} failed, ${counts.unknown} unknown`,
    `${events} events in ${
      formatDuration(virtualMs)
    } of virtual time, which took ${formatDuration(elapsedMs)}`,
    `trace ${trace.digest()}`,
    `See it all: ${replay}`,
    "",
  ].join("\n");
}

/** What of a result is plain data. */
function plain(result: SimulationResult): Record<string, unknown> {
  const { trace, history: _, ...rest } = result;
  return { ...rest, traceDigest: trace.digest() };
}

/** `seed` as part of a file's name. */
function fileName(seed: string): string {
  return seed.replace(/[^\w.-]+/g, "_");
}
