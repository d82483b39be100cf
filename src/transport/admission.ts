/**
 * Whether a node takes a link with an end that has shown the cookie: who may
 * bear a name, which of two processes of one node counts, and which of two
 * links between the same two nodes stays when both connected at once. Both
 * nodes decide by the same rules, so both keep the same one.
 *
 * @module
 */
import type { RefusalReason } from "./handshake_codec.ts";
import type { Candidate } from "./handshake_fsm.ts";
import type { LinkIdentity, LinkPeer } from "./link_peer.ts";

/** What a node has on record of a name. */
export interface KnownIdentity {
  readonly nodeId: string;
  /** The newest that was seen, if any was. */
  readonly incarnation?: number;
}

/** What a node knows of a candidate's name when it decides. */
export interface AdmissionView {
  readonly self: LinkIdentity;
  /** On record, from the ring or the disk. */
  readonly known: KnownIdentity | undefined;
  /** At the other end of the link that is up. */
  readonly up: LinkPeer | undefined;
  /** At the other end of a connection of our own that waits for its welcome. */
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
        // A process that was started on the data of this one.
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
  // Any number of bulk links may stand between two nodes.
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
  // A node opens a link only while it has none, so it has lost the one we
  // still hold: it opened that one itself, or says that it has had it. If it
  // has never seen ours, both connected at once and it is about to see it.
  return up.openedBy === "other_node" || candidate.lastLinkId === up.linkId
    ? REPLACE
    : refuse("duplicate_link");
}

/** Both have sent their proofs: the connection of the smaller name stays. */
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
