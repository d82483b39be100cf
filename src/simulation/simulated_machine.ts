/**
 * One machine of a simulated cluster: a disk and a wall clock that outlive the
 * processes on it, and the node that runs there, one life after another. What
 * an operator's parent process does (start it again when it has given up) is
 * done here as well.
 *
 * @module
 */
import type { SupervisorReport } from "../../supervisors/supervisor.ts";
import type { Chance } from "../base/chance.ts";
import { reasonOf } from "../base/errors.ts";
import type { Disk } from "../environment/disk.ts";
import type { Environment } from "../environment/environment.ts";
import type { WhorlNode } from "../node/node.ts";
import type { NodeOptions } from "../node/node_options.ts";
import { startNode } from "../node/start_node.ts";
import type { Ring } from "../ring/ring.ts";
import { openStore } from "../storage/open_store.ts";
import { seededBytes } from "./seeded_bytes.ts";
import type { SimulatedDisk } from "./disk/simulated_disk.ts";
import type { SimulatedNetwork } from "./network/simulated_network.ts";
import { runtimeOf, SimulatedProcess } from "./simulated_process.ts";
import type { Trace } from "./trace/trace.ts";
import { traceLog } from "./trace/trace_log.ts";
import type { VirtualTime } from "./virtual_time.ts";
import { type StoreWatch, watchedStore } from "./disk/watched_store.ts";

/** The wall clock of every machine when a simulation begins: 2026-01-01T00:00:00Z. */
export const SIMULATION_EPOCH_MS = 1_767_225_600_000;
/** How long a machine waits before it starts a node again that gave up, in milliseconds. */
export const RESTART_AFTER_MS = 1_000;

/** How long a process may take to end when its node has left its cluster, in milliseconds: what it has written is still on its way. */
const END_AFTER_LEAVE_MS = 1_000;

/** The memory of every simulated process: what the simulation itself has is nothing a run may depend on. */
const MEMORY_FIGURES = { rssBytes: 0, heapUsedBytes: 0, externalBytes: 0 };

/** What a simulated machine stands in. */
export interface MachineSurroundings {
  readonly time: VirtualTime;
  readonly chance: Chance;
  readonly trace: Trace;
  readonly network: SimulatedNetwork;
  readonly disk: SimulatedDisk;
  /** What is written to its stores is shown to this. */
  readonly storeWatch?: StoreWatch | undefined;
  /** Told of starts and ends below the node's supervisors, with a name for its present life. */
  readonly onReport?:
    | ((life: string, report: SupervisorReport) => void)
    | undefined;
  /** Told when a node has left its cluster and stopped, and how many timers its process had left a while later. */
  readonly onLeft?: ((host: string, timers: number) => void) | undefined;
  /** Shown each ring that a node goes by; `begins` says that it is the first of a life. */
  readonly onRing?:
    | ((host: string, ring: Ring, begins: boolean) => void)
    | undefined;
}

/** A machine with a node on it. */
export class SimulatedMachine {
  /** Its name in the network and in traces. */
  readonly host: string;
  readonly disk: SimulatedDisk;
  /** By how much its wall clock is off, in milliseconds. */
  wallOffsetMs = 0;
  readonly #around: MachineSurroundings;
  #options: NodeOptions;
  readonly #deaths = new Set<() => void>();
  #lives = 0;
  #powerLostAtMs = 0;
  /** How long the process had stood still that lost it. */
  #stoodStillMs = 0;
  #process: SimulatedProcess | undefined;
  #node: WhorlNode | undefined;
  /** The disk as the present life has it. */
  #attached: Disk | undefined;
  #starting = false;
  /** Whether the node is to be started again when it ends by itself. */
  #wanted = false;
  #inService: boolean;
  #startFailures: string[] = [];
  #seed = "";

  constructor(
    host: string,
    options: Omit<NodeOptions, "environment">,
    around: MachineSurroundings,
    inService = true,
  ) {
    this.host = host;
    this.#inService = inService;
    this.disk = around.disk;
    this.#options = options;
    this.#around = around;
  }

  /** The node, once it is up. */
  get node(): WhorlNode | undefined {
    return this.#node;
  }

  /** The process that lives now. */
  get process(): SimulatedProcess | undefined {
    return this.#process;
  }

  /** Whether a node is up here and not standing still. */
  get running(): boolean {
    return this.#node !== undefined && this.#process?.state === "running";
  }

  /** Why starts of the node failed, oldest first. */
  get startFailures(): readonly string[] {
    return this.#startFailures;
  }

  /** Whether the node goes by the ring of the cluster of `seed`, and so do the requests it takes: those see a ring once it is stored. */
  isIn(seed: string): boolean {
    const ring = this.#node?.parts.cluster?.ring;
    return this.#seed === seed && ring?.clusterId.seed === seed;
  }

  /** Calls `callback` once when the present life ends, until the returned function is called. */
  onDeath(callback: () => void): () => void {
    this.#deaths.add(callback);
    return () => void this.#deaths.delete(callback);
  }

  /** From its next start on the node has these options besides those it has. */
  configure(options: Partial<NodeOptions>): void {
    this.#options = { ...this.#options, ...options };
  }

  /** Whether an operator wants a node here; else nothing starts it. */
  get inService(): boolean {
    return this.#inService;
  }

  /** A node is wanted here from now on. */
  putIntoService(): void {
    this.#inService = true;
    this.start();
  }

  /** No node is wanted here any more; one that runs is stopped. */
  retire(): void {
    this.#inService = false;
    this.#around.trace.add(this.host, "retire", "out of service");
    const process = this.#process;
    if (process === undefined) return;
    this.stop().then(() => this.#endAfterLeave(process), () => {});
  }

  /** The machine is no more, with all that it had. */
  lose(): void {
    this.#inService = false;
    this.kill("power");
  }

  /** Begins a life, unless one is under way or none is wanted. */
  start(): void {
    if (!this.#inService) return;
    this.#wanted = true;
    if (this.#process !== undefined) return;
    const { time, chance, trace } = this.#around;
    const life = ++this.#lives;
    const process = new SimulatedProcess(
      this.host,
      time,
      chance.fork(`${this.host} process ${life}`),
    );
    this.#process = process;
    this.#starting = true;
    trace.add(this.host, "start", `life ${life}`);
    const environment = this.#environment(process, life);
    process.setTimer(0, () => {
      startNode({ ...this.#options, environment }).then(
        (node) => this.#started(process, node),
        (error) => {
          this.#startFailures.push(reasonOf(error));
          this.#ended(process, `did not start: ${reasonOf(error)}`);
        },
      );
    });
  }

  #started(process: SimulatedProcess, node: WhorlNode): void {
    if (this.#process !== process) return;
    this.#node = node;
    this.#starting = false;
    this.#around.trace.add(this.host, "up", node.address);
    const { onReport } = this.#around;
    if (onReport !== undefined) {
      const { parts } = node;
      const told = parts.onReport;
      const life = `${this.host} life ${this.#lives}`;
      const tellBoth: typeof told = (report) => {
        onReport(life, report);
        told(report);
      };
      parts.onReport = tellBoth;
    }
    const { onRing } = this.#around;
    const { cluster } = node.parts;
    if (cluster !== undefined) {
      this.#seed = cluster.ring.clusterId.seed;
      onRing?.(this.host, cluster.ring, true);
    }
    node.subscribe((event) => {
      if (event.type !== "ring_changed") return;
      this.#seed = event.ring.clusterId.seed;
      onRing?.(this.host, event.ring, false);
    });
    node.stopped.then(
      () => this.#stopped(process),
      (error) => this.#ended(process, `gave up: ${reasonOf(error)}`),
    );
  }

  /** The node has stopped: it was told to, or it has left its cluster. */
  #stopped(process: SimulatedProcess): void {
    if (this.#process !== process || !this.#wanted) {
      return this.#ended(process, "stopped");
    }
    this.#wanted = false;
    this.#inService = false;
    this.#ended(process, "has left and stopped");
    this.#endAfterLeave(process);
  }

  /** Sees that nothing is left in the process of a node that is not wanted any more. */
  #endAfterLeave(process: SimulatedProcess): void {
    this.#around.time.schedule(END_AFTER_LEAVE_MS, () => {
      if (this.#process !== process) return;
      this.#around.onLeft?.(this.host, process.pendingTimers);
      this.#die("process");
    });
  }

  /** The process has come to its own end. */
  #ended(process: SimulatedProcess, how: string): void {
    if (this.#process !== process) return;
    this.#around.trace.add(this.host, "end", how);
    // As a real process, one that was told to stop lives on for as long as
    // something is left in it; whoever told it looks for that.
    if (!this.#wanted) {
      this.#node = undefined;
      return;
    }
    this.#die("process");
    this.#around.time.schedule(RESTART_AFTER_MS, () => {
      if (this.#wanted) this.start();
    });
  }

  /** Ends the process at once: `process` is SIGKILL, `power` takes the machine's memory too. */
  kill(how: "process" | "power"): void {
    this.#wanted = false;
    if (this.#process === undefined) return;
    this.#around.trace.add(
      this.host,
      "fault",
      how === "power" ? "loses power" : "is killed",
    );
    this.#die(how);
  }

  #die(how: "process" | "power"): void {
    const process = this.#process as SimulatedProcess;
    if (how === "power") {
      this.#powerLostAtMs = this.#around.time.now();
      this.#stoodStillMs = process.stoodStillMs;
    }
    process.kill();
    this.#process = undefined;
    this.#node = undefined;
    this.#starting = false;
    // A machine without power resets no connection; a system whose process died does.
    this.#around.network.processDied(process, how === "power");
    this.disk.crash(how, this.#attached);
    this.#attached = undefined;
    const deaths = [...this.#deaths];
    this.#deaths.clear();
    for (const told of deaths) told();
  }

  /** Stops the process where it is. */
  pause(): void {
    this.#process?.pause();
  }

  /** Lets it go on. */
  resume(): void {
    this.#process?.resume();
  }

  /** Stops the node as an operator does; it stays down. Resolves when it has stopped, or at once if it does not run. */
  stop(): Promise<void> {
    this.#wanted = false;
    const node = this.#node;
    if (node === undefined) {
      if (this.#starting) this.kill("process");
      return Promise.resolve();
    }
    return node.stop();
  }

  #environment(process: SimulatedProcess, life: number): Environment {
    const { time, chance, trace, network, disk, storeWatch } = this.#around;
    const secrets = chance.fork(`${this.host} secrets ${life}`);
    const log = traceLog(trace, this.host);
    this.#attached = disk.attach(process);
    const environment: Environment = {
      ...runtimeOf(process),
      wallClock: () =>
        Math.floor(SIMULATION_EPOCH_MS + time.now() + this.wallOffsetMs),
      chance: chance.fork(`${this.host} choices ${life}`),
      secretBytes: (count) => seededBytes(secrets, count),
      transport: network.transport(this.host, process),
      disk: this.#attached,
      openStore: async (config) => {
        const store = await openStore(config, environment);
        return storeWatch === undefined ? store : await watchedStore(
          store,
          this.host,
          config.type === "memory" ? "memory" : config.path,
          storeWatch,
          {
            rottenBits: disk.counts.rottenBits,
            lostCommits: disk.counts.lostCommits,
            writeErrors: disk.counts.writeErrors,
            powerLostAtMs: this.#powerLostAtMs,
            stoodStillMs: this.#stoodStillMs,
          },
        );
      },
      log,
      processFigures: () => ({
        ...MEMORY_FIGURES,
        processId: environment.disk.processId,
      }),
    };
    return environment;
  }
}
