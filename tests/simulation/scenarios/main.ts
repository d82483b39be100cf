/**
 * `deno task scenarios`: plays stories with many seeds.
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { renderFailure } from "../../../src/simulation/trace/failure_report.ts";
import { play } from "./scenario.ts";
import { SCENARIOS } from "./scenario_table.ts";

const HELP = `Plays stories of clusters whose members change, with many seeds.

  NAME …      these stories only       [all]
  --seeds N   seeds of each            [100]
  --from N    the first of them        [1]
  --trace     print every event of a failure
  --list      say what each shows, and end

Ends with 0 if all went well, 1 if not.
`;

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

async function main(args: readonly string[]): Promise<number> {
  let unknownFlag: string | undefined;
  const flags = parseArgs([...args], {
    string: ["seeds", "from"],
    boolean: ["list", "help", "trace"],
    unknown: (word: string) => {
      if (word.startsWith("-")) unknownFlag ??= word;
    },
  });
  if (unknownFlag !== undefined) {
    print(`There is no flag ${unknownFlag}: see --help`);
    return 2;
  }
  if (flags.help) {
    print(HELP);
    return 0;
  }
  const names = flags._.map(String);
  const unknown = names.find((name: string) =>
    !SCENARIOS.some((scenario) => scenario.name === name)
  );
  if (unknown !== undefined) {
    print(`There is no story ${unknown}: see --list`);
    return 2;
  }
  const chosen = SCENARIOS.filter(({ name }) =>
    names.length === 0 || names.includes(name)
  );
  if (flags.list) {
    for (const { name, what } of chosen) print(`${name}: ${what}`);
    return 0;
  }
  const from = Number(flags.from ?? 1);
  const seeds = Number(flags.seeds ?? 100);
  if (!Number.isInteger(from) || !Number.isInteger(seeds) || seeds < 1) {
    print("--seeds and --from must be whole numbers: see --help");
    return 2;
  }
  let failures = 0;
  for (const scenario of chosen) {
    const begunAt = performance.now();
    let failed = 0;
    for (let seed = from; seed < from + seeds; seed++) {
      const result = await play(scenario, seed, flags.trace);
      if (result.violations.length === 0) continue;
      failed++;
      if (flags.trace) print(result.trace.toString());
      print(renderFailure(result, {
        eventsMax: 0,
        replay:
          `deno task scenarios ${scenario.name} --from ${seed} --seeds 1 --trace`,
      }));
    }
    failures += failed;
    const took = ((performance.now() - begunAt) / 1_000).toFixed(1);
    print(`${scenario.name}: ${seeds} seeds, ${failed} failed, ${took} s`);
  }
  return failures === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
