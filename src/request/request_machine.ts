/**
 * What the state machines of requests share: events that all of them handle,
 * effects that every shell performs, and what happens with a vnode that is not
 * where the ring said.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import {
  type QuorumCount,
  recountNodes,
  type Replica,
  type ReplicaSet,
} from "./quorum.ts";

/** Milliseconds a finished request lingers for late answers. */
export const GRACE_MS_DEFAULT = 1_000;

/** The events of a request's replicas. `replica` is a position in the preference list. */
export type ReplicaEvent =
  /** Any failure, including those to send and lost connections. */
  | {
    readonly type: "failed";
    readonly replica: number;
    readonly error: WhorlError;
  }
  /** The vnode is not there; `owner` is the node that has it now, if known. */
  | {
    readonly type: "wrong_owner";
    readonly replica: number;
    readonly owner: number | undefined;
  };

/** The events of every request. */
export type LifeEvent =
  | { readonly type: "start" }
  | { readonly type: "deadline" }
  | { readonly type: "grace_over" }
  /** The caller no longer waits for the answer. */
  | { readonly type: "cancel" };

/** What every shell can do. */
export type LifeEffect =
  /** Deliver `deadline` after so many milliseconds. */
  | { readonly type: "set_deadline"; readonly afterMs: number }
  /** Deliver `grace_over` after so many milliseconds, instead of `deadline`. */
  | { readonly type: "set_grace"; readonly afterMs: number }
  /** Nothing more will happen; forget the timer and the request. */
  | { readonly type: "finished" };

/** Nothing more will happen. */
export const FINISHED: LifeEffect & { readonly type: "finished" } = Object
  .freeze({ type: "finished" });

/** The part of a request's state that tells where its replicas are. */
export interface PlacedReplicas {
  /** The preference list; vnodes that moved have their new node. */
  replicas: readonly Replica[];
  readonly count: QuorumCount;
  /** Replicas that were asked a second time. */
  redirected: ReplicaSet;
}

/**
 * Whether a replica that was not where it was asked can be asked once more, on
 * the node `owner`; if so, `request` has it there.
 */
export function redirect(
  request: PlacedReplicas,
  replica: number,
  owner: number | undefined,
): boolean {
  const bit = 1 << replica;
  if (owner === undefined || request.redirected & bit) return false;
  request.redirected |= bit;
  // The list itself may be shared, so it is not changed.
  request.replicas = request.replicas.map((placed, i) =>
    i === replica ? { ...placed, node: owner } : placed
  );
  recountNodes(request.count, request.replicas);
  return true;
}

/** The error of a vnode that was not where it was asked, twice, or whose new owner is unknown. */
export function wrongOwnerError(): WhorlError {
  return new WhorlError(
    "wrong_owner",
    "Cannot reach the vnode as its partition has moved and its new owner is not known or not ready",
  );
}

/** The answer to a caller that has gone. */
export function cancelledError(): WhorlError {
  return new WhorlError("cancelled", "The request was cancelled");
}
