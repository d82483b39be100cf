/**
 * The guest's side of a join; a node has at most one at a time.
 *
 *     idle ─► fetching ─ offer ─► asking ─ invited ─► storing ─ stored ─► announcing
 *      ▲          │                  │                   │                     │
 *      └──────────┴──── refused ─────┴─── withdrawn ─────┴── known, or late ───┘
 *
 * The ring may change during each step, as another node may join this one, so
 * it is checked again after each answer. A failure before the node adopts the
 * other ring changes nothing; after that, only the claimant can undo the join,
 * by withdrawing the invitation. `admission.ts` explains why these steps are
 * needed.
 *
 * The last step only makes it likely that the next plan contains the join; a
 * join that the claimant does not know yet is still valid.
 *
 * @module
 */
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import { versionDescends } from "../causality/version_vector.ts";
import type { Address } from "../environment/transport.ts";
import { memberStatus, type Ring, sameCluster } from "../ring/ring.ts";
import { addJoining, type NodeFacts, outgrow } from "../ring/ring_change.ts";
import { originText } from "../ring/ring_origin.ts";
import type { JoinResult } from "./cluster_world.ts";
import { type JoinOffer, refuseDeparture, refuseJoin } from "./membership.ts";

/** Inputs of a join. */
export type JoinEvent =
  /** A join is requested; check {@linkcode refuseRequest} first. */
  | {
    type: "requested";
    address: Address;
    /** Whether it becomes a member at once, without a commit. */
    autoJoin: boolean;
    /** The node that must answer there. @default {any} */
    host?: string | undefined;
  }
  | { type: "offered"; offer: JoinOffer }
  /** The host gave no offer. */
  | { type: "offer_failed"; cause: unknown }
  /** The host's offer is invalid. */
  | { type: "offer_unreadable"; cause: unknown }
  /** The host has answered with the ring in which this node is invited. */
  | { type: "invited"; ring: Ring }
  /** The host did not invite this node, or not in time. */
  | { type: "admission_failed"; cause: unknown }
  /** This node's current ring has changed. */
  | { type: "ring_changed" }
  /** A ring has become durable. */
  | { type: "ring_stored"; stored: Ring }
  /** The timer set by `set_deadline` has fired. */
  | { type: "deadline" };

/** What a join asks its shell to do, in this order. */
export type JoinEffect =
  /** Ask the node at `address` for its offer. */
  | { type: "fetch_offer"; address: Address }
  /** Ask `host` to have this node invited into the cluster of `seed`. */
  | { type: "ask_admission"; host: string; seed: string }
  /** Adopt this ring of another cluster. */
  | { type: "adopt_ring"; ring: Ring }
  /** Deliver `deadline` after the time that a join waits for the claimant. */
  | { type: "set_deadline" }
  | { type: "clear_deadline" }
  /** The join has ended: report it to its caller. */
  | { type: "joined"; result: JoinResult }
  | { type: "failed"; error: WhorlError };

type Phase =
  | { readonly name: "idle" }
  | {
    readonly name: "fetching";
    readonly address: Address;
    readonly autoJoin: boolean;
    readonly host: string | undefined;
  }
  | {
    readonly name: "asking";
    readonly offer: JoinOffer;
    readonly autoJoin: boolean;
  }
  | {
    readonly name: "storing" | "announcing";
    readonly host: string;
    /** The other cluster's ring with this node in it. */
    readonly joined: Ring;
  };

/** The join of one node, if one is in progress. */
export interface JoinState {
  readonly self: NodeFacts;
  phase: Phase;
}

/** No join of `self`. */
export function createJoin(self: NodeFacts): JoinState {
  return { self, phase: { name: "idle" } };
}

/** Whether a join is in progress, whichever cluster this node is in by now. */
export function isJoinOpen(join: JoinState): boolean {
  return join.phase.name !== "idle";
}

/** Whether this node is about to leave its cluster. Until it has left or given up, it admits nobody. */
export function isLeaving(join: JoinState): boolean {
  const { name } = join.phase;
  return name === "fetching" || name === "asking";
}

/** Whether a join of the node at `address` may be requested now; `null` if so. */
export function refuseRequest(
  join: JoinState,
  ring: Ring,
  address: Address,
): WhorlError | null {
  if (address === join.self.address) {
    return new WhorlError(
      "self_join",
      `Cannot join ${address} as that is this node itself`,
    );
  }
  if (isJoinOpen(join)) {
    return new WhorlError(
      "not_single_node",
      `Cannot join ${address} as another join is in progress`,
    );
  }
  return refuseDeparture(ring, join.self.name, address);
}

/** Advances by one event, with the current ring `ring`; `join` has one owner and changes in place. */
export function stepJoin(
  join: JoinState,
  event: JoinEvent,
  ring: Ring,
  wallMs: number,
): JoinEffect[] {
  const { phase } = join;
  switch (event.type) {
    case "requested": {
      if (phase.name !== "idle") return [];
      const { address, autoJoin, host } = event;
      join.phase = { name: "fetching", address, autoJoin, host };
      return [{ type: "fetch_offer", address }];
    }
    case "offered":
      return phase.name === "fetching"
        ? offered(join, event.offer, phase, ring)
        : [];
    case "offer_failed": {
      if (phase.name !== "fetching") return [];
      const { cause } = event;
      // A refusal of the handshake is the best explanation.
      return isWhorlError(cause) && cause.code !== "internal"
        ? fail(join, cause)
        : noRing(join, phase.address, "it did not give its ring", cause);
    }
    case "offer_unreadable":
      return phase.name === "fetching"
        ? noRing(join, phase.address, "its ring cannot be read", event.cause)
        : [];
    case "invited":
      return phase.name === "asking"
        ? invited(join, phase, event.ring, ring, wallMs)
        : [];
    case "admission_failed": {
      if (phase.name !== "asking") return [];
      const error = asError(event.cause);
      return error.code !== "timeout" && error.code !== "protocol_error"
        ? fail(join, error)
        : noRing(join, phase.offer.node, "it did not invite this node", error);
    }
    case "ring_changed":
      return ringChanged(join, ring);
    case "ring_stored":
      return phase.name === "storing" &&
          sameCluster(event.stored, phase.joined) &&
          versionDescends(event.stored.clock, phase.joined.clock)
        ? announce(join, phase.host, phase.joined, ring)
        : [];
    case "deadline":
      return phase.name === "announcing" ? end(join, phase.host, false) : [];
    default:
      return event satisfies never;
  }
}

function offered(
  join: JoinState,
  offer: JoinOffer,
  { address, autoJoin, host }: Extract<Phase, { name: "fetching" }>,
  ring: Ring,
): JoinEffect[] {
  if (host !== undefined && offer.node !== host) {
    return fail(
      join,
      new WhorlError(
        "not_reachable",
        `Cannot join ${host} at ${address} as ${offer.node} answers there`,
      ),
    );
  }
  const refusal = refuseJoin(ring, join.self, offer);
  if (refusal !== null) return fail(join, refusal);
  join.phase = { name: "asking", offer, autoJoin };
  const { seed } = (offer.ring as Ring).clusterId;
  return [{ type: "ask_admission", host: offer.node, seed }];
}

function invited(
  join: JoinState,
  { offer, autoJoin }: { offer: JoinOffer; autoJoin: boolean },
  invitation: Ring,
  ring: Ring,
  wallMs: number,
): JoinEffect[] {
  const { self } = join;
  if (
    invitation.clusterId.seed !== (offer.ring as Ring).clusterId.seed ||
    memberStatus(invitation, self.name) !== "joining"
  ) {
    const why = "this node is not invited in the ring it gave";
    return noRing(join, offer.node, why);
  }
  const late = refuseJoin(ring, self, { ...offer, ring: invitation });
  if (late !== null) return fail(join, late);
  // It may have been in that cluster before, with changes that did not reach
  // it.
  const said = ring.clock.get(self.name) ?? 0;
  const joined = addJoining(
    outgrow(invitation, self.name, said),
    { ...self, origin: originText(ring, invitation) },
    wallMs,
    { autoJoin },
  );
  join.phase = { name: "storing", host: offer.node, joined };
  return [{ type: "adopt_ring", ring: joined }];
}

function announce(
  join: JoinState,
  host: string,
  joined: Ring,
  ring: Ring,
): JoinEffect[] {
  join.phase = { name: "announcing", host, joined };
  return [{ type: "set_deadline" }, ...ringChanged(join, ring)];
}

function ringChanged(join: JoinState, ring: Ring): JoinEffect[] {
  const { phase } = join;
  if (phase.name !== "storing" && phase.name !== "announcing") return [];
  const { host, joined } = phase;
  if (!sameCluster(ring, joined)) {
    const why = "its cluster has taken the invitation back";
    return noRing(join, host, why);
  }
  const seen = ring.seen.get(ring.ownership.claimant);
  return phase.name === "announcing" && seen !== undefined &&
      versionDescends(seen, joined.clock)
    ? end(join, host, true)
    : [];
}

function end(
  join: JoinState,
  host: string,
  claimantKnows: boolean,
): JoinEffect[] {
  join.phase = { name: "idle" };
  return [
    { type: "clear_deadline" },
    { type: "joined", result: { joined: host, claimantKnows } },
  ];
}

function fail(join: JoinState, error: WhorlError): JoinEffect[] {
  join.phase = { name: "idle" };
  return [{ type: "clear_deadline" }, { type: "failed", error }];
}

/** Ends the join, as there is no usable ring of `to`. */
function noRing(
  join: JoinState,
  to: string,
  why: string,
  cause?: unknown,
): JoinEffect[] {
  const reason = cause === undefined ? "" : `: ${reasonOf(cause)}`;
  return fail(
    join,
    new WhorlError(
      "unable_to_get_join_ring",
      `Cannot join ${to} as ${why}${reason}`,
      cause === undefined ? {} : { cause },
    ),
  );
}

function asError(cause: unknown): WhorlError {
  return isWhorlError(cause)
    ? cause
    : new WhorlError("internal", reasonOf(cause), { cause });
}
