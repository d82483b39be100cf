/**
 * `deno task nemesis:membership`: a cluster of real processes whose members come
 * and go under load, and are killed meanwhile. See docs/nemesis.md.
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { removeLeftovers, REPORTS } from "../run_directory.ts";
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

const encoder = new TextEncoder();

function tell(text: string): void {
  Deno.stdout.writeSync(encoder.encode(`${text}\n`));
}

async function main(): Promise<number> {
  const unknown: string[] = [];
  const flags = parseArgs(Deno.args, {
    string: ["seed", "plans", "reports"],
    boolean: ["help"],
    unknown: (word: string) => void unknown.push(word),
  });
  const plans = Number(flags.plans ?? PLANS_DEFAULT);
  if (flags.help) {
    tell(HELP);
    return 0;
  }
  if (
    unknown.length > 0 || !Number.isInteger(plans) || plans < 0 ||
    plans > PLANS_MAX
  ) {
    tell(
      unknown.length > 0
        ? `There is no flag ${unknown[0]}`
        : `--plans must be a whole number from 0 to ${PLANS_MAX}: it is ${flags.plans}`,
    );
    return 2;
  }
  const reports = flags.reports ?? REPORTS;
  for (const removed of await removeLeftovers(reports)) {
    tell(`Removed what a killed run has left: ${removed}`);
  }
  const stop = new AbortController();
  const interrupt = (): void => {
    if (!stop.signal.aborted) tell("Interrupted: removing what was made");
    stop.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, interrupt);
  }
  try {
    const summary = await runMembership({
      seed: flags.seed ?? crypto.randomUUID().slice(0, 8),
      plans,
      reports,
      tell,
      signal: stop.signal,
    });
    tell(membershipText(summary));
    return summary.passed ? 0 : 1;
  } catch (error) {
    if (stop.signal.aborted) return 130;
    tell(Deno.inspect(error));
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
