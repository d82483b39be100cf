/**
 * Coordinates one command to N vnodes of a user's module: it succeeds once
 * enough of them have succeeded (`quorum.ts`), fails as soon as that has become
 * impossible or at the deadline, and then lingers for the rest.
 *
 *     waiting ── quorum met ─────────► settling ── all answered, or grace ends ──► finished
 *        ├────── cannot be met ──────►    │
 *        ├────── deadline ───────────►    │
 *        └────── cancel ──────────────────┴──────────────────────────────────────► finished
 *
 * If a vnode answers that it no longer owns the partition, the request is sent
 * once more, to the new owner. The shell sends, keeps one timer and answers the
 * caller; it must report every request it sent as answered or failed, exactly
 * once.
 *
 * Bytes in events need only be valid during the step: what is kept is copied.
 *
 * @module
 */
import { briefCopy } from "../base/byte_slab.ts";
import { invariant } from "../base/invariant.ts";
import type { WhorlError } from "../base/errors.ts";
import {
  countFailure,
  countSuccess,
  createQuorumCount,
  type QuorumCount,
  type Replica,
  type ReplicaSet,
  verdictOf,
} from "./quorum.ts";
import type { QuorumRule } from "./quorum_options.ts";
import {
  cancelledError,
  FINISHED,
  GRACE_MS_DEFAULT,
  type LifeEffect,
  type LifeEvent,
  redirect,
  type ReplicaEvent,
  wrongOwnerError,
} from "./request_machine.ts";
import { type FailureList, quorumError } from "./request_outcome.ts";

/** The events of a request. `replica` is a position in the preference list. */
export type OpEvent =
  | LifeEvent
  | ReplicaEvent
  /** The replica has accepted the command; a `reply` or `failed` follows. */
  | {
    readonly type: "accepted";
    readonly replica: number;
    readonly bytes: Uint8Array;
  }
  | {
    readonly type: "reply";
    readonly replica: number;
    readonly bytes: Uint8Array;
  };

/** What the shell must do. */
export type OpEffect =
  | LifeEffect
  /** Send the command to the replica, at the place given by `OpState.replicas`. */
  | { readonly type: "send"; readonly replica: number }
  | { readonly type: "respond"; readonly result: OpResult };

/** The answer to the caller; the answers of the replicas are in `OpState`. */
export type OpResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly error: WhorlError };

/** One request, changed in place by its one owner. */
export interface OpState {
  phase: "created" | "waiting" | "settling" | "finished";
  readonly rule: QuorumRule;
  /** How long to linger after the answer. */
  readonly graceMs: number;
  /** The preference list; vnodes that moved have their new node. */
  replicas: readonly Replica[];
  readonly count: QuorumCount;
  /** The answer of each replica so far; a final answer replaces an early one. */
  readonly replies: (Uint8Array | undefined)[];
  failures: FailureList;
  /** Replicas that have not answered yet. */
  open: ReplicaSet;
  /** Replicas that were asked a second time. */
  redirected: ReplicaSet;
}

const SEND: readonly OpEffect[] = Array.from(
  { length: 8 },
  (_, replica) => Object.freeze({ type: "send", replica }),
);
const OK: OpResult = Object.freeze({ ok: true });
const RESPOND_OK: OpEffect = Object.freeze({ type: "respond", result: OK });

/** A request that has not started. `replicas` is a preference list of at most `rule.n` entries. */
export function createOp(
  replicas: readonly Replica[],
  rule: QuorumRule,
  graceMs: number = GRACE_MS_DEFAULT,
): OpState {
  return {
    phase: "created",
    rule,
    graceMs,
    replicas,
    count: createQuorumCount(replicas, rule),
    replies: new Array(replicas.length).fill(undefined),
    failures: undefined,
    open: 0,
    redirected: 0,
  };
}

/** Advances the request by one event and appends the effects, in order, to `effects`. */
export function stepOp(op: OpState, event: OpEvent, effects: OpEffect[]): void {
  if (op.phase === "finished") return;
  switch (event.type) {
    case "start":
      invariant(op.phase === "created", "a request starts once");
      op.phase = "waiting";
      if (verdictOf(op.count) === "impossible") {
        fail(op, "insufficient_vnodes", effects);
        return;
      }
      op.open = op.count.asked;
      effects.push({ type: "set_deadline", afterMs: op.rule.timeoutMs });
      for (let i = 0; i < op.replicas.length; i++) {
        if (op.open & (1 << i)) effects.push(SEND[i] as OpEffect);
      }
      return;
    case "accepted":
      if (!(op.open & (1 << event.replica))) return;
      op.replies[event.replica] = briefCopy(event.bytes);
      countSuccess(op.count, event.replica, false);
      decide(op, effects);
      return;
    case "reply":
      if (!(op.open & (1 << event.replica))) return;
      op.open &= ~(1 << event.replica);
      op.replies[event.replica] = briefCopy(event.bytes);
      countSuccess(op.count, event.replica, true);
      decide(op, effects);
      return;
    case "failed":
      if (!(op.open & (1 << event.replica))) return;
      replicaFailed(op, event.replica, event.error, effects);
      return;
    case "wrong_owner": {
      if (!(op.open & (1 << event.replica))) return;
      if (!redirect(op, event.replica, event.owner)) {
        replicaFailed(op, event.replica, wrongOwnerError(), effects);
        return;
      }
      effects.push(SEND[event.replica] as OpEffect);
      // The new node may be one that counts already, or one that does not.
      decide(op, effects);
      return;
    }
    case "deadline":
      if (op.phase === "waiting") fail(op, "timeout", effects);
      return;
    case "grace_over":
      if (op.phase === "settling") finish(op, effects);
      return;
    case "cancel":
      if (op.phase !== "settling") {
        effects.push({
          type: "respond",
          result: { ok: false, error: cancelledError() },
        });
      }
      finish(op, effects);
      return;
    default:
      return event satisfies never;
  }
}

function replicaFailed(
  op: OpState,
  replica: number,
  error: WhorlError,
  effects: OpEffect[],
): void {
  op.open &= ~(1 << replica);
  op.replies[replica] = undefined;
  op.failures ??= new Array(op.replicas.length).fill(undefined);
  op.failures[replica] = error;
  countFailure(op.count, replica);
  decide(op, effects);
}

function decide(op: OpState, effects: OpEffect[]): void {
  if (op.phase === "settling") {
    if (op.open === 0) finish(op, effects);
    return;
  }
  switch (verdictOf(op.count)) {
    case "satisfied":
      effects.push(RESPOND_OK);
      settle(op, effects);
      return;
    case "impossible":
      fail(op, "quorum_unavailable", effects);
      return;
    case "pending":
      return;
  }
}

function fail(
  op: OpState,
  code: "insufficient_vnodes" | "quorum_unavailable" | "timeout",
  effects: OpEffect[],
): void {
  const error = quorumError(code, op.replicas, op.count, op.failures);
  effects.push({ type: "respond", result: { ok: false, error } });
  settle(op, effects);
}

function settle(op: OpState, effects: OpEffect[]): void {
  op.phase = "settling";
  if (op.open === 0) finish(op, effects);
  else effects.push({ type: "set_grace", afterMs: op.graceMs });
}

function finish(op: OpState, effects: OpEffect[]): void {
  op.phase = "finished";
  effects.push(FINISHED);
}
