/**
 * Measures listing all keys of a bucket in a cluster: the first key and the last
 * one, the processor time of a key, what memory grows by, and what puts and gets
 * keep of their rate beside it.
 *
 *     deno task bench:coverage --keys 1000000 --storage deno_kv --nodes 3
 *     deno task bench:coverage --keys 10000000 --storage memory --nodes 1 \
 *       --replicas 1 --caller client --placement subprocess --masters 4 --runs 2 \
 *       --no-load
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { connect } from "../../mod.ts";
import { cpuSeconds, memoryMb } from "../process_usage.ts";
import { MeasuredProcess } from "../measured_process.ts";
import { joinAll } from "../measured_ring.ts";
import { list, type Listed } from "./listing.ts";
import type { LoadResult, Order } from "./node_process.ts";
import { say } from "../say.ts";

const HELP =
  `Measures how the keys of a bucket are listed, by a node of a cluster on this machine.

  --storage KINDS     memory, deno_kv                           [memory,deno_kv]
  --nodes LIST        nodes, each a process; the first one lists [1,3]
  --keys N            keys in the bucket                        [100000]
  --replicas LIST     replicas of each; with 3 they are listed both as 3 and as
                      1, where every row is said                [1,3]
  --placement KIND    where vnode masters run; as subprocess they and their
                      stores are not in the memory of the node  [worker]
  --masters N         vnode masters; each has a heap of some GB  [1]
  --caller KIND       who lists: node, or client: this process over a
                      connection; then the memory of both is said [node]
  --runs N            listings of each kind, the first not counted [11]
  --rounds N          turns of puts and of gets, each by itself and beside
                      listings for a second                     [7]
  --no-load           leave the load beside listings out
  --profile DIR       processor profiles of the nodes

Medians are printed, with the least and the most. Lists are separated by commas.
`;

/** How often the memory of the node is looked at while a client lists, in milliseconds. */
const MEMORY_EVERY_MS = 100;
/** So many figures of it are printed. */
const MEMORY_FIGURES = 10;

const NODE = new URL("./node_process.ts", import.meta.url);

const args = parseArgs(Deno.args, {
  string: [
    "storage",
    "nodes",
    "keys",
    "replicas",
    "placement",
    "masters",
    "caller",
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
    masters: "1",
    caller: "node",
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

/** Lists over a connection, and prints the memory of the node and of this process in the course of it. */
async function listFromHere(
  node: MeasuredProcess,
  n: number,
): Promise<Listed> {
  await using client = await connect({
    nodes: [node.address],
    cookie: "bench",
  });
  const samples: [number, number][] = [];
  const watch = setInterval(
    () => samples.push([memoryMb(node.pid), memoryMb(Deno.pid)]),
    MEMORY_EVERY_MS,
  );
  const listed = await list(client.kv, n);
  clearInterval(watch);
  const figures = (which: 0 | 1) =>
    Array.from({ length: MEMORY_FIGURES }, (_, i) => {
      const at = Math.floor(i * (samples.length - 1) / (MEMORY_FIGURES - 1));
      return samples[at]?.[which].toFixed(0) ?? "-";
    }).join(" ");
  const most = (which: 0 | 1) =>
    Math.max(...samples.map((sample) => sample[which])).toFixed(0);
  say(
    `${listed.keys} keys in ${
      (listed.allMs / 1000).toFixed(1)
    } s; memory meanwhile, MB: coordinator ${figures(0)}, most ${
      most(0)
    }; caller ${figures(1)}, most ${most(1)}`,
  );
  return listed;
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
            masterPlacement: args.placement as "worker" | "task" | "subprocess",
            masters: Number(args.masters),
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
    await joinAll(nodes);
    const [first] = nodes as [MeasuredProcess, ...MeasuredProcess[]];
    const order = <T>(what: Order): Promise<T> => first.order<T>(what);
    await order({ do: "fill", keys: Number(args.keys), n: replicas });
    const what = `${storage}, ${count} nodes, ${replicas} replicas`;
    for (const n of new Set([replicas, 1])) {
      const listOnce = (): Promise<Listed> =>
        args.caller === "client"
          ? listFromHere(first, n)
          : order<Listed>({ do: "list", n });
      await listOnce();
      const runs: Listed[] = [];
      const cpu = (): number[] => nodes.map(({ pid }) => cpuSeconds(pid));
      const before = cpu();
      for (let run = 1; run < Number(args.runs); run++) {
        runs.push(await listOnce());
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
