/**
 * What must hold at every moment of a run, whatever the load: checked during
 * the run, on what vnodes write, what supervisors report, which rings nodes
 * hold and how long queues are.
 *
 * @module
 */
import { ageOfVnode } from "../ring/ring_generations.ts";
import { compareOwnership } from "../ring/ring_merge.ts";
import { isTakenForPresent, originsOf } from "../ring/ring_origin.ts";
import type { IntensityLimit } from "../../supervisors/restart_intensity.ts";
import type { SupervisorReport } from "../../supervisors/supervisor.ts";
import type { Store, StoreWrite } from "../environment/storage.ts";
import { NODE_RESTARTS_MAX, NODE_RESTARTS_PERIOD_MS } from "../node/node.ts";
import {
  MASTER_RESTARTS_MAX,
  MASTER_RESTARTS_PERIOD_MS,
} from "../node/master_backoff.ts";
import type { Ring } from "../ring/ring.ts";
import { briefCopy } from "../base/byte_slab.ts";
import { bytesToText } from "../base/byte_text.ts";
import { equalBytes } from "../base/byte_order.ts";
import { mergeObjects } from "../kv/kv_object.ts";
import { checkDeletion } from "./checkers/deletion_watch.ts";
import { RingWatch } from "./checkers/ring_watch.ts";
import { DotWatch } from "./checkers/dots.ts";
import { checkRingMergeLaws } from "./checkers/ring_merge_laws.ts";
import {
  checkRestartIntensity,
  type SupervisorSighting,
} from "./checkers/supervision.ts";
import type { Violation } from "./checkers/violation.ts";
import { type DiskDamage, DurableWrites } from "./durable_writes.ts";
import { dotsOf } from "./kv_replicas.ts";
import { type FullestQueues, QueueWatch } from "./queue_watch.ts";
import type { SimulatedCluster } from "./simulated_cluster.ts";
import type { EventOwner } from "./virtual_time.ts";
import type { StoreWatch } from "./disk/watched_store.ts";

/**
 * Most distinct rings checked for the laws of merging; each triple of them is
 * merged.
 */
const RINGS_MAX = 6;
/** For a look at the queues of all nodes. */
const NO_PROCESSES: readonly EventOwner[] = [];

/** Restart limits of the supervisors of a node with that many vnode masters. */
function restartLimits(
  masters: number,
): Readonly<Record<string, IntensityLimit>> {
  return {
    node: { intensity: NODE_RESTARTS_MAX, periodMs: NODE_RESTARTS_PERIOD_MS },
    vnode_sup: {
      intensity: MASTER_RESTARTS_MAX * masters,
      periodMs: MASTER_RESTARTS_PERIOD_MS,
    },
  };
}

/** Checks one run. */
export class Invariants implements StoreWatch {
  readonly #now: () => number;
  readonly #limits: Readonly<Record<string, IntensityLimit>>;
  /** The open store, by host and path. */
  readonly #stores = new Map<string, Map<string, Store>>();
  readonly #dots = new DotWatch();
  /** Objects that were written, by key, newest last. */
  readonly #written = new Map<string, Uint8Array[]>();
  readonly #durable: DurableWrites;
  readonly #supervisors: SupervisorSighting[] = [];
  readonly #queues: QueueWatch;
  readonly #rings = new RingWatch();
  readonly #deletions: Violation[] = [];
  /** The ring seen in each cluster that wins over all others, by its seed. */
  readonly #newestRings = new Map<string, Ring>();
  /** The ring of each host: one that stands alone has its own generations. */
  readonly #hostRings = new Map<string, Ring>();
  #stop = (): void => {};
  /** Whether an event may change the queues of nodes in which it did not happen. */
  #anyMayChange = false;

  /** @param masters Number of vnode masters of a node, over all modules. */
  constructor(now: () => number, masters: number) {
    this.#now = now;
    this.#limits = restartLimits(masters);
    this.#durable = new DurableWrites(now);
    this.#queues = new QueueWatch(now);
  }

  opened(
    host: string,
    path: string,
    store: Store,
    damage: DiskDamage,
  ): Promise<void> {
    let stores = this.#stores.get(host);
    if (stores === undefined) this.#stores.set(host, stores = new Map());
    stores.set(path, store);
    return this.#durable.opened(`${host}${path}`, store, damage);
  }

  written(
    host: string,
    path: string,
    partition: number,
    writes: readonly StoreWrite[],
  ): (error: Error | undefined) => void {
    if (isStoreOf(path, "kv")) {
      for (const { key, value } of writes) {
        // Replicas write the same bytes, which add nothing.
        if (value === null || this.#isKnown(key, value)) continue;
        const place = `${host}, partition ${partition} at ${this.#now()} ms`;
        for (const dot of dotsOf(key, value, place)) this.#dots.see(dot);
      }
    }
    return this.#durable.written(`${host}${path}`, partition, writes);
  }

  #isKnown(key: Uint8Array, value: Uint8Array): boolean {
    const name = bytesToText(key);
    let written = this.#written.get(name);
    if (written === undefined) this.#written.set(name, written = []);
    for (let i = written.length - 1; i >= 0; i--) {
      if (equalBytes(written[i] as Uint8Array, value)) return true;
    }
    written.push(briefCopy(value));
    return false;
  }

  deleted(host: string, path: string, partition: number): void {
    if (isStoreOf(path, "kv")) {
      const store = `${host}${path}`;
      const certain = this.#durable.certain(path, partition);
      const isPresent = this.#isPresent(host, partition);
      const others = isPresent
        ? [...certain].filter(([name]) => name !== store)
          .map(([, content]) => content)
        : this.#durable.certainElsewhere(path, store, partition);
      this.#deletions.push(...checkDeletion(
        `${host}, partition ${partition} at ${this.#now()} ms,`,
        certain.get(store) ?? new Map(),
        // A confirmation may arrive when what it confirms has rotted.
        [
          ...others,
          ...this.#durable.takenSince(path, store, partition, !isPresent),
        ],
        (object, other) => equalBytes(mergeObjects(object, other), object),
      ));
    }
    this.#durable.deleted(`${host}${path}`, partition);
  }

  /**
   * Whether a vnode of `host` belongs to the current ring, and to that ring as
   * the host knows it: in a cluster that was split these may differ. Other data
   * is with vnodes of another number.
   */
  #isPresent(host: string, vnode: number): boolean {
    const own = this.#hostRings.get(host);
    const newest = this.#newestRings.get(own?.clusterId.seed ?? "");
    if (own === undefined || newest === undefined) return true;
    const node = [...own.members.keys()].find((name) =>
      name.endsWith(`@${host}`)
    );
    const origins = node === undefined ? [] : originsOf(own, node);
    return [own, newest].every((ring) =>
      ageOfVnode(ring, vnode) === "present" &&
      !origins.some((origin) => isTakenForPresent(ring, origin))
    );
  }

  /**
   * A partition of `host` was removed from outside, without its vnode deleting
   * anything.
   */
  wiped(host: string, module: string, partition: number): void {
    for (const path of this.#stores.get(host)?.keys() ?? []) {
      if (!isStoreOf(path, module)) continue;
      this.#durable.deleted(`${host}${path}`, partition);
    }
  }

  /**
   * Reports a start or an exit below a supervisor of a node, in one of its
   * incarnations.
   */
  reported(place: string, report: SupervisorReport): void {
    this.#supervisors.push({ atMs: this.#now(), place, report });
  }

  /** A node uses `ring`; `begins` if it is the first of an incarnation. */
  ringSeen(host: string, ring: Ring, begins: boolean): void {
    const nowMs = this.#now();
    const { seed } = ring.clusterId;
    const known = this.#newestRings.get(seed)?.ownership;
    // Not by generations: a claimant that has lost may have used up more.
    if (known === undefined || compareOwnership(ring.ownership, known) >= 0) {
      this.#newestRings.set(seed, ring);
    }
    this.#hostRings.set(host, ring);
    if (begins) this.#rings.begins(host, ring, nowMs);
    else this.#rings.see(host, ring, nowMs);
  }

  /** The stores of `module` that are open on `host`. */
  storesOf(host: string, module: string): readonly Store[] {
    return [...this.#stores.get(host) ?? []]
      .filter(([path]) => isStoreOf(path, module))
      .map(([, store]) => store);
  }

  /**
   * Starts checking queues, after each event: those of the nodes in whose
   * processes it happened, as nothing else changes them, or of every node after
   * {@linkcode Invariants.calledFromOutside}.
   */
  watch(cluster: SimulatedCluster): void {
    const { time, machines } = cluster;
    this.#stop = time.observe((entered) =>
      this.#queues.look(machines, this.#anyMayChange ? NO_PROCESSES : entered)
    );
  }

  /** From now on nodes are also called by code outside of their processes. */
  calledFromOutside(): void {
    this.#anyMayChange = true;
  }

  /** Stops checking queues. */
  unwatch(): void {
    this.#stop();
  }

  /** How full queues were. */
  get fullest(): FullestQueues {
    return this.#queues.fullest;
  }

  /** What was violated. */
  violations(): readonly Violation[] {
    return [
      ...this.#dots.violations,
      ...this.#durable.violations,
      ...checkRestartIntensity(
        this.#supervisors,
        (supervisor) => this.#limits[supervisor],
      ),
      ...this.#queues.violations,
      ...this.#rings.violations,
      ...this.#deletions,
      ...checkRingMergeLaws(this.#rings.rings, { ringsMax: RINGS_MAX }),
    ];
  }
}

/** Whether `path` is the store of a vnode master of `module`. */
function isStoreOf(path: string, module: string): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return name.startsWith(`${module}-`);
}
