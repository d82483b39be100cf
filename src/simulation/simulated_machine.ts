/**
 * One machine of a simulated cluster: a disk and a wall clock that outlive the
 * processes on it, and the node that runs there, one incarnation after another.
 * It also does what a parent process does: start the node again after it gave
 * up.
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

/**
 * Wall clock of every machine when a simulation begins: 2026-01-01T00:00:00Z.
 */
export const SIMULATION_EPOCH_MS = 1_767_225_600_000;
/**
 * How long a machine waits before it restarts a node that gave up, in
 * milliseconds.
 */
export const RESTART_AFTER_MS = 1_000;

/**
 * How long a process may take to end after its node has left its cluster, in
 * milliseconds: its last writes are still in flight.
 */
const END_AFTER_LEAVE_MS = 1_000;

/**
 * Memory figures of every simulated process: a run must not depend on those of
 * the simulator.
 */
const MEMORY_FIGURES = { rssBytes: 0, heapUsedBytes: 0, externalBytes: 0 };

/** The surroundings of a simulated machine. */
export interface MachineSurroundings {
  readonly time: VirtualTime;
  readonly chance: Chance;
  readonly trace: Trace;
  readonly network: SimulatedNetwork;
  readonly disk: SimulatedDisk;
  /** Notified of writes to its stores. */
  readonly storeWatch?: StoreWatch | undefined;
  /**
   * Called for starts and exits below the node's supervisors, with a name for
   * the incarnation.
   */
  readonly onReport?:
    | ((life: string, report: SupervisorReport) => void)
    | undefined;
  /**
   * Called when a node has left its cluster and stopped, with the number of
   * timers its process had left a while later.
   */
  readonly onLeft?: ((host: string, timers: number) => void) | undefined;
  /**
   * Called with each ring that a node uses; `begins` marks the first of an
   * incarnation.
   */
  readonly onRing?:
    | ((host: string, ring: Ring, begins: boolean) => void)
    | undefined;
}

/** A machine with a node on it. */
export class SimulatedMachine {
  /** Its name in the network and in traces. */
  readonly host: string;
  readonly disk: SimulatedDisk;
  /** Offset of its wall clock, in milliseconds. */
  wallOffsetMs = 0;
  readonly #around: MachineSurroundings;
  #options: NodeOptions;
  readonly #deaths = new Set<() => void>();
  #lives = 0;
  #powerLostAtMs = 0;
  /** How long the process that lost power had been paused. */
  #stoodStillMs = 0;
  #process: SimulatedProcess | undefined;
  #node: WhorlNode | undefined;
  /** The disk of the current incarnation. */
  #attached: Disk | undefined;
  #starting = false;
  /** Whether to restart the node when it ends on its own. */
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

  /** The current process. */
  get process(): SimulatedProcess | undefined {
    return this.#process;
  }

  /** Whether a node is up here and not paused. */
  get running(): boolean {
    return this.#node !== undefined && this.#process?.state === "running";
  }

  /** Why starts of the node failed, oldest first. */
  get startFailures(): readonly string[] {
    return this.#startFailures;
  }

  /**
   * Whether the node uses the ring of the cluster of `seed`, and so do the
   * requests it serves: those see a ring once it is stored.
   */
  isIn(seed: string): boolean {
    const ring = this.#node?.parts.cluster?.ring;
    return this.#seed === seed && ring?.clusterId.seed === seed;
  }

  /**
   * Calls `callback` once when the current incarnation ends, until the returned
   * function is called.
   */
  onDeath(callback: () => void): () => void {
    this.#deaths.add(callback);
    return () => void this.#deaths.delete(callback);
  }

  /** Adds options of the node, from its next start on. */
  configure(options: Partial<NodeOptions>): void {
    this.#options = { ...this.#options, ...options };
  }

  /** Whether an operator wants a node here; otherwise nothing starts it. */
  get inService(): boolean {
    return this.#inService;
  }

  /** From now on a node should run here. */
  putIntoService(): void {
    this.#inService = true;
    this.start();
  }

  /** No node should run here any more; a running one is stopped. */
  retire(): void {
    this.#inService = false;
    this.#around.trace.add(this.host, "retire", "out of service");
    const process = this.#process;
    if (process === undefined) return;
    this.stop().then(() => this.#endAfterLeave(process), () => {});
  }

  /** The machine is gone, with all its data. */
  lose(): void {
    this.#inService = false;
    this.kill("power");
  }

  /** Starts an incarnation, unless one is running or none is wanted. */
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

  /** Ends the process of a node that has left, and reports what it left behind. */
  #endAfterLeave(process: SimulatedProcess): void {
    const { time } = this.#around;
    time.schedule(END_AFTER_LEAVE_MS, () => {
      if (this.#process !== process) return;
      // One that stands still, or has just gone on, could not clean up.
      if (
        process.state === "paused" ||
        time.now() < process.resumedAtMs + END_AFTER_LEAVE_MS
      ) return this.#endAfterLeave(process);
      this.#around.onLeft?.(this.host, process.pendingTimers);
      this.#die("process");
    });
  }

  /** The process ended on its own. */
  #ended(process: SimulatedProcess, how: string): void {
    if (this.#process !== process) return;
    this.#around.trace.add(this.host, "end", how);
    // Like a real process, one that was told to stop lives on while something
    // is left in it; whoever stopped it checks that.
    if (!this.#wanted) {
      this.#node = undefined;
      return;
    }
    this.#die("process");
    this.#around.time.schedule(RESTART_AFTER_MS, () => {
      if (this.#wanted) this.start();
    });
  }

  /**
   * Ends the process at once: `process` is SIGKILL, `power` also loses the
   * machine's memory.
   */
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
    // A machine without power resets no connections; the system of a dead
    // process does.
    this.#around.network.processDied(process, how === "power");
    this.disk.crash(how, this.#attached);
    this.#attached = undefined;
    const deaths = [...this.#deaths];
    this.#deaths.clear();
    for (const told of deaths) told();
  }

  /** Pauses the process. */
  pause(): void {
    this.#process?.pause();
  }

  /** Resumes the process. */
  resume(): void {
    this.#process?.resume();
  }

  /**
   * Stops the node as an operator does; it stays down. Resolves when it has
   * stopped, or at once if it is not running.
   */
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
