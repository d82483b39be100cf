/**
 * The cluster side of a node, as seen by the node: what it knows about the
 * cluster, what the node tells it, and the operations on the cluster. Each call
 * and each frame is passed to the responsible part.
 *
 *     calls ──► membership calls ─┐     ┌─► gossip: ring, disk, digests ─► subscribers
 *     join ───► join ─────────────┼─────┤
 *     frames ─► guests, claimant ─┘     └─► peer calls ─► other nodes
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { Address } from "../environment/transport.ts";
import type { Ring } from "../ring/ring.ts";
import type { StagedPlan } from "../ring/staged_plan.ts";
import type { RingMetaValue } from "../ring/stamped.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  type CapabilityOverride,
  type CapabilityStatus,
  capabilityStatuses,
  checkOverride,
  encodeOverride,
  HANDOFF,
  overrideMetaName,
  supports,
} from "./capability.ts";
import { ClusterParts } from "./cluster_parts.ts";
import {
  type ClusterStatus,
  clusterStatus,
  type RingReadyResult,
  ringReadyResult,
  type RingStatus,
  ringStatus,
} from "./cluster_status.ts";
import type {
  ClusterChange,
  ClusterOptions,
  ClusterWorld,
  JoinOptions,
  JoinResult,
  ResizeResult,
  StageResult,
} from "./cluster_world.ts";
import { refuseIdentity } from "./membership.ts";

/** The cluster side of one node. */
export class ClusterProcess {
  readonly #self: string;
  readonly #world: ClusterWorld;
  readonly #parts: ClusterParts;
  #stopped = false;

  /**
   * Restores or creates the ring; nothing happens before `start()`.
   *
   * @throws {WhorlError} `invalid_ring_size`; `store_corrupt` if the stored
   * ring cannot be read; `invalid_config` if its cluster name differs;
   * `store_foreign` if this node is not a member of it; `name_taken` if the
   * ring has another identity under this node's name.
   */
  constructor(options: ClusterOptions, world: ClusterWorld) {
    this.#self = options.node.name;
    this.#world = world;
    this.#parts = new ClusterParts(options, world);
  }

  /** Starts; resolves once this node's ring is stored and may be shown, or the node was stopped. */
  start(): Promise<void> {
    return this.#parts.start();
  }

  /** Ends. Pending requests fail with `closed`. */
  stop(): void {
    this.#stopped = true;
    this.#parts.stop();
  }

  // What it knows about the cluster.

  /** This node's current ring, which may be a moment ahead of the stored one. */
  get ring(): Ring {
    return this.#parts.gossip.ring;
  }

  /** Whether this node is no member any more, and stops; its ring is one in which it owns everything. */
  get hasLeft(): boolean {
    return this.#parts.hasLeft;
  }

  /** Nodes that are up, this one included, sorted. */
  get nodesUp(): readonly string[] {
    return this.#parts.watcher.nodesUp;
  }

  /** Nodes that offer `service` now, sorted; the same list until it changes. */
  upNodes(service: string): readonly string[] {
    return this.#parts.watcher.upNodes(service);
  }

  /** Services of each node that is up. */
  services(): Record<string, readonly string[]> {
    return this.#parts.watcher.services();
  }

  /** Members and their shares. */
  clusterStatus(): ClusterStatus {
    return clusterStatus(this.ring, this.nodesUp);
  }

  /** Owners and transfers. */
  ringStatus(): RingStatus {
    return ringStatus(this.ring, this.nodesUp);
  }

  /** Whether all members agree on the ring. */
  ringReady(): RingReadyResult {
    return ringReadyResult(this.ring, this.#self, this.nodesUp);
  }

  /**
   * The mode of `capability` that all members support.
   *
   * @throws {WhorlError} `invalid_argument` if this node has not registered it.
   */
  capability(name: string): string {
    const negotiated = this.#parts.capabilities.modes.get(name);
    if (negotiated === undefined) throw unknownCapability(name);
    return negotiated.mode;
  }

  /** All capabilities of this node. */
  capabilities(): CapabilityStatus[] {
    return capabilityStatuses(this.#parts.capabilities, this.ring);
  }

  /** Whether `node` supports handoff. */
  canHandOff(node: string): boolean {
    return supports(this.ring, node, HANDOFF, "v1");
  }

  /** Calls `listener` on every change until the returned function is called. */
  subscribe(listener: (change: ClusterChange) => void): () => void {
    return this.#parts.subscribers.add(listener);
  }

  /** Resolves with `true` once `holds` is true of the ring, with `false` after `waitMs` milliseconds. */
  waitFor(holds: (ring: Ring) => boolean, waitMs: number): Promise<boolean> {
    return this.#parts.gossip.waitFor(holds, waitMs);
  }

  /** The answer to a node that asks for this node's ring in order to join. */
  joinOffer(): Uint8Array<ArrayBuffer> {
    return this.#parts.guests.offer();
  }

  /** Whether a node with this name and identity may connect; `null` if so. Ask at each handshake. */
  refusePeer(name: string, nodeId: string): WhorlError | null {
    return refuseIdentity(this.ring, name, nodeId);
  }

  // What the node tells it.

  /** A link to `node` is up. */
  peerUp(node: string): void {
    this.#parts.watcher.step({ type: "peer_up", node });
    this.#parts.gossip.peerUp(node);
  }

  /** The link to `node` has ended. */
  peerDown(node: string, reason: string): void {
    this.#parts.watcher.step({ type: "peer_down", node, reason });
    this.#parts.peerDown(node);
    this.#parts.calls.peerDown(node);
  }

  /** A peer runs a version that does not know the call that asks what it supports. */
  supportsNothing(node: string): void {
    this.#parts.supportsNothing(node);
  }

  /** The failure detector suspects `node`. */
  suspect(node: string): void {
    this.#parts.watcher.step({ type: "peer_suspect", node });
  }

  /** The failure detector no longer suspects `node`. */
  alive(node: string): void {
    this.#parts.watcher.step({ type: "peer_alive", node });
  }

  /** This node offers `service` from now on. */
  serviceUp(service: string): void {
    this.#parts.watcher.step({ type: "service_up", service });
  }

  /** This node no longer offers `service`. */
  serviceDown(service: string): void {
    this.#parts.watcher.step({ type: "service_down", service });
  }

  /**
   * Handles a cluster frame (types 20 to 39) from `from`. `payload` is not
   * kept.
   *
   * @throws {WhorlError} `protocol_error` if it cannot be read; the link it
   * came on should be closed.
   */
  handleFrame(from: string, frameType: number, payload: Uint8Array): void {
    if (this.#stopped) return;
    switch (frameType) {
      case FrameType.ringDigest:
        return this.#parts.gossip.digestReceived(from, payload);
      case FrameType.ring:
        return this.#parts.gossip.ringReceived(from, payload);
      case FrameType.services:
        return this.#parts.watcher.servicesReceived(from, payload);
      case FrameType.joinRequest:
        return this.#parts.calls.requestReceived(from, payload);
      case FrameType.joinReply:
        return this.#parts.calls.replyReceived(from, payload);
      default:
        throw new WhorlError(
          "protocol_error",
          `Cannot take a frame of type ${frameType} as the cluster knows none`,
        );
    }
  }

  // Operations on the cluster.

  /**
   * Joins the cluster of the node at `address`; takes effect with a commit,
   * unless `options` ask for an immediate join.
   *
   * @throws {WhorlError} `self_join`, `not_reachable`,
   * `unable_to_get_join_ring`, `node_still_starting`, `not_single_node`,
   * `different_ring_sizes`, `pending_changes`, `wrong_cluster`, `name_taken`,
   * or the reason that the handshake was refused.
   */
  join(address: Address, options?: JoinOptions): Promise<JoinResult> {
    return this.#parts.join.join(address, options);
  }

  /**
   * Stages the leave of `node`, by default this one: it hands over what it owns
   * and leaves.
   *
   * @throws {WhorlError} `not_member`, `only_member`, `already_leaving`,
   * `not_reachable` if it is down or the claimant cannot be reached, `timeout`.
   */
  leave(node: string = this.#self): Promise<StageResult> {
    return this.#parts.membership.stage("leave", node, null);
  }

  /**
   * Stages the removal of `node`: others own its partitions at once, without
   * its data.
   *
   * @throws {WhorlError} `not_member`, `only_member`, `is_claimant`,
   * `not_reachable`, `timeout`.
   */
  forceRemove(node: string): Promise<StageResult> {
    return this.#parts.membership.stage("remove", node, null);
  }

  /**
   * Stages that `node` hands over all it owns to `replacement`, a joining node,
   * and leaves.
   *
   * @throws {WhorlError} `not_member`, `already_leaving`,
   * `already_replacement`, `invalid_replacement`, `not_reachable`, `timeout`.
   */
  replace(node: string, replacement: string): Promise<StageResult> {
    return this.#parts.membership.stage("replace", node, replacement);
  }

  /**
   * Stages that `replacement`, a joining node, owns all that `node` owns at
   * once, without its data.
   *
   * @throws {WhorlError} `not_member`, `is_claimant`, `already_replacement`,
   * `invalid_replacement`, `not_reachable`, `timeout`.
   */
  forceReplace(node: string, replacement: string): Promise<StageResult> {
    return this.#parts.membership.stage("force_replace", node, replacement);
  }

  /**
   * Stages a resize of the ring to `size` partitions, or with 0 the abort of
   * the resize in progress.
   *
   * @throws {WhorlError} `invalid_ring_size`, `same_size`, `pending_changes`,
   * `not_resizing`, `not_capable`, `not_reachable`, `timeout`.
   */
  resize(size: number): Promise<ResizeResult> {
    return this.#parts.membership.resize(size);
  }

  /**
   * The outcome of the staged changes, computed by the claimant once the
   * members agree.
   *
   * @throws {WhorlError} `ring_not_ready`, `not_reachable`, `timeout`.
   */
  plan(): Promise<StagedPlan> {
    return this.#parts.membership.plan();
  }

  /**
   * Carries out the plan `planId`, or the one shown last. Repeating the last
   * commit is not an error.
   *
   * @throws {WhorlError} `nothing_planned`, `plan_changed`, `ring_not_ready`,
   * `not_reachable`, `timeout`.
   */
  commit(planId?: string): Promise<{ planId: string }> {
    return this.#parts.membership.commit(planId ?? null);
  }

  /** Clears staged changes; members that were joining are alone again. @throws {WhorlError} `not_reachable`, `timeout`. */
  clear(): Promise<{ nodes: readonly string[] }> {
    return this.#parts.membership.clear();
  }

  /**
   * Marks a bucket as consistent, permanently; resolves when all members know
   * it.
   *
   * @param numbers `ROOT_NUMBERS` unused numbers.
   * @throws {WhorlError} `invalid_argument`, `not_capable`, `pending_changes`,
   * `ring_not_ready`, `not_reachable`, `timeout`.
   */
  markConsistent(bucket: string, numbers: readonly number[]): Promise<void> {
    const wallMs = this.#world.wallClock();
    return this.#parts.membership.mark({ bucket, numbers, wallMs });
  }

  /** On the claimant: all first members of the root ensemble exist. */
  rootFormed(): void {
    this.#parts.membership.rootFormed(this.#world.wallClock());
  }

  /** On the claimant: all groups of consistent buckets have reached `step` in taking over for the ring of that generation. */
  takenOver(generation: number, step: "copied" | "open"): void {
    this.#parts.takenOver(generation, step);
  }

  /** Nothing is left on this node of the ring it comes from. */
  originHandedOn(): void {
    this.#parts.membership.originHandedOn(this.#world.wallClock());
  }

  /** The result of `ClusterWorld.readyToExit` may have changed: checks it now. */
  exitIfReady(): void {
    this.#parts.exitIfDone();
  }

  /**
   * Declares an unreachable member down. It keeps its partitions. @throws
   * {WhorlError} `is_up`, `not_member`, `only_member`.
   */
  down(node: string): Promise<void> {
    return this.#parts.membership.down(node, this.#parts.watcher.isUp(node));
  }

  /** Sets a value of the ring's metadata; `null` removes it. Durable here when it resolves. */
  putMeta(name: string, value: RingMetaValue): Promise<void> {
    return this.#parts.membership.putMeta(name, value, this.#world.wallClock());
  }

  /**
   * Overrides a capability in the whole cluster; `null` removes the override.
   * Durable here when it resolves.
   *
   * @throws {WhorlError} `invalid_argument` if this node does not support the
   * mode.
   */
  async overrideCapability(
    name: string,
    override: CapabilityOverride | null,
  ): Promise<void> {
    const capability = this.#parts.capabilities.registered
      .find((registered) => registered.name === name);
    if (capability === undefined) throw unknownCapability(name);
    checkOverride(capability, override ?? {});
    const value = encodeOverride(override ?? {});
    await this.putMeta(overrideMetaName(name), value);
  }

  /**
   * The data of `module` has been handed over from `partitions` of this node,
   * or with `null` there is none. `registered` are the modules of this node:
   * without any, a transfer is complete at once.
   *
   * @param by The ring that it was handed over by. The current one may be ahead
   * of it, since a ring is stored before it is published.
   * @default {the current ring}
   */
  transferComplete(
    partitions: readonly number[],
    module: string | null,
    registered: readonly string[],
    by?: Ring,
  ): void {
    this.#parts.membership.transferComplete(
      partitions,
      module,
      registered,
      by,
    );
  }
}

function unknownCapability(name: string): WhorlError {
  return new WhorlError(
    "invalid_argument",
    `Cannot tell a mode of '${
      name.slice(0, 100)
    }' as this node has registered no such capability`,
    { details: { capability: name } },
  );
}
