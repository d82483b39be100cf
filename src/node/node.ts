/**
 * A node: the part of one process in a cluster. It owns everything it uses, so
 * several nodes can live in one process. Its supervision tree, in order of
 * dependency (rest_for_one):
 *
 *     node
 *     ├─ storage_sup     what it remembers
 *     ├─ transport_sup   its door and its links
 *     ├─ cluster_sup     ring, gossip, claimant, node watcher
 *     ├─ vnode_sup       vnode masters
 *     ├─ handoff_sup     transfers of partitions between nodes
 *     ├─ op_fsm_sup      coordinators of requests
 *     ├─ coverage_fsm_sup  coordinators of coverage queries
 *     └─ raft_sup        members of Raft groups
 *
 * @module
 */
import type { Backoff } from "../../supervisors/backoff.ts";
import { treeOf } from "../../supervisors/child.ts";
import { formatReason } from "../../supervisors/exit_reason.ts";
import {
  startSupervisor,
  type Supervisor,
  type SupervisorReport,
} from "../../supervisors/supervisor.ts";
import type { TreeNode } from "../../supervisors/tree_view.ts";
import { WhorlError } from "../base/errors.ts";
import type {
  CapabilityOverride,
  CapabilityStatus,
} from "../cluster/capability.ts";
import type {
  ClusterStatus,
  RingReadyResult,
  RingStatus,
} from "../cluster/cluster_status.ts";
import type {
  JoinOptions,
  JoinResult,
  ResizeResult,
  StageResult,
} from "../cluster/cluster_world.ts";
import type { Address } from "../environment/transport.ts";
import { type KvClient, kvClient } from "../kv/kv_client.ts";
import { consistentBuckets, ROOT_NUMBERS } from "../ring/consistent_buckets.ts";
import { ABORT_RESIZE } from "../ring/ring_resize.ts";
import type { StagedPlan } from "../ring/staged_plan.ts";
import {
  type RaKvCall,
  type RaKvClient,
  raKvClient,
} from "../ra_kv/ra_kv_client.ts";
import type { VnodeCommands } from "../vnode/vnode.ts";
import type {
  ConsistentBuckets,
  NodeInfo,
  NodeStats,
} from "./admin_protocol.ts";
import { inTime, unlessCancelled } from "./cluster_gather.ts";
import { clusterSup } from "./cluster_sup.ts";
import type { EventStream } from "./event_stream.ts";
import { refuseFormerPartitions } from "./former_partitions.ts";
import { coverageFsmSup } from "./coverage_fsm_sup.ts";
import { partPausesAfter } from "./master_backoff.ts";
import {
  type ModuleClient,
  moduleClient,
  type ModuleInterface,
} from "./module_client.ts";
import { type NodeParts, present } from "./node_parts.ts";
import { opFsmSup } from "./op_fsm_sup.ts";
import { raftSup } from "./raft_sup.ts";
import type { NodeEvent, NodeEventOf } from "./node_events.ts";
import { nodeInfo, nodeStats } from "./node_figures.ts";
import { PartNews } from "./part_news.ts";
import { rootCause } from "./root_cause.ts";
import { secretNumber } from "./secret_number.ts";
import { handoffSup } from "./handoff_sup.ts";
import { whenSettled } from "./settled.ts";
import { storageSup } from "./storage_sup.ts";
import { transportSup } from "./transport_sup.ts";
import { vnodeSup } from "./vnode_sup.ts";

/** Restarts of a node's parts allowed within {@linkcode NODE_RESTARTS_PERIOD_MS}. */
export const NODE_RESTARTS_MAX = 5;
/** The window for restarts of a node's parts, in milliseconds. */
export const NODE_RESTARTS_PERIOD_MS = 10_000;
/**
 * Pauses before a part that does not start is tried again: the cause, such as a
 * full disk, may be gone in some seconds, and {@linkcode NODE_RESTARTS_MAX}
 * must not be used up until then.
 */
export const PART_BACKOFF: Backoff = { minMs: 1_000, maxMs: 5_000 };
/** Time the ensembles of the first consistent bucket have to start, in milliseconds. */
export const ENSEMBLES_FORM_MS = 30_000;

/** A running node. Made by `startNode`. */
export class WhorlNode implements AsyncDisposable {
  /** `put`, `get` and `delete` through this node. */
  readonly kv: KvClient;
  /** `ra_kv`, the consistent store, through this node: its clusters, their keys and their members. */
  readonly raKv: RaKvClient;
  /**
   * Resolves when the node has stopped. Rejects when it gave up because its
   * parts crashed too often or a worker hangs; its process should then be
   * replaced.
   */
  readonly stopped: Promise<void>;
  #parts: NodeParts;
  #root: Supervisor | undefined;
  #startedAt: number;
  readonly #news: PartNews;
  #stopping = false;
  #hasLeft = false;
  #outcome = Promise.withResolvers<void>();

  /** Prefer `startNode`, which also starts it. */
  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.#startedAt = parts.environment.now();
    this.#news = new PartNews(parts, {
      hasStarted: () => this.#root !== undefined,
      hasLeft: () => this.#left(),
      fail: (reason) => this.#fail(reason),
    });
    this.kv = kvClient(() => parts.operations);
    this.raKv = raKvClient(
      () => parts.operations,
      (method, args, options) => this.#call(method, args, options),
    );
    this.stopped = this.#outcome.promise;
    // The log reports it to those who do not await it.
    this.stopped.catch(() => {});
  }

  /**
   * @internal Starts the tree.
   *
   * @param performCall Performs what peers and clients call; given, because its
   * methods are written against this class.
   * @throws {WhorlError} What kept a part from starting.
   */
  async start(
    performCall: (node: WhorlNode, method: string, args: unknown) => unknown,
  ): Promise<void> {
    const parts = this.#parts;
    const { environment } = parts;
    const news = this.#news;
    // Assigned by name, like all functions that live as long as a node, a visit
    // or a connection: V8 allocates a function literal in a property assignment
    // in the old generation, where it keeps all it refers to alive until a full
    // garbage collection.
    const onReport = (report: SupervisorReport): void => news.reported(report);
    parts.onReport = onReport;
    let startFailure: unknown;
    try {
      this.#root = await startSupervisor({
        name: "node",
        strategy: "rest_for_one",
        intensity: NODE_RESTARTS_MAX,
        periodMs: NODE_RESTARTS_PERIOD_MS,
        runtime: environment,
        onReport,
        children: [
          storageSup(parts),
          transportSup(
            parts,
            (method, args) => performCall(this, method, args),
          ),
          clusterSup(parts, (change) => news.clusterChanged(change)),
          vnodeSup(
            parts,
            (event) => news.vnodesChanged(event),
            () => news.vnodesReady(),
          ),
          handoffSup(parts, news.handoff),
          opFsmSup(parts, (host) => news.workerHangs(host)),
          coverageFsmSup(parts, (host) => news.workerHangs(host)),
          // Last, since a full disk keeps it down and must not keep anything
          // else down.
          raftSup(parts),
        ].map((spec) => ({
          ...spec,
          backoff: PART_BACKOFF,
          backoffAfter: partPausesAfter,
        })),
      });
    } catch (error) {
      startFailure = error;
    }
    if (this.#root === undefined) throw rootCause(startFailure);
    this.#root.onExit((reason) => {
      if (this.#stopping) this.#outcome.resolve();
      else this.#fail(`its parts fell too often: ${formatReason(reason)}`);
    });
    // The ring was published before there were requests to use it.
    news.updateViews();
    this.#stopIfLeft();
  }

  /** Performs a call about clusters of `ra_kv` as if it had come over a link. */
  async #call(
    ...[method, args, options]: Parameters<RaKvCall>
  ): Promise<unknown> {
    const { methods } = present(this.#parts.raKv, "ra_kv");
    const perform = async (): Promise<unknown> =>
      structuredClone(await methods.perform(method, args));
    return await unlessCancelled(
      options.signal,
      () =>
        options.timeoutMs === undefined ? perform() : inTime(
          this.#parts.environment,
          options.timeoutMs,
          method,
          perform,
        ),
    );
  }

  /** Its name, as in `dev1@127.0.0.1`. */
  get name(): string {
    return this.#parts.config.name;
  }

  /** The address where others reach it, with its actual port. */
  get address(): Address {
    return this.#parts.address;
  }

  /**
   * The commands and coverage queries of an application's module, typed as the module declares them.
   * The node must run it (`NodeOptions.modules`).
   */
  // deno-lint-ignore ban-types -- see ModuleClient.
  module<C extends VnodeCommands, V extends VnodeCommands = {}>(
    module: ModuleInterface<C, V>,
  ): ModuleClient<C, V> {
    return moduleClient(module, () => this.#parts.operations);
  }

  /** @internal The root supervisor, for tests that crash parts of the node. */
  get root(): Supervisor {
    return present(this.#root, "tree");
  }

  /** @internal For tests of this package and for the command line. */
  get parts(): NodeParts {
    return this.#parts;
  }

  /**
   * Stages that this node joins the cluster of the node at `address`; with
   * `staged: false` it becomes a member at once.
   *
   * @throws {WhorlError} `self_join`, `not_reachable`,
   * `unable_to_get_join_ring`, `node_still_starting` also while a vnode master
   * of this node does not run after a resize, `not_single_node`,
   * `different_ring_sizes`, `pending_changes` while the ring of that cluster or
   * of this node is being resized, or something is left of a resize of this
   * node's ring, `wrong_cluster`, `wrong_cookie` or `name_taken`.
   */
  async join(address: Address, options?: JoinOptions): Promise<JoinResult> {
    const { vnodes, config } = this.#parts;
    const refusal = await refuseFormerPartitions(
      this.#cluster.ring,
      config.name,
      address,
      async () => await vnodes?.heldByAll(),
    );
    if (refusal !== null) throw refusal;
    return await this.#cluster.join(address, options);
  }

  /**
   * Stages that the member `node`, by default this one, hands over its
   * partitions and leaves. When it has left, its node emits `left` and stops;
   * when started again it is alone in a cluster of its own. A member that is
   * only joining leaves at once and keeps running.
   *
   * @throws {WhorlError} `not_member`, `only_member` if nobody would remain,
   * `already_leaving`, `pending_changes` while a resize of the ring is staged or
   * under way, `not_reachable` if it is down or the claimant is, `timeout`.
   */
  leave(node?: string): Promise<StageResult> {
    return this.#cluster.leave(node);
  }

  /**
   * Stages that `node` is removed. Others own its partitions at once and
   * rebuild them from replicas; data that only `node` had is lost. For a node
   * that will not come back; one that runs should leave. The commit aborts a
   * resize of the ring that is under way.
   *
   * @throws {WhorlError} `not_member`, `only_member`, `is_claimant`,
   * `pending_changes` while a resize of the ring is staged, or consistent
   * buckets are already read by the next ring, `not_reachable`, `timeout`.
   */
  forceRemove(node: string): Promise<StageResult> {
    return this.#cluster.forceRemove(node);
  }

  /**
   * Stages that `replacement`, a joining node, takes over every partition of
   * `node`, which then leaves. Nothing else moves.
   *
   * @throws {WhorlError} `not_member`, `already_leaving`, `already_replacement`,
   * `invalid_replacement`, `pending_changes` while a resize of the ring is staged
   * or under way, `not_reachable`, `timeout`.
   */
  replace(node: string, replacement: string): Promise<StageResult> {
    return this.#cluster.replace(node, replacement);
  }

  /**
   * Stages that `replacement`, a joining node, owns every partition of `node`
   * at once, without its data: {@linkcode WhorlNode.forceRemove} for a node
   * that has a successor.
   *
   * @throws {WhorlError} `not_member`, `is_claimant`, `already_replacement`,
   * `invalid_replacement`, `pending_changes` as for
   * {@linkcode WhorlNode.forceRemove}, `not_reachable`, `timeout`.
   */
  forceReplace(node: string, replacement: string): Promise<StageResult> {
    return this.#cluster.forceReplace(node, replacement);
  }

  /**
   * Marks an unreachable member as down, so that changes of the cluster need
   * not wait for it. It keeps its partitions, and is a full member again when
   * it is back.
   *
   * @throws {WhorlError} `is_up`, `not_member`, `only_member`.
   */
  down(node: string): Promise<void> {
    return this.#cluster.down(node);
  }

  /**
   * Stages that the ring is resized to `ringSize` partitions, a power of two
   * from 8 to 1,024. After the commit, the data of all partitions is copied to
   * the new ones while the cluster keeps serving; then the ring changes, in
   * phases that no strict read notices (`docs/operations.md`).
   *
   * @throws {WhorlError} `invalid_ring_size`, `same_size`, `pending_changes`
   * while partitions move, other changes are staged or a node is joining,
   * `not_capable` if a member's version cannot do it, `not_reachable`,
   * `timeout`.
   */
  resizeRing(ringSize: number): Promise<ResizeResult> {
    return this.#cluster.resize(ringSize);
  }

  /**
   * Stages that the resize under way is aborted: the ring stays as it is.
   *
   * @throws {WhorlError} `not_resizing`, `not_reachable`, `timeout`.
   */
  abortResize(): Promise<ResizeResult> {
    return this.#cluster.resize(ABORT_RESIZE);
  }

  /**
   * Marks a bucket as consistent, permanently: from now on its keys are served
   * by a Raft group for each preference list, through the same `kv`. Data
   * stored in the bucket before becomes invisible, so mark it before it is
   * used. Resolves when all members know of it and the groups have started.
   *
   * @throws {WhorlError} `invalid_argument` for a name that is not a text of 1
   * to 128 characters, or if there are 64 already; `not_capable` if a member's
   * version cannot serve it or a member has no data directory;
   * `pending_changes` while a member is down or joining or the ring is resized;
   * `ring_not_ready`, `not_reachable`; `timeout`: it may have been marked; call
   * again.
   */
  async markConsistent(bucket: string): Promise<void> {
    const { environment, ensembles } = this.#parts;
    await this.#cluster.markConsistent(
      bucket,
      Array.from(
        { length: ROOT_NUMBERS },
        () => secretNumber(environment.secretBytes(6)),
      ),
    );
    const { process } = present(ensembles, "ensembles");
    if (await process.whenFormed(ENSEMBLES_FORM_MS)) return;
    throw new WhorlError(
      "timeout",
      `Cannot say that the bucket can be used: it is consistent, but its ensembles are not there in ${ENSEMBLES_FORM_MS} ms`,
      { details: { bucket } },
    );
  }

  /** The consistent buckets of the cluster. */
  consistentBuckets(): ConsistentBuckets {
    const { ring } = this.#cluster;
    return {
      buckets: consistentBuckets(ring),
      formed: this.#parts.ensembles?.process.formed ?? false,
    };
  }

  /**
   * Computes the plan of the staged changes.
   *
   * @throws {WhorlError} `pending_changes` or `not_capable` for what could not be
   * staged now, `ring_not_ready`, `not_reachable`, `timeout`.
   */
  plan(): Promise<StagedPlan> {
    return this.#cluster.plan();
  }

  /**
   * Carries out the plan `planId`, or the one computed last.
   *
   * @throws {WhorlError} `nothing_planned`, `plan_changed`, `pending_changes` or
   * `not_capable` for what could not be staged now, `ring_not_ready`,
   * `not_reachable`, `timeout`.
   */
  commit(planId?: string): Promise<{ planId: string }> {
    return this.#cluster.commit(planId);
  }

  /** Discards staged changes; resolves to the nodes that were joining. */
  clear(): Promise<{ nodes: readonly string[] }> {
    return this.#cluster.clear();
  }

  /**
   * The present mode of a capability, which all members of the cluster support;
   * `capability_changed` tells subscribers when it changes. `name` is one of
   * `NodeOptions.capabilities` or one of Whorl's own.
   *
   * @throws {WhorlError} `invalid_argument` if this node has not registered it.
   */
  capability(name: string): string {
    return this.#cluster.capability(name);
  }

  /** All capabilities of this node, and what each member supports. */
  capabilities(): CapabilityStatus[] {
    return this.#cluster.capabilities();
  }

  /**
   * Overrides a capability in the whole cluster, durably; `null` lets it be
   * negotiated again. Members that do not know the mode go on negotiating, and
   * `NodeOptions.capabilityOverrides` of a member takes precedence.
   *
   * @throws {WhorlError} `invalid_argument` if this node does not know the capability or the mode.
   */
  overrideCapability(
    name: string,
    override: CapabilityOverride | null,
  ): Promise<void> {
    return this.#cluster.overrideCapability(name, override);
  }

  /** Members and their shares of the ring. */
  clusterStatus(): ClusterStatus {
    return this.#cluster.clusterStatus();
  }

  /** Owners, and partitions that are moving. */
  ringStatus(): RingStatus {
    return this.#cluster.ringStatus();
  }

  /** Whether all members agree on the ring. */
  ringReady(): RingReadyResult {
    return this.#cluster.ringReady();
  }

  /** Services of each node that is up. */
  services(): Record<string, readonly string[]> {
    return this.#cluster.services();
  }

  /** @internal The ring that a joining node gets from this one. */
  joinOffer(): Uint8Array<ArrayBuffer> {
    return this.#cluster.joinOffer();
  }

  /**
   * Resolves to true once all members agree on the ring, no transfer is pending
   * and each of `services` is up on every member that owns partitions; to false
   * after `waitMs`.
   */
  settled(
    waitMs: number,
    services: readonly string[] = ["kv"],
  ): Promise<boolean> {
    return whenSettled(
      this.#parts,
      this.#news.subscribers,
      waitMs,
      services,
    );
  }

  /** Calls `listener` on every event until the returned function is called. */
  subscribe(listener: (event: NodeEvent) => void): () => void {
    return this.#news.subscribers.subscribe(listener);
  }

  /**
   * A stream of the events of `types`, or of all events, from now on. A loop
   * over it ends when the node has stopped.
   *
   * ```ts ignore
   * for await (const { node, after } of node.events("member_changed")) {
   *   console.log(`${node} is ${after}`);
   * }
   * ```
   */
  events<T extends NodeEvent["type"] = NodeEvent["type"]>(
    ...types: readonly T[]
  ): EventStream<NodeEventOf<T>> {
    return this.#news.subscribers.events(types);
  }

  /** The supervision tree as it is now. */
  tree(): TreeNode {
    return treeOf(present(this.#root, "tree"), "node");
  }

  /** Who this node is. */
  info(): NodeInfo {
    return nodeInfo(this.#parts, this.address, this.#startedAt);
  }

  /** Figures of this node since it started. */
  stats(): Promise<NodeStats> {
    return nodeStats(this.#parts);
  }

  /** Stops the parts in reverse order; what was acknowledged is then durable. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#news.subscribers.closing();
    await this.#root?.shutdown();
    this.#outcome.resolve();
    this.#news.subscribers.close();
  }

  /** {@linkcode WhorlNode.stop}, at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  get #cluster() {
    return present(this.#parts.cluster, "cluster");
  }

  /** This node has left its cluster and has nothing left to do. */
  #left(): void {
    if (this.#hasLeft) return;
    const { environment } = this.#parts;
    environment.log.warn(
      `${this.name} has left its cluster and stops; started again, it is alone`,
    );
    this.#hasLeft = true;
    this.#parts.left();
    // Not inside this notification, which others have yet to receive.
    environment.defer(() => this.#stopIfLeft());
  }

  /** A node that has not started yet cannot be stopped. */
  #stopIfLeft(): void {
    if (this.#hasLeft && this.#root !== undefined) void this.stop();
  }

  #fail(reason: string): void {
    if (this.#stopping) return;
    const error = new WhorlError(
      "internal",
      `The node ${this.name} cannot go on as ${reason}`,
    );
    this.#parts.environment.log.error(error.message);
    this.#news.failed(reason);
    this.#outcome.reject(error);
  }
}
