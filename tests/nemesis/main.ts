/**
 * `deno task nemesis`: attacks a cluster of real processes and says what came
 * of it. See docs/nemesis.md.
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { FAULTS } from "./fault_table.ts";
import { exploreMachine } from "./machine.ts";
import { runNemesis } from "./nemesis.ts";
import { summaryText } from "./nemesis_summary.ts";
import { removeLeftovers, REPORTS } from "./run_directory.ts";

const HELP =
  `Attacks a cluster of node processes under load, and checks what it promised.

  --seed TEXT        what faults and operations are drawn from   [random]
  --minutes M        no round begins later                       [5]
  --round-seconds S  faults of one round                         [20]
  --nodes N          from 3 to 5                                 [3]
  --only A,B         these kinds of faults only                  [all]
  --reports DIR      where reports go                            [data/nemesis]
  --list             print the kinds of faults and end

Ends with 0 if nothing was found, 1 if something was, 2 for wrong flags, 130
if it was interrupted.
`;

/** A flag that cannot be understood. */
class UsageError extends Error {}

interface Flags {
  readonly seed: string;
  readonly minutes: number;
  readonly roundSeconds: number;
  readonly nodes: number;
  readonly only: readonly string[] | undefined;
  readonly reports: string;
  readonly list: boolean;
  readonly help: boolean;
}

const TEXTS = ["seed", "minutes", "round-seconds", "nodes", "only", "reports"];

function readFlags(args: readonly string[]): Flags {
  const given = parseArgs([...args], {
    string: TEXTS,
    boolean: ["list", "help"],
    unknown: (word: string) => {
      throw new UsageError(`There is no flag ${word}`);
    },
  });
  const only = given.only?.split(",");
  const unknown = only?.find((name: string) =>
    !FAULTS.some((fault) => fault.name === name)
  );
  if (unknown !== undefined) {
    throw new UsageError(`There is no fault ${unknown}: see --list`);
  }
  return {
    seed: given.seed ?? crypto.randomUUID().slice(0, 8),
    minutes: numberOf(given.minutes, "minutes", 5, 0, 24 * 60),
    roundSeconds: numberOf(given["round-seconds"], "round-seconds", 20, 1, 600),
    nodes: numberOf(given.nodes, "nodes", 3, 3, 5, true),
    only,
    reports: given.reports ?? REPORTS,
    list: given.list,
    help: given.help,
  };
}

function numberOf(
  text: string | undefined,
  name: string,
  fallback: number,
  min: number,
  max: number,
  whole = false,
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (value >= min && value <= max && (!whole || Number.isInteger(value))) {
    return value;
  }
  throw new UsageError(
    `--${name} must be a${
      whole ? " whole" : ""
    } number from ${min} to ${max}: it is ${text}`,
  );
}

/** Whether somebody still reads what is told. */
let heard = true;

function tell(line: string): void {
  if (!heard) return;
  const bytes = new TextEncoder().encode(`${line}\n`);
  try {
    for (let at = 0; at < bytes.length;) {
      at += Deno.stdout.writeSync(bytes.subarray(at));
    }
  } catch (error) {
    // Whoever read it has gone, say `head`; the run goes on and its log has it all.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    heard = false;
  }
}

async function list(nodes: number): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "whorl-nemesis-" });
  try {
    const machine = await exploreMachine(folder);
    for (const { name, says, unable } of FAULTS) {
      const why = unable?.(machine, nodes);
      const note = why === undefined ? "" : `  (skipped here: ${why})`;
      tell(`${name.padEnd(20)}${says}${note}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * Runs until the end, until a signal, or until something throws that nobody
 * waits for; in any case what was made is removed. A second signal changes
 * nothing: the first is about to have removed everything.
 */
async function attack(flags: Flags): Promise<number> {
  for (const removed of await removeLeftovers(flags.reports)) {
    tell(`Removed what a killed run has left: ${removed}`);
  }
  const stop = new AbortController();
  const interrupt = (): void => {
    if (!stop.signal.aborted) tell("Interrupted: removing what was made");
    stop.abort();
  };
  let accident: unknown;
  const onAccident = (event: Event, error: unknown): void => {
    event.preventDefault();
    accident ??= error;
    stop.abort(error);
  };
  const onError = (event: ErrorEvent): void => onAccident(event, event.error);
  const onRejection = (event: PromiseRejectionEvent): void =>
    onAccident(event, event.reason);
  const signals: Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) Deno.addSignalListener(signal, interrupt);
  addEventListener("error", onError);
  addEventListener("unhandledrejection", onRejection);
  try {
    const summary = await runNemesis({
      seed: flags.seed,
      nodes: flags.nodes,
      durationMs: flags.minutes * 60_000,
      roundMs: flags.roundSeconds * 1_000,
      only: flags.only,
      reports: flags.reports,
      tell,
      signal: stop.signal,
    });
    tell(summaryText(summary));
    return summary.passed ? 0 : 1;
  } catch (error) {
    if (stop.signal.aborted && accident === undefined) return 130;
    tell(Deno.inspect(error));
    if (accident !== undefined && accident !== error) {
      tell(Deno.inspect(accident));
    }
    return 1;
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, interrupt);
    removeEventListener("error", onError);
    removeEventListener("unhandledrejection", onRejection);
  }
}

async function main(): Promise<number> {
  try {
    const flags = readFlags(Deno.args);
    if (flags.help) {
      tell(HELP);
      return 0;
    }
    if (flags.list) {
      await list(flags.nodes);
      return 0;
    }
    return await attack(flags);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    tell(error.message);
    return 2;
  }
}

if (import.meta.main) Deno.exit(await main());
