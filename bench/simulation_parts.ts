/**
 * What the parts of a small simulated cluster cost. Each seed is run as it is
 * drawn and with less and less in it, one form after the other and with the
 * order changed from seed to seed, so that other work on the machine is the same
 * for all. What two forms differ in costs what their times differ by.
 *
 *     deno task bench:simulation_parts 300
 */
import process from "node:process";
import type { Schedule } from "../src/simulation/schedule/schedule.ts";
import { drawSchedule } from "../src/simulation/schedule/draw_schedule.ts";
import { simulate } from "../src/simulation/simulate.ts";
import type { SimulationScript } from "../src/simulation/simulation_script.ts";
import { say } from "./say.ts";

/** Seeds that are measured, of each form, unless the command says otherwise. */
const SEEDS = 200;
/** Seeds before them, so that what is measured is compiled. */
const WARMUP_SEEDS = 60;
/** First seed. */
const FROM = 900_000;
/** Restarts of the form that has nothing else. */
const RESTARTS = 8;
/** Virtual time between two of them, in which all settles again, in milliseconds. */
const RESTART_EVERY_MS = 500;

/** One form of a seed. */
interface Form {
  readonly name: string;
  readonly of: (drawn: Schedule) => Schedule;
  readonly script?: SimulationScript;
  ms: number;
  events: number;
  virtualMs: number;
}

const without = (drawn: Schedule): Schedule => ({
  ...drawn,
  faults: [],
  network: {
    ...drawn.network,
    lossProbability: 0,
    repeatProbability: 0,
    reorderProbability: 0,
  },
});

const bare = (drawn: Schedule): Schedule => ({
  ...without(drawn),
  operations: [],
  loadMs: 1,
});

/** Lets as much time pass as restarts take, with them or without. */
function restarts(happen: boolean): SimulationScript {
  return async ({ sleep, strike }) => {
    for (let i = 0; i < RESTARTS; i++) {
      if (happen) strike({ type: "kill", node: i % 3, forMs: 1 });
      await sleep(RESTART_EVERY_MS);
    }
  };
}

function form(
  name: string,
  of: Form["of"],
  script?: SimulationScript,
): Form {
  return {
    name,
    of,
    ...(script === undefined ? {} : { script }),
    ms: 0,
    events: 0,
    virtualMs: 0,
  };
}

const drawn = form("as it is drawn", (schedule) => schedule);
const calm = form("no faults, and nothing gets lost", without);
const idle = form("and no operations", (schedule) => ({
  ...without(schedule),
  operations: [],
}));
const started = form("and no time for them: nodes start and stop", bare);
const waiting = form("which wait", bare, restarts(false));
const restarted = form(
  `which are killed and start ${RESTARTS} times`,
  bare,
  restarts(true),
);
const forms = [drawn, calm, idle, started, waiting, restarted];

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

async function run(form: Form, seed: number, counts: boolean): Promise<void> {
  const schedule = form.of(drawSchedule(seed, {}));
  const beginMs = processorMs();
  const { violations, events, virtualMs } = await simulate({
    seed,
    schedule,
    acknowledgedMin: 0,
    ...(form.script === undefined ? {} : { script: form.script }),
  });
  const ms = processorMs() - beginMs;
  if (violations.length > 0) {
    throw new Error(
      `Seed ${seed} failed, ${form.name}: ${violations[0]?.message}`,
    );
  }
  if (!counts) return;
  form.ms += ms;
  form.events += events;
  form.virtualMs += virtualMs;
}

const seeds = Number(Deno.args[0] ?? SEEDS);
Error.stackTraceLimit = 0;
for (let i = 0; i < WARMUP_SEEDS + seeds; i++) {
  for (let at = 0; at < forms.length; at++) {
    const one = forms[(at + i) % forms.length] as Form;
    await run(one, FROM + i, i >= WARMUP_SEEDS);
  }
}

/** A line of the table: what `all` has and `part` has not. */
function line(what: string, all: Form, part?: Form, times = 1): void {
  const each = (of: (form: Form) => number): number =>
    (of(all) - (part === undefined ? 0 : of(part))) / seeds / times;
  say(
    `${what.padEnd(46)} ${each((form) => form.ms).toFixed(2).padStart(6)} ms ` +
      `${each((form) => form.events).toFixed(0).padStart(6)} events ` +
      `${(each((form) => form.virtualMs) / 1_000).toFixed(2).padStart(6)} s`,
  );
}

say(`${seeds} seeds of each form, processor time, events and virtual time`);
line("a small seed", drawn);
line("  faults, what is lost, restarts", drawn, calm);
line("  operations, and the checks of what they did", calm, idle);
line("  time in which nothing is asked", idle, started);
line("  three nodes that start, agree and stop", started);
line(
  "one restart: killed, started, linked, agreed",
  restarted,
  waiting,
  RESTARTS,
);
const asked = drawSchedule(FROM, {}).operations.length;
line("one operation on three replicas", calm, idle, asked);
const idleMs = (idle.virtualMs - started.virtualMs) / seeds;
line("one second in which nothing is asked", idle, started, idleMs / 1_000);
