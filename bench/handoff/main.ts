/**
 * Measures data on the move between node processes: half of the objects of one
 * node go to a joining one, idle and under load, with what is served meanwhile
 * beside what the same nodes serve before and after; and what fallbacks take goes
 * home.
 *
 *     deno task bench:handoff --objects 1000000 --storage deno_kv
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { MeasuredProcess } from "../measured_process.ts";
import { commitStaged, joinAll, settle, stageJoins } from "../measured_ring.ts";
import { cpuSeconds, machineCpuSeconds } from "../process_usage.ts";
import type { Order } from "./node_process.ts";
import type { ServedResult } from "./served_load.ts";
import { say } from "../say.ts";

const HELP = `Measures data that moves between node processes on this machine.

  --what KINDS          join: half of the objects move to joining nodes, nothing
                        else to do; load: the same under load; hints: a node is
                        killed, fallbacks take writes, and it comes back
                                                         [join,load,hints]
  --storage KINDS       memory, deno_kv                  [memory,deno_kv]
  --objects N           rows, each written with n=1 (hints: 10000, n=3) [100000]
  --value-bytes N       size of a value                  [100]
  --joiners N           nodes that join at once          [1]
  --placement KIND      where vnode masters run          [worker]
  --concurrency N       operations at once of the load   [32]
  --runs N              of each, in turns                [3]
  --transfers N         transfers at once                [the default]
  --profile DIR         processor profiles of the nodes; with deno_kv the first
                        one is filled before it is profiled      [none]
  --json                one line of JSON for each figure

Lists are separated by commas. Medians are printed last.
`;

const SETTLE_MS_MAX = 600_000;
/** How long is measured before and after the handoff, in milliseconds. */
const QUIET_MS = 3_000;
const WARM_UP_MS = 1_000;
const FILL_CONCURRENCY = 256;
const HINTED_OBJECTS = 10_000;
const NODE = new URL("./node_process.ts", import.meta.url);

const args = parseArgs(Deno.args, {
  string: [
    "what",
    "storage",
    "objects",
    "value-bytes",
    "joiners",
    "placement",
    "concurrency",
    "runs",
    "transfers",
    "profile",
  ],
  boolean: ["json", "help"],
  default: {
    what: "join,load,hints",
    storage: "memory,deno_kv",
    objects: "100000",
    "value-bytes": "100",
    joiners: "1",
    placement: "worker",
    concurrency: "32",
    runs: "3",
  },
}) as unknown as Record<string, string> & { json: boolean; help: boolean };

type Figures = Record<string, number>;

if (args.help) {
  say(HELP);
  Deno.exit(0);
}

const objects = Number(args.objects);
const valueBytes = Number(args["value-bytes"]);
const concurrency = Number(args.concurrency);
const list = (name: string): string[] => (args[name] as string).split(",");
const scratch = await Deno.makeTempDir({ prefix: "whorl-bench-" });
const MEASURES: Record<
  string,
  (storage: string, directory: string) => Promise<Figures>
> = {
  join: (storage, directory) => measureJoin(storage, directory, false),
  load: (storage, directory) => measureJoin(storage, directory, true),
  hints: measureHints,
};
try {
  for (const storage of list("storage")) {
    for (const what of list("what")) {
      const measure = MEASURES[what];
      if (measure === undefined) throw new Error(`There is no ${what}`);
      const runs: Figures[] = [];
      for (let run = 1; run <= Number(args.runs); run++) {
        const figures = await measure(storage, `${scratch}/${what}-${run}`);
        print(`${what} ${storage} run ${run}`, figures);
        runs.push(figures);
        await Deno.remove(`${scratch}/${what}-${run}`, { recursive: true })
          .catch(() => {});
      }
      print(`${what} ${storage} MEDIAN`, medians(runs));
    }
  }
} finally {
  await Deno.remove(scratch, { recursive: true });
}

function nodes(
  stack: AsyncDisposableStack,
  count: number,
  storage: string,
  directory: string,
): MeasuredProcess[] {
  return Array.from(
    { length: count },
    (_, i) => stack.use(startOne(i, storage, directory)),
  );
}

function startOne(
  index: number,
  storage: string,
  directory: string,
  profiled = args.profile !== undefined,
): MeasuredProcess {
  const name = `bench${index + 1}`;
  if (storage === "deno_kv") Deno.mkdirSync(directory, { recursive: true });
  return new MeasuredProcess(
    NODE,
    {
      name: `${name}@127.0.0.1`,
      cookie: "bench",
      storage: storage as "memory",
      masterPlacement: args.placement as "worker",
      ...(args.transfers === undefined
        ? {}
        : { handoffConcurrency: Number(args.transfers) }),
      ...(storage === "deno_kv"
        ? { dataDirectory: `${directory}/${name}` }
        : {}),
    },
    !profiled ? [] : [
      "--cpu-prof",
      `--cpu-prof-dir=${args.profile}`,
      `--cpu-prof-name=${name}-${storage}.cpuprofile`,
    ],
  );
}

function order<T>(node: MeasuredProcess, what: Order): Promise<T> {
  return node.order<T>(what);
}

async function measureJoin(
  storage: string,
  directory: string,
  loaded: boolean,
): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const load = { concurrency, valueBytes, n: 1, objects };
  const fill: Order = {
    do: "fill",
    from: 0,
    to: objects,
    load: { ...load, concurrency: FILL_CONCURRENCY },
  };
  const filledBefore = args.profile !== undefined && storage === "deno_kv";
  if (filledBefore) {
    await using filled = startOne(0, storage, directory, false);
    await filled.up();
    await order(filled, fill);
  }
  const all = nodes(stack, 1 + Number(args.joiners), storage, directory);
  for (const node of all) await node.up();
  const [first] = all as [MeasuredProcess, ...MeasuredProcess[]];
  if (!filledBefore) await order(first, fill);
  const served = async (ms: number): Promise<ServedResult> => {
    await order(first, { do: "begin_load", load });
    await pause(ms);
    return await order<ServedResult>(first, { do: "end_load" });
  };
  let before: ServedResult | undefined;
  if (loaded) {
    await served(WARM_UP_MS);
    before = await served(QUIET_MS);
  }
  await stageJoins(all);
  if (loaded) await order(first, { do: "begin_load", load });
  const cpuBefore = all.map(({ pid }) => cpuSeconds(pid));
  const pids = [...all.map(({ pid }) => pid), Deno.pid];
  /** Processor time that others have used. */
  const others = (): number =>
    machineCpuSeconds() - sum(pids.map((pid) => cpuSeconds(pid)));
  const othersBefore = others();
  const committedAt = performance.now();
  await commitStaged(all);
  await settle(all, SETTLE_MS_MAX);
  const settledMs = performance.now() - committedAt;
  const during = loaded
    ? await order<ServedResult>(first, { do: "end_load" })
    : undefined;
  const cpu = all.map(({ pid }, i) => cpuSeconds(pid) - (cpuBefore[i] ?? 0));
  const othersDuring = others() - othersBefore;
  const moved = await order<number>(first, { do: "moved" });
  // What was handed over is removed at its source once nothing else moves: until
  // then that is no cluster at rest.
  await allHome([first], 20);
  const removedMs = performance.now() - committedAt;
  const othersAt = others();
  const after = loaded ? await served(QUIET_MS) : undefined;
  const othersAfter = others() - othersAt;
  return {
    settledMs: Math.round(settledMs),
    removedMs: Math.round(removedMs),
    moved,
    movedPerSecond: Math.round(moved / settledMs * 1000),
    sourceCpuSeconds: round(cpu[0] as number),
    joinersCpuSeconds: round(sum(cpu.slice(1))),
    othersCpuSeconds: round(othersDuring),
    ...loaded ? { othersAfterCpuSeconds: round(othersAfter) } : {},
    ...servedFigures("before", before),
    ...servedFigures("during", during),
    ...servedFigures("after", after),
  };
}

function servedFigures(
  when: string,
  result: ServedResult | undefined,
): Figures {
  if (result === undefined) return {};
  if (result.firstFailure !== null) {
    say(`  ${when}: ${result.failures} failed, first: ${result.firstFailure}`);
  }
  return {
    [`${when}PerSecond`]: result.perSecond,
    [`${when}P50Ms`]: round(result.p50Us / 1000),
    [`${when}P99Ms`]: round(result.p99Us / 1000),
    [`${when}MaxMs`]: round(result.maxUs / 1000),
    [`${when}Failed`]: result.failures,
  };
}

async function measureHints(
  storage: string,
  directory: string,
): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const all = nodes(stack, 3, storage, directory);
  await joinAll(all);
  const [first, second, third] = all as [
    MeasuredProcess,
    MeasuredProcess,
    MeasuredProcess,
  ];
  const load = { concurrency: FILL_CONCURRENCY, valueBytes, n: 3 };
  await order(first, { do: "fill", from: 0, to: HINTED_OBJECTS, load });
  const killedAt = Date.now();
  await third.kill();
  const servedAt = await order<number>(first, { do: "write_all_replicas" });
  await order(first, {
    do: "fill",
    from: HINTED_OBJECTS,
    to: 2 * HINTED_OBJECTS,
    load,
  });
  const hinted = await strays([first, second]);
  // In memory it comes back empty and under another identity, which is no return.
  if (storage === "memory") {
    return { fallbacksMs: servedAt - killedAt, hintedPartitions: hinted };
  }
  const startedAt = performance.now();
  const again = stack.use(startOne(2, storage, directory));
  await again.up();
  const upAt = performance.now();
  await allHome([first, second], 5);
  const homeAt = performance.now();
  const moved = await order<number>(first, { do: "moved" }) +
    await order<number>(second, { do: "moved" });
  return {
    fallbacksMs: servedAt - killedAt,
    hintedPartitions: hinted,
    hintedObjects: moved,
    processStartMs: Math.round(upAt - startedAt),
    hintsHomeMs: Math.round(homeAt - upAt),
  };
}

/** Partitions that `nodes` hold and do not own. */
async function strays(nodes: readonly MeasuredProcess[]): Promise<number> {
  return sum(
    await Promise.all(
      nodes.map((node) => order<number>(node, { do: "strays" })),
    ),
  );
}

/** Waits until `nodes` hold nothing for others, asking every `everyMs`. @throws {Error} If that takes longer than {@linkcode SETTLE_MS_MAX}. */
async function allHome(
  nodes: readonly MeasuredProcess[],
  everyMs: number,
): Promise<void> {
  const deadlineMs = performance.now() + SETTLE_MS_MAX;
  for (;;) {
    const left = await strays(nodes);
    if (left === 0) return;
    if (performance.now() > deadlineMs) {
      throw new Error(
        `${left} partitions are held for others still, after ${SETTLE_MS_MAX} ms`,
      );
    }
    await pause(everyMs);
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function medians(runs: readonly Figures[]): Figures {
  return Object.fromEntries(
    Object.keys(runs[0] as Figures).map((name) => {
      const values = runs.map((run) => run[name] as number)
        .sort((a, b) => a - b);
      return [name, values[Math.floor(values.length / 2)] as number];
    }),
  );
}

function print(title: string, figures: Figures): void {
  say(
    args.json
      ? JSON.stringify({ title, ...figures })
      : `${title}\n${
        Object.entries(figures).map(([name, value]) =>
          `  ${name.padEnd(18)}${String(value).padStart(12)}`
        ).join("\n")
      }`,
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
