/**
 * What a node does when one of its parts reports news: it tells the other parts
 * concerned, then its subscribers. Parts do not know each other.
 *
 * @module
 */
import { formatReason } from "../../supervisors/exit_reason.ts";
import type { SupervisorReport } from "../../supervisors/supervisor.ts";
import type { ClusterChange } from "../cluster/cluster_world.ts";
import type { HandoffEvents } from "../handoff/handoff_process.ts";
import { consistentBuckets } from "../ring/consistent_buckets.ts";
import { partitionOfVnode } from "../ring/ring_generations.ts";
import { type NodeEvent, NodeSubscribers } from "./node_events.ts";
import { type NodeParts, present } from "./node_parts.ts";
import { ownPartitions, updateViews } from "./ring_followers.ts";
import { TailRepairs } from "./tail_repairs.ts";
import type { VnodeManagerEvent } from "./vnode_manager.ts";

/** Hung workers after which the node ends, so that its parent starts a clean process. */
export const ZOMBIES_MAX = 1;

/** The node to which the parts belong. */
export interface PartNewsHost {
  /** Whether all its parts have been started once. */
  hasStarted(): boolean;
  /** It has left its cluster. */
  hasLeft(): void;
  /** It cannot continue. */
  fail(reason: string): void;
}

/** The news of the parts of one node; see the module comment. */
export class PartNews {
  readonly #parts: NodeParts;
  readonly #host: PartNewsHost;
  readonly #tailRepairs: TailRepairs;
  /** The node's subscribers. */
  readonly subscribers: NodeSubscribers;
  #viewVersion = 0;

  constructor(parts: NodeParts, host: PartNewsHost) {
    this.#parts = parts;
    this.#host = host;
    this.subscribers = new NodeSubscribers(parts.environment.log);
    this.#tailRepairs = new TailRepairs({
      log: parts.environment.log.child("handoff"),
      owned: (master) => parts.vnodes?.ownedBy(master)?.map(partitionOfVnode),
      repair: async (partition, module) =>
        await present(parts.transfers, "handoff").repair(partition, module),
      repaired: async (master) =>
        await present(parts.vnodes, "vnodes").tailRepaired(master),
    });
  }

  /** News of the cluster. */
  clusterChanged(change: ClusterChange): void {
    const {
      environment: { log },
      buckets,
      door,
      ensembles,
      transfers,
      vnodes,
    } = this.#parts;
    switch (change.type) {
      case "left":
        this.#host.hasLeft();
        break;
      case "ring_changed":
        // The news came from a cluster part that was restarted since.
        if (this.#parts.hasLeft) {
          this.#host.hasLeft();
          break;
        }
        // Before any request is served by this ring.
        buckets.set(consistentBuckets(change.ring));
        door.follow(change.ring);
        this.updateViews();
        ensembles?.process.changed();
        ownPartitions(this.#parts);
        vnodes?.clusterChanged({
          type: "ring_changed",
          ringVersion: change.ringVersion,
        });
        transfers?.changed();
        this.#tailRepairs.look();
        break;
      case "ring_ready":
        transfers?.changed();
        ensembles?.process.changed();
        break;
      case "node_up":
        log.info(`${change.node} is up`);
        ensembles?.process.changed();
        break;
      case "node_down":
        log.info(`${change.node} is down`, { reason: change.reason });
        ensembles?.process.changed();
        break;
      case "services_changed":
        // No request is served any longer, and no data is to be moved.
        if (this.#parts.hasLeft) break;
        this.updateViews();
        vnodes?.clusterChanged({ type: "services_changed", up: change.up });
        transfers?.changed();
        break;
    }
    this.#tell(change);
  }

  /** Passes the present ring and serving nodes to the coordinators. */
  updateViews(): void {
    updateViews(this.#parts, ++this.#viewVersion);
  }

  /** News of the vnode manager. */
  vnodesChanged(event: VnodeManagerEvent): void {
    const { transfers, vnodes } = this.#parts;
    switch (event.type) {
      case "tail_lost":
        this.#tailRepairs.lost(event.module, event.master);
        break;
      case "master_stopped":
        this.#tailRepairs.stopped(event.master);
        break;
      case "vnode_started":
        transfers?.vnodeStarted(event.module, event.vnode);
        break;
      case "vnode_kept":
        transfers?.vnodeKept(event.module, event.vnode);
        break;
      case "vnode_ended":
        transfers?.vnodeEnded(event.module, event.vnode);
        break;
    }
    this.#tell(event);
    if (event.type === "zombie") this.workerHangs(event.master);
    // Vnodes that are started together are reported once all have started.
    if (vnodes === undefined) return;
    if (event.type === "master_waiting") this.#tellServices();
    if (event.type === "master_started") {
      this.#tellServices();
      transfers?.masterStarted();
    }
  }

  /** The vnode masters have all been started. */
  vnodesReady(): void {
    ownPartitions(this.#parts);
    this.#tellServices();
    this.#parts.transfers?.masterStarted();
  }

  /** News of the transfers. */
  readonly handoff: HandoffEvents = {
    onTransfer: (transfer, outcome) =>
      this.#tell({ type: "transfer", transfer, outcome }),
    onRepaired: (module, partition) => {
      this.#tailRepairs.rebuilt(module, partition);
      this.#tell({ type: "repaired", module, partition });
    },
    onUnrepairable: (module, partition, reason) => {
      this.#parts.environment.log.error(
        "A partition cannot be rebuilt, and what it had lost stays lost",
        { module, partition, reason },
      );
      this.#tailRepairs.rebuilt(module, partition);
    },
    onHeldChanged: () => {
      this.#tailRepairs.look();
      // If the node is leaving, the data it held may be why it has not left
      // yet.
      this.#parts.cluster?.exitIfReady();
    },
  };

  /** A message of a part's supervisor. */
  reported(report: SupervisorReport): void {
    const hasStarted = this.#host.hasStarted();
    if (report.type === "child_started") {
      // A part that starts when all had started already has been restarted.
      if (hasStarted) this.#tell({ type: "part_restarted", part: report.id });
      return;
    }
    // Whatever starts a node reports, once, why it does not start.
    const known = !hasStarted && report.type === "start_failed";
    const { log } = this.#parts.environment;
    log[known ? "debug" : "warn"](`A part of the node: ${report.type}`, {
      supervisor: report.supervisor,
      id: report.id,
      ...("afterMs" in report ? { afterMs: Math.ceil(report.afterMs) } : {}),
      ...("reason" in report ? { reason: formatReason(report.reason) } : {}),
    });
    // Any part: without it there may be no masters for a while.
    if (report.type === "restart_delayed") this.#tellServices();
  }

  /** The worker called `name` hangs and cannot be ended. */
  workerHangs(name: string): void {
    this.#parts.zombies++;
    this.#parts.environment.log.error(
      "A worker hangs and cannot be ended",
      { worker: name },
    );
    if (this.#parts.zombies >= ZOMBIES_MAX) {
      this.#host.fail(`the worker of ${name} hangs and cannot be ended`);
    }
  }

  /** The node has failed. */
  failed(reason: string): void {
    this.#tell({ type: "failed", reason });
  }

  /** Announces the modules that this node serves; without its masters, a module is served by other nodes. */
  #tellServices(): void {
    const { cluster, modules, vnodes } = this.#parts;
    if (cluster === undefined) return;
    const up = vnodes?.services ?? [];
    for (const { name } of modules) {
      if (up.includes(name)) cluster.serviceUp(name);
      else cluster.serviceDown(name);
    }
  }

  #tell(event: NodeEvent): void {
    this.subscribers.tell(event);
  }
}
