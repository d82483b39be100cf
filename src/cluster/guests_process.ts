/**
 * The host's side of joins: it invites guests, forwards their requests to the
 * claimant, and follows up on open invitations. `admission.ts` and
 * `invitations_fsm.ts` decide.
 *
 * @module
 */
import {
  type AdmissionRequest,
  admit,
  isInvitedBy,
  stillStarting,
} from "./admission.ts";
import {
  type ClusterReply,
  type ClusterRequest,
  encodeJoinOffer,
} from "./cluster_codec.ts";
import type { ClusterWorld } from "./cluster_world.ts";
import type { GossipProcess } from "./gossip_process.ts";
import {
  createInvitations,
  type InvitationsEvent,
  type InvitationsState,
  stepInvitations,
} from "./invitations_fsm.ts";
import type { JoinProcess } from "./join_process.ts";
import type { PeerCalls } from "./peer_calls.ts";

/** The guests of one node. */
export class GuestsProcess {
  readonly #self: string;
  readonly #world: ClusterWorld;
  readonly #gossip: GossipProcess;
  readonly #calls: PeerCalls;
  readonly #join: JoinProcess;
  readonly #invitations: InvitationsState;
  /** Whether this node has left its cluster, and stops. */
  #hasLeft = false;
  #stopped = false;

  /** @param join This node's own join: a node that is leaving admits nobody. */
  constructor(
    self: string,
    world: ClusterWorld,
    gossip: GossipProcess,
    calls: PeerCalls,
    join: JoinProcess,
  ) {
    this.#self = self;
    this.#world = world;
    this.#gossip = gossip;
    this.#calls = calls;
    this.#join = join;
    this.#invitations = createInvitations(self);
  }

  /** This node's ring for a node that wants to join; none while it cannot admit any. */
  offer(): Uint8Array<ArrayBuffer> {
    const { storedHere } = this.#gossip;
    return encodeJoinOffer(
      this.#self,
      this.#hasLeft || this.#join.isLeaving ? null : storedHere?.bytes ?? null,
    );
  }

  /**
   * Handles a request from `from` to admit a guest; `answer` is called once,
   * with the stored ring in which it is invited, or a refusal.
   */
  admit(
    from: string,
    request: ClusterRequest & { method: "admit" },
    answer: (reply: ClusterReply) => void,
  ): void {
    const { guest, seed, waitMs } = request;
    if (this.#hasLeft) {
      return answer({
        ok: false,
        error: stillStarting(guest.name, this.#self),
      });
    }
    const admission = admit(
      {
        self: this.#self,
        ring: this.#gossip.ring,
        stored: this.#gossip.storedHere?.ring ?? null,
        isLeaving: this.#join.isLeaving,
      },
      { from, guest, seed } satisfies AdmissionRequest,
      this.#world.wallClock(),
    );
    switch (admission.type) {
      case "refused":
        return answer({ ok: false, error: admission.error });
      case "relay":
        return this.#calls.ask(admission.to, request, waitMs, answer);
      case "invited": {
        const { ring } = admission;
        this.#gossip.update(ring, `${guest.name} was invited`);
        return this.#gossip.whenStored(ring, (outcome) => {
          const { storedHere } = this.#gossip;
          const isInvited = outcome === "stored" && storedHere !== null &&
            isInvitedBy(storedHere.ring, ring, guest.name);
          answer(
            isInvited
              ? { ok: true, result: storedHere.bytes }
              : { ok: false, error: stillStarting(guest.name, this.#self) },
          );
        });
      }
      default:
        admission satisfies never;
    }
  }

  /** Time to follow up on invitations. */
  tick(): void {
    this.#step({ type: "tick" });
  }

  /** This node has left its cluster: until it stops, its own new ring must not be shown. */
  left(): void {
    this.#hasLeft = true;
  }

  /** Ends. */
  stop(): void {
    this.#stopped = true;
  }

  #step(event: InvitationsEvent): void {
    if (this.#stopped) return;
    const effects = stepInvitations(
      this.#invitations,
      event,
      this.#gossip.ring,
      this.#world.runtime.now(),
    );
    for (const effect of effects) {
      switch (effect.type) {
        case "ask": {
          const { node, invitation } = effect;
          const { seed } = this.#gossip.ring.clusterId;
          this.#calls.askBelongs(node, seed, (comes) => {
            this.#step({ type: "answered", node, invitation, comes });
          });
          break;
        }
        case "update_ring":
          this.#gossip.update(effect.ring, effect.reason);
          break;
        default:
          effect satisfies never;
      }
    }
  }
}
