/**
 * The pools and workers that a module has declared, shared by the vnodes of one
 * master.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import { WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import { PoolWorkers, type VnodeWorkers } from "./pool_workers.ts";
import type { VnodeModule } from "./vnode.ts";
import { type VnodePool, WorkPool } from "./work_pool.ts";

/** How long a stopping master waits for jobs, in milliseconds; less than a node waits for its masters. */
const POOLS_CLOSE_MS_MAX = 3_000;

/** What the pools tell the node. */
export interface MasterPoolsEvents {
  /** A worker hangs and cannot be ended. */
  zombie(): void;
  /** There are these workers now. */
  workers(trees: readonly unknown[]): void;
}

/** The pools and workers of one master. */
export class MasterPools {
  readonly #moduleName: string;
  readonly #runtime: Runtime;
  readonly #log: Log;
  readonly #events: MasterPoolsEvents;
  /** The pools of the module, by name. */
  readonly #pools = new Map<string, WorkPool>();
  /** Its workers. */
  readonly #workers = new Map<string, PoolWorkers>();
  /** Whether a message to the node about them is scheduled. */
  #tellsWorkers = false;
  #silent = false;

  constructor(
    module: VnodeModule,
    runtime: Runtime,
    log: Log,
    events: MasterPoolsEvents,
  ) {
    this.#moduleName = module.name;
    this.#runtime = runtime;
    this.#log = log;
    this.#events = events;
    for (const [name, bounds] of Object.entries(module.pools ?? {})) {
      this.#pools.set(name, new WorkPool(name, bounds, runtime));
    }
    const zombie = (): void => events.zombie();
    for (const [name, config] of Object.entries(module.workers ?? {})) {
      this.#workers.set(
        name,
        new PoolWorkers(name, config, {
          runtime,
          zombie,
          changed: () => this.#workersChanged(),
        }),
      );
    }
  }

  /** The pool of that name, for `owner`. */
  pool(owner: object, name: string): VnodePool {
    const pool = this.#declared("pool", this.#pools, name);
    return { run: (work, limits) => pool.run(owner, work, limits) };
  }

  /** The workers of that name, for `owner`. */
  workers(owner: object, name: string): VnodeWorkers {
    const workers = this.#declared("workers", this.#workers, name);
    return { run: (input, limits) => workers.run(owner, input, limits) };
  }

  #declared<T>(what: string, all: ReadonlyMap<string, T>, name: string): T {
    const found = all.get(name);
    if (found !== undefined) return found;
    throw new WhorlError(
      "invalid_argument",
      `Cannot find ${what} '${name}' of '${this.#moduleName}': it has declared ${
        [...all.keys()].join(", ") || "none"
      }`,
    );
  }

  /** `owner` has ended: its jobs are cancelled. */
  leave(owner: object): void {
    for (const [, pool] of this.#all()) pool.leave(owner);
  }

  /** Stops telling the node about workers. */
  fallSilent(): void {
    this.#silent = true;
  }

  /** Waits for running jobs, which use the store, for a limited time. */
  async close(): Promise<void> {
    const closing = [...this.#pools.values(), ...this.#workers.values()];
    if (closing.length === 0) return;
    const runtime = this.#runtime;
    const { promise: waited, resolve } = Promise.withResolvers<void>();
    const timer = runtime.setTimer(POOLS_CLOSE_MS_MAX, resolve);
    const pools = this.#all();
    await Promise.race([
      waited,
      Promise.all(closing.map((pool) => pool.close())),
    ]);
    runtime.clearTimer(timer);
    await Promise.all([...this.#workers.values()].map((each) => each.end()));
    const running = pools.reduce((sum, [, pool]) => sum + pool.running, 0);
    if (running > 0) {
      this.#log.warn("Work in pools has not ended when it was asked to", {
        running,
      });
    }
  }

  /** Their figures. */
  figures(): Record<"pools" | "workers", Record<string, unknown>> {
    const of = (pools: readonly [string, WorkPool][]) =>
      Object.fromEntries(pools.map(([name, { counts, waiting, running }]) => [
        name,
        { ...counts, waiting, running },
      ]));
    return { pools: of([...this.#pools]), workers: of(this.#ofWorkers()) };
  }

  /** Tells the node about its workers, once for all changes of a turn. */
  #workersChanged(): void {
    if (this.#tellsWorkers || this.#silent) return;
    this.#tellsWorkers = true;
    this.#runtime.defer(() => {
      this.#tellsWorkers = false;
      if (this.#silent) return;
      this.#events.workers(
        [...this.#workers.values()]
          .map((each) => each.tree())
          .filter((tree) => tree !== undefined),
      );
    });
  }

  /** The pools, and those in which jobs wait for workers, with their names. */
  #all(): [string, WorkPool][] {
    return [...this.#pools, ...this.#ofWorkers()];
  }

  #ofWorkers(): [string, WorkPool][] {
    return [...this.#workers].map(([name, { pool }]) => [name, pool]);
  }
}
