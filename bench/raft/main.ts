/**
 * Measures a Raft group on three node processes, with the driver on the
 * leader's node: rates, latencies, processor time and memory.
 *
 *     deno task bench:raft --concurrency 1,64
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { cpuSeconds, memoryMb } from "../cluster/process_usage.ts";
import { MeasuredProcess } from "../measured_process.ts";
import type { RaftLoad, RaftLoadResult } from "./load.ts";

const HELP = `Measures a Raft group on three node processes on this machine.

  --operations KINDS    put, get                         [put,get]
  --concurrency LIST    operations at once               [1,16,64,256]
  --value-bytes LIST    size of a value                  [100]
  --keys N              different keys                   [10000]
  --seconds S           for each figure                  [3]
  --profile FOLDER      a CPU profile of the leader for each figure
  --json                one line of JSON for each figure

Lists are separated by commas.
`;

const NODE = new URL("./node_process.ts", import.meta.url);

const args = parseArgs(Deno.args, {
  string: [
    "operations",
    "concurrency",
    "value-bytes",
    "keys",
    "seconds",
    "profile",
  ],
  boolean: ["json", "help"],
  default: {
    operations: "put,get",
    concurrency: "1,16,64,256",
    "value-bytes": "100",
    keys: "10000",
    seconds: "3",
  },
}) as unknown as Record<string, string> & { json: boolean; help: boolean };

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

if (args.help) {
  say(HELP);
  Deno.exit(0);
}

const list = (name: string): string[] => (args[name] as string).split(",");
const scratch = await Deno.makeTempDir({ prefix: "whorl-bench-" });
try {
  await using stack = new AsyncDisposableStack();
  const nodes = [1, 2, 3].map((number) =>
    stack.use(
      new MeasuredProcess(NODE, {
        name: `bench${number}@127.0.0.1`,
        cookie: "bench",
        storage: "memory",
        ringSize: 16,
        masterPlacement: "task",
        dataDirectory: `${scratch}/${number}`,
      }),
    )
  );
  for (const node of nodes) await node.up();
  const [first, ...others] = nodes as [MeasuredProcess, ...MeasuredProcess[]];
  for (const node of others) {
    await node.order({ do: "join", address: first.address });
  }
  await first.order({ do: "commit" });
  for (const node of nodes) {
    if (!await node.order<boolean>({ do: "settled" })) {
      throw new Error("The cluster did not settle");
    }
  }
  const { leader } = await first.order<{ leader: string }>({
    do: "start",
    members: nodes.map((_, i) => `bench${i + 1}@127.0.0.1`),
  });
  const leading = nodes[Number(leader[5]) - 1] as MeasuredProcess;
  if (!args.json) {
    say(
      "op   bytes conc     ops/s    p50 us    p99 us    max us  failed  cores of nodes   MB\n",
    );
  }
  for (const operation of list("operations")) {
    for (const valueBytes of list("value-bytes")) {
      for (const concurrency of list("concurrency")) {
        await figure(nodes, leading, {
          operation: operation as "put",
          concurrency: Number(concurrency),
          durationMs: Number(args.seconds) * 1000,
          valueBytes: Number(valueBytes),
          keys: Number(args.keys),
        });
      }
    }
  }
} finally {
  await Deno.remove(scratch, { recursive: true });
}

async function figure(
  nodes: readonly MeasuredProcess[],
  leader: MeasuredProcess,
  load: RaftLoad,
): Promise<void> {
  const pids = nodes.map((node) => node.pid);
  const before = pids.map(cpuSeconds);
  const beganAt = performance.now();
  const { operation, valueBytes, concurrency } = load;
  const result = await leader.order<RaftLoadResult>({
    do: "load",
    load,
    ...(args.profile === undefined ? {} : {
      profile:
        `${args.profile}/${operation}-${valueBytes}-${concurrency}.cpuprofile`,
    }),
  });
  const seconds = (performance.now() - beganAt) / 1000;
  const cores = pids.map((pid, i) =>
    (cpuSeconds(pid) - (before[i] as number)) / seconds
  );
  const mb = pids.map(memoryMb);
  if (args.json) {
    say(JSON.stringify({ ...load, ...result, cores, mb }) + "\n");
    return;
  }
  say(
    operation.padEnd(4) +
      [
        [valueBytes, 6],
        [concurrency, 5],
        [result.perSecond, 10],
        [result.p50Us, 10],
        [result.p99Us, 10],
        [result.maxUs, 10],
        [result.failures, 8],
      ].map(([value, width]) => String(value).padStart(width as number)).join(
        "",
      ) +
      `  ${cores.map((each) => each.toFixed(2)).join(" ")}   ${
        mb.map((each) => each.toFixed(0)).join(" ")
      }` +
      (result.firstFailure === null ? "" : `  first: ${result.firstFailure}`) +
      "\n",
  );
}
