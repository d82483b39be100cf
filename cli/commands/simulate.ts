/**
 * `whorl simulate`: whole clusters on virtual time, from a seed.
 *
 * @module
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { WhorlError } from "../../src/base/errors.ts";
import { replayCommand } from "../../src/simulation/trace/failure_report.ts";
import {
  SCHEDULE_PROFILES,
  type ScheduleProfile,
} from "../../src/simulation/schedule/draw_schedule.ts";
import type { Schedule } from "../../src/simulation/schedule/schedule.ts";
import { decodeSchedule } from "../../src/simulation/schedule/schedule_codec.ts";
import type { Command, Invocation } from "../command.ts";
import { UsageError } from "../command.ts";
import { gitCommit } from "../simulate/git_commit.ts";
import { runManySeeds } from "../simulate/many_seeds.ts";
import { runOneSeed } from "../simulate/one_seed.ts";
import type {
  PrepareSimulation,
  Simulation,
  SimulationSettings,
} from "../simulate/simulation.ts";

const SEEDS_MAX = 1_000_000_000;
const JOBS_MAX = 256;
const FAILURES_DEFAULT = 3;
const NODES_MAX = 16;
const OPERATIONS_MAX = 1_000_000;

const SWITCHES = ["trace", "shrink"];
const ONE_SEED_FLAGS = ["seed", "html", "save", "schedule", ...SWITCHES];
const MANY_SEEDS_FLAGS = ["from", "jobs", "failures"];

/** `whorl simulate` on the simulation that the module at `simulation` exports as `prepareSimulation`. */
export function simulateCommand(simulation: string): Command {
  return {
    name: "simulate",
    summary: "run whole clusters on virtual time, from a seed, with faults",
    about:
      "Runs production nodes in one thread on a simulated network, disk and clock. The seed decides everything: " +
      "the load, the faults, and when each message arrives. The same seed gives the same run, event by event, on " +
      "any machine. After the faults the cluster must settle and answer, and every promise it made is checked.\n\n" +
      "With --seeds many are run on all cores, until a few have failed. A failure prints the seed, what was done " +
      "to the cluster, the operations that show it, the last events, and the command that runs it again: add " +
      "--html FILE to that for a page that shows who sent what to whom, and --shrink for the smallest schedule " +
      "that still fails. Exit code 1 means that something failed.\n\n" +
      "With --setup it simulates your own vnode module: FILE exports the options of simulate() as its default.",
    positionals: [],
    flags: [
      { name: "seed", value: "S", says: "run this one: a number or any text" },
      {
        name: "trace",
        says: "print every event, a line each",
      },
      {
        name: "html",
        value: "FILE",
        says: "write the trace as a page: nodes as lanes, messages as arrows",
      },
      {
        name: "shrink",
        says: "if it fails, find the smallest schedule that does",
      },
      {
        name: "save",
        value: "FILE",
        says: "write the schedule, the shrunken one if it was shrunk",
        default: "simulation-SEED.json for a shrunken one, else none",
      },
      {
        name: "schedule",
        value: "FILE",
        says: "run a schedule that was saved instead of one the seed draws",
      },
      { name: "seeds", value: "N", says: "run N seeds, one after the other" },
      {
        name: "from",
        value: "N",
        says: "the first of them",
        default: "1",
      },
      {
        name: "jobs",
        value: "N",
        says: "threads to run them on",
        default: "one a core",
      },
      {
        name: "failures",
        value: "N",
        says: "stop once so many have failed",
        default: String(FAILURES_DEFAULT),
      },
      {
        name: "profile",
        value: "NAME",
        says:
          "what is drawn: small, membership where nodes join, leave and are replaced, or raft for a group of ra_kv",
        default: "small",
      },
      {
        name: "nodes",
        value: "N",
        says: "nodes of each cluster",
        default: "3, or drawn: from 1 to 4 for membership, 3 or 5 for raft",
      },
      {
        name: "operations",
        value: "N",
        says: "operations of each run",
        default: "50, or 60 for membership, 120 for raft",
      },
      {
        name: "setup",
        value: "FILE",
        says: "module that says what else to simulate, such as your own vnode",
      },
    ],
    examples: [
      { line: "simulate --seeds 1000", says: "look for a failure" },
      { line: "simulate --seed 17", says: "what seed 17 comes to" },
      {
        line: "simulate --seed 17 --html trace.html",
        says: "look at it in a browser",
      },
      {
        line: "simulate --seed 17 --shrink --html small.html",
        says: "make a failure small, then look at it",
      },
      {
        line: "simulate --schedule simulation-17.json --trace",
        says: "run the small one again",
      },
      {
        line: "simulate --seeds 500 --nodes 5 --operations 200",
        says: "larger clusters",
      },
      {
        line: "simulate --seeds 500 --profile membership",
        says: "members come and go meanwhile",
      },
      {
        line: "simulate --seeds 500 --profile raft",
        says: "a Raft group instead of the ring",
      },
    ],
    async run(invocation, world): Promise<number> {
      const seed = invocation.text("seed");
      const path = invocation.text("schedule");
      const count = invocation.count("seeds", { min: 1, max: SEEDS_MAX });
      checkTogether(invocation, { seed, path, count });
      const setup = invocation.text("setup");
      const settings: SimulationSettings = {
        profile: profileOf(invocation.text("profile")),
        nodes: invocation.count("nodes", { min: 1, max: NODES_MAX }),
        operations: invocation.count("operations", {
          min: 1,
          max: OPERATIONS_MAX,
        }),
        setup: setup === undefined ? undefined : urlOf(setup),
      };
      const replay = (seed: string, schedulePath?: string): string =>
        replayCommand(seed, {
          schedule: schedulePath,
          // A schedule in a file has these within.
          profile: schedulePath === undefined ? settings.profile : undefined,
          nodes: schedulePath === undefined ? settings.nodes : undefined,
          operations: schedulePath === undefined
            ? settings.operations
            : undefined,
          setup,
        });
      const many = count === undefined ? undefined : {
        count,
        from: invocation.count("from", { max: SEEDS_MAX }) ?? 1,
        jobs: invocation.count("jobs", { min: 1, max: JOBS_MAX }) ??
          navigator.hardwareConcurrency,
        failuresMax: invocation.count("failures", { min: 1 }) ??
          FAILURES_DEFAULT,
      };
      const prepared = await prepare(simulation, settings);
      const around = {
        prepared,
        commit: await gitCommit(import.meta.url),
        replay,
        json: invocation.on("json"),
      };
      if (many !== undefined) {
        return await runManySeeds(
          { ...around, ...many, simulation, settings },
          world,
        );
      }
      return await runOneSeed({
        ...around,
        schedule: path === undefined
          ? prepared.draw(seed ?? "")
          : await readSchedule(path, seed),
        schedulePath: path,
        trace: invocation.on("trace"),
        html: invocation.text("html"),
        shrink: invocation.on("shrink"),
        save: invocation.text("save"),
      }, world);
    },
  };
}

/** `whorl simulate` on Whorl itself. */
export const simulateWhorlCommand: Command = simulateCommand(
  new URL("../simulate/whorl_simulation.ts", import.meta.url).href,
);

/** Refuses flags that say different things. */
function checkTogether(
  invocation: Invocation,
  { seed, path, count }: {
    seed: string | undefined;
    path: string | undefined;
    count: number | undefined;
  },
): void {
  const given = (flag: string): boolean =>
    SWITCHES.includes(flag)
      ? invocation.on(flag)
      : invocation.text(flag) !== undefined;
  if (seed === undefined && path === undefined && count === undefined) {
    throw new UsageError(
      "whorl simulate needs --seed S, --seeds N or --schedule FILE",
    );
  }
  if (count !== undefined) {
    const other = ONE_SEED_FLAGS.find(given);
    if (other !== undefined) {
      throw new UsageError(`--seeds and --${other} do not go together`);
    }
    return;
  }
  const other = MANY_SEEDS_FLAGS.find(given);
  if (other !== undefined) {
    throw new UsageError(`--${other} needs --seeds N`);
  }
  if (path === undefined) return;
  const drawn = ["profile", "nodes", "operations"].find(given);
  if (drawn !== undefined) {
    throw new UsageError(
      `--schedule and --${drawn} do not go together: the schedule says what`,
    );
  }
}

function profileOf(name: string | undefined): ScheduleProfile | undefined {
  if (name === undefined) return undefined;
  const profile = SCHEDULE_PROFILES.find((known) => known === name);
  if (profile !== undefined) return profile;
  throw new UsageError(
    `--profile must be one of ${SCHEDULE_PROFILES.join(", ")}: it is ${name}`,
  );
}

async function prepare(
  module: string,
  settings: SimulationSettings,
): Promise<Simulation> {
  const { prepareSimulation }: { prepareSimulation: PrepareSimulation } =
    await import(module);
  return await prepareSimulation(settings);
}

async function readSchedule(
  path: string,
  seed: string | undefined,
): Promise<Schedule> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new UsageError(`There is no file ${path}, which --schedule names`, {
      cause: error,
    });
  }
  const schedule = readable(path, text);
  if (seed !== undefined && seed !== schedule.seed) {
    throw new UsageError(
      `--seed is ${seed}, and the seed in ${path} is ${schedule.seed}: leave --seed out`,
    );
  }
  return schedule;
}

function readable(path: string, text: string): Schedule {
  try {
    return decodeSchedule(text);
  } catch (error) {
    if (!(error instanceof WhorlError)) throw error;
    throw new UsageError(`${path}: ${error.message}`, { cause: error });
  }
}

function urlOf(file: string): string {
  return /^[a-z]{2,}:/.test(file) ? file : pathToFileURL(resolve(file)).href;
}
