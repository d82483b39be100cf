/**
 * A node: one process's part in a cluster. It owns everything it uses; several
 * can live in one process. Its tree, in the order of who needs whom
 * (rest_for_one), is
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

/** Restarts of a node's parts borne within {@linkcode NODE_RESTARTS_PERIOD_MS}. */
export const NODE_RESTARTS_MAX = 5;
/** The window for restarts of a node's parts, in milliseconds. */
export const NODE_RESTARTS_PERIOD_MS = 10_000;
/**
 * Pauses before a part that does not start is tried again: what it needs, say a
 * disk that is full, may be there again in some seconds, and
 * {@linkcode NODE_RESTARTS_MAX} are not used up until then.
 */
export const PART_BACKOFF: Backoff = { minMs: 1_000, maxMs: 5_000 };
/** Time the ensembles of the first consistent bucket have to be there, in milliseconds. */
export const ENSEMBLES_FORM_MS = 30_000;

/** A running node. Made by `startNode`. */
export class WhorlNode implements AsyncDisposable {
  /** `put`, `get` and `delete` through this node. */
  readonly kv: KvClient;
  /** The consistent store through this node: clusters of it, their keys and their members. */
  readonly raKv: RaKvClient;
  /**
   * Resolves when the node has stopped, and rejects when it gave up because its
   * parts fell too often or a worker hangs: then its process should be replaced.
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
    // Whoever does not look at it is told by the log.
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
    // Named before it is assigned, as all that lives as long as a node, a visit
    // or a connection: V8 puts a function that is written where a property is set
    // among what is old, and with it all it leads to, until all memory is collected.
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
          // Last, as a disk that is full keeps it down and must keep nothing else.
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

  /** A call about clusters of `ra_kv`, answered as one over a link would be. */
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

  /** Where others reach it, with the real port. */
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

  /** @internal The supervisor above all, for tests that make parts of the node fall. */
  get root(): Supervisor {
    return present(this.#root, "tree");
  }

  /** @internal For tests of this package and for the command line. */
  get parts(): NodeParts {
    return this.#parts;
  }

  /**
   * Joins the cluster of the node at `address`; takes effect with a commit,
   * unless `options` say that it is to be a member at once.
   *
   * @throws {WhorlError} `self_join`, `not_reachable`, `unable_to_get_join_ring`,
   * `node_still_starting`, `not_single_node`, `different_ring_sizes`,
   * `pending_changes` while that cluster's ring is resized, or this node's own
   * or what was left of it, `wrong_cluster`, `wrong_cookie` or `name_taken`.
   */
  async join(address: Address, options?: JoinOptions): Promise<JoinResult> {
    const { vnodes, config } = this.#parts;
    const refusal = await refuseFormerPartitions(
      this.#cluster.ring,
      config.name,
      address,
      async () => await vnodes?.held() ?? [],
    );
    if (refusal !== null) throw refusal;
    return await this.#cluster.join(address, options);
  }

  /**
   * Stages that the member `node`, or without a name this one, hands over what
   * it owns and leaves. When it has left, its node tells `left` and stops; on its
   * next start it is alone in a cluster of its own. A member that is only joining
   * is let go at once, and lives on.
   *
   * @throws {WhorlError} `not_member`, `only_member` if nobody would remain,
   * `already_leaving`, `pending_changes` while a resize of the ring is staged or
   * under way, `not_reachable` if it is down or the claimant is, `timeout`.
   */
  leave(node?: string): Promise<StageResult> {
    return this.#cluster.leave(node);
  }

  /**
   * Stages that `node` is a member no longer. Others own its partitions at once
   * and rebuild them from replicas; what only `node` had is lost. For a node
   * that will not come back: others should leave.
   * The commit gives up a resize of the ring that is under way.
   *
   * @throws {WhorlError} `not_member`, `only_member`, `is_claimant`,
   * `pending_changes` while a resize of the ring is staged, or consistent buckets
   * are read by the ring to come, `not_reachable`, `timeout`.
   */
  forceRemove(node: string): Promise<StageResult> {
    return this.#cluster.forceRemove(node);
  }

  /**
   * Stages that `replacement`, a node that is joining, gets every partition of
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
   * Stages that `replacement`, a node that is joining, owns every partition of
   * `node` at once, without its data: {@linkcode WhorlNode.forceRemove} for a
   * node that has a successor.
   *
   * @throws {WhorlError} `not_member`, `is_claimant`, `already_replacement`,
   * `invalid_replacement`, `pending_changes` as for
   * {@linkcode WhorlNode.forceRemove}, `not_reachable`, `timeout`.
   */
  forceReplace(node: string, replacement: string): Promise<StageResult> {
    return this.#cluster.forceReplace(node, replacement);
  }

  /**
   * Declares a member down that cannot be reached, so that changes of the cluster
   * need not wait for it. It keeps its partitions, and is a member again when it
   * is back.
   *
   * @throws {WhorlError} `is_up`, `not_member`, `only_member`.
   */
  down(node: string): Promise<void> {
    return this.#cluster.down(node);
  }

  /**
   * Stages that the ring gets `ringSize` partitions: a power of two from 8 to
   * 1,024. With the commit the data of all partitions is copied to where it will
   * be while everything goes on as before; when all of it is there, the ring
   * changes at once.
   *
   * @throws {WhorlError} `invalid_ring_size`, `same_size`, `pending_changes` while
   * partitions move, other changes are staged or a node is about to join,
   * `not_capable` if a member's version cannot do it, `not_reachable`, `timeout`.
   */
  resizeRing(ringSize: number): Promise<ResizeResult> {
    return this.#cluster.resize(ringSize);
  }

  /**
   * Stages that the resize under way is given up: the ring stays as it is.
   *
   * @throws {WhorlError} `not_resizing`, `not_reachable`, `timeout`.
   */
  abortResize(): Promise<ResizeResult> {
    return this.#cluster.resize(ABORT_RESIZE);
  }

  /**
   * Marks a bucket as consistent, for good: its keys are served by a Raft group
   * for each preference list from now on, through the same `kv`. What was stored in
   * the bucket before is not seen any more, so mark it before it is used.
   * Resolves when all members know of it and the groups are there.
   *
   * @throws {WhorlError} `invalid_argument` for a name that is no text of 1 to 128
   * characters, or if there are 64 already; `not_capable` if a member's version
   * cannot serve it or a member has no data directory; `pending_changes` while a
   * member is down or joining or the ring is resized; `ring_not_ready`,
   * `not_reachable`; `timeout`: it may be marked, and ask again.
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
   * What the staged changes come to.
   *
   * @throws {WhorlError} `pending_changes` or `not_capable` for what could not be
   * staged now, `ring_not_ready`, `not_reachable`, `timeout`.
   */
  plan(): Promise<StagedPlan> {
    return this.#cluster.plan();
  }

  /**
   * Carries out the plan called `planId`, or the one shown last.
   *
   * @throws {WhorlError} `nothing_planned`, `plan_changed`, `pending_changes` or
   * `not_capable` for what could not be staged now, `ring_not_ready`,
   * `not_reachable`, `timeout`.
   */
  commit(planId?: string): Promise<{ planId: string }> {
    return this.#cluster.commit(planId);
  }

  /** Forgets staged changes; resolves to the nodes that were joining. */
  clear(): Promise<{ nodes: readonly string[] }> {
    return this.#cluster.clear();
  }

  /**
   * The mode of a capability that all members of the cluster support, now:
   * subscribers are told `capability_changed`. `name` is one of `NodeOptions.capabilities`
   * or one of Whorl's own.
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
   * Overrides a capability in the whole cluster, and durably; `null` lets it be
   * negotiated again. Members that do not know the mode go on negotiating, and
   * `NodeOptions.capabilityOverrides` of a member is stronger.
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

  /** Owners, and partitions that change hands. */
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

  /** @internal What a node that wants to join gets from this one. */
  joinOffer(): Uint8Array<ArrayBuffer> {
    return this.#cluster.joinOffer();
  }

  /**
   * Resolves with true once all members agree on the ring, nothing is being
   * transferred and every one of `services` is up on every member that owns
   * partitions; with false after `waitMs`.
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
   * The events of `types`, or without any all events, from now on, to iterate
   * over. The loop ends when the node has stopped.
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

  /** Stops the parts in reverse order; what was acknowledged is durable then. */
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

  /** The cluster goes on without this node, which has nothing left to do. */
  #left(): void {
    const { environment } = this.#parts;
    environment.log.warn(
      `${this.name} has left its cluster and stops; started again, it is alone`,
    );
    this.#hasLeft = true;
    // Not inside the notice: others are still to hear of it.
    environment.defer(() => this.#stopIfLeft());
  }

  /** Nothing can be stopped that has not started yet. */
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
