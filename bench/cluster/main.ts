/**
 * Measures a cluster of three node processes: rates, latencies, processor time
 * and memory, for each storage, placement, driver and concurrency asked for,
 * with the bare ceiling of Deno KV in the same run.
 *
 *     deno task bench:cluster --storage memory --placement worker,task
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { connect } from "../../mod.ts";
import { MeasuredProcess } from "../measured_process.ts";
import { commitStaged, settle, stageJoins } from "../measured_ring.ts";
import { denoKvCeiling } from "./deno_kv_ceiling.ts";
import { hopFloorUs } from "./hop_floor.ts";
import type { LoopResult } from "../closed_loop.ts";
import { type Load, runLoad } from "./load.ts";
import { cpuSeconds, memoryMb } from "../process_usage.ts";

const HELP = `Measures a cluster of three node processes on this machine.

  --storage KINDS       memory, deno_kv                  [memory]
  --placement KINDS     where vnode masters run          [worker]
  --coordinators KIND   where coordinators run           [task]
  --driver KINDS        node, client                     [node]
  --operations KINDS    put, get                         [put,get]
  --concurrency LIST    operations at once               [1,16,64,256]
  --value-bytes N       size of a value                  [100]
  --keys N              different keys                   [10000]
  -n N, -r N, -w N      replicas, R and W                [3, 2, 2]
  --seconds S           for each figure                  [3]
  --masters N           vnode masters a node             [1]
  --json                one line of JSON for each figure

Lists are separated by commas.
`;

interface Figure extends LoopResult {
  readonly storage: string;
  readonly placement: string;
  readonly driver: string;
  readonly operation: string;
  readonly concurrency: number;
  readonly valueBytes: number;
  /** Processor time of the nodes and of this driver, as cores in use. */
  readonly nodeCores: readonly number[];
  readonly driverCores: number;
  readonly nodeMb: readonly number[];
}

/** What each of the nodes runs. */
const NODE = new URL("./node_process.ts", import.meta.url);

const args = parseArgs(Deno.args, {
  string: [
    "storage",
    "placement",
    "coordinators",
    "driver",
    "operations",
    "concurrency",
    "value-bytes",
    "keys",
    "n",
    "r",
    "w",
    "seconds",
    "masters",
  ],
  boolean: ["json", "help"],
  default: {
    storage: "memory",
    placement: "worker",
    coordinators: "task",
    driver: "node",
    operations: "put,get",
    concurrency: "1,16,64,256",
    "value-bytes": "100",
    keys: "10000",
    n: "3",
    r: "2",
    w: "2",
    seconds: "3",
    masters: "1",
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
const durationMs = Number(args.seconds) * 1000;
const scratch = await Deno.makeTempDir({ prefix: "whorl-bench-" });
try {
  for (const storage of list("storage")) {
    if (storage === "deno_kv") {
      const ceiling = await denoKvCeiling(
        scratch,
        Number(args["value-bytes"]),
        Math.min(durationMs, 3000),
      );
      for (const { batch, setsPerSecond, commitMs } of ceiling) {
        say(
          args.json
            ? JSON.stringify({ ceiling: "deno_kv", batch, setsPerSecond }) +
              "\n"
            : `bare Deno KV, one process, ${batch} sets a commit: ${setsPerSecond} sets/s, ${
              commitMs.toFixed(2)
            } ms a commit\n`,
        );
      }
    }
    if (
      list("placement").includes("worker") && list("concurrency").includes("1")
    ) {
      const floorUs = Math.round(await hopFloorUs());
      say(
        args.json
          ? JSON.stringify({ ceiling: "hops", p50Us: floorUs }) + "\n"
          : `bare hops of a put at concurrency 1 (MessagePort, TCP to two peers, MessagePort, and back): p50 ${floorUs} us\n`,
      );
    }
    for (const placement of list("placement")) {
      await measure(storage, placement);
    }
  }
} finally {
  await Deno.remove(scratch, { recursive: true });
}

async function measure(storage: string, placement: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const nodes = [1, 2, 3].map((number) =>
    stack.use(
      new MeasuredProcess(NODE, {
        name: `bench${number}@127.0.0.1`,
        cookie: "bench",
        storage: storage as "memory",
        masterPlacement: placement as "worker",
        coordinatorPlacement: args.coordinators as "task",
        masters: Number(args.masters),
        ...(storage === "deno_kv"
          ? { dataDirectory: `${scratch}/${placement}-${number}` }
          : {}),
      }),
    )
  );
  for (const node of nodes) await node.up();
  const [first] = nodes as [MeasuredProcess, ...MeasuredProcess[]];
  const joinedAt = performance.now();
  await stageJoins(nodes);
  await commitStaged(nodes);
  await settle(nodes);
  if (!args.json) {
    say(
      `\n${storage}, masters as ${placement}, coordinators as ${args.coordinators}: nodes up in ${
        nodes.map((node) => `${node.startMs.toFixed(0)} ms`).join(", ")
      }; joined and settled in ${
        (performance.now() - joinedAt).toFixed(0)
      } ms; idle at ${
        nodes.map((node) => `${memoryMb(node.pid).toFixed(0)} MB`).join(", ")
      }\n` +
        "driver  op   conc     ops/s    p50 us    p99 us  p99.9 us  failed  cores of nodes + driver   MB\n",
    );
  }
  for (const driver of list("driver")) {
    for (const operation of list("operations")) {
      for (const concurrency of list("concurrency")) {
        const load: Load = {
          operation: operation as "put",
          concurrency: Number(concurrency),
          durationMs,
          valueBytes: Number(args["value-bytes"]),
          keys: Number(args.keys),
          n: Number(args.n),
          quorum: Number(operation === "put" ? args.w : args.r),
        };
        print(
          await figure(nodes, first, load, { storage, placement, driver }),
        );
      }
    }
  }
}

async function figure(
  nodes: readonly MeasuredProcess[],
  first: MeasuredProcess,
  load: Load,
  where: { storage: string; placement: string; driver: string },
): Promise<Figure> {
  const pids = nodes.map((node) => node.pid);
  const before = pids.map(cpuSeconds);
  const ownBefore = cpuSeconds(Deno.pid);
  const beganAt = performance.now();
  let result: LoopResult;
  if (where.driver === "client") {
    await using client = await connect({
      nodes: [first.address],
      cookie: "bench",
    });
    result = await runLoad(client.kv, load);
  } else result = await first.order<LoopResult>({ do: "load", load });
  const seconds = (performance.now() - beganAt) / 1000;
  return {
    ...where,
    operation: load.operation,
    concurrency: load.concurrency,
    valueBytes: load.valueBytes,
    ...result,
    nodeCores: pids.map((pid, i) =>
      (cpuSeconds(pid) - (before[i] as number)) / seconds
    ),
    driverCores: (cpuSeconds(Deno.pid) - ownBefore) / seconds,
    nodeMb: pids.map(memoryMb),
  };
}

function print(figure: Figure): void {
  if (args.json) {
    say(JSON.stringify(figure) + "\n");
    return;
  }
  say(
    figure.driver.padEnd(8) + figure.operation.padEnd(5) +
      [
        [figure.concurrency, 4],
        [figure.perSecond, 10],
        [figure.p50Us, 10],
        [figure.p99Us, 10],
        [figure.p999Us, 10],
        [figure.failures, 8],
      ].map(([value, width]) => String(value).padStart(width as number)).join(
        "",
      ) +
      `  ${figure.nodeCores.map((cores) => cores.toFixed(2)).join(" ")} + ${
        figure.driverCores.toFixed(2)
      }   ${figure.nodeMb.map((mb) => mb.toFixed(0)).join(" ")}` +
      (figure.firstFailure === null ? "" : `  first: ${figure.firstFailure}`) +
      "\n",
  );
}
