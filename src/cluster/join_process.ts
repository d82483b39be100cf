/**
 * The process around a join of this node: it performs the effects of
 * `join_fsm.ts`, and reports the result to the caller.
 *
 * @module
 */
import type { TimerHandle } from "../../supervisors/runtime.ts";
import { WhorlError } from "../base/errors.ts";
import type { Address } from "../environment/transport.ts";
import type { Ring } from "../ring/ring.ts";
import type { NodeFacts } from "../ring/ring_change.ts";
import { decodeRing } from "../ring/ring_codec.ts";
import { expectBytes } from "../wire/plain_data.ts";
import { decodeJoinOffer } from "./cluster_codec.ts";
import type { ClusterWorld, JoinOptions, JoinResult } from "./cluster_world.ts";
import type { GossipProcess } from "./gossip_process.ts";
import {
  createJoin,
  isJoinOpen,
  isLeaving,
  type JoinEvent,
  type JoinState,
  refuseRequest,
  stepJoin,
} from "./join_fsm.ts";
import { type PeerCalls, ROUND_TRIP_MS } from "./peer_calls.ts";

/** The joins of one node, one at a time. */
export class JoinProcess {
  readonly #world: ClusterWorld;
  readonly #gossip: GossipProcess;
  readonly #calls: PeerCalls;
  readonly #waitMs: number;
  readonly #join: JoinState;
  #requested: PromiseWithResolvers<JoinResult> | null = null;
  #deadline: TimerHandle;
  #stopped = false;

  /** @param waitMs Longest wait for the host, and then for the claimant, in milliseconds. */
  constructor(
    self: NodeFacts,
    waitMs: number,
    world: ClusterWorld,
    gossip: GossipProcess,
    calls: PeerCalls,
  ) {
    this.#world = world;
    this.#gossip = gossip;
    this.#calls = calls;
    this.#waitMs = waitMs;
    this.#join = createJoin(self);
  }

  /** Whether a join is in progress. */
  get isOpen(): boolean {
    return isJoinOpen(this.#join);
  }

  /** Whether this node is about to leave its cluster for another one. */
  get isLeaving(): boolean {
    return isLeaving(this.#join);
  }

  /** Joins the cluster of the node at `address`. @throws {WhorlError} As `ClusterProcess.join`. */
  async join(
    address: Address,
    options: JoinOptions = {},
  ): Promise<JoinResult> {
    if (this.#stopped) throw closed();
    const refusal = refuseRequest(this.#join, this.#gossip.ring, address);
    if (refusal !== null) throw refusal;
    const requested = Promise.withResolvers<JoinResult>();
    this.#requested = requested;
    const autoJoin = options.staged === false;
    const host = options.node;
    this.#step({ type: "requested", address, autoJoin, host });
    return await requested.promise;
  }

  /** The node's current ring has changed. */
  ringChanged(): void {
    this.#step({ type: "ring_changed" });
  }

  /** `stored` is durable. */
  ringStored(stored: Ring): void {
    this.#step({ type: "ring_stored", stored });
  }

  /** Ends; a join in progress fails with `closed`. */
  stop(): void {
    this.#stopped = true;
    this.#world.runtime.clearTimer(this.#deadline);
    this.#requested?.reject(closed());
    this.#requested = null;
  }

  #step(event: JoinEvent): void {
    if (this.#stopped) return;
    const { runtime } = this.#world;
    const effects = stepJoin(
      this.#join,
      event,
      this.#gossip.ring,
      this.#world.wallClock(),
    );
    for (const effect of effects) {
      switch (effect.type) {
        case "fetch_offer":
          Promise.try(() => this.#world.fetchJoinOffer(effect.address)).then(
            (bytes) => this.#step(readOffer(bytes)),
            (cause) => this.#step({ type: "offer_failed", cause }),
          );
          break;
        case "ask_admission":
          this.#askAdmission(effect.host, effect.seed);
          break;
        case "adopt_ring":
          this.#gossip.adopt(effect.ring);
          break;
        case "set_deadline":
          this.#deadline = runtime.setTimer(
            this.#waitMs,
            () => this.#step({ type: "deadline" }),
          );
          break;
        case "clear_deadline":
          runtime.clearTimer(this.#deadline);
          break;
        case "joined":
          this.#requested?.resolve(effect.result);
          break;
        case "failed":
          this.#requested?.reject(effect.error);
          break;
        default:
          effect satisfies never;
      }
    }
  }

  #askAdmission(host: string, seed: string): void {
    const waitMs = this.#waitMs;
    const guest = this.#join.self;
    this.#calls.ask(
      host,
      { method: "admit", guest, seed, waitMs },
      waitMs + ROUND_TRIP_MS,
      (reply) =>
        this.#step(
          reply.ok
            ? readInvitation(reply.result)
            : { type: "admission_failed", cause: reply.error },
        ),
    );
  }
}

function readOffer(bytes: Uint8Array): JoinEvent {
  try {
    return { type: "offered", offer: decodeJoinOffer(bytes) };
  } catch (cause) {
    return { type: "offer_unreadable", cause };
  }
}

function readInvitation(result: unknown): JoinEvent {
  try {
    const { ring } = decodeRing(expectBytes(result, "the ring of a guest"));
    return { type: "invited", ring };
  } catch (cause) {
    return { type: "admission_failed", cause };
  }
}

function closed(): WhorlError {
  return new WhorlError("closed", "Cannot join as this node stops");
}
