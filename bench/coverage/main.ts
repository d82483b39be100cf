/**
 * Measures listing all keys of a bucket on one node: the first key and the last
 * one, with what memory grows by, and what puts and gets keep of their rate
 * beside it.
 *
 *     deno task bench:coverage --keys 1000000 --storage deno_kv
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { MeasuredProcess } from "../measured_process.ts";
import type { Listed, Order } from "./node_process.ts";

const HELP =
  `Measures how the keys of a bucket are listed, on one node of this machine.

  --storage KINDS     memory, deno_kv                           [memory,deno_kv]
  --keys N            keys in the bucket                        [100000]
  --replicas LIST     replicas of each; with 3 they are listed both as 3 and as
                      1, where every row is said                [1,3]
  --placement KIND    where vnode masters run                   [worker]
  --runs N            listings of each kind, the first not counted [6]
  --no-load           leave the load beside listings out

Medians are printed. Lists are separated by commas.
`;

const NODE = new URL("./node_process.ts", import.meta.url);

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

const args = parseArgs(Deno.args, {
  string: ["storage", "keys", "replicas", "placement", "runs"],
  boolean: ["help", "load"],
  negatable: ["load"],
  default: {
    storage: "memory,deno_kv",
    keys: "100000",
    replicas: "1,3",
    placement: "worker",
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

async function measure(storage: string, replicas: number): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "whorl-coverage-" });
  try {
    await using node = new MeasuredProcess(NODE, {
      name: "bench@127.0.0.1",
      cookie: "bench",
      masterPlacement: args.placement as "worker" | "task",
      ...(storage === "deno_kv" ? { dataDirectory: directory } : {}),
    });
    await node.up();
    const order = <T>(what: Order): Promise<T> => node.order<T>(what);
    await order({ do: "fill", keys: Number(args.keys), n: replicas });
    for (const n of new Set([replicas, 1])) {
      const runs: Listed[] = [];
      for (let run = 0; run < Number(args.runs); run++) {
        const listed = await order<Listed>({ do: "list", n });
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
