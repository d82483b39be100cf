/**
 * The holder of a node's ring: the process around `gossip_fsm.ts`. It brings
 * rings to the disk and digests to the peers, and lets those wait who need a
 * ring to be durable. Whoever changes the ring does it through here.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { type Ring, sameCluster } from "../ring/ring.ts";
import { decodeRing, type EncodedRing } from "../ring/ring_codec.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  decodeDigest,
  encodeDigest,
  type RingDigest,
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

/** Who hears of the ring. All are called while it changes, and may change it again. */
export interface RingListener {
  /** The node goes by another ring, or knows more of who has seen it. */
  ringChanged(): void;
  /** `ring` is durable. */
  ringStored(ring: Ring): void;
  /** The cluster has removed this node, which was a member or only `joining`; it must go by another ring. */
  removed(joining: boolean): void;
  /** Ask `host` whether it is in the cluster of `seed`; `told` may be called later, or never. */
  askBelongs(
    host: string,
    seed: string,
    told: (belongs: boolean) => void,
  ): void;
}

/** The ring of one node. */
export class GossipProcess {
  readonly #world: ClusterWorld;
  readonly #listener: RingListener;
  readonly #gossip: GossipState;
  readonly #waits: RingWaits;
  /** The digest that was encoded last. */
  #lastDigest:
    | {
      readonly digest: RingDigest;
      readonly payload: Uint8Array<ArrayBuffer>;
    }
    | undefined;
  #stopped = false;

  /** @param isStored Whether `ring` is the one on the disk. */
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

  /** The ring this node goes by, which may be a moment ahead of what it has stored. */
  get ring(): Ring {
    return this.#gossip.current.ring;
  }

  /** What the disk holds, or `null`; after a crash the node goes by this one. */
  get stored(): EncodedRing | null {
    return this.#gossip.stored;
  }

  /** What the disk holds of the cluster this node goes by, or `null`. */
  get storedHere(): EncodedRing | null {
    return storedHere(this.#gossip);
  }

  /** Begins with `ring`; resolves once the ring this node goes by is stored, or the node was stopped. */
  async start(ring: Ring): Promise<void> {
    this.#step({ type: "started", ring });
    let outcome: StoreOutcome;
    do {
      // The cluster may have removed this node meanwhile; then there is a new ring to wait for.
      outcome = await this.#waits.stored(this.ring);
    } while (outcome === "abandoned");
  }

  /** Ends. Nobody waits any longer. */
  stop(): void {
    this.#stopped = true;
    this.#waits.stop();
  }

  /** Goes by `ring`, made from the current one by the functions of `ring_change.ts`. @param reason For the log. @default {nothing is logged} */
  update(ring: Ring, reason?: string): void {
    if (this.#stopped) return;
    if (reason !== undefined) this.#world.log.info(`Ring changed: ${reason}`);
    this.#step({ type: "ring_updated", ring });
  }

  /**
   * As {@linkcode GossipProcess.update}; durable when it resolves.
   *
   * @throws {WhorlError} `cancelled` if the node has gone over to another
   * cluster before that, `closed` if it was stopped.
   */
  async updateDurably(ring: Ring, reason: string): Promise<void> {
    this.update(ring, reason);
    const outcome = await this.#waits.stored(ring);
    if (outcome === "stored") return;
    throw outcome === "abandoned"
      ? new WhorlError(
        "cancelled",
        `Cannot keep that ${reason} as this node went over to another cluster first`,
      )
      : new WhorlError(
        "closed",
        `Cannot keep that ${reason} as this node stopped first`,
      );
  }

  /** Goes by a ring of another cluster. What waited for the old one waits no longer. */
  adopt(ring: Ring): void {
    if (this.#stopped) return;
    this.#waits.abandon();
    this.#step({ type: "ring_adopted", ring });
  }

  /** Runs `run` once a ring with the changes of `ring` is stored, now if it is, or will not be any more. */
  whenStored(ring: Ring, run: (outcome: StoreOutcome) => void): void {
    this.#waits.whenStored(ring, run);
  }

  /** Resolves with `true` once `holds` does of the ring, with `false` after `waitMs` milliseconds. */
  waitFor(holds: (ring: Ring) => boolean, waitMs: number): Promise<boolean> {
    return this.#waits.until(this.ring, holds, waitMs);
  }

  /**
   * Has this node stand alone again that is joining a cluster of one, to whose
   * node there has been no link for {@linkcode HOST_GONE_MS}.
   *
   * @returns Whether it was such a node; then it is durable that it stands alone.
   * @throws {WhorlError} `closed` if it was stopped before that.
   */
  async giveUpJoin(): Promise<boolean> {
    const { ring } = this;
    this.#step({ type: "join_given_up" });
    if (sameCluster(this.ring, ring)) return false;
    if (await this.#waits.stored(this.ring) !== "stopped") return true;
    throw new WhorlError(
      "closed",
      "Cannot keep that this node joins no more as it stopped first",
    );
  }

  /** A digest has come. @throws {WhorlError} `protocol_error`. */
  digestReceived(from: string, payload: Uint8Array): void {
    const digest = decodeDigest(payload);
    this.#step({ type: "digest_received", from, digest });
  }

  /** A ring has come. @throws {WhorlError} `protocol_error`. */
  ringReceived(from: string, payload: Uint8Array): void {
    this.#step({ type: "ring_received", from, ring: decodeRing(payload) });
  }

  /** A link to `node` is up. */
  peerUp(node: string): void {
    this.#step({ type: "peer_up", node });
  }

  /** There is no link to `node` any more. */
  peerDown(node: string): void {
    this.#step({ type: "peer_down", node });
  }

  /** Time to tell somebody, in case a message was lost. */
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
          log.warn("This node is no member of its cluster any more");
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

  /** A digest goes to several members at once. */
  #encoded(digest: RingDigest): Uint8Array<ArrayBuffer> {
    if (this.#lastDigest?.digest !== digest) {
      this.#lastDigest = { digest, payload: encodeDigest(digest) };
    }
    return this.#lastDigest.payload;
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
