/**
 * Measures listing all keys of a bucket in a cluster: the first key and the last
 * one, the processor time of a key, what memory grows by, and what puts and gets
 * keep of their rate beside it.
 *
 *     deno task bench:coverage --keys 1000000 --storage deno_kv --nodes 3
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { cpuSeconds } from "../cluster/process_usage.ts";
import { MeasuredProcess } from "../measured_process.ts";
import type { Listed, LoadResult, Order } from "./node_process.ts";

const HELP =
  `Measures how the keys of a bucket are listed, by a node of a cluster on this machine.

  --storage KINDS     memory, deno_kv                           [memory,deno_kv]
  --nodes LIST        nodes, each a process; the first one lists [1,3]
  --keys N            keys in the bucket                        [100000]
  --replicas LIST     replicas of each; with 3 they are listed both as 3 and as
                      1, where every row is said                [1,3]
  --placement KIND    where vnode masters run                   [worker]
  --runs N            listings of each kind, the first not counted [11]
  --rounds N          turns of puts and of gets, each by itself and beside
                      listings for a second                     [7]
  --no-load           leave the load beside listings out
  --profile DIR       processor profiles of the nodes

Medians are printed, with the least and the most. Lists are separated by commas.
`;

const NODE = new URL("./node_process.ts", import.meta.url);

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

const args = parseArgs(Deno.args, {
  string: [
    "storage",
    "nodes",
    "keys",
    "replicas",
    "placement",
    "runs",
    "rounds",
    "profile",
  ],
  boolean: ["help", "load"],
  negatable: ["load"],
  default: {
    storage: "memory,deno_kv",
    nodes: "1,3",
    keys: "100000",
    replicas: "1,3",
    placement: "worker",
    runs: "11",
    rounds: "7",
    load: true,
  },
  unknown: (word: string) => {
    say(`There is no ${word}: see --help`);
    Deno.exit(2);
  },
}) as unknown as
  & Record<string, string>
  & { help: boolean; load: boolean; profile?: string };

if (args.help) {
  say(HELP);
  Deno.exit(0);
}

/** The median, with the least and the most. */
function spread(values: readonly number[], digits: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (index: number) => (sorted[index] ?? NaN).toFixed(digits);
  return `${at(sorted.length >> 1)} (${at(0)}-${at(sorted.length - 1)})`;
}

async function measure(
  storage: string,
  count: number,
  replicas: number,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "whorl-coverage-" });
  try {
    await using stack = new AsyncDisposableStack();
    const nodes = Array.from({ length: count }, (_, index) => {
      const name = `bench${index + 1}`;
      return stack.use(
        new MeasuredProcess(
          NODE,
          {
            name: `${name}@127.0.0.1`,
            cookie: "bench",
            storage: storage as "memory",
            masterPlacement: args.placement as "worker" | "task",
            ...(storage === "deno_kv"
              ? { dataDirectory: `${directory}/${name}` }
              : {}),
          },
          args.profile === undefined ? [] : [
            "--cpu-prof",
            `--cpu-prof-dir=${args.profile}`,
            `--cpu-prof-name=${name}-${storage}-${count}-${replicas}.cpuprofile`,
          ],
        ),
      );
    });
    for (const node of nodes) await node.up();
    const [first, ...others] = nodes as [MeasuredProcess, ...MeasuredProcess[]];
    const order = <T>(what: Order, node = first): Promise<T> =>
      node.order<T>(what);
    for (const node of others) {
      await order({ do: "join", address: first.address }, node);
    }
    if (others.length > 0) await order({ do: "commit" });
    for (const node of nodes) {
      if (!await order<boolean>({ do: "settled" }, node)) {
        throw new Error("The cluster did not settle");
      }
    }
    await order({ do: "fill", keys: Number(args.keys), n: replicas });
    const what = `${storage}, ${count} nodes, ${replicas} replicas`;
    for (const n of new Set([replicas, 1])) {
      await order({ do: "list", n });
      const runs: Listed[] = [];
      const cpu = (): number[] => nodes.map(({ pid }) => cpuSeconds(pid));
      const before = cpu();
      for (let run = 1; run < Number(args.runs); run++) {
        runs.push(await order<Listed>({ do: "list", n }));
      }
      const listed = runs.reduce((sum, { keys }) => sum + keys, 0);
      const cpuUs = cpu().map((seconds, index) =>
        (1e6 * (seconds - (before[index] as number)) / listed).toFixed(2)
      );
      const of = (figure: keyof Listed, digits = 0) =>
        spread(runs.map((run) => run[figure]), digits);
      say(
        `${what}, listed as ${n}: ${of("keys")} keys, first ${
          of("firstMs", 1)
        } ms, all ${of("allMs")} ms, processor time of a key ${
          cpuUs.join(" + ")
        } us, memory +${of("grownMb")} MB`,
      );
    }
    if (!args.load) return;
    for (const operation of ["put", "get"] as const) {
      const { turns, listMs } = await order<LoadResult>({
        do: "load",
        operation,
        n: replicas,
        rounds: Number(args.rounds),
      });
      const of = (what: "alone" | "beside") =>
        spread(turns.map((turn) => turn[what] / 1000), 1);
      const kept = turns.map(({ alone, beside }) => 100 * beside / alone);
      say(
        `${what}, ${operation}s beside ${listMs.length} listings of ${
          spread(listMs, 0)
        } ms: ${of("beside")} thousand/s of ${of("alone")}, ${
          spread(kept, 0)
        } % of the same turn`,
      );
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

for (const storage of (args.storage as string).split(",")) {
  for (const nodes of (args.nodes as string).split(",")) {
    for (const replicas of (args.replicas as string).split(",")) {
      await measure(storage, Number(nodes), Number(replicas));
    }
  }
}
