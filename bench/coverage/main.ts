/**
 * Measures listing all keys of a bucket on one node: the first key and the last
 * one, with what memory grows by, and what puts and gets keep of their rate
 * beside it.
 *
 *     deno task bench:coverage --keys 1000000 --storage deno_kv
 *     deno task bench:coverage --keys 10000000 --storage memory --replicas 1 \
 *       --caller client --placement subprocess --masters 4 --runs 2 --no-load
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { connect } from "../../mod.ts";
import { memoryMb } from "../cluster/process_usage.ts";
import { MeasuredProcess } from "../measured_process.ts";
import { list, type Listed } from "./listing.ts";
import type { Order } from "./node_process.ts";

const HELP =
  `Measures how the keys of a bucket are listed, on one node of this machine.

  --storage KINDS     memory, deno_kv                           [memory,deno_kv]
  --keys N            keys in the bucket                        [100000]
  --replicas LIST     replicas of each; with 3 they are listed both as 3 and as
                      1, where every row is said                [1,3]
  --placement KIND    where vnode masters run; as subprocess they and their
                      stores are not in the memory of the node  [worker]
  --masters N         vnode masters; each has a heap of some GB  [1]
  --caller KIND       who lists: node, or client: this process over a
                      connection; then the memory of both is said [node]
  --runs N            listings of each kind, the first not counted [6]
  --no-load           leave the load beside listings out

Medians are printed. Lists are separated by commas.
`;

/** How often the memory of the node is looked at while a client lists, in milliseconds. */
const MEMORY_EVERY_MS = 100;
/** So many figures of it are printed. */
const MEMORY_FIGURES = 10;

const NODE = new URL("./node_process.ts", import.meta.url);

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

const args = parseArgs(Deno.args, {
  string: [
    "storage",
    "keys",
    "replicas",
    "placement",
    "masters",
    "caller",
    "runs",
  ],
  boolean: ["help", "load"],
  negatable: ["load"],
  default: {
    storage: "memory,deno_kv",
    keys: "100000",
    replicas: "1,3",
    placement: "worker",
    masters: "1",
    caller: "node",
    runs: "6",
    load: true,
  },
  unknown: (word: string) => {
    say(`There is no ${word}: see --help`);
    Deno.exit(2);
  },
}) as unknown as Record<string, string> & { help: boolean; load: boolean };

if (args.help) {
  say(HELP);
  Deno.exit(0);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
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

async function measure(storage: string, replicas: number): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "whorl-coverage-" });
  try {
    await using node = new MeasuredProcess(NODE, {
      name: "bench@127.0.0.1",
      cookie: "bench",
      masterPlacement: args.placement as "worker" | "task" | "subprocess",
      masters: Number(args.masters),
      ...(storage === "deno_kv" ? { dataDirectory: directory } : {}),
    });
    await node.up();
    const order = <T>(what: Order): Promise<T> => node.order<T>(what);
    await order({ do: "fill", keys: Number(args.keys), n: replicas });
    for (const n of new Set([replicas, 1])) {
      const runs: Listed[] = [];
      for (let run = 0; run < Number(args.runs); run++) {
        const listed = args.caller === "client"
          ? await listFromHere(node, n)
          : await order<Listed>({ do: "list", n });
        // With several replicas listed as one, every row is said.
        const expected = Number(args.keys) * (n === replicas ? 1 : replicas);
        if (listed.keys !== expected) {
          throw new Error(
            `${listed.keys} keys were listed of ${expected}:\n${await order<
              string
            >({ do: "tree" })}`,
          );
        }
        if (run > 0) runs.push(listed);
      }
      const of = (figure: keyof Listed) => median(runs.map((r) => r[figure]));
      say(
        `${storage}, ${replicas} replicas listed as ${n}: ${
          of("keys")
        } keys, ` +
          `first ${of("firstMs").toFixed(1)} ms, all ${
            of("allMs").toFixed(0)
          } ms, memory +${of("grownMb").toFixed(0)} MB`,
      );
    }
    if (!args.load) return;
    type Rates = { putPerSecond: number; getPerSecond: number; lists: number };
    const loaded = (lists: boolean) =>
      order<Rates>({ do: "load", n: replicas, lists });
    await loaded(false);
    const alone = await loaded(false);
    const beside = await loaded(true);
    const share = (rate: "putPerSecond" | "getPerSecond") =>
      `${beside[rate].toFixed(0)}/s of ${alone[rate].toFixed(0)}/s, ${
        (100 * beside[rate] / alone[rate]).toFixed(0)
      } %`;
    say(
      `${storage}, ${replicas} replicas, beside ${beside.lists} listings: ` +
        `puts ${share("putPerSecond")}; gets ${share("getPerSecond")}`,
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

for (const storage of (args.storage as string).split(",")) {
  for (const replicas of (args.replicas as string).split(",")) {
    await measure(storage, Number(replicas));
  }
}
