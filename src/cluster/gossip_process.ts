/**
 * The holder of a node's ring: the process around `gossip_fsm.ts`. It stores
 * rings, sends digests to the peers, and keeps those waiting who need a ring to
 * be durable. All changes of the ring go through it.
 *
 * @module
 */
import { equalBytes } from "../base/byte_order.ts";
import { WhorlError } from "../base/errors.ts";
import { type Ring, sameCluster } from "../ring/ring.ts";
import { decodeRing, type EncodedRing } from "../ring/ring_codec.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  decodeDigest,
  encodeDigest,
  type RingDigest,
  sameDigest,
} from "./cluster_codec.ts";
import type { ClusterWorld } from "./cluster_world.ts";
import {
  createGossip,
  type GossipEvent,
  type GossipState,
  stepGossip,
  storedHere,
} from "./gossip_fsm.ts";
import { RingWaits, type StoreOutcome } from "./ring_waits.ts";

/** Receives changes of the ring. Called while the ring changes; may change it again. */
export interface RingListener {
  /** The current ring has changed, or more is known about who has seen it. */
  ringChanged(): void;
  /** `ring` is durable. */
  ringStored(ring: Ring): void;
  /** The cluster has removed this node, which was a member or only `joining`; it must adopt another ring. */
  removed(joining: boolean): void;
  /** Ask `host` whether it is in the cluster of `seed`; `told` may be called later, or never. */
  askBelongs(
    host: string,
    seed: string,
    told: (belongs: boolean) => void,
  ): void;
}

/** A digest and what it is encoded to. */
interface DigestMessage {
  readonly digest: RingDigest;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** The ring of one node. */
export class GossipProcess {
  readonly #world: ClusterWorld;
  readonly #listener: RingListener;
  readonly #gossip: GossipState;
  readonly #waits: RingWaits;
  /** The last digest that was sent. While no ring changes, all are the same. */
  #lastSent: DigestMessage | undefined;
  /** The last one that came. */
  #lastReceived: DigestMessage | undefined;
  #stopped = false;

  /** @param isStored Whether `ring` is the stored one. */
  constructor(
    self: string,
    ring: Ring,
    isStored: boolean,
    world: ClusterWorld,
    listener: RingListener,
  ) {
    this.#world = world;
    this.#listener = listener;
    this.#gossip = createGossip(
      self,
      ring,
      isStored,
      world.chance.fork("gossip"),
      world.runtime.now(),
    );
    this.#waits = new RingWaits(world.runtime);
  }

  /** This node's current ring, which may be a moment ahead of the stored one. */
  get ring(): Ring {
    return this.#gossip.current.ring;
  }

  /** The stored ring, or `null`; after a crash the node starts with it. */
  get stored(): EncodedRing | null {
    return this.#gossip.stored;
  }

  /** The stored ring, or `null` if it is of another cluster than the current one. */
  get storedHere(): EncodedRing | null {
    return storedHere(this.#gossip);
  }

  /** Starts with `ring`; resolves once the current ring is stored, or the node was stopped. */
  async start(ring: Ring): Promise<void> {
    this.#step({ type: "started", ring });
    let outcome: StoreOutcome;
    do {
      // The cluster may have removed this node meanwhile; then another ring
      // must be waited for.
      outcome = await this.#waits.stored(this.ring);
    } while (outcome === "abandoned");
  }

  /** Ends, and releases those who wait. */
  stop(): void {
    this.#stopped = true;
    this.#waits.stop();
  }

  /**
   * Makes `ring` the current ring; it must be derived from the current one by
   * the functions of `ring_change.ts`. @param reason For the log. @default
   * {nothing is logged}
   */
  update(ring: Ring, reason?: string): void {
    if (this.#stopped) return;
    if (reason !== undefined) this.#world.log.info(`Ring changed: ${reason}`);
    this.#step({ type: "ring_updated", ring });
  }

  /**
   * As {@linkcode GossipProcess.update}; durable when it resolves.
   *
   * @throws {WhorlError} `cancelled` if the node moved to another cluster
   * before that, `closed` if it was stopped.
   */
  async updateDurably(ring: Ring, reason: string): Promise<void> {
    this.update(ring, reason);
    const outcome = await this.#waits.stored(ring);
    if (outcome === "stored") return;
    throw outcome === "abandoned"
      ? new WhorlError(
        "cancelled",
        `Cannot keep that ${reason} as this node moved to another cluster first`,
      )
      : new WhorlError(
        "closed",
        `Cannot keep that ${reason} as this node stopped first`,
      );
  }

  /** Adopts a ring of another cluster. Waits for the old one are abandoned. */
  adopt(ring: Ring): void {
    if (this.#stopped) return;
    this.#waits.abandon();
    this.#step({ type: "ring_adopted", ring });
  }

  /** Runs `run` once a ring with the changes of `ring` is stored, at once if it is, or once it can no longer be. */
  whenStored(ring: Ring, run: (outcome: StoreOutcome) => void): void {
    this.#waits.whenStored(ring, run);
  }

  /** Resolves with `true` once `holds` is true of the ring, with `false` after `waitMs` milliseconds. */
  waitFor(holds: (ring: Ring) => boolean, waitMs: number): Promise<boolean> {
    return this.#waits.until(this.ring, holds, waitMs);
  }

  /**
   * Gives up the join of a cluster of one to whose node there has been no link
   * for {@linkcode HOST_GONE_MS}; this node is then alone again.
   *
   * @returns Whether the join was given up; if so, that is durable.
   * @throws {WhorlError} `closed` if it was stopped before that.
   */
  async giveUpJoin(): Promise<boolean> {
    const { ring } = this;
    this.#step({ type: "join_given_up" });
    if (sameCluster(this.ring, ring)) return false;
    if (await this.#waits.stored(this.ring) !== "stopped") return true;
    throw new WhorlError(
      "closed",
      "Cannot keep that this node gave up its join as it stopped first",
    );
  }

  /** A digest has come. @throws {WhorlError} `protocol_error`. */
  digestReceived(from: string, payload: Uint8Array): void {
    let last = this.#lastReceived;
    if (last === undefined || !equalBytes(last.payload, payload)) {
      const digest = decodeDigest(payload);
      // What came is in memory that its link uses again.
      this.#lastReceived = last = { digest, payload: payload.slice() };
    }
    this.#step({ type: "digest_received", from, digest: last.digest });
  }

  /** A ring has come. @throws {WhorlError} `protocol_error`. */
  ringReceived(from: string, payload: Uint8Array): void {
    this.#step({ type: "ring_received", from, ring: decodeRing(payload) });
  }

  /** A link to `node` is up. */
  peerUp(node: string): void {
    this.#step({ type: "peer_up", node });
  }

  /** The link to `node` has ended. */
  peerDown(node: string): void {
    this.#step({ type: "peer_down", node });
  }

  /** Time to send a digest, in case a message was lost. */
  tick(): void {
    this.#step({ type: "tick" });
  }

  #step(event: GossipEvent): void {
    if (this.#stopped) return;
    const { runtime, log } = this.#world;
    for (const effect of stepGossip(this.#gossip, event, runtime.now())) {
      switch (effect.type) {
        case "store_ring":
          this.#store(effect.ring);
          break;
        case "ring_changed":
          this.#listener.ringChanged();
          this.#waits.ringChanged(this.ring);
          break;
        case "publish_ring":
          this.#listener.ringStored(effect.ring.ring);
          this.#waits.ringStored(effect.ring.ring);
          break;
        case "send_digest":
          this.#world.send(
            effect.to,
            FrameType.ringDigest,
            this.#encoded(effect.digest),
          );
          break;
        case "send_ring":
          this.#world.send(effect.to, FrameType.ring, effect.ring.bytes);
          break;
        case "announce_soon":
          runtime.defer(() => this.#step({ type: "announce" }));
          break;
        case "ask_host": {
          const { host, seed } = effect;
          this.#listener.askBelongs(host, seed, (belongs) => {
            if (!belongs) this.#step({ type: "host_gone", host, seed });
          });
          break;
        }
        case "removed":
          log.warn("This node is no longer a member of its cluster");
          this.#listener.removed(effect.joining);
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

  /** Encodes a digest once for several members, and until it changes. */
  #encoded(digest: RingDigest): Uint8Array<ArrayBuffer> {
    let last = this.#lastSent;
    if (last === undefined || !sameDigest(last.digest, digest)) {
      this.#lastSent = last = { digest, payload: encodeDigest(digest) };
    }
    return last.payload;
  }

  #store(ring: EncodedRing): void {
    this.#world.storeRing(ring.bytes).then(
      () => this.#step({ type: "ring_stored" }),
      (error) => {
        if (!this.#stopped) this.#world.storeFailed(error);
      },
    );
  }
}
