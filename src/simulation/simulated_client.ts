/**
 * A client of a simulated cluster: it performs its operations one after the
 * other and records what it saw. It lives on a host of its own and either calls
 * into a running node, as an application inside a node does, or talks to the
 * cluster over a connection, as an external client does.
 *
 * @module
 */
import { type Chance, seededChance } from "../base/chance.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { Disk } from "../environment/disk.ts";
import type { Environment } from "../environment/environment.ts";
import { kvOutcomeUnknown } from "../kv/kv_client.ts";
import { raKvOutcomeUnknown } from "../ra_kv/ra_kv_client.ts";
import type { WhorlNode } from "../node/node.ts";
import { connect, type WhorlClient } from "../node/connect.ts";
import { TIMEOUT_MS_DEFAULT } from "../request/quorum_options.ts";
import type { Violation } from "./checkers/violation.ts";
import type { HistoryRecorder } from "./history.ts";
import {
  type SimulatedCluster,
  SIMULATION_COOKIE,
} from "./simulated_cluster.ts";
import type { SimulatedMachine } from "./simulated_machine.ts";
import { seededBytes } from "./seeded_bytes.ts";
import { runtimeOf, SimulatedProcess } from "./simulated_process.ts";
import { traceLog } from "./trace/trace_log.ts";
import type { ClusterAccess, Workload, WorkloadOperation } from "./workload.ts";

/**
 * How long after its deadline an operation may be answered, in milliseconds:
 * coarse timers, and the way back.
 */
export const ANSWER_GRACE_MS = 1_000;
/**
 * How long a client waits before it looks for a running node again, in
 * milliseconds.
 */
const LOOK_AGAIN_MS = 50;

/** A client has no disk. */
const NO_DISK = new Proxy({} as Disk, {
  get: () => {
    throw new Error("A client of a simulation has no disk");
  },
});

/** What a client is made of. */
export interface ClientOptions {
  readonly number: number;
  readonly cluster: SimulatedCluster;
  readonly history: HistoryRecorder<unknown, unknown>;
  readonly workload: Workload;
  /** Called for what no client should ever see. */
  readonly onViolation: (violation: Violation) => void;
}

/** One client. */
export class SimulatedClient {
  readonly name: string;
  readonly #options: ClientOptions;
  /** In the order in which it tries them, its own first. */
  readonly #machines: readonly SimulatedMachine[];
  readonly #process: SimulatedProcess;
  readonly #chance: Chance;
  readonly #session = new Map<string, unknown>();
  #connection: WhorlClient | undefined;

  constructor(options: ClientOptions) {
    const { number, cluster } = options;
    this.name = `c${number + 1}`;
    this.#options = options;
    const { machines } = cluster;
    const first = number % machines.length;
    this.#machines = [...machines.slice(first), ...machines.slice(0, first)];
    this.#chance = seededChance(`${cluster.schedule.seed} client ${number}`);
    this.#process = new SimulatedProcess(
      this.name,
      cluster.time,
      this.#chance.fork("process"),
    );
  }

  /** Performs the operations with these numbers, each not before its time. */
  async run(
    operations: readonly { readonly number: number; readonly atMs: number }[],
  ): Promise<void> {
    const { cluster, workload } = this.#options;
    for (const { number, atMs } of operations) {
      await this.#sleep(atMs - cluster.time.now());
      try {
        await workload(this.#operation(number));
      } catch (error) {
        // The cluster's refusals are recorded; this is an error of the
        // workload.
        this.#options.onViolation({
          check: "workload",
          message: `Operation ${number} of the workload threw: ${
            error instanceof Error ? error.stack : String(error)
          }`,
        });
      }
    }
  }

  /** Closes its connection and leaves nothing behind. */
  async close(): Promise<void> {
    await this.#connection?.close();
    this.#connection = undefined;
  }

  /** Number of timers still set. */
  get pendingTimers(): number {
    return this.#process.pendingTimers;
  }

  #operation(number: number): WorkloadOperation {
    return {
      number,
      client: this.name,
      chance: seededChance(
        `${this.#options.cluster.schedule.seed} operation ${number}`,
      ),
      session: this.#session,
      now: () => this.#process.now(),
      sleep: (ms) => this.#sleep(ms),
      record: (key, input, act, timeoutMs = TIMEOUT_MS_DEFAULT) =>
        this.#record(key, input, act, timeoutMs),
    };
  }

  #sleep(ms: number): Promise<void> {
    if (ms <= 0) return Promise.resolve();
    return new Promise((resolve) => void this.#process.setTimer(ms, resolve));
  }

  async #record<Output>(
    key: string,
    input: unknown,
    act: (access: ClusterAccess) => Promise<Output>,
    timeoutMs: number,
  ): Promise<Output | undefined> {
    const { cluster, history } = this.#options;
    const { trace } = cluster;
    const record = history.invoke(this.name, key, input);
    if (trace.on) {
      trace.add(
        this.name,
        "invoke",
        `${record.id} ${key} ${JSON.stringify(input)}`,
      );
    }
    let result: Output | undefined;
    try {
      const output = await (cluster.schedule.clients === "inside" ||
          !cluster.machines.some((machine) => cluster.stays(machine))
        ? this.#inside(act, record.id, timeoutMs)
        : this.#connected(act, record.id, timeoutMs));
      history.succeed(record, output);
      result = output;
    } catch (error) {
      const reason = isWhorlError(error) ? error.code : reasonOf(error);
      if (isWhorlError(error) && !mayHaveHappened(error)) {
        history.fail(record, reason);
      } else history.lose(record, reason);
    }
    if (trace.on) {
      trace.add(
        this.name,
        record.outcome,
        `${record.id} ${key} ${
          record.outcome === "ok" ? JSON.stringify(record.output) : record.error
        }`,
      );
    }
    return result;
  }

  /** Through a running node: the client's own if possible. */
  async #inside<Output>(
    act: (access: ClusterAccess) => Promise<Output>,
    id: number,
    timeoutMs: number,
  ): Promise<Output> {
    let machine: SimulatedMachine | undefined;
    while (machine === undefined) {
      machine = this.#machines.find((candidate) =>
        this.#options.cluster.serves(candidate)
      );
      if (machine === undefined) await this.#sleep(LOOK_AGAIN_MS);
    }
    const process = machine.process as SimulatedProcess;
    const node = machine.node as WhorlNode;
    return await this.#answered(
      process,
      machine,
      id,
      timeoutMs,
      () =>
        act({
          kv: node.kv,
          module: (module) => node.module(module),
          raKv: node.raKv,
        }),
    );
  }

  async #connected<Output>(
    act: (access: ClusterAccess) => Promise<Output>,
    id: number,
    timeoutMs: number,
  ): Promise<Output> {
    const { cluster } = this.#options;
    this.#connection ??= await connect({
      nodes: this.#machines.filter((machine) => cluster.stays(machine))
        .map((machine) => cluster.address(machine)),
      cookie: SIMULATION_COOKIE,
      environment: this.#environment(),
    });
    const connection = this.#connection;
    return await this.#answered(
      this.#process,
      undefined,
      id,
      timeoutMs,
      () => act(connection),
    );
  }

  /**
   * Starts `act` in `process` and waits for its answer, the death of the
   * machine, or a timeout.
   */
  #answered<Output>(
    process: SimulatedProcess,
    machine: SimulatedMachine | undefined,
    id: number,
    timeoutMs: number,
    act: () => Promise<Output>,
  ): Promise<Output> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        // A paused process owes no answer, and gets a grace period afterwards.
        const graceMs = process.resumedAtMs + ANSWER_GRACE_MS - process.now();
        if (graceMs > 0) {
          overdue = process.setTimer(graceMs, giveUp);
          return;
        }
        this.#options.onViolation({
          check: "answered",
          message:
            `Operation ${id} was not answered ${ANSWER_GRACE_MS} ms after its deadline`,
          operations: [id],
        });
        forget?.();
        reject(new WhorlError("timeout", "The simulation gave up waiting"));
      };
      let overdue = process.setTimer(timeoutMs + ANSWER_GRACE_MS, giveUp);
      const forget = machine?.onDeath(() =>
        reject(
          new WhorlError("coordinator_lost", `${machine.host} died over it`),
        )
      );
      const done = (): void => {
        process.clearTimer(overdue);
        forget?.();
      };
      process.setTimer(0, () => {
        act().then((output) => {
          done();
          resolve(output);
        }, (error) => {
          done();
          reject(error);
        });
      });
    });
  }

  #environment(): Environment {
    const { cluster } = this.#options;
    const process = this.#process;
    const secrets = this.#chance.fork("secrets");
    return {
      ...runtimeOf(process),
      wallClock: () => Math.floor(process.now()),
      chance: this.#chance.fork("environment"),
      secretBytes: (count) => seededBytes(secrets, count),
      transport: cluster.network.transport(this.name, process),
      disk: NO_DISK,
      openStore: () => {
        throw new Error("A client of a simulation has no store");
      },
      log: traceLog(cluster.trace, this.name),
      processFigures: () => {
        throw new Error("A client of a simulation has no process of its own");
      },
    };
  }
}

/** Whether what failed with `error` may have happened, or may still happen. */
function mayHaveHappened(error: WhorlError): boolean {
  return error.details["outcomeUnknown"] !== false &&
    (kvOutcomeUnknown(error) || raKvOutcomeUnknown(error));
}
