/**
 * The cluster part of a node, as the node sees it: what it knows of the cluster,
 * what the node tells it, and what can be done to the cluster. Each call and
 * each frame goes to the part it is for.
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

/** The cluster part of one node. */
export class ClusterProcess {
  readonly #self: string;
  readonly #world: ClusterWorld;
  readonly #parts: ClusterParts;
  #stopped = false;

  /**
   * Restores or makes the ring; nothing happens before `start()`.
   *
   * @throws {WhorlError} `invalid_ring_size`; `store_corrupt` if the stored
   * ring cannot be read; `invalid_config` if it is of another cluster name;
   * `store_foreign` if this node is no member of it;
   * `name_taken` if this node is another one than the ring knows by its name.
   */
  constructor(options: ClusterOptions, world: ClusterWorld) {
    this.#self = options.node.name;
    this.#world = world;
    this.#parts = new ClusterParts(options, world);
  }

  /** Begins; resolves once this node's ring is stored and may be shown, or the node was stopped. */
  start(): Promise<void> {
    return this.#parts.start();
  }

  /** Ends. What waits is refused with `closed`. */
  stop(): void {
    this.#stopped = true;
    this.#parts.stop();
  }

  // What it knows.

  /** The ring this node goes by, which may be a moment ahead of what it has stored. */
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

  /** Whether `node` can take and give the data of partitions. */
  canHandOff(node: string): boolean {
    return supports(this.ring, node, HANDOFF, "v1");
  }

  /** Calls `listener` on every change until the returned function is called. */
  subscribe(listener: (change: ClusterChange) => void): () => void {
    return this.#parts.subscribers.add(listener);
  }

  /** Resolves with `true` once `holds` does of the ring, with `false` after `waitMs` milliseconds. */
  waitFor(holds: (ring: Ring) => boolean, waitMs: number): Promise<boolean> {
    return this.#parts.gossip.waitFor(holds, waitMs);
  }

  /** This node's ring for one that wants to join; answer its request with it. */
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

  /** There is no link to `node` any more. */
  peerDown(node: string, reason: string): void {
    this.#parts.watcher.step({ type: "peer_down", node, reason });
    this.#parts.peerDown(node);
    this.#parts.calls.peerDown(node);
  }

  /** A peer was asked what it supports, and is of a version that does not know the question. */
  supportsNothing(node: string): void {
    this.#parts.supportsNothing(node);
  }

  /** The failure detector doubts `node`. */
  suspect(node: string): void {
    this.#parts.watcher.step({ type: "peer_suspect", node });
  }

  /** The failure detector no longer doubts `node`. */
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
   * Takes a cluster frame (types 20 to 39) from `from`. `payload` is not kept.
   *
   * @throws {WhorlError} `protocol_error` if it cannot be read; the link it came
   * on should be closed.
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

  // What can be done to the cluster.

  /**
   * Joins the cluster of the node at `address`; takes effect with a commit,
   * unless `options` say at once.
   *
   * @throws {WhorlError} `self_join`, `not_reachable`, `unable_to_get_join_ring`,
   * `node_still_starting`, `not_single_node`, `different_ring_sizes`,
   * `pending_changes`, `wrong_cluster`, `name_taken`, or what the handshake
   * refused with.
   */
  join(address: Address, options?: JoinOptions): Promise<JoinResult> {
    return this.#parts.join.join(address, options);
  }

  /**
   * Stages that `node`, or this one, hands over what it owns and leaves.
   *
   * @throws {WhorlError} `not_member`, `only_member`, `already_leaving`,
   * `not_reachable` if it is down or the claimant can't be asked, `timeout`.
   */
  leave(node: string = this.#self): Promise<StageResult> {
    return this.#parts.membership.stage("leave", node, null);
  }

  /**
   * Stages that `node` is a member no longer and others own its partitions at
   * once, without its data.
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
   * @throws {WhorlError} `not_member`, `already_leaving`, `already_replacement`,
   * `invalid_replacement`, `not_reachable`, `timeout`.
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
   * Stages that the ring gets `size` partitions, or with 0 that the resize under
   * way is given up.
   *
   * @throws {WhorlError} `invalid_ring_size`, `same_size`, `pending_changes`,
   * `not_resizing`, `not_capable`, `not_reachable`, `timeout`.
   */
  resize(size: number): Promise<ResizeResult> {
    return this.#parts.membership.resize(size);
  }

  /**
   * What the staged changes come to, as the claimant computes it once the
   * members agree.
   *
   * @throws {WhorlError} `ring_not_ready`, `not_reachable`, `timeout`.
   */
  plan(): Promise<StagedPlan> {
    return this.#parts.membership.plan();
  }

  /**
   * Carries out the plan `planId`, or the one shown last. Committing one again
   * that was committed last is no error.
   *
   * @throws {WhorlError} `nothing_planned`, `plan_changed`, `ring_not_ready`,
   * `not_reachable`, `timeout`.
   */
  commit(planId?: string): Promise<{ planId: string }> {
    return this.#parts.membership.commit(planId ?? null);
  }

  /** Forgets staged changes; members that were joining stand alone again. @throws {WhorlError} `not_reachable`, `timeout`. */
  clear(): Promise<{ nodes: readonly string[] }> {
    return this.#parts.membership.clear();
  }

  /**
   * Marks a bucket as consistent, for good; resolves when all members know of it.
   *
   * @param numbers `ROOT_NUMBERS` numbers that nobody has had.
   * @throws {WhorlError} `invalid_argument`, `not_capable`, `pending_changes`,
   * `ring_not_ready`, `not_reachable`, `timeout`.
   */
  markConsistent(bucket: string, numbers: readonly number[]): Promise<void> {
    const wallMs = this.#world.wallClock();
    return this.#parts.membership.mark({ bucket, numbers, wallMs });
  }

  /** This node is the claimant and has seen all first members of the root ensemble. */
  rootFormed(): void {
    this.#parts.membership.rootFormed(this.#world.wallClock());
  }

  /** This node is the claimant and has seen all groups of consistent buckets come so far in taking over for the ring of that generation. */
  takenOver(generation: number, step: "copied" | "open"): void {
    this.#parts.takenOver(generation, step);
  }

  /** `ClusterWorld.readyToExit` may have come to say yes: asks it now. */
  exitIfReady(): void {
    this.#parts.exitIfDone();
  }

  /** Declares a member down that cannot be reached. It keeps its partitions. @throws {WhorlError} `is_up`, `not_member`, `only_member`. */
  down(node: string): Promise<void> {
    return this.#parts.membership.down(node, this.#parts.watcher.isUp(node));
  }

  /** Sets a value of the ring's metadata; `null` removes it. Durable here when it resolves. */
  putMeta(name: string, value: RingMetaValue): Promise<void> {
    return this.#parts.membership.putMeta(name, value, this.#world.wallClock());
  }

  /**
   * Overrides a capability in the whole cluster; `null` lets it be negotiated
   * again. Durable here when it resolves.
   *
   * @throws {WhorlError} `invalid_argument` if this node does not support such a mode.
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
   * The data of `module` has left `partitions` of this node, or with `null`
   * there is none. `registered` are the modules of this node: without any, a
   * transfer is complete at once.
   */
  transferComplete(
    partitions: readonly number[],
    module: string | null,
    registered: readonly string[],
  ): void {
    this.#parts.membership.transferComplete(partitions, module, registered);
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
