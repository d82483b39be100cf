/**
 * Finds the best rate at which a cluster of three node processes serves, offers
 * it ten times as much, and shows what becomes of that: what is served and how
 * soon, what is refused and how soon, how much memory the nodes take, and how
 * long after the load the cluster is as it was before.
 *
 *     deno task bench:overload --operation digest --driver client
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import { connect, type WhorlClient } from "../../mod.ts";
import { cpuSeconds, memoryMb } from "../process_usage.ts";
import { MeasuredProcess } from "../measured_process.ts";
import { joinAll } from "../measured_ring.ts";
import { LatencyHistogram } from "./latency_histogram.ts";
import type { Order } from "./node_process.ts";
import {
  addWindow,
  emptyWindow,
  type LoadWindow,
  offer,
  type OpenLoad,
} from "./open_load.ts";
import {
  operationOf,
  serveClosed,
  type Served,
  type Work,
} from "./operations.ts";
import { say } from "../say.ts";

const HELP =
  `Offers a cluster of three node processes more than it can serve, on this machine.

  --operation KIND      put, get; digest: a command that takes its
                        vnode about a millisecond a megabyte; or
                        hold: one that takes it time and leaves
                        the processors to others                   [digest]
  --megabytes N         of a digest                                [8]
  --hold-ms MS          of a hold                                  [5]
  --driver KIND         who offers: node (each of the three), or
                        client (a process of its own)              [client]
  --connections N       of a client, to each node                  [4]
  --unheeding           clients ask all the same when they have
                        been told that vnodes are overloaded
  --storage KIND        memory, deno_kv                            [memory]
  --ring-size N         partitions                                 [64]
  --placement KIND      where vnode masters run                    [worker]
  --times N             how many times the best rate is offered    [10]
  --seconds S           for how long                               [15]
  --concurrency LIST    operations at once in search of the best
                        rate, of all drivers together              [48,192,768]
  --value-bytes N       size of a value                            [100]
  --keys N              different keys of each driver              [20000]
  -n N, -w N            replicas, R or W                           [3, 2; digest, hold: 1, 1]
  --timeout-ms MS       how long a caller waits                    [5000]
  --json                one line of JSON with all figures

Lists are separated by commas.
`;

const NODE = new URL("./node_process.ts", import.meta.url);
const BUSY = new URL("./busy_vnode.ts", import.meta.url).href;
const WINDOW_MS = 500;
const CLOSED_MS = 4_000;
const NORMAL_MS = 8_000;
const AFTER_MS = 12_000;
/** What is offered before and after, as a share of the best rate. */
const NORMAL_SHARE = 0.5;
/** Windows in a row that must be as they were before. */
const RECOVERED_WINDOWS = 3;
const MEMORY_EVERY_MS = 100;

/** Whoever offers operations. */
interface Driver {
  prepare(work: Work): Promise<void>;
  closed(concurrency: number, durationMs: number): Promise<Served>;
  open(load: OpenLoad): Promise<LoadWindow[]>;
}

const args = parseArgs(Deno.args, {
  string: [
    "operation",
    "megabytes",
    "hold-ms",
    "driver",
    "connections",
    "storage",
    "ring-size",
    "placement",
    "times",
    "seconds",
    "concurrency",
    "value-bytes",
    "keys",
    "n",
    "w",
    "timeout-ms",
  ],
  boolean: ["json", "help", "unheeding"],
  default: {
    operation: "digest",
    megabytes: "8",
    "hold-ms": "5",
    driver: "client",
    connections: "4",
    storage: "memory",
    "ring-size": "64",
    placement: "worker",
    times: "10",
    seconds: "15",
    concurrency: "48,192,768",
    "value-bytes": "100",
    keys: "20000",
    "timeout-ms": "5000",
  },
  unknown: (word: string) => {
    say(`There is no ${word}: see --help`);
    Deno.exit(2);
  },
}) as unknown as
  & Record<string, string>
  & { json: boolean; help: boolean; unheeding: boolean };

if (args.help) {
  say(HELP);
  Deno.exit(0);
}

const scratch = await Deno.makeTempDir({ prefix: "whorl-overload-" });
try {
  await measure();
} finally {
  await Deno.remove(scratch, { recursive: true });
}

async function measure(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const nodes = await cluster(stack);
  const drivers = args.driver === "node"
    ? nodes.map(nodeDriver)
    : [await clientDriver(nodes, stack)];
  const ofStore = args.operation === "put" || args.operation === "get";
  const alone = ofStore ? undefined : "1";
  await Promise.all(
    drivers.map((driver, i) =>
      driver.prepare({
        operation: args.operation as "put",
        driver: `driver${i}`,
        valueBytes: Number(args["value-bytes"]),
        megabytes: Number(args.megabytes),
        holdMs: Number(args["hold-ms"]),
        keys: Number(args.keys),
        n: Number(args.n ?? alone ?? 3),
        quorum: Number(args.w ?? alone ?? 2),
        timeoutMs: Number(args["timeout-ms"]),
      })
    ),
  );

  const pids = [...nodes.map(({ pid }) => pid), Deno.pid];
  const best = await bestRate(drivers, pids);
  const overloadMs = Number(args.seconds) * 1000;
  const share = best.perSecond / drivers.length;
  const load: OpenLoad = {
    windowMs: WINDOW_MS,
    phases: [
      { perSecond: share * NORMAL_SHARE, durationMs: NORMAL_MS },
      { perSecond: share * Number(args.times), durationMs: overloadMs },
      { perSecond: share * NORMAL_SHARE, durationMs: AFTER_MS },
    ],
  };
  const usage = watchUsage(nodes.map(({ pid }) => pid));
  const all = await Promise.all(drivers.map((driver) => driver.open(load)));
  const samples = usage.stop();
  const windows = (all[0] as LoadWindow[]).map((_, i) => {
    const sum = emptyWindow();
    for (const one of all) addWindow(sum, one[i] as LoadWindow);
    return sum;
  });
  report(best, windows, samples, overloadMs);
  for (const node of nodes) await node.order(ask({ do: "figures" }));
}

async function cluster(
  stack: AsyncDisposableStack,
): Promise<MeasuredProcess[]> {
  const nodes = [1, 2, 3].map((number) =>
    stack.use(
      new MeasuredProcess(NODE, {
        name: `bench${number}@127.0.0.1`,
        cookie: "bench",
        storage: args.storage as "memory",
        ringSize: Number(args["ring-size"]),
        masterPlacement: args.placement as "worker",
        modules: [{ url: BUSY }],
        ...(args.storage === "deno_kv"
          ? { dataDirectory: `${scratch}/${number}` }
          : {}),
      }),
    )
  );
  await joinAll(nodes);
  return nodes;
}

function ask(order: Order): Order {
  return order;
}

function nodeDriver(node: MeasuredProcess): Driver {
  return {
    prepare: (work) => node.order(ask({ do: "prepare", work })),
    closed: (concurrency, durationMs) =>
      node.order(ask({ do: "closed", concurrency, durationMs })),
    open: (load) => node.order(ask({ do: "open", load })),
  };
}

async function clientDriver(
  nodes: readonly MeasuredProcess[],
  stack: AsyncDisposableStack,
): Promise<Driver> {
  const clients: WhorlClient[] = [];
  const all = Array.from({ length: Number(args.connections) }, () => nodes);
  for (const { address } of all.flat()) {
    const [first] = clients;
    const client = await connect({
      nodes: [address],
      cookie: "bench",
      heedOverload: !args.unheeding,
      ...(first === undefined ? {} : { heedWith: first }),
    });
    clients.push(stack.use(client));
  }
  let operation = (): Promise<unknown> => Promise.resolve();
  return {
    async prepare(work) {
      operation = await operationOf(clients, work);
    },
    closed: (concurrency, durationMs) =>
      serveClosed(operation, concurrency, durationMs),
    open: (load) => offer(load, operation),
  };
}

interface Best {
  readonly perSecond: number;
  /** What nodes and driver used of the processors, which others may have wanted as well. */
  readonly cores: number;
  readonly concurrency: number;
  readonly latency: LatencyHistogram;
}

/** The best rate of a closed loop, each concurrency tried twice, as the first time compiles. */
async function bestRate(
  drivers: readonly Driver[],
  pids: readonly number[],
): Promise<Best> {
  let best: Best | undefined;
  for (const concurrency of args.concurrency!.split(",").map(Number)) {
    for (let round = 0; round < 2; round++) {
      const startedAt = performance.now();
      const before = secondsOf(pids);
      const all = await Promise.all(
        drivers.map((driver) =>
          driver.closed(concurrency / drivers.length, CLOSED_MS)
        ),
      );
      const cores = (secondsOf(pids) - before) /
        (performance.now() - startedAt) * 1000;
      const latency = new LatencyHistogram();
      for (const one of all) {
        latency.merge(new LatencyHistogram(one.latency.counts));
      }
      const perSecond = all.reduce(
        (sum, { served, tookMs }) => sum + served / tookMs * 1000,
        0,
      );
      if (!args.json) {
        say(
          `closed loop of ${concurrency}: ${perSecond.toFixed(0)}/s with ${
            cores.toFixed(2)
          } cores, p50 ${latency.percentileMs(50).toFixed(1)} ms, p99 ${
            latency.percentileMs(99).toFixed(1)
          } ms, failed ${all.reduce((sum, { failed }) => sum + failed, 0)}`,
        );
      }
      if (best === undefined || perSecond > best.perSecond) {
        best = { perSecond, cores, concurrency, latency };
      }
    }
  }
  return best as Best;
}

function secondsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}

interface UsageSample {
  readonly ms: number;
  readonly nodeMb: readonly number[];
  readonly nodeSeconds: readonly number[];
  readonly driverSeconds: number;
}

function watchUsage(pids: readonly number[]): { stop(): UsageSample[] } {
  const samples: UsageSample[] = [];
  const startedAt = performance.now();
  const take = (): void => {
    samples.push({
      ms: performance.now() - startedAt,
      nodeMb: pids.map(memoryMb),
      nodeSeconds: pids.map(cpuSeconds),
      driverSeconds: cpuSeconds(Deno.pid),
    });
  };
  take();
  const timer = setInterval(take, MEMORY_EVERY_MS);
  return {
    stop() {
      clearInterval(timer);
      take();
      return samples;
    },
  };
}

function sumOf(windows: readonly LoadWindow[]): LoadWindow {
  const sum = emptyWindow();
  for (const window of windows) addWindow(sum, window);
  return sum;
}

/** Milliseconds after the load from which on windows are as the worst one before it. */
function recoveredAfterMs(
  before: readonly LoadWindow[],
  after: readonly LoadWindow[],
): number {
  const p99Before = Math.max(
    ...before.map(({ latency }) => latency.percentileMs(99)),
  );
  const normal = ({ due, served, latency }: LoadWindow): boolean =>
    served >= 0.99 * due && latency.percentileMs(99) <= 1.5 * p99Before;
  for (let i = 0; i + RECOVERED_WINDOWS <= after.length; i++) {
    if (after.slice(i, i + RECOVERED_WINDOWS).every(normal)) {
      return i * WINDOW_MS;
    }
  }
  return Infinity;
}

function report(
  best: Best,
  windows: readonly LoadWindow[],
  samples: readonly UsageSample[],
  overloadMs: number,
): void {
  const phaseEnds = [NORMAL_MS, NORMAL_MS + overloadMs].map((ms) =>
    Math.round(ms / WINDOW_MS)
  ) as [number, number];
  // The first seconds of the driver compile.
  const before = windows.slice(4, phaseEnds[0]);
  const during = windows.slice(...phaseEnds);
  const after = windows.slice(phaseEnds[1]);
  const [normal, over, later] = [before, during, after].map(sumOf) as [
    LoadWindow,
    LoadWindow,
    LoadWindow,
  ];
  const seconds = overloadMs / 1000;
  const servedPerSecond = over.completed / seconds;
  const usageAt = (ms: number) =>
    samples.findLast((sample) => sample.ms <= ms) as UsageSample;
  const begin = usageAt(NORMAL_MS);
  const end = usageAt(NORMAL_MS + overloadMs);
  const cores = (of: (sample: UsageSample) => number) =>
    (of(end) - of(begin)) / (end.ms - begin.ms) * 1000;
  const allCores = cores((sample) =>
    sample.driverSeconds + sample.nodeSeconds.reduce((sum, one) => sum + one, 0)
  );
  const figures = {
    operation: args.operation,
    driver: args.driver,
    storage: args.storage,
    placement: args.placement,
    bestPerSecond: Math.round(best.perSecond),
    bestCores: best.cores,
    bestP99Ms: best.latency.percentileMs(99),
    normalP50Ms: normal.latency.percentileMs(50),
    normalP99Ms: normal.latency.percentileMs(99),
    duePerSecond: Math.round(over.due / seconds),
    offeredPerSecond: Math.round(over.offered / seconds),
    servedPerSecond: Math.round(servedPerSecond),
    servedShare: servedPerSecond / best.perSecond,
    // Others on the machine may have left less to it than to the best run.
    servedSharePerCore: servedPerSecond / allCores /
      (best.perSecond / best.cores),
    servedP50Ms: over.latency.percentileMs(50),
    servedP99Ms: over.latency.percentileMs(99),
    failed: over.failed,
    reasons: over.reasons,
    refusedP50Ms: over.refusal.percentileMs(50),
    refusedP99Ms: over.refusal.percentileMs(99),
    nodeCores: begin.nodeSeconds.map((_, i) =>
      cores((sample) => sample.nodeSeconds[i] as number)
    ),
    driverCores: cores((sample) => sample.driverSeconds),
    nodeMbBefore: begin.nodeMb,
    nodeMbMost: begin.nodeMb.map((_, i) =>
      Math.max(...samples.map((sample) => sample.nodeMb[i] as number))
    ),
    nodeMbAfter: (samples.at(-1) as UsageSample).nodeMb,
    recoveredAfterMs: recoveredAfterMs(before, after),
    laterP99Ms: sumOf(after.slice(-8)).latency.percentileMs(99),
    laterFailed: later.failed,
  };
  if (args.json) {
    say(JSON.stringify(figures));
    return;
  }
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const mb = (values: readonly number[]) =>
    values.map((value) => value.toFixed(0)).join(", ");
  const counts = (failed: Readonly<Record<string, number>>) =>
    Object.entries(failed).map(([code, count]) => `${count} ${code}`)
      .join(", ") || "none";
  say(`
${figures.operation} from ${figures.driver}, ${figures.storage}, masters as ${figures.placement}
best rate             ${figures.bestPerSecond}/s at ${best.concurrency} at once with ${
    best.cores.toFixed(2)
  } cores, p99 ${ms(figures.bestP99Ms)}
half of it before     p50 ${ms(figures.normalP50Ms)}, p99 ${
    ms(figures.normalP99Ms)
  }
offered               ${figures.offeredPerSecond}/s of ${figures.duePerSecond}/s that were due, for ${seconds} s
served meanwhile      ${figures.servedPerSecond}/s, ${
    (100 * figures.servedShare).toFixed(0)
  } % of the best, ${
    (100 * figures.servedSharePerCore).toFixed(0)
  } % for each core, p50 ${ms(figures.servedP50Ms)}, p99 ${
    ms(figures.servedP99Ms)
  }
failed                ${counts(figures.failed)}
${
    Object.entries(figures.reasons).map(([code, reason]) =>
      `  ${code}: ${reason}`
    ).join("\n")
  }
'overload' answered   in p50 ${ms(figures.refusedP50Ms)}, p99 ${
    ms(figures.refusedP99Ms)
  }
cores                 nodes ${
    figures.nodeCores.map((value) => value.toFixed(2)).join(", ")
  }; driver ${figures.driverCores.toFixed(2)}
memory of nodes, MB   before ${mb(figures.nodeMbBefore)}; most ${
    mb(figures.nodeMbMost)
  }; at the end ${mb(figures.nodeMbAfter)}
as before again       ${
    (figures.recoveredAfterMs / 1000).toFixed(1)
  } s after the load; p99 then ${ms(figures.laterP99Ms)}; failed ${
    counts(figures.laterFailed)
  }`);
}
