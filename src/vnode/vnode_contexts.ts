/**
 * The contexts that the vnodes of a master are started with: for each, a view
 * of the master's store, clocks, chance and pools, and its listeners to changes
 * of the cluster.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import type { Chance } from "../base/chance.ts";
import type { Log } from "../environment/log.ts";
import type { Store } from "../environment/storage.ts";
import type { MasterPools } from "./master_pools.ts";
import type { ClusterEvent } from "./vnode.ts";
import type { VnodeProcess, VnodeStart } from "./vnode_process.ts";

/** What all vnodes of a master share. */
export interface VnodeContextsHost {
  /** The node's name, which vnodes can read. */
  readonly node: string;
  readonly store: Store;
  readonly runtime: Runtime;
  /** Wall clock in milliseconds. */
  readonly wallClock: () => number;
  readonly chance: Chance;
  readonly secretBytes: (count: number) => Uint8Array<ArrayBuffer>;
  readonly log: Log;
}

/** A vnode that listens to changes of the cluster. */
interface Listening {
  readonly process: VnodeProcess;
  readonly listener: (event: ClusterEvent) => void;
}

/** The contexts of the vnodes of one master. */
export class VnodeContexts {
  readonly #host: VnodeContextsHost;
  readonly #pools: MasterPools;
  readonly #listening = new Set<Listening>();

  constructor(host: VnodeContextsHost, pools: MasterPools) {
    this.#host = host;
    this.#pools = pools;
  }

  /**
   * The context of `process`.
   *
   * @param ringSize Partitions of the ring that the vnode belongs to.
   * @param ended Aborted when it has ended.
   */
  of(
    process: VnodeProcess,
    ringSize: number,
    ended: AbortSignal,
  ): VnodeStart {
    const { node, store, runtime, wallClock, chance, secretBytes, log } =
      this.#host;
    const { number, partition } = process;
    // There may also be a vnode of the same partition in a ring of another
    // size.
    const name = number === partition
      ? `${partition}`
      : `${partition}-of-${ringSize}`;
    return {
      node,
      ringSize,
      storage: store.partition(number),
      store: storeView(store),
      clock: { now: () => runtime.now(), wallClock },
      chance: chance.fork(`vnode ${number}`),
      secretBytes,
      log: log.child(`vnode-${name}`),
      signal: ended,
      pool: (name) => this.#pools.pool(process, name),
      workers: (name) => this.#pools.workers(process, name),
      crash: (error) => process.crash(error),
      link: (source, child) => process.link(source, child),
      onClusterEvent: (listener) => {
        const listening = { process, listener };
        this.#listening.add(listening);
        return () => void this.#listening.delete(listening);
      },
    };
  }

  /** Calls all listeners; a vnode whose listener throws crashes. */
  tell(event: ClusterEvent): void {
    for (const { process, listener } of [...this.#listening]) {
      try {
        listener(event);
      } catch (error) {
        process.crash(error);
      }
    }
  }

  /** `process` has ended: removes its listeners. */
  leave(process: VnodeProcess): void {
    for (const listening of this.#listening) {
      if (listening.process === process) this.#listening.delete(listening);
    }
  }
}

/** The key of the store behind a view. */
const STORE = Symbol("store");

/**
 * A view reads the state of the store on each access, since a lost tail can be
 * repaired. All views share these functions: V8 would keep the getters of an
 * object literal, and all they refer to, alive until a full garbage collection.
 */
const VIEW: PropertyDescriptorMap & ThisType<{ readonly [STORE]: Store }> = {
  storeId: {
    enumerable: true,
    get() {
      return this[STORE].state.storeId;
    },
  },
  epoch: {
    enumerable: true,
    get() {
      return this[STORE].state.epoch;
    },
  },
  tailLost: {
    enumerable: true,
    get() {
      return this[STORE].state.tailLost;
    },
  },
};

/** A vnode's view of the store. */
function storeView(store: Store): VnodeStart["store"] {
  return Object.defineProperties({ durable: store.durable }, {
    [STORE]: { value: store },
    ...VIEW,
  }) as VnodeStart["store"];
}
