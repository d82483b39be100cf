/**
 * The parts of the cluster side of a node, and how they notify each other. Each
 * is a process around its core; nothing is decided here.
 *
 * @module
 */
import type { TimerHandle } from "../../supervisors/runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { TARGET_N_DEFAULT } from "../ring/claim.ts";
import {
  currentMembers,
  MemberMeta,
  memberMeta,
  type Ring,
} from "../ring/ring.ts";
import {
  isInvited,
  outgrow,
  putFacts,
  setStatus,
  withdrawCapabilities,
} from "../ring/ring_change.ts";
import {
  type CapabilityState,
  createCapabilities,
  encodeClaim,
  stepCapabilities,
  WHORL_CAPABILITIES,
} from "./capability.ts";
import { ClaimantProcess } from "./claimant_process.ts";
import type { ClusterReply, ClusterRequest } from "./cluster_codec.ts";
import { ClusterSubscribers } from "./cluster_subscribers.ts";
import type { ClusterOptions, ClusterWorld } from "./cluster_world.ts";
import { GossipProcess } from "./gossip_process.ts";
import { GuestsProcess } from "./guests_process.ts";
import { JoinProcess } from "./join_process.ts";
import { belongsTo, mayExit } from "./membership.ts";
import { MembershipCalls } from "./membership_calls.ts";
import { NodeWatcherProcess } from "./node_watcher_process.ts";
import { PeerCalls } from "./peer_calls.ts";
import {
  createRingNews,
  newsOfCurrent,
  newsOfStored,
  type RingNews,
} from "./ring_news.ts";
import { restoreRing, ringAlone } from "./starting_ring.ts";

const WAIT_MS_DEFAULT = 5_000;

/** The parts of one node. */
export class ClusterParts {
  /** Subscribers to changes. */
  readonly subscribers: ClusterSubscribers;
  /** The ring. */
  readonly gossip: GossipProcess;
  /** Requests to other nodes, and from them. */
  readonly calls: PeerCalls;
  /** Changes requested by an operator. */
  readonly membership: MembershipCalls;
  /** This node's join of another cluster. */
  readonly join: JoinProcess;
  /** Other nodes' joins of this one's. */
  readonly guests: GuestsProcess;
  /** Which nodes are up, and their services. */
  readonly watcher: NodeWatcherProcess;
  /** The negotiated capabilities. */
  readonly capabilities: CapabilityState;
  /** Peers whose version is known to be older than capabilities. */
  readonly #silent = new Set<string>();
  readonly #options: ClusterOptions;
  readonly #world: ClusterWorld;
  readonly #claimant: ClaimantProcess;
  readonly #news: RingNews;
  readonly #timers = new Map<string, TimerHandle>();
  /** Whether this node's membership has ended, so that it should stop. */
  #hasLeft = false;
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
    const self = options.node.name;
    const waitMs = options.waitMs ?? WAIT_MS_DEFAULT;
    const supported = options.capabilities ?? WHORL_CAPABILITIES;
    options = {
      ...options,
      node: { ...options.node, capabilities: encodeClaim(supported) },
    };
    this.#options = options;
    this.#world = world;
    this.#news = createRingNews(self);
    const subscribers = new ClusterSubscribers(world.log);
    const restored = restoreRing(options);
    const gossip = new GossipProcess(
      self,
      restored ?? ringAlone(options, world),
      restored !== null,
      world,
      {
        ringChanged: () => this.#ringChanged(),
        ringStored: (ring) => this.#ringStored(ring),
        removed: (joining) => this.#removed(joining),
        askBelongs: (host, seed, told) => calls.askBelongs(host, seed, told),
      },
    );
    const calls = new PeerCalls(self, {
      runtime: world.runtime,
      log: world.log,
      send: (node, type, payload) => world.send(node, type, payload),
      serve: (from, request, answer) => this.#serve(from, request, answer),
    });
    this.capabilities = createCapabilities(
      supported,
      options.capabilityOverrides ?? {},
      gossip.ring,
    );
    const join = new JoinProcess(options.node, waitMs, world, gossip, calls);
    this.subscribers = subscribers;
    this.gossip = gossip;
    this.calls = calls;
    this.membership = new MembershipCalls(self, waitMs, gossip, calls);
    this.join = join;
    this.guests = new GuestsProcess(self, world, gossip, calls, join);
    this.#claimant = new ClaimantProcess(
      self,
      gossip.ring,
      options.targetN ?? TARGET_N_DEFAULT,
      {
        runtime: world.runtime,
        log: world.log,
        updateRing: (ring) => gossip.update(ring),
        whenStored: (ring, run) => gossip.whenStored(ring, run),
      },
    );
    this.watcher = new NodeWatcherProcess(
      self,
      options.incarnation,
      (node, type, payload) => world.send(node, type, payload),
      (change) => {
        subscribers.tell(change);
        this.#claimant.nodesUp(this.watcher.nodesUp);
      },
    );
  }

  /** Starts; resolves once this node's ring is stored and may be shown, or the node was stopped. */
  async start(): Promise<void> {
    const { node, gossipIntervalMs, servicesIntervalMs } = this.#options;
    this.#every("gossip", gossipIntervalMs ?? 1_000, () => {
      this.gossip.tick();
      this.guests.tick();
      this.exitIfDone();
    });
    this.#every("services", servicesIntervalMs ?? 10_000, () => {
      this.watcher.step({ type: "broadcast" });
    });
    // The address may have changed since the last start.
    const wallMs = this.#world.wallClock();
    await this.gossip.start(putFacts(this.gossip.ring, node, wallMs));
  }

  /** Ends. Pending requests fail with `closed`. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const { runtime } = this.#world;
    for (const timer of this.#timers.values()) runtime.clearTimer(timer);
    this.join.stop();
    this.guests.stop();
    this.watcher.stop();
    this.calls.stop();
    this.#claimant.stop();
    this.gossip.stop();
    this.subscribers.clear();
  }

  /** All groups of consistent buckets have reached `step` in taking over for the ring of that generation. */
  takenOver(generation: number, step: "copied" | "open"): void {
    this.#claimant.takenOver(generation, step);
  }

  /** A leaving node that has nothing left to do becomes `exiting`. */
  exitIfDone(): void {
    if (this.#stopped) return;
    const { ring } = this.gossip;
    const self = this.#options.node.name;
    if (!mayExit(ring, self) || this.#world.readyToExit?.() === false) return;
    this.gossip.update(
      setStatus(ring, self, self, "exiting"),
      `${self} owns nothing any more and exits`,
    );
  }

  // How the parts notify each other.

  /** The cluster has removed this node. */
  #removed(joining: boolean): void {
    const { node } = this.#options;
    const said = this.gossip.ring.clock.get(node.name) ?? 0;
    const left = { ring: this.gossip.ring, wasJoining: joining };
    const alone = outgrow(
      ringAlone(this.#options, this.#world, left),
      node.name,
      said,
    );
    if (!joining) {
      this.#hasLeft = true;
      this.guests.left();
    }
    this.gossip.adopt(alone);
    if (joining) return this.subscribers.tell({ type: "removed" });
    this.gossip.whenStored(alone, (outcome) => {
      if (outcome === "stored") this.subscribers.tell({ type: "left" });
    });
  }

  /** Whether this node's membership has ended: until it stops it stands in a ring that nobody is to know, nor to use. */
  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** Refuses a change of the ring after this node has left: it would be lost. */
  get #departed(): WhorlError {
    const { name } = this.#options.node;
    return new WhorlError(
      "ring_not_ready",
      `Cannot change the cluster of ${name} as it is no longer a member`,
    );
  }

  /** A peer does not know the call that asks what it supports; until its link ends, it counts as an older version. */
  supportsNothing(node: string): void {
    this.#silent.add(node);
    this.#speakForSilent();
  }

  /** The link to `node` has ended: its version may change. */
  peerDown(node: string): void {
    this.#silent.delete(node);
    this.gossip.peerDown(node);
  }

  /** Withdraws capabilities that a newer version has published for nodes that now run an older one. */
  #speakForSilent(): void {
    if (this.#stopped || this.#hasLeft) return;
    const self = this.#options.node.name;
    let { ring } = this.gossip;
    for (const node of this.#silent) {
      ring = withdrawCapabilities(ring, self, node, this.#world.wallClock());
    }
    if (ring === this.gossip.ring) return;
    this.gossip.update(ring, "members run an older version than they did");
  }

  /** Publishes again what this node supports, if another node has withdrawn it. */
  #speakForSelf(): void {
    const { node } = this.#options;
    const { ring } = this.gossip;
    if (!currentMembers(ring).includes(node.name)) return;
    const said = memberMeta(ring, node.name, MemberMeta.capabilities);
    if (said === node.capabilities || isInvited(ring, node.name)) return;
    this.gossip.update(putFacts(ring, node, this.#world.wallClock()));
  }

  #ringChanged(): void {
    this.#claimant.ringChanged(this.gossip.ring);
    this.join.ringChanged();
    if (this.#hasLeft) return;
    this.#speakForSelf();
    if (this.#silent.size > 0) this.#speakForSilent();
    this.exitIfDone();
    const { ring } = this.gossip;
    for (const change of stepCapabilities(this.capabilities, ring)) {
      this.subscribers.tell(change);
    }
    for (const change of newsOfCurrent(this.#news, this.gossip.ring)) {
      this.subscribers.tell(change);
    }
  }

  #ringStored(ring: Ring): void {
    // It has left: its new ring must not be shown.
    if (this.#hasLeft) return;
    const { peers, changes } = newsOfStored(this.#news, ring);
    if (peers !== null) this.#world.peersChanged(peers);
    for (const change of changes) this.subscribers.tell(change);
    this.join.ringStored(ring);
  }

  /** Serves a request of another node, or of this one. */
  #serve(
    from: string,
    request: ClusterRequest,
    answer: (reply: ClusterReply) => void,
  ): void {
    switch (request.method) {
      // Only claimants that cannot move data ask, so no data may be moved.
      case "holds_data":
        return answer({ ok: true, result: [...request.partitions] });
      case "admit":
        return this.guests.admit(from, request, answer);
      case "belongs": {
        const stored = this.gossip.stored?.ring ?? null;
        const { isOpen } = this.join;
        const result = belongsTo(
          request.seed,
          this.gossip.ring,
          stored,
          isOpen,
        );
        return answer({ ok: true, result });
      }
      case "stage":
      case "resize":
      case "plan":
      case "commit":
      case "clear":
      case "mark":
        if (this.#hasLeft) return answer({ ok: false, error: this.#departed });
        return this.#claimant.request(from, request, request.waitMs, answer);
      default:
        return request satisfies never;
    }
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
}
