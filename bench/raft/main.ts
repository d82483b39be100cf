/**
 * Measures Raft groups on three node processes: rates, latencies, processor time
 * and memory with the driver on the leader's node; how long nobody is served
 * when the leader is lost; how long a restart takes; what idle groups cost; what
 * compaction costs, and what room a log takes.
 *
 *     deno task bench:raft --concurrency 1,64
 *     deno task bench:raft --figures failover --rounds 50
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { cpuSeconds, memoryMb } from "../process_usage.ts";
import type { MeasuredProcess } from "../measured_process.ts";
import type { LoopResult } from "../closed_loop.ts";
import {
  type CompactionFigures,
  type CompactionRun,
  compactionText,
} from "./compaction.ts";
import type { RaftLoad } from "./load.ts";
import { MeasuredRaft } from "./measured_raft.ts";
import { idleGroups, lossOfLeader, restart } from "./outages.ts";

/** Operations at once while warming up: what a node runs much of is compiled well then, and the log has room ahead. */
const WARM_UP_CONCURRENCY = 64;

const HELP = `Measures Raft groups on three node processes on this machine.

  --figures KINDS       load, failover, silent, restart, idle,
                        compaction             [load]
  --operations KINDS    put, get                         [put,get]
  --concurrency LIST    operations at once               [1,16,64,256]
  --value-bytes LIST    size of a value                  [100]
  --keys N              different keys                   [10000]
  --seconds S           for each figure                  [3]
  --warm-up S           of puts before the first load    [4]
  --rounds N            losses of a leader, compactions  [20]
  --entries N           in the log that is restarted     [500000]
  --groups N            that are idle                    [1000]
  --live-mib N          live values to compact           [1024]
  --per-second N        puts, and gets, meanwhile        [1000]
  --members N           of the group to compact          [1]
  --profile FOLDER      a CPU profile of the leader for each figure
  --json                one line of JSON for each figure

Lists are separated by commas.
`;

const args = parseArgs(Deno.args, {
  string: [
    "operations",
    "concurrency",
    "value-bytes",
    "keys",
    "seconds",
    "warm-up",
    "profile",
    "figures",
    "rounds",
    "entries",
    "groups",
    "live-mib",
    "per-second",
    "members",
  ],
  boolean: ["json", "help"],
  default: {
    operations: "put,get",
    concurrency: "1,16,64,256",
    "value-bytes": "100",
    keys: "10000",
    seconds: "3",
    "warm-up": "4",
    figures: "load",
    rounds: "20",
    entries: "500000",
    groups: "1000",
    "live-mib": "1024",
    "per-second": "1000",
    members: "1",
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
for (const kind of list("figures")) {
  await using cluster = await MeasuredRaft.start(
    kind === "compaction" ? Number(args.members) : 3,
  );
  switch (kind) {
    case "load":
      await measureLoad(cluster);
      break;
    case "failover":
    case "silent":
      say(await lossOfLeader(cluster, kind, Number(args.rounds)));
      break;
    case "restart":
      say(await restart(cluster, Number(args.entries)));
      break;
    case "idle":
      say(await idleGroups(cluster, Number(args.groups)));
      break;
    case "compaction":
      await measureCompaction(cluster);
      break;
    default:
      say(HELP);
      Deno.exit(2);
  }
}

async function measureCompaction(cluster: MeasuredRaft): Promise<void> {
  const leader = await cluster.startGroup();
  for (const valueBytes of list("value-bytes")) {
    const run: CompactionRun = {
      liveMib: Number(args["live-mib"]),
      valueBytes: Number(valueBytes),
      perSecond: Number(args["per-second"]),
      rounds: Number(args.rounds),
      quietSeconds: Number(args.seconds),
    };
    const figures = await leader.order<CompactionFigures>({
      do: "compaction",
      run,
      ...(args.profile === undefined
        ? {}
        : { profile: `${args.profile}/compaction.cpuprofile` }),
    });
    say(
      args.json ? JSON.stringify(figures) + "\n" : compactionText(figures),
    );
  }
}

async function warmUp(leader: MeasuredProcess): Promise<void> {
  const load: RaftLoad = {
    operation: "put",
    concurrency: WARM_UP_CONCURRENCY,
    durationMs: Number(args["warm-up"]) * 1000,
    valueBytes: Number(list("value-bytes")[0]),
    keys: Number(args.keys),
  };
  await leader.order<LoopResult>({ do: "load", load });
}

async function measureLoad(cluster: MeasuredRaft): Promise<void> {
  const leader = await cluster.startGroup();
  if (Number(args["warm-up"]) > 0) await warmUp(leader);
  if (!args.json) {
    say(
      "op   bytes conc     ops/s    p50 us    p99 us    max us  failed  cores of nodes   MB\n",
    );
  }
  for (const operation of list("operations")) {
    for (const valueBytes of list("value-bytes")) {
      for (const concurrency of list("concurrency")) {
        await figure(cluster.nodes, leader, {
          operation: operation as "put",
          concurrency: Number(concurrency),
          durationMs: Number(args.seconds) * 1000,
          valueBytes: Number(valueBytes),
          keys: Number(args.keys),
        });
      }
    }
  }
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
  const result = await leader.order<LoopResult>({
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
