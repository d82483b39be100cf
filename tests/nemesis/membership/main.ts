/**
 * `deno task nemesis:membership`: a cluster of real processes whose members come
 * and go under load, and are killed meanwhile. See docs/nemesis.md.
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
import { membershipText, runMembership } from "./membership_run.ts";

const HELP =
  `Has the members of a cluster of node processes come and go under load, and
checks what it promised.

  --seed TEXT        what plans and operations are drawn from    [random]
  --plans N          random plans after growing and shrinking    [100]
  --reports DIR      where reports go                            [data/nemesis]

Ends with 0 if nothing was found, 1 if something was, 2 for wrong flags, 130
if it was interrupted.
`;
const PLANS_DEFAULT = 100;
const PLANS_MAX = 100_000;

async function main(): Promise<number> {
  const flags = parseArgs(Deno.args, {
    string: ["seed", "plans", "reports"],
    boolean: ["help"],
    unknown: (word: string) => {
      throw new UsageError(`There is no flag ${word}`);
    },
  });
  if (flags.help) {
    tell(HELP);
    return 0;
  }
  const plans = flagNumber("plans", flags.plans, PLANS_DEFAULT, {
    min: 0,
    max: PLANS_MAX,
    whole: true,
  });
  const reports = flags.reports ?? REPORTS;
  return await attend(reports, async (signal) => {
    const summary = await runMembership({
      seed: flags.seed ?? crypto.randomUUID().slice(0, 8),
      plans,
      reports,
      tell,
      signal,
    });
    return { passed: summary.passed, text: membershipText(summary) };
  });
}

if (import.meta.main) Deno.exit(await mainCode(main));
