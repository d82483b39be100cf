import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "node:path";
import { decodeSchedule } from "../../src/simulation/schedule/schedule_codec.ts";
import { parseInvocation } from "../arguments.ts";
import { UsageError } from "../command.ts";
import { flagsOf } from "../global_flags.ts";
import { capturedOutput } from "../output.ts";
import {
  runSeedWorkers,
  type SeedWorkersReport,
} from "../simulate/seed_workers.ts";
import { fakeWorld } from "../testing/fake_world.ts";
import { TOY_BAD_SEED, TOY_FAILING_SEED } from "../testing/toy_simulation.ts";
import type { StopSignal } from "../world.ts";
import { simulateCommand } from "./simulate.ts";

const TOY = new URL("../testing/toy_simulation.ts", import.meta.url).href;
const command = simulateCommand(TOY);

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly remarks: string;
}

/** Runs `whorl simulate` with these words on the toy. */
async function run(
  words: string,
  looks: { isTerminal?: boolean; columns?: number } = {},
  onStopSignal?: (handler: (signal: StopSignal) => void) => Disposable,
): Promise<Ran> {
  const output = capturedOutput(looks);
  const invocation = parseInvocation(
    command,
    flagsOf(command),
    words.split(" "),
  );
  const world = fakeWorld(
    output,
    onStopSignal === undefined ? {} : { onStopSignal },
  );
  const code = await command.run(invocation, world);
  return { code, out: output.written, remarks: output.remarks };
}

/** Calls `use` with a directory that is gone afterwards. */
async function inDirectory(
  use: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempDir({ prefix: "whorl-simulate-" });
  try {
    await use(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

Deno.test("simulate --seed reports the result of a passing seed, the same each time", async () => {
  const { code, out } = await run("--seed 1");
  assertEquals(code, 0);
  assertMatch(out, /^Seed 1 passed\n/);
  assertMatch(out, /\n {2}network: .* ms a segment/);
  assertMatch(out, /\ntrace [0-9a-f]{64}\n/);
  assertStringIncludes(out, "deno task simulate --seed 1 --trace");
  const digest = /trace (\w+)/.exec(out)?.[1];
  assertEquals(/trace (\w+)/.exec((await run("--seed 1")).out)?.[1], digest);
});

Deno.test("simulate --seed reports a failure and ends with 1", async () => {
  const { code, out } = await run(`--seed ${TOY_FAILING_SEED}`);
  assertEquals(code, 1);
  assertMatch(out, /^FAIL seed=358( git=[0-9a-f]+)? check=lost_write key=k3 /);
  assertStringIncludes(out, "n3 loses power and is down for 1412 ms");
  assertStringIncludes(out, `simulate --seed ${TOY_FAILING_SEED} --trace\n`);
});

Deno.test("simulate --trace prints every event once", async () => {
  const { out } = await run(`--seed ${TOY_FAILING_SEED} --trace`);
  assertEquals(out.split("k3 lacks the value 49, which").length, 3);
  assertMatch(out, /^ +0\.000 n1 +start +life 1\n/);
  assert(!out.includes("The last "));
});

Deno.test("simulate --json answers with one document", async () => {
  const passed = JSON.parse((await run("--seed 1 --json")).out);
  assertEquals([passed.passed, passed.violations], [true, []]);
  assertEquals(passed.schedule.seed, "1");
  const failed = JSON.parse(
    (await run(`--seed ${TOY_FAILING_SEED} --json --trace`)).out,
  );
  assertEquals(failed.passed, false);
  assertEquals(failed.violations[0].check, "lost_write");
  assertEquals(failed.trace.length > 200, true);
});

Deno.test("simulate --shrink saves the smallest failing schedule, which fails again", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "small.json");
    const page = join(directory, "small.html");
    const { code, out, remarks } = await run(
      `--seed ${TOY_FAILING_SEED} --shrink --save ${path} --html ${page}`,
      { isTerminal: true },
    );
    assertEquals(code, 1);
    assertStringIncludes(out, "Shrunk from 5 faults, 50 operations, 3 nodes");
    assertStringIncludes(out, "to 1 fault, 1 operation, 1 node\n");
    assertStringIncludes(out, `--schedule ${path} --trace`);
    assertMatch(remarks, /Shrinking: \d+ runs/);
    const schedule = decodeSchedule(await Deno.readTextFile(path));
    assertEquals(schedule.faults.length, 1);
    assertMatch(await Deno.readTextFile(page), /^<!DOCTYPE html>/);
    const again = await run(`--schedule ${path}`);
    assertEquals(again.code, 1);
    assertMatch(again.out, /check=lost_write .* nodes=1 operations=1 /);
    assertEquals((await run(`--schedule ${path} --setup honest`)).code, 0);
  });
});

Deno.test("simulate --seeds runs all on several threads and sums the results", async () => {
  const { code, out, remarks } = await run(
    "--seeds 50 --jobs 3 --json --setup honest",
  );
  assertEquals(code, 0);
  // Every ten seconds, on a machine that needs so long, it says how far it is.
  assertMatch(remarks, /^(\d+ of 50 seeds · [^\n]* operations ok\n)*$/);
  const report = JSON.parse(out);
  assertEquals([report.seeds, report.ended, report.failures], [
    50,
    "all_done",
    [],
  ]);
  assertEquals(report.ok + report.failed + report.unknown, 50 * 50);
  const { out: text } = await run("--seeds 50 --jobs 1 --setup honest");
  assertMatch(
    text,
    /^50 seeds in .* on 1 workers: 50 passed, 0 failed, 0 undecided\n/,
  );
  assertStringIncludes(text, `2500 operations: ${report.ok} ok,`);
});

Deno.test("simulate --seeds stops at failures, explains the first and says how to see each", async () => {
  const { code, out } = await run(
    "--seeds 200 --from 300 --failures 1 --jobs 2",
  );
  assertEquals(code, 1);
  assertMatch(out, /^FAIL seed=358( git=\w+)? check=lost_write/);
  assertStringIncludes(out, "n3 loses power and is down");
  assertMatch(out, /\d+ seeds in .* \d+ passed, 1 failed, 0 undecided/);
});

Deno.test("simulate --seeds reports a failure as soon as it is found", async () => {
  const { code, remarks } = await run(
    "--seeds 1000 --from 300 --failures 1000 --jobs 1",
  );
  assertEquals(code, 1);
  assertMatch(remarks, /^FAIL seed=358 check=lost_write: .*$/m);
});

Deno.test("simulate --seeds continues after a seed that throws, and fails", async () => {
  const { code, out } = await run("--seeds 20 --jobs 2 --setup crash --json");
  const { seeds, failures } = JSON.parse(out);
  assertEquals([code, seeds, failures.length], [1, 20, 1]);
  assertEquals(failures[0].seed, String(TOY_BAD_SEED));
  assertMatch(failures[0].violations[0].message, /Planted crash/);
  assertMatch(failures[0].replay, /--seed 5 --setup crash --trace$/);
});

Deno.test("simulate ends with 1 if something is undecided, for one seed and for many", async () => {
  const one = await run(`--seed ${TOY_BAD_SEED} --setup undecided`);
  assertEquals(one.code, 1);
  assertMatch(one.out, /^FAIL seed=5( git=\w+)? check=undecided /);
  const many = await run("--seeds 10 --jobs 1 --setup undecided");
  assertEquals(many.code, 1);
  assertMatch(many.out, /9 passed, 0 failed, 1 undecided\n/);
});

/** Runs the toy's seeds from 1 without the command. */
function runWorkers(
  setup: string,
  count: number,
  options: { seedMsMax?: number; signal?: AbortSignal } = {},
): Promise<SeedWorkersReport> {
  return runSeedWorkers({
    from: 1,
    count,
    jobs: 2,
    failuresMax: 3,
    simulation: TOY,
    settings: { setup },
    signal: new AbortController().signal,
    onProgress: () => {},
    ...options,
  });
}

Deno.test("runSeedWorkers() ends a worker that hangs and continues after its seed", async () => {
  const { tally, ended } = await runWorkers("hang", 20, { seedMsMax: 1_500 });
  assertEquals([ended, tally.seeds], ["all_done", 20]);
  assertEquals(
    tally.failures.map(({ seed, violations }) => [seed, violations[0]?.check]),
    [
      [String(TOY_BAD_SEED), "hangs"],
    ],
  );
});

Deno.test("runSeedWorkers() says why no worker can run", async () => {
  const { tally, ended, brokenBy } = await runWorkers("broken", 20);
  assertEquals([ended, tally.seeds], ["broken", 0]);
  assertMatch(brokenBy ?? "", /No toy/);
});

Deno.test("runSeedWorkers() runs nothing if it is stopped before it starts", async () => {
  const { tally, ended } = await runWorkers("honest", 20, {
    signal: AbortSignal.abort(),
  });
  assertEquals([ended, tally.seeds], ["stopped", 0]);
});

Deno.test("simulate --seeds ends at Ctrl-C with the results so far, and draws a bar on a terminal", async () => {
  let interrupt = (_signal: StopSignal): void => {};
  const output = capturedOutput({ isTerminal: true, columns: 60 });
  const watched = {
    ...output,
    remark: (text: string) => {
      output.remark(text);
      if (text.includes("seeds")) interrupt("SIGINT");
    },
  };
  const invocation = parseInvocation(
    command,
    flagsOf(command),
    "--seeds 1000000 --jobs 1 --setup honest".split(" "),
  );
  const code = await command.run(
    invocation,
    fakeWorld(watched as typeof output, {
      onStopSignal: (handler) => {
        interrupt = handler;
        return { [Symbol.dispose]() {} };
      },
    }),
  );
  assertEquals(code, 130);
  assertMatch(output.remarks, /^\r[█░]{24} +0% {2}\d+ of 1000000 seeds/);
  assertMatch(output.remarks, /KInterrupted with \d+ seeds to go\n$/);
  assertMatch(output.written, /^\d+ seeds in .* 0 failed, 0 undecided\n/);
});

Deno.test("simulate refuses flags that do not go together, and says which do", async () => {
  const cases: [string, RegExp][] = [
    ["--trace", /needs --seed S, --seeds N or --schedule FILE/],
    ["--seeds 5 --seed 1", /--seeds and --seed do not go together/],
    ["--seeds 5 --trace", /--seeds and --trace do not go together/],
    ["--seed 1 --jobs 2", /--jobs needs --seeds N/],
    [
      "--schedule x.json --nodes 4",
      /--schedule and --nodes do not go together/,
    ],
    ["--seeds 0", /--seeds must be a whole number between 1/],
    ["--seed 1 --nodes 99", /--nodes must be a whole number between 1 and 16/],
    ["--schedule /nowhere/at/all.json", /There is no file \/nowhere/],
  ];
  for (const [words, expected] of cases) {
    const error = await assertRejects(() => run(words), UsageError);
    assertMatch(error.message, expected);
  }
});

Deno.test("simulate refuses a schedule that is damaged or of another seed", async () => {
  await inDirectory(async (directory) => {
    const path = join(directory, "schedule.json");
    await run(`--seed 7 --save ${path}`);
    const other = await assertRejects(
      () => run(`--seed 8 --schedule ${path}`),
      UsageError,
    );
    assertMatch(other.message, /the seed in .* is 7: leave --seed out/);
    assertEquals((await run(`--seed 7 --schedule ${path}`)).code, 0);
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.replace('"nodes": 3', '"nodes": 1'));
    const damaged = await assertRejects(
      () => run(`--schedule ${path}`),
      UsageError,
    );
    assertMatch(
      damaged.message,
      /schedule\.json: Cannot read schedule as faults\[\d\]/,
    );
  });
});
