/**
 * How a node joins a cluster such that no node is left behind in a cluster that
 * no longer exists.
 *
 *     guest                      member it asked        claimant
 *       │ join_offer ───────────────►│                      │
 *       │ admit ────────────────────►│ admit (relayed) ────►│ invites: the guest stands in
 *       │◄── ring ───────────────────│◄──────────── ring ───│ its stored ring as joining
 *       │ goes by it, as joining by its own word, stores it
 *       │ gossip ──────────────────────────────────────────►│ now it counts in a plan
 *
 * The danger is that a host moves to another cluster while a guest moves to it:
 * its ring then survives among guests only, and with a cycle of joins every
 * node ends up in the ring of one that has left it. Three rules exclude that:
 *
 * 1. A node that asks to join admits nobody until it has moved or given up; it
 *    may ask only while it is alone in its ring. One node decides both in one
 *    turn, so of "admits G" and "leaves for K" one comes first and forbids the
 *    other.
 * 2. Only the claimant admits, and a guest adopts the ring only after the
 *    claimant has stored it with the guest in it. So even after a crash, a
 *    claimant with guests is not alone, and a ring whose last full member has
 *    left never admits anyone again: guests only forward requests.
 * 3. A join counts only once the guest itself has confirmed it, after storing
 *    the ring. Until then it is an invitation, which the claimant can withdraw
 *    (`invitations_fsm.ts`), so a plan never contains a node that did not come.
 *
 * No deadlock: a node that is about to leave refuses at once, and each request
 * has a deadline. So in a cycle of simultaneous joins, some or all are refused
 * by name, nothing has changed for those, and they may ask again. No livelock:
 * nothing retries automatically. An invitation keeps its host from joining
 * another cluster only until the guest comes or the invitation ends, which is
 * bounded in time.
 *
 * What remains is a guest that takes up an invitation while it is being
 * withdrawn. "Invalid" wins over "joining" in a merge, so any copy of the ring
 * tells the guest, which then is alone again. If the host has left the cluster
 * by then, there is no such copy: the guest meets the host in another cluster,
 * asks whether it is still in this one, and can trust a no, since an answer is
 * newer than its request and a ring that was left is never entered again (rule
 * 2). A full member that meets another one in a different cluster asks as well,
 * and declares it down if the answer is no (`gossip_fsm.ts`).
 *
 * @module
 */
import { type ErrorCode, WhorlError } from "../base/errors.ts";
import { versionDescends } from "../causality/version_vector.ts";
import {
  memberStatus,
  readyMembers,
  type Ring,
  sameCluster,
} from "../ring/ring.ts";
import { invite, isAutoJoining, type NodeFacts } from "../ring/ring_change.ts";
import { RING_NAMES_MAX } from "../ring/ring_reader.ts";
import { ownsNothing } from "../ring/ring_upkeep.ts";
import { refuseIdentity } from "./membership.ts";

/** A node that wants to become a member. */
export interface AdmissionRequest {
  /** The requesting node; not the guest itself if the request was forwarded. */
  readonly from: string;
  readonly guest: NodeFacts;
  /** The cluster that is meant. */
  readonly seed: string;
}

/** The node that is asked. */
export interface AdmissionHost {
  readonly self: string;
  /** Its current ring. */
  readonly ring: Ring;
  /** The ring of that cluster that it has stored, or `null` before the first. */
  readonly stored: Ring | null;
  /** Whether it is about to join another cluster itself. */
  readonly isLeaving: boolean;
}

/** The decision. */
export type Admission =
  /** Adopt `ring`, and answer with it once it is stored and {@linkcode isInvitedBy} holds. */
  | { readonly type: "invited"; readonly ring: Ring }
  /** Another node has to decide. */
  | { readonly type: "relay"; readonly to: string }
  | { readonly type: "refused"; readonly error: WhorlError };

/** Decides on a request at `host`. */
export function admit(
  host: AdmissionHost,
  request: AdmissionRequest,
  wallMs: number,
): Admission {
  const { self, ring, stored, isLeaving } = host;
  const { from, guest, seed } = request;
  const { claimant } = ring.ownership;
  const refuse = (code: ErrorCode, why: string): Admission => ({
    type: "refused",
    error: new WhorlError(code, `Cannot admit ${guest.name} as ${why}`, {
      details: { node: guest.name },
    }),
  });
  if (stored === null) {
    return { type: "refused", error: stillStarting(guest.name, self) };
  }
  if (isLeaving || ring.clusterId.seed !== seed) {
    return refuse("node_still_starting", `${self} joins another cluster`);
  }
  if (guest.name === claimant || guest.name === self) {
    return refuse("not_single_node", "it belongs to that cluster already");
  }
  if (claimant !== self) {
    return from === guest.name
      ? { type: "relay", to: claimant }
      : refuse("node_still_starting", `${claimant} is the claimant now`);
  }
  if (!readyMembers(ring).includes(self)) {
    return refuse("node_still_starting", `${self} is not a full member`);
  }
  const taken = refuseIdentity(ring, guest.name, guest.nodeId);
  if (taken !== null) return { type: "refused", error: taken };
  // Names of members that left stay in the ring, so that a merge does not bring
  // them back.
  if (
    !ring.members.has(guest.name) && ring.members.size >= RING_NAMES_MAX
  ) {
    const why = `its ring may know ${RING_NAMES_MAX} names, and does`;
    return refuse("overload", why);
  }
  const status = memberStatus(ring, guest.name) ?? "invalid";
  // One that is down and owns nothing has left: a fellow that had not heard of
  // that has declared it down when it met it in another cluster. It is alone, as
  // it asks, so nothing else would ever contradict that.
  const mayJoin = status === "invalid" ||
    status === "joining" && !isAutoJoining(ring, guest.name) ||
    status === "down" && ownsNothing(ring, guest.name);
  return mayJoin
    // A new invitation each time, so that withdrawing an earlier one does not
    // affect it.
    ? { type: "invited", ring: invite(ring, self, guest, wallMs) }
    : refuse("not_single_node", `it is ${status} there already`);
}

/**
 * Whether the ring that the host has `stored` includes `invitation` and has
 * `guest` as joining. Before storing it, the host may have moved to another
 * cluster or withdrawn the invitation.
 */
export function isInvitedBy(
  stored: Ring | null,
  invitation: Ring,
  guest: string,
): boolean {
  return stored !== null && sameCluster(stored, invitation) &&
    versionDescends(stored.clock, invitation.clock) &&
    memberStatus(stored, guest) === "joining";
}

/** The refusal of a `host` that has no durable ring with the guest in it. */
export function stillStarting(guest: string, host: string): WhorlError {
  return new WhorlError(
    "node_still_starting",
    `Cannot admit ${guest} as ${host} has not stored a ring with it`,
    { details: { node: guest } },
  );
}
