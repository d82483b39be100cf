/**
 * A whole cluster in one thread: machines with one node each, the network
 * between them, and one clock. It also applies the faults of a schedule.
 *
 * @module
 */
import type { SupervisorReport } from "../../supervisors/supervisor.ts";
import { type Chance, seededChance } from "../base/chance.ts";
import { isWhorlError } from "../base/errors.ts";
import {
  noVersion,
  versionDescends,
  type VersionVector,
} from "../causality/version_vector.ts";
import type { NodeOptions } from "../node/node_options.ts";
import type { VnodeModule } from "../vnode/vnode.ts";
import { describeFault, hostOf } from "./schedule/fault_words.ts";
import type { PlannedFault, Schedule } from "./schedule/schedule.ts";
import { type DiskImage, SimulatedDisk } from "./disk/simulated_disk.ts";
import {
  type MachineSurroundings,
  SimulatedMachine,
} from "./simulated_machine.ts";
import { SimulatedNetwork } from "./network/simulated_network.ts";
import type { Trace } from "./trace/trace.ts";
import type { VirtualTime } from "./virtual_time.ts";
import type { StoreWatch } from "./disk/watched_store.ts";

/** The cookie of every simulated node. */
export const SIMULATION_COOKIE = "simulation";
/**
 * Interval at which an operator tries to declare a node down, in virtual
 * milliseconds.
 */
const DECLARE_EVERY_MS = 200;
/** The port every node listens on, on its host. */
export const SIMULATION_PORT = 10_000;

/** Options of a cluster. */
export interface ClusterOptions {
  readonly schedule: Schedule;
  readonly time: VirtualTime;
  readonly trace: Trace;
  /** A vnode module in addition to `kv`. */
  readonly vnode?: VnodeModule | undefined;
  /** Further options of the nodes. */
  readonly node?: Partial<NodeOptions> | undefined;
  /** Initial content of the disks, one per machine. @default {nothing} */
  readonly images?: readonly DiskImage[] | undefined;
  /** Notified of writes to the stores. */
  readonly storeWatch?: StoreWatch | undefined;
  /** Called for starts and exits below a node's supervisors. */
  readonly onReport?:
    | ((life: string, report: SupervisorReport) => void)
    | undefined;
  /** Called when a node has left, with what its process left behind. */
  readonly onLeft?: MachineSurroundings["onLeft"];
  /** Called with each ring that a node uses. */
  readonly onRing?: MachineSurroundings["onRing"];
}

/** The machines, what runs on them, and the network between them. */
export class SimulatedCluster {
  readonly schedule: Schedule;
  readonly time: VirtualTime;
  readonly trace: Trace;
  readonly network: SimulatedNetwork;
  readonly machines: readonly SimulatedMachine[];
  readonly chance: Chance;
  /** Functions that end each active fault. */
  readonly #faultEnds = new Set<() => void>();
  /** Machines that an operator has declared dead, or is about to. */
  readonly #givenUp = new Set<SimulatedMachine>();
  /** The ring in which a node was last declared down. */
  #declaredIn: VersionVector = noVersion;
  #healed = false;
  #seed = "";

  /** Creates the machines; nothing runs yet. */
  constructor(options: ClusterOptions) {
    const { schedule, time, trace, vnode, images, storeWatch, onReport } =
      options;
    const { onLeft, onRing } = options;
    this.schedule = schedule;
    this.time = time;
    this.trace = trace;
    this.chance = seededChance(`cluster ${schedule.seed}`);
    this.network = new SimulatedNetwork({
      time,
      trace,
      chance: this.chance.fork("network"),
      weather: schedule.network,
    });
    const machines = schedule.nodes + schedule.spares;
    this.machines = Array.from({ length: machines }, (_, index) => {
      const host = hostOf(index);
      return new SimulatedMachine(host, {
        cookie: SIMULATION_COOKIE,
        ringSize: schedule.ringSize,
        ...options.node,
        name: `${host}@${host}`,
        listen: `${host}:${SIMULATION_PORT}`,
        dataDirectory: "/data",
        masterPlacement: "task",
        coordinatorPlacement: "task",
        ...(schedule.raftLogs === undefined
          ? {}
          : { raftLogs: schedule.raftLogs }),
        ...(vnode === undefined
          ? {}
          : { modules: [{ url: `simulated:${vnode.name}`, module: vnode }] }),
      }, {
        time,
        trace,
        chance: this.chance.fork(host),
        network: this.network,
        disk: new SimulatedDisk({
          chance: this.chance.fork(`${host} disk`),
          weather: schedule.disk,
          // Reads take time too, so that concurrent calls interleave.
          operationMsMax: schedule.disk.syncMsMin,
        }, images?.[index]),
        storeWatch,
        onReport,
        onLeft,
        onRing,
      }, index < schedule.nodes);
    });
  }

  /** The machines that should run a node. */
  get members(): SimulatedMachine[] {
    return this.machines.filter(({ inService }) => inService);
  }

  /** Whether all faults have ended for good. */
  get healed(): boolean {
    return this.#healed;
  }

  /**
   * From now on the cluster of `seed` is the simulated one; a node of another
   * one is a stranger.
   */
  callIt(seed: string): void {
    this.#seed = seed;
  }

  /** Whether a node runs on `machine` that uses the ring of the cluster. */
  serves(machine: SimulatedMachine): boolean {
    if (!machine.running) return false;
    return this.schedule.spares === 0 || machine.isIn(this.#seed);
  }

  /** The address at which others reach a machine's node. */
  address(machine: SimulatedMachine): string {
    return `${this.network.nameOf(machine.host)}:${SIMULATION_PORT}`;
  }

  /**
   * Whether the node of `machine` is a member from the beginning and the
   * schedule does not make it leave: external clients know these.
   */
  stays(machine: SimulatedMachine): boolean {
    const index = this.machines.indexOf(machine);
    return index < this.schedule.nodes &&
      !this.schedule.changes.some((change) =>
        change.type !== "join" && "node" in change && change.node === index
      );
  }

  /** Schedules every fault, relative to now. */
  planFaults(): void {
    for (const fault of this.schedule.faults) {
      this.time.schedule(fault.atMs, () => this.strike(fault));
    }
  }

  #machine(index: number): SimulatedMachine {
    return this.machines[index] as SimulatedMachine;
  }

  /** Begins a fault now; it ends on its own, or when all faults do. */
  strike(fault: PlannedFault): void {
    if (this.#healed) return;
    this.trace.add("world", "fault", describeFault(fault));
    const undo = this.#apply(fault);
    if (undo === undefined) return;
    const end = (): void => {
      if (!this.#faultEnds.delete(end)) return;
      this.trace.add("world", "fault_end", describeFault(fault));
      undo();
    };
    this.#faultEnds.add(end);
    this.time.schedule(fault.forMs, end);
  }

  /** Applies `fault` and returns what ends it. */
  #apply(fault: PlannedFault): (() => void) | undefined {
    switch (fault.type) {
      case "kill":
      case "power_loss": {
        const machine = this.#machine(fault.node);
        machine.kill(fault.type === "kill" ? "process" : "power");
        return () => machine.start();
      }
      case "bit_rot": {
        const machine = this.#machine(fault.node);
        machine.kill("process");
        machine.disk.rot();
        return () => machine.start();
      }
      case "declared_down": {
        const machine = this.#machine(fault.node);
        const others = this.machines.filter((other) => other !== machine);
        const rejoin = fault.cut
          ? this.#partition(others, [machine], { oneWay: false, break: false })
          : undefined;
        if (!fault.cut) machine.kill("process");
        this.#givenUp.add(machine);
        const stop = this.#declareDown(machine, others);
        return () => {
          this.#givenUp.delete(machine);
          stop();
          machine.start();
          rejoin?.();
        };
      }
      case "pause": {
        const machine = this.#machine(fault.node);
        machine.pause();
        return () => machine.resume();
      }
      case "partition":
        return this.#partition(
          fault.from.map((index) => this.#machine(index)),
          fault.to.map((index) => this.#machine(index)),
          fault,
        );
      case "slow_link": {
        const { host: from } = this.#machine(fault.from);
        const { host: to } = this.#machine(fault.to);
        this.network.slow(from, to, fault.delayMs);
        return () => this.network.slow(from, to, 0);
      }
      case "corrupt_link": {
        const { host: from } = this.#machine(fault.from);
        const { host: to } = this.#machine(fault.to);
        this.network.corrupt(from, to, fault.probability);
        return () => this.network.corrupt(from, to, 0);
      }
      case "reset":
        this.network.reset(
          this.#machine(fault.from).host,
          this.#machine(fault.to).host,
        );
        return undefined;
      case "clock_jump": {
        const machine = this.#machine(fault.node);
        machine.wallOffsetMs += fault.byMs;
        return () => void (machine.wallOffsetMs -= fault.byMs);
      }
      case "disk_full": {
        const { disk } = this.#machine(fault.node);
        disk.full = true;
        return () => void (disk.full = false);
      }
      case "disk_errors": {
        const { disk } = this.#machine(fault.node);
        disk.writeErrorProbability = fault.probability;
        return () => void (disk.writeErrorProbability = 0);
      }
      case "slow_disk": {
        const { disk } = this.#machine(fault.node);
        disk.syncDelayMs = fault.delayMs;
        return () => void (disk.syncDelayMs = 0);
      }
    }
  }

  /**
   * What an operator does about a machine that is gone: declare its node down
   * on a running node, until one accepts. Not on a node that they have given up
   * as well, nor on one that has not heard what they declared before: two parts
   * of the cluster would each be told that others are dead, and might get a
   * claimant each in one term.
   */
  #declareDown(
    gone: SimulatedMachine,
    others: readonly SimulatedMachine[],
  ): () => void {
    let over = false;
    const again = (): void => {
      this.time.schedule(DECLARE_EVERY_MS, () => {
        const machine = others.find((other) =>
          this.serves(other) && !this.#givenUp.has(other) &&
          this.#knowsDeclared(other)
        );
        if (over || this.#healed) return;
        // A paused machine does not answer; the operator tries the next one.
        again();
        machine?.process?.setTimer(0, () => {
          const { cluster } = machine.node?.parts ?? {};
          cluster?.down(`${gone.host}@${gone.host}`).then(
            () => {
              over = true;
              this.#declaredIn = cluster.ring.clock;
            },
            (error) => {
              if (!isWhorlError(error)) throw error;
            },
          );
        });
      });
    };
    again();
    return () => void (over = true);
  }

  /** Whether a node goes by the ring in which another was declared down last, or a later one. */
  #knowsDeclared({ node }: SimulatedMachine): boolean {
    const clock = node?.parts.cluster?.ring.clock;
    return clock !== undefined && versionDescends(clock, this.#declaredIn);
  }

  /** Blocks links between machines, and returns what unblocks them. */
  #partition(
    from: readonly SimulatedMachine[],
    to: readonly SimulatedMachine[],
    how: { readonly oneWay: boolean; readonly break: boolean },
  ): () => void {
    const pairs: (readonly [string, string])[] = [];
    for (const { host: one } of from) {
      for (const { host: other } of to) {
        pairs.push([one, other]);
        if (!how.oneWay) pairs.push([other, one]);
      }
    }
    for (const [from, to] of pairs) {
      this.network.block(from, to);
      if (how.break) this.network.reset(from, to);
    }
    return () => {
      for (const [from, to] of pairs) this.network.unblock(from, to);
    };
  }

  /** Calls `callback` when all faults end. */
  onHeal(callback: () => void): void {
    if (this.#healed) callback();
    else this.#faultEnds.add(callback);
  }

  /**
   * Ends all faults, early if need be; nothing more begins, and nothing more is
   * lost.
   */
  heal(): void {
    this.trace.add("world", "heal", "all faults end");
    this.#healed = true;
    for (const end of [...this.#faultEnds]) end();
    this.network.weather = {
      ...this.network.weather,
      lossProbability: 0,
      repeatProbability: 0,
      reorderProbability: 0,
    };
  }
}
