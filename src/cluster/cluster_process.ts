/**
 * The process around the cores of this folder: it carries out what gossip,
 * claimant and node watcher decide, and turns frames, links, timers, the disk
 * and calls into their events. It decides nothing about the protocol.
 *
 * A join is the one conversation that begins here: fetch the ring of a member,
 * check it, have this node invited, take the ring with this node in it as
 * joining, store it, and wait a while for the claimant to have it, so that a
 * plan asked for next contains it. Why it goes in these steps: `admission.ts`.
 *
 * @module
 */
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import { versionDescends } from "../causality/version_vector.ts";
import type { Address } from "../environment/transport.ts";
import type { TimerHandle } from "../../supervisors/runtime.ts";
import {
  currentMembers,
  MemberMeta,
  memberMeta,
  type MemberStatus,
  memberStatus,
  pendingTransfers,
  type Ring,
  ringReady,
  ringVersion,
  sameCluster,
} from "../ring/ring.ts";
import {
  addJoining,
  completeTransfers,
  freshRing,
  putFacts,
  putRingMeta,
  setStatus,
} from "../ring/ring_change.ts";
import { decodeRing, type EncodedRing } from "../ring/ring_codec.ts";
import { TARGET_N_DEFAULT } from "../ring/claim.ts";
import type { StagedPlan } from "../ring/staged_plan.ts";
import type { MetaValue } from "../ring/stamped.ts";
import { FrameType } from "../wire/frame_type.ts";
import { admit } from "./admission.ts";
import { ClaimantProcess } from "./claimant_process.ts";
import {
  type ClusterReply,
  type ClusterRequest,
  decodeDigest,
  decodeJoinOffer,
  decodeReply,
  decodeRequest,
  decodeServices,
  encodeDigest,
  encodeJoinOffer,
  encodeReply,
  encodeServices,
} from "./cluster_codec.ts";
import {
  type ClusterStatus,
  clusterStatus,
  type RingReadyResult,
  ringReadyResult,
  type RingStatus,
  ringStatus,
} from "./cluster_status.ts";
import {
  createGossip,
  type GossipEvent,
  type GossipState,
  stepGossip,
} from "./gossip_fsm.ts";
import {
  createInvitations,
  type InvitationsEvent,
  type InvitationsState,
  stepInvitations,
} from "./invitations_fsm.ts";
import { PeerCalls } from "./peer_calls.ts";
import { restoreRing } from "./restored_ring.ts";
import { RingWaits } from "./ring_waits.ts";
import {
  expectNames,
  expectPartitions,
  expectPlan,
} from "./claimant_result.ts";
import type {
  ClusterChange,
  ClusterOptions,
  ClusterWorld,
  JoinResult,
} from "./cluster_world.ts";
import { expectBoolean, expectBytes, expectText } from "../wire/plain_data.ts";
import {
  type JoinOffer,
  refuseDeparture,
  refuseDown,
  refuseIdentity,
  refuseJoin,
} from "./membership.ts";
import {
  createNodeWatcher,
  isNodeUp,
  nodesUp,
  type NodeWatcher,
  type NodeWatcherEvent,
  servicesByNode,
  stepNodeWatcher,
  upNodes,
} from "./node_watcher.ts";

const WAIT_MS_DEFAULT = 5_000;
/** Time for the way there and back on top of what the other side may wait. */
const ROUND_TRIP_MS = 2_000;

/** The cluster part of one node. */
export class ClusterProcess {
  readonly #options: ClusterOptions;
  readonly #world: ClusterWorld;
  readonly #self: string;
  readonly #waitMs: number;
  readonly #gossip: GossipState;
  readonly #claimant: ClaimantProcess;
  readonly #watcher: NodeWatcher;
  readonly #subscribers = new Set<(change: ClusterChange) => void>();
  readonly #calls: PeerCalls;
  readonly #waits: RingWaits;
  readonly #invitations: InvitationsState;
  readonly #timers = new Map<string, TimerHandle>();
  #published: Ring | null = null;
  #peers = "";
  #wasReady = false;
  #joining = false;
  /** While joining: whether this node is still in the cluster it is about to leave. */
  #isLeaving = false;
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
    this.#options = options;
    this.#world = world;
    this.#self = options.node.name;
    this.#waitMs = options.waitMs ?? WAIT_MS_DEFAULT;
    const restored = restoreRing(options);
    this.#gossip = createGossip(
      this.#self,
      restored ?? this.#freshRing(),
      restored !== null,
      world.chance.fork("gossip"),
      world.runtime.now(),
    );
    this.#waits = new RingWaits(world.runtime);
    this.#claimant = new ClaimantProcess(
      this.#self,
      this.ring,
      options.targetN ?? TARGET_N_DEFAULT,
      {
        runtime: world.runtime,
        log: world.log,
        updateRing: (ring) => this.#stepGossip({ type: "ring_updated", ring }),
        whenStored: (clock, run) => this.#waits.whenStored(clock, run),
        askHoldsData: (node, partitions) =>
          this.#askHoldsData(node, partitions),
      },
    );
    this.#calls = new PeerCalls(
      world.runtime,
      (node, type, payload) => world.send(node, type, payload),
    );
    this.#watcher = createNodeWatcher(this.#self, options.incarnation);
    this.#invitations = createInvitations(this.#self);
  }

  /** Begins; resolves once this node's ring is stored and may be shown. */
  async start(): Promise<void> {
    const { node, gossipIntervalMs, servicesIntervalMs } = this.#options;
    this.#every("gossip", gossipIntervalMs ?? 1_000, () => {
      this.#stepGossip({ type: "tick" });
      this.#stepInvitations({ type: "tick" });
    });
    this.#every("services", servicesIntervalMs ?? 10_000, () => {
      this.#stepWatcher({ type: "broadcast" });
    });
    if (this.#gossip.stored !== null) this.#publish(this.#gossip.stored.ring);
    // The address may be another one than at the last start.
    const facts = putFacts(this.ring, node, this.#world.wallClock());
    this.#stepGossip({ type: "ring_updated", ring: facts });
    if (this.#gossip.stored === null) this.#adopt(facts);
    this.#claimant.ringChanged(this.ring);
    await this.#waits.stored(this.ring.clock);
  }

  /** Ends. What waits is refused with `closed`. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const { runtime } = this.#world;
    for (const timer of this.#timers.values()) runtime.clearTimer(timer);
    this.#calls.stop();
    this.#claimant.stop();
    this.#waits.stop();
    this.#subscribers.clear();
  }

  /** The ring this node goes by, which may be a moment ahead of what it has stored. */
  get ring(): Ring {
    return this.#gossip.current.ring;
  }

  /** Nodes that are up, this one included, sorted. */
  get nodesUp(): readonly string[] {
    return nodesUp(this.#watcher);
  }

  /** Nodes that offer `service` now, sorted; the same list until it changes. */
  upNodes(service: string): readonly string[] {
    return upNodes(this.#watcher, service);
  }

  /** Services of each node that is up. */
  services(): Record<string, readonly string[]> {
    return servicesByNode(this.#watcher);
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

  /** Calls `listener` on every change until the returned function is called. */
  subscribe(listener: (change: ClusterChange) => void): () => void {
    this.#subscribers.add(listener);
    return () => void this.#subscribers.delete(listener);
  }

  /** Resolves with `true` once `holds` does of the ring, with `false` after `waitMs` milliseconds. */
  waitFor(holds: (ring: Ring) => boolean, waitMs: number): Promise<boolean> {
    return this.#waits.until(this.ring, holds, waitMs);
  }

  /** This node's ring for one that wants to join; answer its request with it. */
  joinOffer(): Uint8Array<ArrayBuffer> {
    const stored = this.#storedHere();
    return encodeJoinOffer(
      this.#self,
      this.#isLeaving || stored === null ? null : stored.bytes,
    );
  }

  /** The stored ring, or `null` while it is none of the cluster this node goes by. */
  #storedHere(): EncodedRing | null {
    const { stored } = this.#gossip;
    return stored !== null && sameCluster(stored.ring, this.ring)
      ? stored
      : null;
  }

  /** Whether a node with this name and identity may connect; `null` if so. Ask at each handshake. */
  refusePeer(name: string, nodeId: string): WhorlError | null {
    return refuseIdentity(this.ring, name, nodeId);
  }

  /** A link to `node` is up. */
  peerUp(node: string): void {
    this.#stepWatcher({ type: "peer_up", node });
    this.#stepGossip({ type: "peer_up", node });
  }

  /** There is no link to `node` any more. */
  peerDown(node: string, reason: string): void {
    this.#stepWatcher({ type: "peer_down", node, reason });
    this.#calls.peerDown(node);
  }

  /** The failure detector doubts `node`. */
  suspect(node: string): void {
    this.#stepWatcher({ type: "peer_suspect", node });
  }

  /** The failure detector no longer doubts `node`. */
  alive(node: string): void {
    this.#stepWatcher({ type: "peer_alive", node });
  }

  /** This node offers `service` from now on. */
  serviceUp(service: string): void {
    this.#stepWatcher({ type: "service_up", service });
  }

  /** This node no longer offers `service`. */
  serviceDown(service: string): void {
    this.#stepWatcher({ type: "service_down", service });
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
        return this.#stepGossip({
          type: "digest_received",
          from,
          digest: decodeDigest(payload),
        });
      case FrameType.ring:
        return this.#stepGossip({
          type: "ring_received",
          from,
          ring: decodeRing(payload),
        });
      case FrameType.services:
        return this.#stepWatcher({
          type: "services_received",
          from,
          list: decodeServices(payload),
        });
      case FrameType.joinRequest: {
        const { id, request } = decodeRequest(payload);
        return this.#serve(from, request, (reply) => {
          this.#world.send(from, FrameType.joinReply, encodeReply(id, reply));
        });
      }
      case FrameType.joinReply: {
        // Who asked reads it later, when the payload is not ours any more.
        const { id, reply } = decodeReply(payload.slice());
        return this.#calls.answered(from, id, reply);
      }
      default:
        throw new WhorlError(
          "protocol_error",
          `Cannot take a frame of type ${frameType} as the cluster knows none`,
        );
    }
  }

  /**
   * Joins the cluster of the node at `address`; takes effect with a commit.
   *
   * @throws {WhorlError} `self_join`, `not_reachable`, `unable_to_get_join_ring`,
   * `node_still_starting`, `not_single_node`, `different_ring_sizes`,
   * `wrong_cluster`, `name_taken`, `handoff_required` if this node holds data,
   * or what the handshake refused with.
   */
  async join(address: Address): Promise<JoinResult> {
    if (address === this.#options.node.address) {
      throw new WhorlError(
        "self_join",
        `Cannot join ${address} as that is this node itself`,
      );
    }
    if (this.#joining) {
      throw new WhorlError(
        "not_single_node",
        `Cannot join ${address} as another join is under way`,
      );
    }
    const bound = refuseDeparture(this.ring, this.#self, address);
    if (bound !== null) throw bound;
    this.#joining = true;
    this.#isLeaving = true;
    try {
      return await this.#join(address);
    } finally {
      this.#joining = false;
      this.#isLeaving = false;
    }
  }

  async #join(address: Address): Promise<JoinResult> {
    const { node } = this.#options;
    const all = Array.from({ length: this.ring.size }, (_, p) => p);
    const held = await this.#world.holdsData(all);
    if (held.length > 0) {
      throw new WhorlError(
        "handoff_required",
        `Cannot join ${address} as this node must be empty: ${held.length} of its partitions hold data`,
        { details: { partitions: [...held] } },
      );
    }
    const offer = await this.#fetchOffer(address);
    const refusal = refuseJoin(this.ring, node, offer);
    if (refusal !== null) throw refusal;
    const invitation = await this.#askAdmission(offer);
    const late = refuseJoin(this.ring, node, { ...offer, ring: invitation });
    if (late !== null) throw late;
    const joined = addJoining(invitation, node, this.#world.wallClock());
    this.#adopt(joined);
    this.#isLeaving = false;
    await this.#waits.stored(joined.clock);
    const claimantKnows = await this.waitFor((ring) => {
      const seen = ring.seen.get(ring.ownership.claimant);
      return !sameCluster(ring, joined) ||
        seen !== undefined && versionDescends(seen, joined.clock);
    }, this.#waitMs);
    if (!sameCluster(this.ring, joined)) {
      throw new WhorlError(
        "unable_to_get_join_ring",
        `Cannot join ${address} as its cluster has taken the invitation back`,
      );
    }
    return { joined: offer.node, claimantKnows };
  }

  /** The ring in which the claimant of the cluster of `offer` has invited this node. */
  async #askAdmission(offer: JoinOffer): Promise<Ring> {
    const { node } = this.#options;
    const { seed } = (offer.ring as Ring).clusterId;
    try {
      const result = await this.#ask(offer.node, {
        method: "admit",
        guest: node,
        seed,
        waitMs: this.#waitMs,
      }, this.#waitMs + ROUND_TRIP_MS);
      const { ring } = decodeRing(expectBytes(result, "the ring of a guest"));
      if (
        ring.clusterId.seed === seed &&
        memberStatus(ring, node.name) === "joining"
      ) return ring;
    } catch (cause) {
      const { code } = asWhorlError(cause);
      if (code !== "timeout" && code !== "protocol_error") throw cause;
      throw new WhorlError(
        "unable_to_get_join_ring",
        `Cannot join ${offer.node} as it did not invite this node: ${
          reasonOf(cause)
        }`,
        { cause },
      );
    }
    throw new WhorlError(
      "unable_to_get_join_ring",
      `Cannot join ${offer.node} as this node is not invited in the ring it gave`,
    );
  }

  async #fetchOffer(address: Address) {
    let bytes: Uint8Array;
    try {
      bytes = await this.#world.fetchJoinOffer(address);
    } catch (cause) {
      if (isWhorlError(cause) && cause.code !== "internal") throw cause;
      throw new WhorlError(
        "unable_to_get_join_ring",
        `Cannot join ${address} as it did not give its ring: ${
          reasonOf(cause)
        }`,
        { cause },
      );
    }
    try {
      return decodeJoinOffer(bytes);
    } catch (cause) {
      throw new WhorlError(
        "unable_to_get_join_ring",
        `Cannot join ${address} as its ring cannot be read: ${reasonOf(cause)}`,
        { cause },
      );
    }
  }

  /**
   * What the staged changes come to, as the claimant computes it once the
   * members agree.
   *
   * @throws {WhorlError} `ring_not_ready`, `not_reachable`, `timeout`.
   */
  async plan(): Promise<StagedPlan> {
    const result = await this.#askClaimant({
      method: "plan",
      waitMs: this.#waitMs,
    });
    return expectPlan(result);
  }

  /**
   * Carries out the plan `planId`, or the one shown last. Committing one again
   * that was committed last is no error.
   *
   * @throws {WhorlError} `nothing_planned`, `plan_changed`, `ring_not_ready`,
   * `handoff_required`, `not_reachable`, `timeout`.
   */
  async commit(planId?: string): Promise<{ planId: string }> {
    const result = await this.#askClaimant({
      method: "commit",
      planId: planId ?? null,
      waitMs: this.#waitMs,
    });
    return { planId: expectText(result, "a plan id", 64) };
  }

  /** Forgets staged changes; members that were joining stand alone again. @throws {WhorlError} `not_reachable`, `timeout`. */
  async clear(): Promise<{ nodes: readonly string[] }> {
    const result = await this.#askClaimant({
      method: "clear",
      waitMs: this.#waitMs,
    });
    return { nodes: expectNames(result) };
  }

  /** Declares a member down that cannot be reached. It keeps its partitions. @throws {WhorlError} `is_up`, `not_member`, `only_member`. */
  async down(node: string): Promise<void> {
    const refusal = refuseDown(
      this.ring,
      this.#self,
      node,
      isNodeUp(this.#watcher, node),
    );
    if (refusal !== null) throw refusal;
    const ring = setStatus(this.ring, this.#self, node, "down");
    await this.#update(ring, `${node} was declared down`);
  }

  /** Sets a value of the ring's metadata; `null` removes it. Durable here when it resolves. */
  async putMeta(name: string, value: MetaValue): Promise<void> {
    const wallMs = this.#world.wallClock();
    await this.#update(
      putRingMeta(this.ring, this.#self, name, value, wallMs),
      `metadata ${name} was set`,
    );
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
    if (this.#stopped) return;
    this.#stepGossip({
      type: "ring_updated",
      ring: completeTransfers(
        this.ring,
        this.#self,
        partitions,
        module,
        registered,
      ),
    });
  }

  async #update(ring: Ring, reason: string): Promise<void> {
    this.#world.log.info(`Ring changed: ${reason}`);
    this.#stepGossip({ type: "ring_updated", ring });
    await this.#waits.stored(ring.clock);
  }

  /** Goes by a ring of another cluster. What waited for the old one waits no longer. */
  #adopt(ring: Ring): void {
    this.#waits.abandon();
    this.#stepGossip({ type: "ring_adopted", ring });
  }

  #every(name: string, intervalMs: number, act: () => void): void {
    this.#timers.set(
      name,
      this.#world.runtime.setTimer(intervalMs, () => {
        if (this.#stopped) return;
        this.#every(name, intervalMs, act);
        act();
      }),
    );
  }

  #freshRing(): Ring {
    const { clusterName, ringSize, node } = this.#options;
    return freshRing({
      clusterName,
      size: ringSize,
      seed: this.#world.newSeed(),
      node,
      wallMs: this.#world.wallClock(),
    });
  }

  // Carrying out effects, one interpreter for each core.

  #stepGossip(event: GossipEvent): void {
    if (this.#stopped) return;
    const { runtime, log } = this.#world;
    for (const effect of stepGossip(this.#gossip, event, runtime.now())) {
      switch (effect.type) {
        case "store_ring":
          this.#world.storeRing(effect.ring.bytes).then(
            () => this.#stepGossip({ type: "ring_stored" }),
            (error) => {
              if (!this.#stopped) this.#world.storeFailed(error);
            },
          );
          break;
        case "ring_changed":
          this.#ringChanged(effect.ring);
          break;
        case "publish_ring":
          this.#publish(effect.ring.ring);
          break;
        case "send_digest":
          this.#world.send(
            effect.to,
            FrameType.ringDigest,
            encodeDigest(effect.digest),
          );
          break;
        case "send_ring":
          this.#world.send(effect.to, FrameType.ring, effect.ring.bytes);
          break;
        case "announce_soon":
          runtime.defer(() => this.#stepGossip({ type: "announce" }));
          break;
        case "ask_host":
          this.#askBelongs(effect.host, effect.seed, (belongs) => {
            const { host, seed } = effect;
            if (!belongs) this.#stepGossip({ type: "host_gone", host, seed });
          });
          break;
        case "removed":
          log.warn("The cluster has removed this node; it stands alone now");
          this.#adopt(this.#freshRing());
          this.#tell({ type: "removed" });
          break;
        case "refused":
          log.debug("A gossip message was refused", {
            from: effect.from,
            reason: effect.reason,
          });
          break;
        default:
          effect satisfies never;
      }
    }
  }

  #ringChanged(ring: Ring): void {
    this.#claimant.ringChanged(ring);
    this.#waits.ringChanged(this.ring);
    const ready = ringReady(this.ring);
    if (ready === this.#wasReady) return;
    this.#wasReady = ready;
    this.#tell({ type: "ring_ready", ready });
  }

  #publish(ring: Ring): void {
    const before = this.#published;
    this.#published = ring;
    const peers = new Map<string, Address>();
    for (const node of currentMembers(ring)) {
      const address = memberMeta(ring, node, MemberMeta.address);
      if (node !== this.#self && typeof address === "string") {
        peers.set(node, address);
      }
    }
    const text = JSON.stringify([...peers]);
    if (text !== this.#peers) {
      this.#peers = text;
      this.#world.peersChanged(peers);
    }
    for (const node of ring.members.keys()) {
      const after = memberStatus(ring, node) as MemberStatus;
      const status = before === null
        ? null
        : memberStatus(before, node) ?? null;
      if (status !== after) {
        this.#tell({ type: "member_changed", node, before: status, after });
      }
    }
    this.#tell({ type: "ring_changed", ring, ringVersion: ringVersion(ring) });
    const transfers = pendingTransfers(ring).filter((transfer) =>
      transfer.owner === this.#self && transfer.status === "awaiting"
    );
    if (transfers.length > 0) {
      this.#tell({ type: "transfers_pending", transfers });
    }
    this.#waits.ringStored(ring);
  }

  #stepWatcher(event: NodeWatcherEvent): void {
    if (this.#stopped) return;
    for (const effect of stepNodeWatcher(this.#watcher, event)) {
      switch (effect.type) {
        case "send_services":
          this.#world.send(
            effect.to,
            FrameType.services,
            encodeServices(effect.list),
          );
          break;
        case "node_up":
          this.#tell({ type: "node_up", node: effect.node });
          break;
        case "node_down":
          this.#tell({
            type: "node_down",
            node: effect.node,
            reason: effect.reason,
          });
          break;
        case "service_changed":
          this.#tell({
            type: "services_changed",
            service: effect.service,
            up: effect.up,
          });
          break;
        default:
          effect satisfies never;
      }
    }
  }

  #stepInvitations(event: InvitationsEvent): void {
    if (this.#stopped) return;
    const { runtime, log } = this.#world;
    const effects = stepInvitations(
      this.#invitations,
      event,
      this.ring,
      runtime.now(),
    );
    for (const effect of effects) {
      switch (effect.type) {
        case "ask": {
          const { node, invitation } = effect;
          const { seed } = this.ring.clusterId;
          this.#askBelongs(node, seed, (comes) => {
            this.#stepInvitations({
              type: "answered",
              node,
              invitation,
              comes,
            });
          });
          break;
        }
        case "update_ring":
          log.info(`Ring changed: ${effect.reason}`);
          this.#stepGossip({ type: "ring_updated", ring: effect.ring });
          break;
        default:
          effect satisfies never;
      }
    }
  }

  #tell(change: ClusterChange): void {
    for (const listener of [...this.#subscribers]) {
      try {
        listener(change);
      } catch (error) {
        // A subscriber's failure is its own; the others must still hear.
        this.#world.log.error("A subscriber to cluster changes failed", {
          change: change.type,
          reason: reasonOf(error),
        });
      }
    }
  }

  // Requests between nodes.

  #serve(
    from: string,
    request: ClusterRequest,
    answer: (reply: ClusterReply) => void,
  ): void {
    switch (request.method) {
      case "holds_data":
        this.#world.holdsData(request.partitions).then(
          (held) => answer({ ok: true, result: [...held] }),
          (error) => answer({ ok: false, error: asWhorlError(error) }),
        );
        return;
      case "admit":
        return this.#admit(from, request, answer);
      case "belongs":
        return answer({ ok: true, result: this.#belongs(request.seed) });
      default:
        this.#claimant.request(request, request.waitMs, answer);
    }
  }

  #admit(
    from: string,
    request: ClusterRequest & { method: "admit" },
    answer: (reply: ClusterReply) => void,
  ): void {
    const { guest, seed, waitMs } = request;
    if (this.#storedHere() === null) {
      return answer(stillStarting(guest.name, this.#self));
    }
    const admission = admit(
      this.ring,
      this.#self,
      this.#isLeaving,
      { from, guest, seed },
      this.#world.wallClock(),
    );
    switch (admission.type) {
      case "refused":
        return answer({ ok: false, error: admission.error });
      case "relay":
        return this.#calls.ask(admission.to, request, waitMs, answer);
      case "invited": {
        const { ring } = admission;
        this.#world.log.info(`Ring changed: ${guest.name} was invited`);
        this.#stepGossip({ type: "ring_updated", ring });
        return this.#waits.whenStored(ring.clock, () => {
          const stored = this.#storedHere();
          // It may have gone to another cluster, or stopped, before that.
          const isInvited = !this.#stopped && stored !== null &&
            versionDescends(stored.ring.clock, ring.clock) &&
            memberStatus(stored.ring, guest.name) === "joining";
          answer(
            isInvited
              ? { ok: true, result: stored.bytes }
              : stillStarting(guest.name, this.#self),
          );
        });
      }
      default:
        admission satisfies never;
    }
  }

  /** Whether this node is in the cluster of `seed`, or may be about to: after a no it comes only by a new invitation. */
  #belongs(seed: string): boolean {
    return this.#joining || this.ring.clusterId.seed === seed ||
      this.#gossip.stored?.ring.clusterId.seed === seed;
  }

  /** Asks `node` whether it is in the cluster of `seed`; without an answer nothing is told, and somebody asks again. */
  #askBelongs(
    node: string,
    seed: string,
    told: (belongs: boolean) => void,
  ): void {
    const request = { method: "belongs" as const, seed };
    this.#calls.ask(node, request, this.#waitMs, (reply) => {
      if (!reply.ok) {
        this.#world.log.debug("Could not ask a node for its cluster", {
          node,
          reason: reply.error.message,
        });
      } else told(expectBoolean(reply.result, "an answer"));
    });
  }

  #askClaimant(
    request: ClusterRequest & { method: "plan" | "commit" | "clear" },
  ): Promise<unknown> {
    return this.#ask(
      this.ring.ownership.claimant,
      request,
      request.waitMs + ROUND_TRIP_MS,
    );
  }

  #ask(
    node: string,
    request: ClusterRequest,
    timeoutMs: number,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const answer = (reply: ClusterReply) => {
        if (reply.ok) resolve(reply.result);
        else reject(reply.error);
      };
      if (node === this.#self) this.#serve(node, request, answer);
      else this.#calls.ask(node, request, timeoutMs, answer);
    });
  }

  async #askHoldsData(
    node: string,
    partitions: readonly number[],
  ): Promise<readonly number[]> {
    const request = { method: "holds_data" as const, partitions };
    return expectPartitions(await this.#ask(node, request, this.#waitMs));
  }
}

function stillStarting(guest: string, host: string): ClusterReply {
  return {
    ok: false,
    error: new WhorlError(
      "node_still_starting",
      `Cannot admit ${guest} as ${host} has not stored a ring with it`,
    ),
  };
}

function asWhorlError(error: unknown): WhorlError {
  return isWhorlError(error)
    ? error
    : new WhorlError("internal", reasonOf(error), { cause: error });
}
