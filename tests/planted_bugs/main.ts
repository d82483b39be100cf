/**
 * `deno task planted`: proves that the simulator finds bugs. See `planted_bug.ts`.
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { type Hunt, hunt } from "./hunt.ts";
import { type PlantedBug, readPlantedBugs } from "./planted_bug.ts";
import { PlantedTree, PlantingError } from "./planted_tree.ts";
import { type FailedSeed, runSeeds } from "./seed_run.ts";

const HELP =
  `Plants bugs into copies of this tree, one at a time, and runs simulations until
a check sees them.

  NAME …      these bugs only      [all]
  --seeds N   seeds to try         [5000]
  --jobs N    hunts at a time      [2]
  --list      say what is wrong in each, and end

Ends with 0 if each was caught, 1 if one escaped, could not be planted, or if
the tree fails without any; 2 for wrong flags, 130 if it was interrupted.
`;

/** A flag that cannot be understood. */
class UsageError extends Error {}

interface Flags {
  readonly names: readonly string[];
  readonly seeds: number;
  readonly jobs: number;
  readonly list: boolean;
  readonly help: boolean;
}

function readFlags(args: readonly string[]): Flags {
  const given = parseArgs([...args], {
    string: ["seeds", "jobs"],
    boolean: ["list", "help"],
    unknown: (word: string) => {
      if (word.startsWith("-")) {
        throw new UsageError(`There is no flag ${word}`);
      }
    },
  });
  return {
    names: given._.map(String),
    seeds: numberOf(given.seeds, "seeds", 5_000),
    jobs: numberOf(given.jobs, "jobs", 2),
    list: given.list,
    help: given.help,
  };
}

function numberOf(
  text: string | undefined,
  name: string,
  fallback: number,
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new UsageError(
    `--${name} must be a whole number from 1: it is ${text}`,
  );
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** Runs `work` on each of `items`, so many at a time. */
async function inParallel<T>(
  items: readonly T[],
  jobs: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
        await work(item);
      }
    }),
  );
}

function outcomeText({ bug, caught, seeds, tookMs }: Hunt): string {
  const took = `${(tookMs / 1_000).toFixed(1)} s`;
  return caught === undefined
    ? `NOT CAUGHT  ${bug.name}: ${seeds} seeds, ${took}`
    : `caught      ${bug.name}: ${caught.check} at seed ${caught.seed}, ${took}`;
}

/** Seeds from 1 to `seeds` that fail without any bug. */
async function failuresWithoutBugs(
  clean: PlantedTree,
  of: string,
  seeds: number,
  jobs: number,
  signal: AbortSignal,
): Promise<readonly FailedSeed[]> {
  const share = Math.ceil(seeds / jobs);
  const shares = Array.from({ length: jobs }, (_, i) => ({
    from: i * share + 1,
    to: Math.min(seeds, (i + 1) * share),
  }));
  const failed = await Promise.all(
    shares.map((range) =>
      runSeeds(clean, { ...range, of, first: false, signal })
    ),
  );
  return failed.flat();
}

async function huntAll(
  bugs: readonly PlantedBug[],
  { seeds, jobs }: Flags,
  signal: AbortSignal,
): Promise<boolean> {
  await using clean = await PlantedTree.copy();
  const hunts: Hunt[] = [];
  let unplanted = 0;
  await inParallel(bugs, jobs, async (bug) => {
    try {
      const ended = await hunt(bug, { seeds, clean, typeCheck: true, signal });
      hunts.push(ended);
      print(outcomeText(ended));
    } catch (error) {
      if (!(error instanceof PlantingError)) throw error;
      unplanted++;
      print(`NOT PLANTED ${bug.name}: ${error.message}`);
    }
  });
  const escaped = hunts.filter(({ caught }) => caught === undefined);
  print(
    `${
      hunts.length - escaped.length
    } of ${bugs.length} caught within ${seeds} seeds`,
  );
  let failed = 0;
  for (const of of new Set(hunts.map(({ bug }) => bug.shownBy))) {
    const took = hunts.filter(({ bug }) => bug.shownBy === of)
      .map((ended) => ended.seeds);
    const most = Math.max(0, ...took);
    if (most === 0) continue;
    const failures = await failuresWithoutBugs(
      clean,
      of,
      most,
      jobs,
      signal,
    );
    failed += failures.length;
    for (const { seed, check, message } of failures) {
      print(
        `Without any bug, ${of} seed ${seed} fails: ${check}: ${message}`,
      );
    }
    print(
      `Without any bug, ${
        most - failures.length
      } of the ${most} ${of} seeds it took pass`,
    );
  }
  return escaped.length + unplanted + failed === 0;
}

async function main(args: readonly string[]): Promise<number> {
  let flags: Flags;
  let bugs: readonly PlantedBug[];
  try {
    flags = readFlags(args);
    bugs = await readPlantedBugs(flags.names);
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof TypeError)) {
      throw error;
    }
    print(`${error.message}\n\n${HELP}`);
    return 2;
  }
  if (flags.help) {
    print(HELP);
    return 0;
  }
  if (flags.list) {
    for (const { name, what, caughtBy } of bugs) {
      print(`${name}: ${what} (${caughtBy})`);
    }
    return 0;
  }
  const interrupted = new AbortController();
  const onSignal = (): void => interrupted.abort();
  const signals: readonly Deno.Signal[] = ["SIGINT", "SIGTERM"];
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  try {
    return await huntAll(bugs, flags, interrupted.signal) ? 0 : 1;
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    print("Interrupted");
    return 130;
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
