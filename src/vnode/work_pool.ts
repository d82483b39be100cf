/**
 * A pool of a module: long-running work that should not block a vnode, with a
 * bound on the jobs that run at a time in each master (after riak_core's
 * `riak_core_worker_pool`). Jobs run in the master's thread, in turns of their
 * own, and may wait for disks, networks and other processes.
 *
 *     run ── there is room ──► running ── ends ──► answered
 *      ├── all are busy ──► waiting ──┘ │
 *      └── too many wait ─► overload    └─ deadline, signal, vnode gone: answered at once,
 *                                          and the room is free when the job has ended
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { WhorlError } from "../base/errors.ts";
import type { Awaitable } from "../environment/storage.ts";
import { type PoolBounds, PoolQueue } from "./pool_queue.ts";

/** Default of `queueMax`. */
export const POOL_QUEUE_MAX_DEFAULT = 1_000;
/** Most jobs a pool may run at a time. */
export const POOL_SIZE_MAX = 1_024;
/** Most pools of a module. */
export const POOLS_MAX = 32;

/** A pool as a module declares it. */
export interface PoolOptions {
  /** Jobs that run at a time, for all vnodes of a master together: 1 to 1024. */
  readonly size: number;
  /** Jobs that may wait; a further one fails with `overload`. @default {1000} */
  readonly queueMax?: number;
}

/** How long the caller waits for a job; a `VnodeCall` is one. */
export interface JobLimits {
  /** Milliseconds after which the result is no longer wanted. @default {Infinity} */
  readonly timeLeftMs?: number;
  /** Fires when the result is no longer wanted. */
  readonly signal?: AbortSignal;
}

/** A pool as a vnode sees it. */
export interface VnodePool {
  /**
   * Runs `work` once the pool has room, in a turn of its own. The signal of
   * `work` fires when its result is no longer wanted; it should end then, since
   * it occupies its place in the pool until it does.
   *
   * @throws {WhorlError} `overload` if too many jobs wait, `timeout`, `cancelled`
   * if `limits.signal` fires, `vnode_crashed` if the vnode ends, all of which do not
   * wait for `work` to end; and what `work` throws.
   */
  run<T>(
    work: (signal: AbortSignal) => Awaitable<T>,
    limits?: JobLimits,
  ): Promise<T>;
}

/** Figures of one pool since its master started. */
export interface PoolCounts {
  done: number;
  failed: number;
  /** Answered `overload`. */
  refused: number;
  /** Cancelled while they waited or ran. */
  givenUp: number;
}

interface Job {
  readonly owner: object;
  readonly abort: AbortController;
  run(): Promise<void>;
  /** Answers the caller before the job has ended. */
  giveUp(error: WhorlError): void;
}

/**
 * Fills in defaults and checks the pools of a module.
 *
 * @throws {WhorlError} `vnode_module_failed`, naming the pool, the rule and the value.
 */
export function resolvePools(
  module: string,
  pools: Readonly<Record<string, PoolOptions>>,
): Readonly<Record<string, PoolBounds>> {
  const refuse = (why: string): never => {
    throw new WhorlError(
      "vnode_module_failed",
      `Cannot define vnode module '${module}' as ${why}`,
    );
  };
  const names = Object.keys(pools);
  if (names.length > POOLS_MAX) {
    refuse(
      `its pools may be ${POOLS_MAX}: current value is ${names.length}`,
    );
  }
  return Object.freeze(Object.fromEntries(
    Object.entries(pools).map(([name, options]) => {
      const { size, queueMax = POOL_QUEUE_MAX_DEFAULT } = options;
      if (!/^[a-z][a-z0-9_]{0,31}$/.test(name)) {
        refuse(
          `the name of a pool must be a small letter, then up to 31 small letters, digits or _: current value is ${
            JSON.stringify(name)
          }`,
        );
      }
      if (!Number.isInteger(size) || size < 1 || size > POOL_SIZE_MAX) {
        refuse(
          `the size of its pool '${name}' must be a whole number from 1 to ${POOL_SIZE_MAX}: current value is ${size}`,
        );
      }
      if (!Number.isInteger(queueMax) || queueMax < 0) {
        refuse(
          `'queueMax' of its pool '${name}' must be a whole number of at least 0: current value is ${queueMax}`,
        );
      }
      return [name, Object.freeze({ size, queueMax })];
    }),
  ));
}

/** Runs the jobs of one pool. */
export class WorkPool {
  readonly counts: PoolCounts = { done: 0, failed: 0, refused: 0, givenUp: 0 };
  readonly #name: string;
  readonly #bounds: PoolBounds;
  readonly #runtime: Runtime;
  readonly #queue: PoolQueue<Job>;
  /** Jobs that wait or run and have not been answered. */
  readonly #open = new Set<Job>();
  #closed = false;
  readonly #idle = Promise.withResolvers<void>();

  constructor(name: string, bounds: PoolBounds, runtime: Runtime) {
    this.#name = name;
    this.#bounds = bounds;
    this.#runtime = runtime;
    this.#queue = new PoolQueue(bounds);
  }

  /** Jobs that wait. */
  get waiting(): number {
    return this.#queue.waiting;
  }

  /** Jobs that run, including cancelled ones. */
  get running(): number {
    return this.#queue.running;
  }

  /** {@linkcode VnodePool.run} for `owner`. */
  run<T>(
    owner: object,
    work: (signal: AbortSignal) => Awaitable<T>,
    limits: JobLimits = {},
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const { signal, timeLeftMs = Infinity } = limits;
    if (this.#closed) {
      reject(closedError());
      return promise;
    }
    if (signal?.aborted) {
      reject(this.#cancelled());
      return promise;
    }
    const abort = new AbortController();
    let timer: TimerHandle | undefined;
    const cancel = (): void => job.giveUp(this.#cancelled());
    /** False if it has been answered. */
    const answered = (): boolean => {
      if (!this.#open.delete(job)) return false;
      if (timer !== undefined) this.#runtime.clearTimer(timer);
      signal?.removeEventListener("abort", cancel);
      return true;
    };
    const job: Job = {
      owner,
      abort,
      run: async () => {
        try {
          const value = await work(abort.signal);
          if (!answered()) return;
          this.counts.done++;
          resolve(value);
        } catch (error) {
          if (!answered()) return;
          this.counts.failed++;
          reject(error);
        }
      },
      giveUp: (error) => {
        if (!answered()) return;
        this.counts.givenUp++;
        this.#queue.remove(job);
        reject(error);
        abort.abort(error);
      },
    };
    const decision = this.#queue.offer(job);
    if (decision === "refuse") {
      this.counts.refused++;
      reject(this.#overload());
      return promise;
    }
    this.#open.add(job);
    signal?.addEventListener("abort", cancel, { once: true });
    if (timeLeftMs !== Infinity) {
      timer = this.#runtime.setTimer(
        timeLeftMs,
        () => job.giveUp(this.#timeout()),
      );
    }
    if (decision === "run") this.#begin(job);
    return promise;
  }

  /** `owner` has ended: its jobs are cancelled. */
  leave(owner: object): void {
    for (const job of [...this.#open]) {
      if (job.owner === owner) {
        job.giveUp(
          new WhorlError(
            "vnode_crashed",
            `The vnode has ended before its work in pool '${this.#name}' was done`,
          ),
        );
      }
    }
  }

  /**
   * Takes no more jobs and answers the callers of those it has. Resolves when
   * none runs any more; the caller decides how long to wait.
   */
  close(): Promise<void> {
    this.#closed = true;
    for (const job of [...this.#open]) job.giveUp(closedError());
    if (this.#queue.running === 0) this.#idle.resolve();
    return this.#idle.promise;
  }

  /**
   * In a turn of its own, so that the part of `work` before its first `await`
   * does not block the vnode that submitted it.
   */
  #begin(job: Job): void {
    this.#runtime.setTimer(0, async () => {
      // It was cancelled, so it need not begin.
      if (!job.abort.signal.aborted) await job.run();
      const next = this.#queue.ended();
      if (next !== undefined) this.#begin(next);
      else if (this.#closed && this.#queue.running === 0) this.#idle.resolve();
    });
  }

  #overload(): WhorlError {
    const { size, queueMax } = this.#bounds;
    return new WhorlError(
      "overload",
      `Cannot take work into pool '${this.#name}': ${size} jobs run and ${queueMax} wait`,
      { details: { pool: this.#name } },
    );
  }

  #timeout(): WhorlError {
    return new WhorlError(
      "timeout",
      `The work in pool '${this.#name}' was not done in time`,
      { details: { pool: this.#name } },
    );
  }

  #cancelled(): WhorlError {
    return new WhorlError(
      "cancelled",
      `The work in pool '${this.#name}' was cancelled`,
      { details: { pool: this.#name } },
    );
  }
}

function closedError(): WhorlError {
  return new WhorlError("closed", "The vnode master is stopping");
}
