/**
 * Whether a node accepts a link from an end that knows the cookie: whether it
 * may use its name, which of two processes of one node is the current one, and
 * which of two links stays when two nodes connect to each other at once. Both
 * nodes apply the same rules, so both keep the same link.
 *
 * @module
 */
import type { RefusalReason } from "./handshake_codec.ts";
import type { Candidate } from "./handshake_fsm.ts";
import type { LinkIdentity, LinkPeer } from "./link_peer.ts";

/** What a node has on record about a name. */
export interface KnownIdentity {
  readonly nodeId: string;
  /** The newest incarnation seen, if any. */
  readonly incarnation?: number;
}

/** What a node knows about a candidate's name when it decides. */
export interface AdmissionView {
  readonly self: LinkIdentity;
  /** On record, from the ring or the disk. */
  readonly known: KnownIdentity | undefined;
  /** The other end of the link that is up. */
  readonly up: LinkPeer | undefined;
  /** The other end of our own connection that waits for its welcome. */
  readonly dialing: LinkIdentity | undefined;
}

/** The decision. `replace` closes the link that is up. */
export type Admission =
  | { readonly type: "accept" | "replace" }
  | { readonly type: "refuse"; readonly reason: RefusalReason };

const ACCEPT: Admission = { type: "accept" };
const REPLACE: Admission = { type: "replace" };

/** Decides on `candidate`. */
export function decideAdmission(
  candidate: Candidate,
  view: AdmissionView,
): Admission {
  if (candidate.kind === "client") return ACCEPT;
  const { self, known, up, dialing } = view;
  if (candidate.nodeId === self.nodeId && candidate.name === self.name) {
    return refuse(
      candidate.incarnation === self.incarnation
        ? "self_connection"
        // Another process was started on this one's data.
        : "name_taken",
    );
  }
  if (candidate.nodeId === self.nodeId || candidate.name === self.name) {
    return refuse("name_taken");
  }
  for (const other of [known, up]) {
    if (other === undefined) continue;
    if (other.nodeId !== candidate.nodeId) return refuse("name_taken");
    if ((other.incarnation ?? 0) > candidate.incarnation) {
      return refuse("stale_incarnation");
    }
  }
  // Two nodes may have any number of bulk links.
  if (candidate.kind === "bulk") return ACCEPT;
  if (up !== undefined) return decideAgainstLink(candidate, up);
  if (dialing === undefined || candidate.openedBy === "this_node") {
    return ACCEPT;
  }
  return decideAgainstDial(candidate, dialing, self);
}

function decideAgainstLink(candidate: Candidate, up: LinkPeer): Admission {
  if (candidate.incarnation > up.incarnation) return REPLACE;
  if (candidate.openedBy === "this_node") return refuse("duplicate_link");
  // A node opens a link only while it has none. So it has lost the link we
  // still hold if it opened that one itself or names it as its last. If it has
  // never seen ours, both connected at once and it is about to see it.
  return up.openedBy === "other_node" || candidate.lastLinkId === up.linkId
    ? REPLACE
    : refuse("duplicate_link");
}

/** Both have sent their proofs: the connection opened by the node with the smaller name stays. */
function decideAgainstDial(
  candidate: Candidate,
  dialing: LinkIdentity,
  self: LinkIdentity,
): Admission {
  if (dialing.nodeId !== candidate.nodeId) return ACCEPT;
  if (candidate.incarnation < dialing.incarnation) {
    return refuse("stale_incarnation");
  }
  return candidate.incarnation > dialing.incarnation ||
      candidate.name < self.name
    ? ACCEPT
    : refuse("duplicate_link");
}

function refuse(reason: RefusalReason): Admission {
  return { type: "refuse", reason };
}
