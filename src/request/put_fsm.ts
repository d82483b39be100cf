/**
 * Coordinates one write of a versioned object. One vnode, the coordinator,
 * creates the new version: it alone adds a dot. The resulting object goes to
 * the other replicas while the coordinator's own commit is still in progress.
 *
 *     coordinating ── accepted or reply ──► replicating ── quorum met ────────► answered
 *        │  └─ failed: next candidate           ├───────── cannot be met ────►    │
 *        ├──── none left, or refused ─────┐     └───────── deadline ─────────►    │
 *        └──── deadline ───────────► (still waits, for the grace)                 │
 *                                         ▼              all answered, or grace ends
 *                                     finished ◄──────── resend to those that failed
 *
 * The coordinator is a primary on this node if there is one, else the first
 * primary, else the first fallback. If it fails before it has created the
 * version, the next candidate is asked. If it had created it after all, both
 * versions survive as siblings. That is why a request is never sent to two
 * candidates at once, and why a silent one is left to the failure detector.
 *
 * A busy primary may decline while there are others; then the next primary is
 * asked. If all of them have declined, the first one must do it.
 *
 * The shell must report every request it sent as answered or failed, once.
 * Bytes in events need only be valid during the step: what is kept is copied.
 *
 * @module
 */
import { briefCopy } from "../base/byte_slab.ts";
import { invariant } from "../base/invariant.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { ObjectMerge } from "./object_merge.ts";
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
import { isWorthResending } from "./read_repair.ts";
import {
  type FailureList,
  failureName,
  isOutOfReach,
  isRefusal,
  quorumError,
} from "./request_outcome.ts";

/** The events of a write. `replica` is a position in the preference list. */
export type PutEvent =
  | LifeEvent
  | ReplicaEvent
  /**
   * The replica has accepted the write and will report when it is durable; the
   * coordinator returns the object.
   */
  | {
    readonly type: "accepted";
    readonly replica: number;
    readonly object: Uint8Array | undefined;
  }
  /** The write is durable on the replica; the coordinator returns the object. */
  | {
    readonly type: "reply";
    readonly replica: number;
    readonly object: Uint8Array | undefined;
  };

/** What the shell must do. */
export type PutEffect =
  | LifeEffect
  /** Send the write itself to the replica, at the place given by `PutState.replicas`. */
  | {
    readonly type: "send_put";
    readonly replica: number;
    /** There is another primary to ask if this one is busy. */
    readonly mayDecline: boolean;
    /** Ask for an early answer: others wait for the object, or it counts. */
    readonly early: boolean;
  }
  /** Send `PutState.object` as a merge; ask for an early answer if `PutState.wantsEarly`. */
  | { readonly type: "send_merge"; readonly replica: number }
  /** Send `PutState.object` as a merge, and do not report its answer. */
  | { readonly type: "send_repair"; readonly replica: number }
  | { readonly type: "respond"; readonly result: PutResult };

/** The answer to the caller: the current object, including siblings. */
export type PutResult =
  | { readonly ok: true; readonly object: Uint8Array }
  | { readonly ok: false; readonly error: WhorlError };

/** One write, changed in place by its one owner. */
export interface PutState {
  phase: "created" | "coordinating" | "replicating" | "finished";
  /** Whether the caller has been answered. */
  answered: boolean;
  readonly rule: QuorumRule;
  /** How long to linger after the answer. */
  readonly graceMs: number;
  /** Index of the node this runs on, or -1. */
  readonly localNode: number;
  /** Checks the coordinator's object. */
  readonly objects: Pick<ObjectMerge, "check"> | undefined;
  /** Fewer replicas need be durable than must have accepted, so early answers of all help. */
  readonly wantsEarly: boolean;
  /** The preference list; vnodes that moved have their new node. */
  replicas: readonly Replica[];
  readonly count: QuorumCount;
  failures: FailureList;
  /** The replica that creates, or created, the version. */
  coordinator: number;
  /** Replicas that were asked to coordinate. */
  tried: ReplicaSet;
  /** Of these, those that declined and were not asked again. */
  declined: ReplicaSet;
  /** The object that the coordinator returned. */
  object: Uint8Array | undefined;
  /** Replicas that have not answered yet. */
  open: ReplicaSet;
  /** Replicas that were asked a second time. */
  redirected: ReplicaSet;
}

const SEND_PUT: readonly PutEffect[] = Array.from(
  { length: 8 },
  (_, replica) =>
    Object.freeze({
      type: "send_put",
      replica,
      mayDecline: false,
      early: true,
    }),
);
const SEND_LAST_PUT: readonly PutEffect[] = Array.from(
  { length: 8 },
  (_, replica) =>
    Object.freeze({
      type: "send_put",
      replica,
      mayDecline: false,
      early: false,
    }),
);
const OFFER_PUT: readonly PutEffect[] = Array.from(
  { length: 8 },
  (_, replica) =>
    Object.freeze({ type: "send_put", replica, mayDecline: true, early: true }),
);
const SEND_MERGE: readonly PutEffect[] = Array.from(
  { length: 8 },
  (_, replica) => Object.freeze({ type: "send_merge", replica }),
);
const SEND_REPAIR: readonly PutEffect[] = Array.from(
  { length: 8 },
  (_, replica) => Object.freeze({ type: "send_repair", replica }),
);

/**
 * A write that has not started.
 *
 * @param replicas A preference list of at most `rule.n` entries.
 * @param localNode Index of the node this runs on, or -1.
 * @param objects Checks the coordinator's object; without it, the object is
 * trusted.
 */
export function createPut(
  replicas: readonly Replica[],
  rule: QuorumRule,
  localNode: number,
  objects?: Pick<ObjectMerge, "check">,
  graceMs: number = GRACE_MS_DEFAULT,
): PutState {
  return {
    phase: "created",
    answered: false,
    rule,
    graceMs,
    localNode,
    objects,
    wantsEarly: rule.durable < rule.need,
    replicas,
    count: createQuorumCount(replicas, rule),
    failures: undefined,
    coordinator: -1,
    tried: 0,
    declined: 0,
    object: undefined,
    open: 0,
    redirected: 0,
  };
}

/** Advances the write by one event and appends the effects, in order, to `effects`. */
export function stepPut(
  put: PutState,
  event: PutEvent,
  effects: PutEffect[],
): void {
  if (put.phase === "finished") return;
  switch (event.type) {
    case "start":
      invariant(put.phase === "created", "a write starts once");
      put.phase = "coordinating";
      if (verdictOf(put.count) === "impossible") {
        fail(put, "insufficient_vnodes", effects);
        return;
      }
      effects.push({ type: "set_deadline", afterMs: put.rule.timeoutMs });
      coordinateElsewhere(put, effects);
      return;
    case "accepted":
      if (!(put.open & (1 << event.replica))) return;
      if (refusedObject(put, event.replica, event.object, effects)) return;
      succeeded(put, event.replica, event.object, false, effects);
      return;
    case "reply":
      if (!(put.open & (1 << event.replica))) return;
      if (refusedObject(put, event.replica, event.object, effects)) return;
      put.open &= ~(1 << event.replica);
      succeeded(put, event.replica, event.object, true, effects);
      return;
    case "failed":
      if (!(put.open & (1 << event.replica))) return;
      replicaFailed(put, event.replica, event.error, effects);
      return;
    case "wrong_owner": {
      if (!(put.open & (1 << event.replica))) return;
      if (!redirect(put, event.replica, event.owner)) {
        replicaFailed(put, event.replica, wrongOwnerError(), effects);
        return;
      }
      effects.push(
        put.phase === "coordinating"
          ? sendPut(put, event.replica)
          : SEND_MERGE[event.replica] as PutEffect,
      );
      // The new node may be one that counts already, or one that does not.
      decide(put, effects);
      return;
    }
    case "deadline":
      if (!put.answered) fail(put, "timeout", effects);
      return;
    case "grace_over":
      if (put.answered) finish(put, effects);
      return;
    case "cancel":
      if (!put.answered) {
        effects.push({
          type: "respond",
          result: { ok: false, error: cancelledError() },
        });
      }
      put.phase = "finished";
      effects.push(FINISHED);
      return;
    default:
      return event satisfies never;
  }
}

/** Asks the next candidate to coordinate; false if none is left. */
function coordinateElsewhere(put: PutState, effects: PutEffect[]): boolean {
  const candidate = nextCandidate(put);
  if (candidate < 0) return false;
  const bit = 1 << candidate;
  const { asked, primaries } = put.count;
  const others = asked & primaries & ~bit & (~put.tried | put.declined);
  const offered = (primaries & bit & ~put.tried) !== 0 && others !== 0;
  put.coordinator = candidate;
  put.tried |= bit;
  put.declined &= ~bit;
  put.open |= bit;
  effects.push(
    offered ? OFFER_PUT[candidate] as PutEffect : sendPut(put, candidate),
  );
  return true;
}

/**
 * An early answer costs a message, so a replica for whose object no other one
 * waits is asked for it only where it counts.
 */
function sendPut(put: PutState, replica: number): PutEffect {
  const { asked, failed } = put.count;
  const others = asked & ~failed & ~(1 << replica);
  const early = others !== 0 || put.wantsEarly;
  return (early ? SEND_PUT : SEND_LAST_PUT)[replica] as PutEffect;
}

/**
 * Among the untried: a primary on this node, else the first primary; else the
 * first primary that has declined; else the first untried fallback; -1 if none
 * is left.
 */
function nextCandidate(put: PutState): number {
  const untried = put.count.asked & ~put.tried;
  const left = untried & put.count.primaries || put.declined || untried;
  if (left === 0) return -1;
  const primaries = left & put.count.primaries;
  for (let i = 0, rest = primaries; rest !== 0; i++, rest >>= 1) {
    if (rest & 1 && (put.replicas[i] as Replica).node === put.localNode) {
      return i;
    }
  }
  return 31 - Math.clz32(lowestOf(left));
}

function lowestOf(set: ReplicaSet): ReplicaSet {
  return set & -set;
}

/**
 * Whether the coordinator's answer is not an object. It comes from another
 * process, so it is checked before it is passed on to the caller and to other
 * replicas; a coordinator with an invalid answer has failed.
 */
function refusedObject(
  put: PutState,
  replica: number,
  object: Uint8Array | undefined,
  effects: PutEffect[],
): boolean {
  if (put.phase !== "coordinating") return false;
  try {
    if (object === undefined) {
      throw new WhorlError("protocol_error", "Cannot find an object in it");
    }
    put.objects?.check(object);
    return false;
  } catch (error) {
    // Anything but a refusal of the bytes is a bug in the check, and must not
    // be hidden.
    if (!isWhorlError(error)) throw error;
    const refusal = new WhorlError(
      "value_corrupt",
      `Cannot use the answer of a coordinator: ${reasonOf(error)}`,
      { cause: error },
    );
    replicaFailed(put, replica, refusal, effects);
    return true;
  }
}

function succeeded(
  put: PutState,
  replica: number,
  object: Uint8Array | undefined,
  durable: boolean,
  effects: PutEffect[],
): void {
  countSuccess(put.count, replica, durable);
  // It may have failed to coordinate before it merged the object of another.
  if (put.failures !== undefined) put.failures[replica] = undefined;
  if (put.phase === "coordinating") {
    // The version exists now, so the others get it even if the caller was told
    // of a timeout.
    invariant(object !== undefined, "what a coordinator made was checked");
    put.object = briefCopy(object);
    put.phase = "replicating";
    const others = put.count.asked & ~put.count.failed & ~(1 << replica);
    put.open |= others;
    for (let i = 0; i < put.replicas.length; i++) {
      if (others & (1 << i)) effects.push(SEND_MERGE[i] as PutEffect);
    }
  }
  decide(put, effects);
}

function replicaFailed(
  put: PutState,
  replica: number,
  error: WhorlError,
  effects: PutEffect[],
): void {
  put.open &= ~(1 << replica);
  put.failures ??= new Array(put.replicas.length).fill(undefined);
  put.failures[replica] = error;
  if (put.phase === "replicating") {
    countFailure(put.count, replica);
    decide(put, effects);
    return;
  }
  if (isRefusal(error)) {
    refuse(put, error, effects);
    return;
  }
  if (hasDeclined(error)) put.declined |= 1 << replica;
  // A replica that could not coordinate, perhaps because its own copy is
  // damaged, can still merge the object of another one. A suspected one may
  // still answer its first request, and that answer must not be taken for one
  // to a merge, so it is not asked again.
  if (isOutOfReach(error) || failureName(error) === "wrong_owner") {
    countFailure(put.count, replica);
  }
  if (put.answered) {
    finish(put, effects);
    return;
  }
  if (
    verdictOf(put.count) !== "impossible" && coordinateElsewhere(put, effects)
  ) return;
  for (let i = 0; i < put.replicas.length; i++) {
    if (put.failures[i] !== undefined) countFailure(put.count, i);
  }
  fail(put, "quorum_unavailable", effects);
}

/** Whether a vnode has only declined to coordinate. */
function hasDeclined(error: WhorlError): boolean {
  return error.code === "overload" && error.details.declined === true;
}

function decide(put: PutState, effects: PutEffect[]): void {
  if (put.answered) {
    if (put.open === 0) finish(put, effects);
    return;
  }
  switch (verdictOf(put.count)) {
    case "satisfied":
      invariant(put.object !== undefined, "replicas take what was made");
      effects.push({
        type: "respond",
        result: { ok: true, object: put.object },
      });
      settle(put, effects);
      return;
    case "impossible":
      fail(put, "quorum_unavailable", effects);
      return;
    case "pending":
      return;
  }
}

function fail(
  put: PutState,
  code: "insufficient_vnodes" | "quorum_unavailable" | "timeout",
  effects: PutEffect[],
): void {
  refuse(
    put,
    quorumError(code, put.replicas, put.count, put.failures),
    effects,
  );
}

function refuse(put: PutState, error: WhorlError, effects: PutEffect[]): void {
  if (!put.answered) {
    effects.push({ type: "respond", result: { ok: false, error } });
  }
  settle(put, effects);
}

function settle(put: PutState, effects: PutEffect[]): void {
  put.answered = true;
  if (put.open === 0) finish(put, effects);
  else effects.push({ type: "set_grace", afterMs: put.graceMs });
}

function finish(put: PutState, effects: PutEffect[]): void {
  put.phase = "finished";
  if (put.object !== undefined && put.failures !== undefined) {
    for (let i = 0; i < put.replicas.length; i++) {
      const error = put.failures[i];
      if (error !== undefined && isWorthResending(error)) {
        effects.push(SEND_REPAIR[i] as PutEffect);
      }
    }
  }
  effects.push(FINISHED);
}
