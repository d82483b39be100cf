/**
 * How a node comes into a cluster without anybody being left behind in one that
 * is no more.
 *
 *     guest                      member it asked        claimant
 *       │ join_offer ───────────────►│                      │
 *       │ admit ────────────────────►│ admit (relayed) ────►│ invites: the guest stands in
 *       │◄── ring ───────────────────│◄──────────── ring ───│ its stored ring as joining
 *       │ goes by it, as joining by its own word, stores it
 *       │ gossip ──────────────────────────────────────────►│ now it counts in a plan
 *
 * The danger is that a host moves to another cluster while somebody moves to
 * it: its ring then lives on among guests only, one copy leads to the next, and
 * a round of joins puts every node into the ring of one that has left it. Three
 * rules exclude that:
 *
 * 1. A node that asks to join admits nobody until it has moved or given up; it
 *    may ask only while nobody else stands in its ring. Both are decided by one
 *    node in one turn, so of "admits G" and "leaves for K" one comes first and
 *    forbids the other.
 * 2. Only the claimant admits, and a guest goes by the ring only after the
 *    claimant has stored it with the guest in it. Hence also after a crash a
 *    claimant that has guests is not alone, and a ring whose last full member
 *    has left admits nobody ever again: guests only pass the question on.
 * 3. Only a guest's own word, which it gives when it has stored the ring, makes
 *    the join count. Until then it is an invitation, which the claimant takes
 *    back (`invitations_fsm.ts`), so a plan never holds one who did not come.
 *
 * No deadlock: nobody waits for anybody here. A node that is about to leave
 * refuses at once, and each question has a deadline. So in a ring of joins at
 * one moment, all or all but some are refused by name, nothing has changed for
 * those, and they may ask again. No livelock: nothing asks again by itself. A
 * node that a host has promised to take holds the host only until it comes or
 * the invitation ends, and that is bounded in time.
 *
 * What remains is a guest that took an invitation up while it was taken back.
 * "Invalid" wins over "joining" in a merge, so it hears of it from any copy of
 * the ring and stands alone again. If by then the host has left the cluster,
 * there is no such copy; the guest meets the host in another cluster, asks
 * whether it is still in this one, and believes its no, since an answer is newer
 * than its question and a ring that was left is never entered again (rule 2). A
 * full member that meets a fellow in another cluster asks as well, and declares
 * it down at a no (`gossip_fsm.ts`).
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
import { refuseIdentity } from "./membership.ts";

/** A node that wants to become a member. */
export interface AdmissionRequest {
  /** Who asks; another one than the guest if it passes the question on. */
  readonly from: string;
  readonly guest: NodeFacts;
  /** The cluster that is meant. */
  readonly seed: string;
}

/** The node that is asked. */
export interface AdmissionHost {
  readonly self: string;
  /** The ring it goes by. */
  readonly ring: Ring;
  /** The ring of that cluster that it has stored, or `null` before there is one. */
  readonly stored: Ring | null;
  /** Whether it is about to join another cluster itself. */
  readonly isLeaving: boolean;
}

/** What comes of it. */
export type Admission =
  /** Go by `ring`, and answer with it once it is stored and {@linkcode isInvitedBy} says so. */
  | { readonly type: "invited"; readonly ring: Ring }
  /** Another one has to decide. */
  | { readonly type: "relay"; readonly to: string }
  | { readonly type: "refused"; readonly error: WhorlError };

/** Decides at `host`. */
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
    return refuse("node_still_starting", `${self} is no full member`);
  }
  const taken = refuseIdentity(ring, guest.name, guest.nodeId);
  if (taken !== null) return { type: "refused", error: taken };
  // Names of those that left stay in the ring, so that nobody brings them back.
  if (
    !ring.members.has(guest.name) && ring.members.size >= RING_NAMES_MAX
  ) {
    const why = `its ring may know ${RING_NAMES_MAX} names, and does`;
    return refuse("overload", why);
  }
  const status = memberStatus(ring, guest.name) ?? "invalid";
  const mayJoin = status === "invalid" ||
    status === "joining" && !isAutoJoining(ring, guest.name);
  return mayJoin
    // A new invitation each time: one that is taken back is never this one.
    ? { type: "invited", ring: invite(ring, self, guest, wallMs) }
    : refuse("not_single_node", `it is ${status} there already`);
}

/**
 * Whether `guest` stands in the ring its host has `stored`, as joining, with the
 * changes of the ring that `admit` made. The host may have gone to another
 * cluster before it was stored, or have taken the invitation back.
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
