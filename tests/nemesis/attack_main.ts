/**
 * The command line of an attack, the same for each store.
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import type { AttackedStoreKind } from "./attacked_store.ts";
import {
  attend,
  flagNumber,
  mainCode,
  tell,
  UsageError,
} from "./attended_run.ts";
import type { Fault } from "./fault.ts";
import { exploreMachine } from "./machine.ts";
import { runNemesis } from "./nemesis.ts";
import { summaryText } from "./nemesis_summary.ts";
import { REPORTS } from "./run_directory.ts";

const FLAGS = `
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
const TEXTS = ["seed", "minutes", "round-seconds", "nodes", "only", "reports"];

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

function readFlags(
  args: readonly string[],
  faults: readonly Fault[],
): Flags {
  const given = parseArgs([...args], {
    string: TEXTS,
    boolean: ["list", "help"],
    unknown: (word: string) => {
      throw new UsageError(`There is no flag ${word}`);
    },
  });
  const only = given.only?.split(",");
  const unknown = only?.find((name: string) =>
    !faults.some((fault) => fault.name === name)
  );
  if (unknown !== undefined) {
    throw new UsageError(`There is no fault ${unknown}: see --list`);
  }
  return {
    seed: given.seed ?? crypto.randomUUID().slice(0, 8),
    minutes: flagNumber("minutes", given.minutes, 5, { min: 0, max: 24 * 60 }),
    roundSeconds: flagNumber("round-seconds", given["round-seconds"], 20, {
      min: 1,
      max: 600,
    }),
    nodes: flagNumber("nodes", given.nodes, 3, { min: 3, max: 5, whole: true }),
    only,
    reports: given.reports ?? REPORTS,
    list: given.list,
    help: given.help,
  };
}

async function list(
  faults: readonly Fault[],
  nodes: number,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "whorl-nemesis-" });
  try {
    const machine = await exploreMachine(folder);
    for (const { name, says, unable } of faults) {
      const why = unable?.(machine, nodes);
      const note = why === undefined ? "" : `  (skipped here: ${why})`;
      tell(`${name.padEnd(20)}${says}${note}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Attacks a store as the command line says, and resolves to the code with which to end. @param says What it does, in a sentence. */
export function attackMain(
  store: AttackedStoreKind,
  says: string,
): Promise<number> {
  return mainCode(async () => {
    const flags = readFlags(Deno.args, store.faults);
    if (flags.help) {
      tell(`${says}\n${FLAGS}`);
      return 0;
    }
    if (flags.list) {
      await list(store.faults, flags.nodes);
      return 0;
    }
    return await attend(flags.reports, async (signal) => {
      const summary = await runNemesis({
        store,
        seed: flags.seed,
        nodes: flags.nodes,
        durationMs: flags.minutes * 60_000,
        roundMs: flags.roundSeconds * 1_000,
        only: flags.only,
        reports: flags.reports,
        tell,
        signal,
      });
      return { passed: summary.passed, text: summaryText(summary) };
    });
  });
}
