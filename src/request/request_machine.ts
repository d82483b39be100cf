/**
 * What the state machines of requests have in common: events that every one can
 * meet, effects that every shell can carry out, and what becomes of a vnode that
 * is not where the ring said.
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

/** What happens to replicas of a request. `replica` is a place in the preference list. */
export type ReplicaEvent =
  /** Any failure, also that it could not be sent or the connection was lost. */
  | {
    readonly type: "failed";
    readonly replica: number;
    readonly error: WhorlError;
  }
  /** The vnode is not there; `owner` is the node that has it now, if that is known. */
  | {
    readonly type: "wrong_owner";
    readonly replica: number;
    readonly owner: number | undefined;
  };

/** What happens to every request. */
export type LifeEvent =
  | { readonly type: "start" }
  | { readonly type: "deadline" }
  | { readonly type: "grace_over" }
  /** Nobody waits for the answer any more. */
  | { readonly type: "cancel" };

/** What every shell can do. */
export type LifeEffect =
  /** Deliver `deadline` so many milliseconds from now. */
  | { readonly type: "set_deadline"; readonly afterMs: number }
  /** Deliver `grace_over` so many milliseconds from now, instead of `deadline`. */
  | { readonly type: "set_grace"; readonly afterMs: number }
  /** Nothing more will come; forget the timer and the request. */
  | { readonly type: "finished" };

/** Nothing more will come. */
export const FINISHED: LifeEffect & { readonly type: "finished" } = Object
  .freeze({ type: "finished" });

/** The part of a request's state that says where its replicas are. */
export interface PlacedReplicas {
  /** The preference list, with vnodes that moved where they are now. */
  replicas: readonly Replica[];
  readonly count: QuorumCount;
  /** Those that have been asked a second time. */
  redirected: ReplicaSet;
}

/**
 * Whether the replica, which was not where it had been asked, can be asked once
 * more on the node `owner`; then `request` has it there.
 */
export function redirect(
  request: PlacedReplicas,
  replica: number,
  owner: number | undefined,
): boolean {
  const bit = 1 << replica;
  if (owner === undefined || request.redirected & bit) return false;
  request.redirected |= bit;
  // The list itself may be shared and stays as it is.
  request.replicas = request.replicas.map((placed, i) =>
    i === replica ? { ...placed, node: owner } : placed
  );
  recountNodes(request.count, request.replicas);
  return true;
}

/** The failure of a vnode that was not where the ring said, twice. */
export function wrongOwnerError(): WhorlError {
  return new WhorlError(
    "wrong_owner",
    "Cannot reach the vnode as its partition has moved and its new owner is not known or not ready",
  );
}

/** The answer to a caller who has gone. */
export function cancelledError(): WhorlError {
  return new WhorlError("cancelled", "The request was cancelled");
}
