/**
 * Runs a whole cluster from a seed: production nodes on virtual time, under
 * load and with faults, and checks the result. The same seed gives the same
 * run, event by event.
 *
 * A run has five parts. The cluster forms; clients work while faults happen;
 * all faults end; within a minute the nodes must have settled, and every key
 * must be readable with R=N (a cluster that is only safe could stop for good at
 * the first fault); then checks verify history and replicas, and the nodes are
 * stopped and must leave nothing behind.
 *
 * @module
 */
import { briefCopy } from "../base/byte_slab.ts";
import { isWhorlError } from "../base/errors.ts";
import type { WhorlNode } from "../node/node.ts";
import type { NodeOptions } from "../node/node_options.ts";
import type { VnodeModule } from "../vnode/vnode.ts";
import { checkLeftovers } from "./checkers/leftovers.ts";
import { checkProgress } from "./checkers/progress.ts";
import { UNDECIDED, type Violation } from "./checkers/violation.ts";
import {
  during,
  formCluster,
  isSettled,
  notAtHome,
  stopCluster,
  untilAtHome,
  untilSettled,
} from "./cluster_life.ts";
import {
  drawSchedule,
  type ScheduleOptions,
} from "./schedule/draw_schedule.ts";
import type { FinishedRun, RunCheck, StoredValue } from "./finished_run.ts";
import { formedDisks } from "./formed_disks.ts";
import { countOutcomes, HistoryRecorder } from "./history.ts";
import { Invariants } from "./invariants.ts";
import { kvChecks, kvWorkload } from "./kv_workload.ts";
import { raKvChecks, raKvWorkload } from "./raft/ra_kv_workload.ts";
import { rotLog } from "./raft/log_rot.ts";
import { SimulatedGroups } from "./raft/simulated_groups.ts";
import { RealWorldGuard } from "./real_world_guard.ts";
import type {
  PlannedChange,
  PlannedFault,
  Schedule,
} from "./schedule/schedule.ts";
import { SimulatedClient } from "./simulated_client.ts";
import { CHANGE_MS_MAX, SimulatedOperator } from "./simulated_operator.ts";
import { SimulatedCluster } from "./simulated_cluster.ts";
import type { SimulatedMachine } from "./simulated_machine.ts";
import {
  SCRIPT_MS_MAX,
  type ScriptContext,
  type SimulationScript,
} from "./simulation_script.ts";
import type { SimulationResult } from "./simulation_result.ts";
import { Trace } from "./trace/trace.ts";
import { VirtualTime } from "./virtual_time.ts";
import type { Workload } from "./workload.ts";

/**
 * Virtual time clients have to finish after the load, in milliseconds: the
 * deadline of an operation and more.
 */
const CLIENTS_END_MS_MAX = 60_000;
/** Virtual time in which a healed cluster must answer, in milliseconds. */
const EVENTUALLY_MS_MAX = 30_000;
/**
 * Default timeout of waits in a script, in virtual milliseconds. Longer than a
 * cluster has for settling at the end, since the network is still bad: with a
 * fifth of all segments lost and members suspected, settling takes minutes.
 */
const SCRIPT_PATIENCE_MS = 180_000;
/**
 * Interval at which a script checks what it waits for, in virtual milliseconds.
 */
const SCRIPT_LOOK_MS = 50;
/** Wait between two tries of `eventually`, in virtual milliseconds. */
const EVENTUALLY_EVERY_MS = 200;
/** Share of all operations that must have succeeded. */
const ACKNOWLEDGED_MIN = 0.2;
/** Virtual time for all checks together, in milliseconds. */
const CHECK_MS_MAX = 600_000;

/** What to simulate. The seed draws everything that is not given. */
export interface SimulateOptions extends ScheduleOptions {
  /** The seed of the run. */
  readonly seed: string | number;
  /** Runs exactly this schedule instead of drawing one. */
  readonly schedule?: Schedule;
  /**
   * Keeps every event, for reading; makes the run about half as fast.
   *
   * @default {false}
   */
  readonly trace?: boolean;
  /** A vnode module to test. @default {none; `kv` is always there} */
  readonly vnode?: VnodeModule;
  /** What clients do. @default {puts, gets and deletes of `kv` on a few keys} */
  readonly workload?: Workload;
  /**
   * Fewest operations that must have succeeded for the run to mean anything.
   * @default {a fifth of the operations}
   */
  readonly acknowledgedMin?: number;
  /**
   * Runs while clients work; the run continues until it has ended.
   *
   * @default {nothing}
   */
  readonly script?: SimulationScript;
  /**
   * Checks the run, in addition to what always holds.
   *
   * @default {for the default workload: what `kv` promises}
   */
  readonly check?: RunCheck;
  /** Further options of the nodes. */
  readonly node?: Partial<NodeOptions>;
}

/**
 * Runs one simulation.
 *
 * ```ts
 * import { simulate } from "./simulate.ts";
 *
 * const { violations } = await simulate({ seed: 1 });
 * if (violations.length > 0) throw new Error(violations[0]?.message);
 * ```
 *
 * @throws {RangeError} If an option is out of its range.
 */
export async function simulate(
  options: SimulateOptions,
): Promise<SimulationResult> {
  const schedule = options.schedule ?? drawSchedule(options.seed, options);
  using guard = new RealWorldGuard();
  const time = new VirtualTime(guard);
  const trace = new Trace(options.trace ?? false, () => time.now());
  const run = new Run(options, schedule, guard, time, trace);
  return await run.finish();
}

class Run {
  readonly #options: SimulateOptions;
  readonly #schedule: Schedule;
  readonly #guard: RealWorldGuard;
  readonly #time: VirtualTime;
  readonly #trace: Trace;
  readonly #history: HistoryRecorder<unknown, unknown>;
  readonly #invariants: Invariants;
  readonly #services: readonly string[];
  readonly #violations: Violation[] = [];
  #loadBeganAtMs = 0;
  #operator: SimulatedOperator | undefined;
  #groups: SimulatedGroups | undefined;
  readonly #ofGroups = new Set<Violation>();

  constructor(
    options: SimulateOptions,
    schedule: Schedule,
    guard: RealWorldGuard,
    time: VirtualTime,
    trace: Trace,
  ) {
    this.#options = options;
    this.#schedule = schedule;
    this.#guard = guard;
    this.#time = time;
    this.#trace = trace;
    this.#history = new HistoryRecorder(() => time.now());
    this.#services = [
      "kv",
      ...(options.vnode === undefined ? [] : [options.vnode.name]),
    ];
    this.#invariants = new Invariants(
      () => time.now(),
      this.#services.length * (options.node?.masters ?? 1),
    );
  }

  async finish(): Promise<SimulationResult> {
    try {
      await this.#live();
    } catch (error) {
      // A simulation that cannot continue has failed; report where.
      this.#fail({
        check: "simulation",
        message: error instanceof Error ? `${error.stack}` : String(error),
      });
    }
    for (const [call, times] of this.#guard.refused) {
      this.#fail({
        check: "real_world",
        message:
          `Simulated code called ${call} ${times} times: take it from the context instead`,
      });
    }
    return {
      schedule: this.#schedule,
      violations: this.#violations,
      undecided: this.#violations
        .filter(({ check }) => check === UNDECIDED)
        .map(({ message }) => message),
      history: this.#history.records,
      counts: countOutcomes(this.#history.records),
      fullest: this.#invariants.fullest,
      virtualMs: this.#time.now(),
      events: this.#time.events,
      trace: this.#trace,
    };
  }

  #fail(...violations: readonly Violation[]): void {
    for (const violation of violations) {
      this.#violations.push(violation);
      this.#trace.add(
        "world",
        "violation",
        `${violation.check}: ${violation.message}`,
      );
    }
  }

  async #live(): Promise<void> {
    const { vnode, node } = this.#options;
    const { nodes, ringSize, start, loadMs, changes } = this.#schedule;
    const images = start === "formed"
      ? await formedDisks({ nodes, ringSize, vnode, node }, this.#guard)
      : undefined;
    const cluster = new SimulatedCluster({
      schedule: this.#schedule,
      time: this.#time,
      trace: this.#trace,
      vnode,
      node,
      images,
      storeWatch: this.#invariants,
      onReport: (host, report) => {
        this.#invariants.reported(host, report);
        this.#groups?.reported(host, report);
      },
      onRing: (host, ring, begins) =>
        this.#invariants.ringSeen(host, ring, begins),
      onLeft: (host, timers) => this.#fail(...checkLeftovers(host, { timers })),
    });
    if (images === undefined) {
      this.#fail(...await formCluster(cluster, this.#services));
    } else {
      for (const machine of cluster.members) machine.start();
      this.#fail(
        ...await untilSettled(cluster, this.#services, "its nodes started"),
      );
    }
    if (this.#violations.length > 0) return;
    const operator = new SimulatedOperator(
      cluster,
      cluster.chance.fork("operator"),
    );
    this.#operator = operator;
    const groups = await this.#groupsOn(cluster, operator);
    if (this.#violations.length > 0) return;
    this.#trace.add("world", "load", `for ${loadMs} ms`);
    this.#loadBeganAtMs = this.#time.now();
    cluster.callIt(
      cluster.machines[0]?.node?.parts.cluster?.ring.clusterId.seed ?? "",
    );
    cluster.planFaults();
    const operating = Promise.all([
      operator.run(changes),
      groups?.run(),
    ]);
    operating.catch(() => {});
    const { script } = this.#options;
    const scripted = script?.(this.#scriptContext(cluster, operator));
    scripted?.catch(() => {});
    if (script !== undefined || groups !== undefined) {
      this.#invariants.calledFromOutside();
    }
    this.#invariants.watch(cluster);
    const clients = this.#clients(cluster);
    const working = Promise.all(
      clients.map(({ client, operations }) => client.run(operations)),
    );
    await this.#time.run(this.#time.now() + loadMs);
    if (scripted !== undefined) {
      try {
        await during(cluster, scripted, SCRIPT_MS_MAX);
      } catch (error) {
        this.#fail({
          check: "script",
          message: error instanceof Error ? `${error.stack}` : String(error),
        });
      }
    }
    cluster.heal();
    await during(cluster, working, CLIENTS_END_MS_MAX);
    this.#fail(...await this.#operated(cluster, operating));
    // The violations that follow from these are less specific.
    this.#failAsGroups();
    // A node that a fault stopped restarts a while after it.
    if (this.#violations.length === 0) {
      this.#fail(
        ...await untilSettled(cluster, this.#services, "all faults ended"),
      );
    }
    if (this.#violations.length === 0) {
      this.#fail(...await untilAtHome(cluster));
    }
    if (groups !== undefined && this.#violations.length === 0) {
      this.#fail(...await groups.untilSettled());
    }
    if (groups !== undefined && this.#violations.length === 0) {
      this.#fail(...await groups.judge(this.#history.records));
    }
    groups?.stop();
    if (this.#violations.length === 0) {
      // Checks call nodes wherever an answer has come from.
      this.#invariants.calledFromOutside();
      this.#fail(...await this.#judge(cluster));
    }
    this.#invariants.unwatch();
    await during(
      cluster,
      Promise.all(clients.map(({ client }) => client.close())),
      CLIENTS_END_MS_MAX,
    );
    this.#fail(...await stopCluster(cluster));
    this.#failAsGroups();
    this.#fail(...this.#invariants.violations());
    this.#fail(...checkProgress(this.#history.records, {
      acknowledgedMin: this.#options.acknowledgedMin ??
        Math.ceil(this.#schedule.operations.length * ACKNOWLEDGED_MIN),
      // Clients check deadlines themselves, since a paused node owes no answer.
      timeoutMs: Infinity,
      endedAtMs: this.#time.now(),
    }));
  }

  /** Reports violations of the Raft groups that were not reported yet. */
  #failAsGroups(): void {
    const violations = this.#groups?.violations ?? [];
    this.#fail(
      ...violations.filter((violation) => !this.#ofGroups.has(violation)),
    );
    for (const violation of violations) this.#ofGroups.add(violation);
  }

  /**
   * The Raft groups of the schedule, created and with leaders, if it has any.
   */
  async #groupsOn(
    cluster: SimulatedCluster,
    operator: SimulatedOperator,
  ): Promise<SimulatedGroups | undefined> {
    const { groups: plans } = this.#schedule;
    if (plans === undefined) return undefined;
    const groups = new SimulatedGroups({ cluster, operator, plans });
    this.#groups = groups;
    this.#fail(...await groups.begin());
    return groups;
  }

  /**
   * The clients, each with its share of the operations and when each is due.
   */
  #clients(cluster: SimulatedCluster) {
    const { clientCount, operations, loadMs } = this.#schedule;
    const workload = this.#options.workload ??
      (this.#schedule.groups === undefined
        ? kvWorkload()
        : raKvWorkload({ groups: this.#schedule.groups.length }));
    const beginMs = this.#time.now();
    const all = this.#schedule.operations.at(-1) ?? 0;
    return Array.from({ length: clientCount }, (_, number) => ({
      client: new SimulatedClient({
        number,
        cluster,
        history: this.#history,
        workload,
        onViolation: (violation) => this.#fail(violation),
      }),
      operations: operations
        .filter((operation) => operation % clientCount === number)
        .map((operation) => ({
          number: operation,
          // By its number, so that leaving out others does not move it.
          atMs: beginMs + loadMs * operation / (all + 1),
        })),
    }));
  }

  readonly #sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => void this.#time.schedule(ms, resolve));

  /** What a script can do to `cluster`. */
  #scriptContext(
    cluster: SimulatedCluster,
    operator: SimulatedOperator,
  ): ScriptContext {
    const time = this.#time;
    const machine = (index: number): SimulatedMachine =>
      cluster.machines[index] as SimulatedMachine;
    const until: ScriptContext["until"] = async (
      what,
      holds,
      limitMs = SCRIPT_PATIENCE_MS,
    ) => {
      const untilMs = time.now() + limitMs;
      while (!await holds()) {
        if (time.now() >= untilMs) {
          const said = typeof what === "string" ? what : what();
          throw new Error(`${said}: not so after ${limitMs} ms`);
        }
        await this.#sleep(SCRIPT_LOOK_MS);
      }
    };
    return {
      chance: cluster.chance.fork("script"),
      now: () => time.now(),
      sleep: this.#sleep,
      until,
      settled: () =>
        until(
          "The cluster has settled",
          async () =>
            isSettled(cluster, this.#services) &&
            (await notAtHome(cluster)).length === 0,
        ),
      carryOut: (change) =>
        operator.carryOut({ ...change, atMs: 0 } as PlannedChange),
      departed: () => operator.departed(),
      strike: (fault) => cluster.strike({ ...fault, atMs: 0 } as PlannedFault),
      machine,
      hide: (index) => {
        const { host } = machine(index);
        cluster.network.hide(host, `door-${host}`);
        return cluster.address(machine(index));
      },
      ask: (index, act) => operator.ask(act, machine(index)),
      wipe: async (index, partition) => {
        const { host } = machine(index);
        for (const store of this.#invariants.storesOf(host, "kv")) {
          await store.partition(partition).deleteRange();
        }
        this.#invariants.wiped(host, "kv", partition);
      },
      rot: (index, part) => rotLog(machine(index).disk, part),
      lose: (index, isLost) => machine(index).disk.lose(isLost),
      stored: async (index, partition) => {
        const { host } = machine(index);
        const found = new Map<string, Uint8Array>();
        for (const store of this.#invariants.storesOf(host, "kv")) {
          for await (const entry of store.partition(partition).scan()) {
            found.set(entry.key.toHex(), entry.value.slice());
          }
        }
        return found;
      },
      expect: (holds, message) => {
        if (!holds) throw new Error(message);
      },
    };
  }

  /** Waits for the operator to finish what it began. */
  async #operated(
    cluster: SimulatedCluster,
    operating: Promise<unknown>,
  ): Promise<Violation[]> {
    try {
      await during(cluster, operating, CHANGE_MS_MAX);
      return [];
    } catch (error) {
      const rings = cluster.machines.map(({ host, node }) =>
        `${host} ${
          node === undefined ? "does not run" : JSON.stringify([
            node.parts.cluster?.clusterStatus().members,
            node.parts.handoff?.status().transfers,
            node.parts.cluster?.ringReady(),
            node.parts.transfers?.holdsNothing,
          ])
        }`
      );
      return [{
        check: "operator",
        message:
          `What an operator had begun was not done ${CHANGE_MS_MAX} ms after all faults ended: ${error}; ${
            rings.join("; ")
          }`,
      }];
    }
  }

  async #judge(cluster: SimulatedCluster): Promise<readonly Violation[]> {
    const check = this.#options.check ??
      (this.#options.workload !== undefined
        ? () => []
        : this.#schedule.groups === undefined
        ? kvChecks
        : raKvChecks);
    const violations: Violation[] = [];
    const { process } = cluster.members[0] ?? {};
    const run: FinishedRun = {
      schedule: this.#schedule,
      loadBeganAtMs: this.#loadBeganAtMs,
      membership: {
        // A script's changes are in no schedule.
        changed: this.#options.script !== undefined ||
          (this.#operator?.hasChanged ?? false),
        lost: this.#operator?.hasLost ?? false,
      },
      history: this.#history.records,
      nodes: cluster.members.map(({ node }) => node as WhorlNode),
      now: () => this.#time.now(),
      sleep: this.#sleep,
      eventually: async (what, ask) => {
        const untilMs = this.#time.now() + EVENTUALLY_MS_MAX;
        for (;;) {
          try {
            return await ask();
          } catch (error) {
            if (this.#time.now() < untilMs) {
              await this.#sleep(EVENTUALLY_EVERY_MS);
              continue;
            }
            violations.push({
              check: "progress",
              message:
                `${what} has not succeeded ${EVENTUALLY_MS_MAX} ms after all faults ended: ${error}`,
            });
            throw error;
          }
        }
      },
      stored: async (module) => {
        const untilMs = this.#time.now() + EVENTUALLY_MS_MAX;
        for (;;) {
          try {
            return await this.#stored(cluster, module);
          } catch (error) {
            // A disk that failed while its node was paused is noticed when that
            // resumes, and its stores are reopened.
            if (!isWhorlError(error, "closed")) throw error;
            if (this.#time.now() >= untilMs) throw error;
            await this.#sleep(EVENTUALLY_EVERY_MS);
          }
        }
      },
    };
    const judged = new Promise<readonly Violation[]>((resolve, reject) => {
      process?.setTimer(0, () => {
        (async () => await check(run))().then(resolve, reject);
      });
    });
    try {
      violations.push(...await during(cluster, judged, CHECK_MS_MAX));
    } catch (error) {
      // `eventually` has reported why.
      if (violations.length === 0) throw error;
    }
    return violations;
  }

  async #stored(
    cluster: SimulatedCluster,
    module: string,
  ): Promise<StoredValue[]> {
    const values: StoredValue[] = [];
    for (const { host } of cluster.members) {
      for (const store of this.#invariants.storesOf(host, module)) {
        for (const partition of await store.partitions()) {
          const damaged: Uint8Array[] = [];
          const scan = store.partition(partition).scan({
            onCorrupt: (key) => damaged.push(key.slice()),
          });
          for await (const { key, value } of scan) {
            values.push({
              host,
              partition,
              key: briefCopy(key),
              value: briefCopy(value),
            });
          }
          for (const key of damaged) {
            values.push({ host, partition, key, value: undefined });
          }
        }
      }
    }
    return values;
  }
}
