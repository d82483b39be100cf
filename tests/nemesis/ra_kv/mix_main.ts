/**
 * `deno task nemesis:ra_kv_mix`: the mix of ra's harness on real processes. See
 * docs/nemesis.md.
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import {
  attend,
  flagNumber,
  mainCode,
  tell,
  UsageError,
} from "../attended_run.ts";
import { REPORTS } from "../run_directory.ts";
import { mixText, runMix } from "./mix_run.ts";

const HELP =
  `Performs a mix of operations on a cluster of ra_kv whose nodes are killed, cut
off, added and removed, and checks that its members become equal again and that
what was seen is linearizable.

  --seed TEXT             what operations are drawn from        [random]
  --operations N          how many                              [2000]
  --nodes N               from 1 to 7                           [5]
  --partition-seconds S   longest time of a partition           [15]
  --reports DIR           where reports go                      [data/nemesis]

Ends with 0 if nothing was found, 1 if something was, 2 for wrong flags, 130
if it was interrupted.
`;
const TEXTS = ["seed", "operations", "nodes", "partition-seconds", "reports"];

function main(): Promise<number> {
  const flags = parseArgs(Deno.args, {
    string: TEXTS,
    boolean: ["help"],
    unknown: (word: string) => {
      throw new UsageError(`There is no flag ${word}`);
    },
  });
  if (flags.help) {
    tell(HELP);
    return Promise.resolve(0);
  }
  const reports = flags.reports ?? REPORTS;
  const options = {
    seed: flags.seed ?? crypto.randomUUID().slice(0, 8),
    operations: flagNumber("operations", flags.operations, 2_000, {
      min: 1,
      max: 1_000_000,
      whole: true,
    }),
    nodes: flagNumber("nodes", flags.nodes, 5, { min: 1, max: 7, whole: true }),
    partitionMsMax: 1_000 * flagNumber(
      "partition-seconds",
      flags["partition-seconds"],
      15,
      { min: 0.1, max: 600 },
    ),
    reports,
    tell,
  };
  return attend(reports, async (signal) => {
    const summary = await runMix({ ...options, signal });
    return { passed: summary.passed, text: mixText(summary) };
  });
}

if (import.meta.main) Deno.exit(await mainCode(async () => await main()));
