/**
 * Measures what an operation with one replica costs in processor time where that
 * is on the node that was asked, where it is on another one, and of both together:
 * two node processes at rest, the same loop on keys of each kind by turns. Rates say
 * little on a machine that is shared; processor time, and how often a thread had
 * to be woken, say where it goes.
 *
 *     deno task bench:forwarded --storage deno_kv --concurrency 32
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { MeasuredProcess } from "../measured_process.ts";
import { joinAll } from "../measured_ring.ts";
import { type ThreadUsage, threadUsages } from "../process_usage.ts";
import type { Order } from "./node_process.ts";
import type { ServedLoad, ServedResult } from "./served_load.ts";
import { say } from "../say.ts";

const HELP = `Measures operations at home and on another node, by turns.

  --storage KINDS       memory, deno_kv                  [memory,deno_kv]
  --placement KIND      where vnode masters run          [worker]
  --concurrency LIST    operations at once               [1,32]
  --objects N           rows, each written with n=1      [5000]
  --value-bytes N       size of a value                  [100]
  --seconds N           length of a turn                 [1]
  --turns N             of each kind                     [5]
  --profile DIR         processor profiles of the nodes  [none]

Medians of the turns. Microseconds of processor time and wake-ups are those of
one operation: in the thread of the node that is asked, its other threads, and
the same of the other node.
`;

const FILL_CONCURRENCY = 256;
const KINDS = ["home", "away", "both"] as const;

const args = parseArgs(Deno.args, {
  string: [
    "storage",
    "placement",
    "concurrency",
    "objects",
    "value-bytes",
    "seconds",
    "turns",
    "profile",
  ],
  boolean: ["help"],
  default: {
    storage: "memory,deno_kv",
    placement: "worker",
    concurrency: "1,32",
    objects: "5000",
    "value-bytes": "100",
    seconds: "1",
    turns: "5",
  },
}) as unknown as Record<string, string> & { help: boolean };

/** What one turn came to; figures are of one operation. */
type Figures = Record<string, number>;

if (args.help) {
  say(HELP);
  Deno.exit(0);
}

const scratch = await Deno.makeTempDir({ prefix: "whorl-bench-" });
try {
  for (const storage of (args.storage as string).split(",")) {
    await measure(storage, `${scratch}/${storage}`);
  }
} finally {
  await Deno.remove(scratch, { recursive: true });
}

async function measure(storage: string, directory: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const nodes = [1, 2].map((i) => stack.use(startOne(i, storage, directory)));
  await joinAll(nodes);
  const [first] = nodes as [MeasuredProcess, MeasuredProcess];
  const order = <T>(what: Order): Promise<T> => first.order<T>(what);
  const load = {
    concurrency: FILL_CONCURRENCY,
    valueBytes: Number(args["value-bytes"]),
    n: 1,
    objects: Number(args.objects),
  };
  await order({ do: "fill", from: 0, to: load.objects, load });
  for (const concurrency of (args.concurrency as string).split(",")) {
    const turns: Record<string, Figures[]> = { home: [], away: [], both: [] };
    // The first turn of each kind is not counted: code is compiled in it.
    for (let turn = 0; turn <= Number(args.turns); turn++) {
      for (const keys of KINDS) {
        const figures = await oneTurn(nodes, {
          ...load,
          concurrency: Number(concurrency),
          ...(keys === "both" ? {} : { keys }),
        });
        if (turn > 0) turns[keys]?.push(figures);
      }
    }
    for (const keys of KINDS) {
      print(`${storage} ${concurrency} at once, ${keys}`, turns[keys] ?? []);
    }
  }
}

function startOne(
  index: number,
  storage: string,
  directory: string,
): MeasuredProcess {
  const name = `bench${index}`;
  Deno.mkdirSync(directory, { recursive: true });
  return new MeasuredProcess(
    new URL("./node_process.ts", import.meta.url),
    {
      name: `${name}@127.0.0.1`,
      cookie: "bench",
      storage: storage as "memory",
      masterPlacement: args.placement as "worker",
      ...(storage === "deno_kv"
        ? { dataDirectory: `${directory}/${name}` }
        : {}),
    },
    args.profile === undefined ? [] : [
      "--cpu-prof",
      `--cpu-prof-dir=${args.profile}`,
      `--cpu-prof-name=${name}-${storage}.cpuprofile`,
    ],
  );
}

async function oneTurn(
  nodes: readonly MeasuredProcess[],
  load: ServedLoad,
): Promise<Figures> {
  const [first] = nodes as [MeasuredProcess, MeasuredProcess];
  await first.order({ do: "begin_load", load } satisfies Order);
  const before = nodes.map(({ pid }) => threadUsages(pid));
  await new Promise((resolve) =>
    setTimeout(resolve, Number(args.seconds) * 1_000)
  );
  const served = await first.order<ServedResult>({ do: "end_load" });
  const used = nodes.map(({ pid }, i) =>
    usageSince(pid, before[i] ?? new Map(), served.operations)
  );
  const [asked, other] = used as [NodeUsage, NodeUsage];
  return {
    "operations/s": served.perSecond,
    "p50 µs": served.p50Us,
    "cpu µs": asked.main.cpuUs + asked.rest.cpuUs + other.main.cpuUs +
      other.rest.cpuUs,
    "asked main": asked.main.cpuUs,
    "asked rest": asked.rest.cpuUs,
    "other main": other.main.cpuUs,
    "other rest": other.rest.cpuUs,
    "wake-ups": asked.main.sleeps + asked.rest.sleeps + other.main.sleeps +
      other.rest.sleeps,
  };
}

interface NodeUsage {
  main: ThreadUsage;
  rest: ThreadUsage;
}

function usageSince(
  pid: number,
  before: ReadonlyMap<number, ThreadUsage>,
  operations: number,
): NodeUsage {
  const none = { cpuUs: 0, sleeps: 0 };
  const used: NodeUsage = { main: none, rest: none };
  for (const [thread, now] of threadUsages(pid)) {
    const then = before.get(thread) ?? none;
    const part = thread === pid ? "main" : "rest";
    used[part] = {
      cpuUs: used[part].cpuUs + (now.cpuUs - then.cpuUs) / operations,
      sleeps: used[part].sleeps + (now.sleeps - then.sleeps) / operations,
    };
  }
  return used;
}

function print(title: string, turns: readonly Figures[]): void {
  const columns = Object.keys(turns[0] ?? {}).map((name) => {
    const values = turns.map((figures) => figures[name] ?? 0)
      .sort((a, b) => a - b);
    const median = values[values.length >> 1] ?? 0;
    return `${name} ${median.toFixed(median < 1_000 ? 1 : 0)}`;
  });
  say(`${title.padEnd(28)} ${columns.join("  ")}`);
}
