/**
 * Where an operation on a cluster goes next, as far as one node can tell.
 *
 *     for the leader   here if it leads · to the leader it knows of · to any
 *                      member, which will say who leads · to the leader that
 *                      others name, if the member here has had none for long
 *     for any member   here if there is one · to any member
 *
 * An operation that another node sent here goes no further: a refusal goes
 * back, and the node that serves the client decides anew. So nothing goes round
 * in circles, however wrong the nodes are about each other.
 *
 * @module
 */

/**
 * Time without a leader, in milliseconds, after which a member may have been
 * removed, or not yet be added: nobody tells such a member who leads. Longer
 * than elections take.
 */
export const LONELY_MS = 1_000;

/** What is known about a cluster on other nodes. */
export interface ClusterHint {
  readonly leader: string | undefined;
  /** Nodes that have a member. */
  readonly members: readonly string[];
}

/** What a node knows when it decides. */
export interface HopView {
  readonly wants: "leader" | "member";
  /** Whether another node sent it here. */
  readonly forwarded: boolean;
  /** This node. */
  readonly self: string;
  /** The cluster's member on this node, if there is one. */
  readonly here: {
    readonly leads: boolean;
    readonly leader: string | undefined;
    /** Whether it has had no leader for {@linkcode LONELY_MS}. */
    readonly isLonely: boolean;
  } | undefined;
  /** What other nodes said, since the member here (if any) lost its leader. */
  readonly hint: ClusterHint | undefined;
  /** The node that has just refused it, or could not be reached. */
  readonly avoid: string | undefined;
}

/** What to do. */
export type Hop =
  | { readonly type: "here" }
  | { readonly type: "to"; readonly node: string }
  /** Ask the other nodes who has a member. */
  | { readonly type: "find" }
  /** A leader is expected soon. */
  | { readonly type: "wait" }
  | {
    readonly type: "refuse";
    readonly code: "not_leader" | "unknown_cluster";
  };

/** Decides; see the module comment. */
export function nextHop(view: HopView): Hop {
  const { wants, forwarded, self, here, hint, avoid } = view;
  if (here !== undefined && (wants === "member" || here.leads)) {
    return { type: "here" };
  }
  if (forwarded) {
    return {
      type: "refuse",
      code: here === undefined ? "unknown_cluster" : "not_leader",
    };
  }
  const isElsewhere = (node: string | undefined): node is string =>
    node !== undefined && node !== self && node !== avoid;
  if (here !== undefined) {
    if (isElsewhere(here.leader)) return { type: "to", node: here.leader };
    if (!here.isLonely) return { type: "wait" };
    // Other members may not know a leader either, so only a leader is worth a
    // try.
    return isElsewhere(hint?.leader)
      ? { type: "to", node: hint.leader }
      : { type: "find" };
  }
  if (wants === "leader" && isElsewhere(hint?.leader)) {
    return { type: "to", node: hint.leader };
  }
  const other = hint?.members.find(isElsewhere);
  return other === undefined ? { type: "find" } : { type: "to", node: other };
}

/** An operation that was refused or has failed. */
export interface Refusal {
  /** Code of the error. */
  readonly code: string;
  readonly isRead: boolean;
  /** Whether another node refused it. */
  readonly elsewhere: boolean;
  /** Whether another node sent it here. */
  readonly forwarded: boolean;
}

/** Whether it was certainly not carried out. */
export function wasNotDone({ code, elsewhere }: Refusal): boolean {
  return code === "not_leader" || code === "transferring" ||
    code === "moved" || code === "not_open" ||
    code === "unknown_cluster" && elsewhere;
}

/** Whether this node tries again: it was not done, or doing it twice is harmless. */
export function mayTryAgain(refusal: Refusal): boolean {
  const { code, isRead, forwarded } = refusal;
  if (forwarded) return false;
  return wasNotDone(refusal) ||
    isRead && (code === "leader_lost" || code === "closed");
}
