/**
 * Workers of a module: threads for work that computes, so that it does not
 * block the vnodes of the master. Each runs one job at a time; jobs wait and
 * are refused as in a pool (`work_pool.ts`).
 *
 * The first job starts them, under a supervisor. If a worker dies, its job
 * fails and the worker is restarted; a worker that spends more than `jobMsMax`
 * on a job is treated the same way. A thread that spins cannot be terminated,
 * and the node is told so.
 *
 * @module
 */
import { treeOf } from "../../supervisors/child.ts";
import type { ProgramChild } from "../../supervisors/program.ts";
import { formatReason } from "../../supervisors/exit_reason.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import { startProgram } from "../../supervisors/start_program.ts";
import {
  startSupervisor,
  type Supervisor,
} from "../../supervisors/supervisor.ts";
import type { TreeNode } from "../../supervisors/tree_view.ts";
import { WhorlError } from "../base/errors.ts";
import { decodeMsgpack, encodeMsgpack } from "../wire/msgpack.ts";
import type { PoolBounds } from "./pool_queue.ts";
import type { PoolWorkerArgs } from "./pool_worker_main.ts";
import {
  type JobLimits,
  type PoolOptions,
  resolvePools,
  WorkPool,
} from "./work_pool.ts";

/** The program of a worker of a pool. */
const WORKER_PROGRAM = new URL("./pool_worker_main.ts", import.meta.url);

/** Default of `jobMsMax`, in milliseconds. */
export const JOB_MS_MAX_DEFAULT = 600_000;
/** Restarts of a pool's workers allowed within {@linkcode WORKER_RESTARTS_PERIOD_MS}; beyond that its jobs fail, and the next job starts the workers again. */
export const WORKER_RESTARTS_MAX = 20;
/** The span in which those restarts are counted. */
export const WORKER_RESTARTS_PERIOD_MS = 10_000;
/** How much longer than `jobMsMax` a thread may be silent, in milliseconds, so that the limit of the job applies first. */
const HEARTBEAT_GRACE_MS = 1_000;

/** Workers as a module declares them. */
export interface WorkersOptions extends PoolOptions {
  /** The file whose default export is the function that does a job: it takes and returns plain data. */
  readonly url: URL | string;
  /** Time a job may take, in milliseconds; then its worker counts as hung. @default {600000} */
  readonly jobMsMax?: number;
}

/** {@linkcode WorkersOptions} with all defaults filled in. */
export interface WorkersConfig extends PoolBounds {
  /** The file whose default export does a job. */
  readonly url: string;
  /** Time a job may take, in milliseconds. */
  readonly jobMsMax: number;
}

/** Workers as a vnode sees them. */
export interface VnodeWorkers {
  /**
   * Runs a job with `input` in a worker: plain data, as in commands, which is
   * copied.
   *
   * @throws {WhorlError} As `VnodePool.run` does; `vnode_error` if the function
   * throws, or its worker dies or exceeds `jobMsMax`.
   */
  run(input: unknown, limits?: JobLimits): Promise<unknown>;
}

/** What workers need from their master. */
export interface PoolWorkersHost {
  readonly runtime: Runtime;
  /** A thread spins and cannot be terminated. */
  zombie(): void;
  /** `tree` may have changed. */
  changed(): void;
}

/** Runs the workers of one pool. */
export class PoolWorkers {
  readonly pool: WorkPool;
  readonly #name: string;
  readonly #config: WorkersConfig;
  readonly #host: PoolWorkersHost;
  #supervisor: Promise<Supervisor> | undefined;
  /** The supervisor, once it has started. */
  #running: Supervisor | undefined;
  /** Idle workers. */
  readonly #idle = new Set<ProgramChild>();
  /** The jobs of the busy workers. */
  readonly #jobs = new Map<ProgramChild, PromiseWithResolvers<Uint8Array>>();
  /** Admitted jobs that wait for a worker to start. */
  readonly #wanting: PromiseWithResolvers<ProgramChild>[] = [];
  #closed = false;

  constructor(name: string, config: WorkersConfig, host: PoolWorkersHost) {
    this.#name = name;
    this.#config = config;
    this.#host = host;
    this.pool = new WorkPool(name, config, host.runtime);
  }

  /** {@linkcode VnodeWorkers.run} for `owner`. */
  run(owner: object, input: unknown, limits?: JobLimits): Promise<unknown> {
    return this.pool.run(
      owner,
      (signal) => this.#perform(input, signal),
      limits,
    );
  }

  /** The present supervisor of the workers; none before the first job. */
  tree(): TreeNode | undefined {
    return this.#running && treeOf(this.#running);
  }

  /** Takes no more jobs and answers the callers of those it has. Resolves once no worker is running a job. */
  close(): Promise<void> {
    this.#closed = true;
    const idle = this.pool.close();
    for (const job of this.#wanting.splice(0)) job.reject(this.#died("closed"));
    return idle;
  }

  /** Terminates the workers, busy or not. */
  async end(): Promise<void> {
    this.#closed = true;
    const supervisor = await this.#supervisor?.catch(() => undefined);
    await supervisor?.shutdown();
  }

  async #perform(input: unknown, signal: AbortSignal): Promise<unknown> {
    const message = encodeMsgpack(input ?? null).slice();
    const worker = await this.#worker();
    if (signal.aborted) {
      // Cancelled while the worker was starting.
      this.#free(worker);
      throw signal.reason;
    }
    const answer = Promise.withResolvers<Uint8Array>();
    this.#jobs.set(worker, answer);
    const { runtime } = this.#host;
    const timer = runtime.setTimer(
      this.#config.jobMsMax,
      () => worker.kill(),
    );
    try {
      worker.send(message);
      // The worker may have ended before it was given this job.
      if (worker.exitReason !== undefined) {
        throw this.#died(formatReason(worker.exitReason));
      }
      const [done, result] = decodeMsgpack(await answer.promise) as [
        boolean,
        unknown,
      ];
      if (done) return result;
      throw new WhorlError("vnode_error", String(result), {
        details: { pool: this.#name },
      });
    } finally {
      runtime.clearTimer(timer);
      this.#jobs.delete(worker);
      this.#free(worker);
    }
  }

  /** An idle worker, now or once one has started. */
  async #worker(): Promise<ProgramChild> {
    for (const worker of this.#idle) {
      this.#idle.delete(worker);
      return worker;
    }
    const wanting = Promise.withResolvers<ProgramChild>();
    this.#wanting.push(wanting);
    if (this.#closed) wanting.reject(this.#died("closed"));
    else this.#start();
    return await wanting.promise;
  }

  #free(worker: ProgramChild): void {
    if (worker.exitReason !== undefined) return;
    const wanting = this.#wanting.shift();
    if (wanting === undefined) this.#idle.add(worker);
    else wanting.resolve(worker);
  }

  #start(): void {
    if (this.#supervisor !== undefined) return;
    const starting = startSupervisor({
      name: `workers of ${this.#name}`,
      strategy: "one_for_one",
      intensity: WORKER_RESTARTS_MAX,
      periodMs: WORKER_RESTARTS_PERIOD_MS,
      children: Array.from({ length: this.#config.size }, (_, i) => ({
        id: `${this.#name}-${i}`,
        restart: "permanent" as const,
        shutdown: "brutal" as const,
        backoff: { minMs: 10, maxMs: 5_000, atOnce: 1 },
        start: (signal) => this.#startWorker(`${this.#name}-${i}`, signal),
      })),
      runtime: this.#host.runtime,
      onReport: () => this.#host.changed(),
    });
    this.#supervisor = starting;
    const gaveUp = (why: string): void => {
      if (this.#supervisor === starting) {
        this.#supervisor = undefined;
        this.#running = undefined;
        this.#host.changed();
      }
      for (const job of this.#wanting.splice(0)) job.reject(this.#died(why));
    };
    starting.then(
      (supervisor) => {
        this.#running = supervisor;
        this.#host.changed();
        supervisor.onExit((reason) => gaveUp(formatReason(reason)));
      },
      (error) => gaveUp(error instanceof Error ? error.message : String(error)),
    );
  }

  async #startWorker(name: string, signal: AbortSignal): Promise<ProgramChild> {
    const { url, jobMsMax } = this.#config;
    const worker: ProgramChild = await startProgram({
      placement: "worker",
      module: WORKER_PROGRAM,
      args: { url } satisfies PoolWorkerArgs,
      name,
      // While it computes it answers no messages.
      heartbeat: { timeoutMs: jobMsMax + HEARTBEAT_GRACE_MS },
      onMessage: (answer) => this.#jobs.get(worker)?.resolve(answer),
      onZombie: () => {
        // A worker that still runs a job when its master stops ends by itself.
        if (!this.#closed) this.#host.zombie();
      },
      runtime: this.#host.runtime,
      signal,
    });
    worker.onExit((reason) => {
      this.#idle.delete(worker);
      this.#jobs.get(worker)?.reject(this.#died(formatReason(reason)));
    });
    this.#free(worker);
    return worker;
  }

  #died(why: string): WhorlError {
    return new WhorlError(
      "vnode_error",
      `A worker of pool '${this.#name}' did not do its work: ${why}`,
      { details: { pool: this.#name } },
    );
  }
}

/**
 * Fills in defaults and checks the workers of a module.
 *
 * @throws {WhorlError} `vnode_module_failed`, naming the rule and the value.
 */
export function resolveWorkers(
  module: string,
  workers: Readonly<Record<string, WorkersOptions>>,
): Readonly<Record<string, WorkersConfig>> {
  const bounds = resolvePools(module, workers);
  return Object.freeze(Object.fromEntries(
    Object.entries(workers).map(([name, options]) => {
      const { url, jobMsMax = JOB_MS_MAX_DEFAULT } = options;
      if (!Number.isInteger(jobMsMax) || jobMsMax < 1) {
        throw new WhorlError(
          "vnode_module_failed",
          `Cannot define vnode module '${module}' as 'jobMsMax' of its workers '${name}' must be a whole number of at least 1: current value is ${jobMsMax}`,
        );
      }
      return [
        name,
        Object.freeze({
          ...bounds[name] as PoolBounds,
          url: String(url),
          jobMsMax,
        }),
      ];
    }),
  ));
}
