/**
 * Coordinates one read of a versioned object: it asks all replicas, merges what
 * they hold, answers once R of them have answered, and lingers for the rest to
 * repair those that are behind (DeCandia et al., "Dynamo", 2007, §4.5 and
 * §4.7).
 *
 *     waiting ── R answers ──────────► settling ── all answered, or grace ends ──► repair, finished
 *        ├────── R cannot be met ───►    │
 *        ├────── deadline ──────────►    │
 *        └────── cancel ─────────────────┴───────────────────────────────────────► finished
 *
 * A replica that holds nothing has answered, and counts towards R; so does one
 * that holds an empty object. A tombstone is a version like any other; the
 * store decides what it means to the caller.
 *
 * The shell must report every request it sent as answered or failed, once.
 * Bytes in events need only be valid during the step: what is kept is copied.
 * If the replicas agree, that is only the first answer.
 *
 * @module
 */
import { equalBytes } from "../base/byte_order.ts";
import { briefCopy } from "../base/byte_slab.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
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
import { replicasToEmpty, replicasToRepair } from "./read_repair.ts";
import {
  type FailureList,
  failureName,
  quorumError,
} from "./request_outcome.ts";

/** The events of a read. `replica` is a position in the preference list. */
export type GetEvent =
  | LifeEvent
  | ReplicaEvent
  /** The replica holds this object. */
  | {
    readonly type: "found";
    readonly replica: number;
    readonly bytes: Uint8Array;
  }
  /** The replica holds nothing. */
  | { readonly type: "absent"; readonly replica: number };

/** What the shell must do. */
export type GetEffect =
  | LifeEffect
  /** Ask the replica, at the place given by `GetState.replicas`. */
  | { readonly type: "send_get"; readonly replica: number }
  /** Send {@linkcode repairOf} the read to the replica as a merge, and do not report its answer. */
  | { readonly type: "send_repair"; readonly replica: number }
  | { readonly type: "respond"; readonly result: GetResult };

/** The answer to the caller: the object found, or `undefined` if no replica holds anything. */
export type GetResult =
  | { readonly ok: true; readonly object: Uint8Array | undefined }
  | { readonly ok: false; readonly error: WhorlError };

/** One read, changed in place by its one owner. */
export interface GetState {
  phase: "created" | "waiting" | "settling" | "finished";
  readonly rule: QuorumRule;
  /** How long to linger after the answer. */
  readonly graceMs: number;
  readonly merge: ObjectMerge;
  /** The preference list; vnodes that moved have their new node. */
  replicas: readonly Replica[];
  readonly count: QuorumCount;
  failures: FailureList;
  /** Everything found so far, merged. Never changed in place. */
  object: Uint8Array | undefined;
  /** Replicas that hold exactly `object`. */
  current: ReplicaSet;
  behind: ReplicaSet;
  absent: ReplicaSet;
  corrupt: ReplicaSet;
  /** Replicas that have not answered yet. */
  open: ReplicaSet;
  /** Replicas that were asked a second time. */
  redirected: ReplicaSet;
}

const SEND_GET: readonly GetEffect[] = Array.from(
  { length: 8 },
  (_, replica) => Object.freeze({ type: "send_get", replica }),
);
const SEND_REPAIR: readonly GetEffect[] = Array.from(
  { length: 8 },
  (_, replica) => Object.freeze({ type: "send_repair", replica }),
);

/** A read that has not started. `replicas` is a preference list of at most `rule.n` entries. */
export function createGet(
  replicas: readonly Replica[],
  rule: QuorumRule,
  merge: ObjectMerge,
  graceMs: number = GRACE_MS_DEFAULT,
): GetState {
  return {
    phase: "created",
    rule,
    graceMs,
    merge,
    replicas,
    count: createQuorumCount(replicas, rule),
    failures: undefined,
    object: undefined,
    current: 0,
    behind: 0,
    absent: 0,
    corrupt: 0,
    open: 0,
    redirected: 0,
  };
}

/** Advances the read by one event and appends the effects, in order, to `effects`. */
export function stepGet(
  get: GetState,
  event: GetEvent,
  effects: GetEffect[],
): void {
  if (get.phase === "finished") return;
  switch (event.type) {
    case "start":
      invariant(get.phase === "created", "a read starts once");
      get.phase = "waiting";
      if (verdictOf(get.count) === "impossible") {
        fail(get, "insufficient_vnodes", effects);
        return;
      }
      get.open = get.count.asked;
      effects.push({ type: "set_deadline", afterMs: get.rule.timeoutMs });
      for (let i = 0; i < get.replicas.length; i++) {
        if (get.open & (1 << i)) effects.push(SEND_GET[i] as GetEffect);
      }
      return;
    case "found": {
      const bit = 1 << event.replica;
      if (!(get.open & bit)) return;
      const refused = takeIn(get, bit, event.bytes);
      if (refused !== undefined) {
        replicaFailed(get, event.replica, refused, effects);
        return;
      }
      get.open &= ~bit;
      countSuccess(get.count, event.replica, true);
      decide(get, effects);
      return;
    }
    case "absent": {
      const bit = 1 << event.replica;
      if (!(get.open & bit)) return;
      get.open &= ~bit;
      get.absent |= bit;
      countSuccess(get.count, event.replica, true);
      decide(get, effects);
      return;
    }
    case "failed":
      if (!(get.open & (1 << event.replica))) return;
      replicaFailed(get, event.replica, event.error, effects);
      return;
    case "wrong_owner": {
      if (!(get.open & (1 << event.replica))) return;
      if (!redirect(get, event.replica, event.owner)) {
        replicaFailed(get, event.replica, wrongOwnerError(), effects);
        return;
      }
      effects.push(SEND_GET[event.replica] as GetEffect);
      // The new node may be one that counts already, or one that does not.
      decide(get, effects);
      return;
    }
    case "deadline":
      if (get.phase === "waiting") fail(get, "timeout", effects);
      return;
    case "grace_over":
      if (get.phase === "settling") finish(get, effects);
      return;
    case "cancel":
      if (get.phase !== "settling") {
        effects.push({
          type: "respond",
          result: { ok: false, error: cancelledError() },
        });
      }
      get.phase = "finished";
      effects.push(FINISHED);
      return;
    default:
      return event satisfies never;
  }
}

/**
 * Merges a replica's object into what was found so far; returns an error if it
 * is refused. The bytes come from another process, so they are checked, unless
 * they equal bytes that were checked.
 */
function takeIn(
  get: GetState,
  bit: ReplicaSet,
  bytes: Uint8Array,
): WhorlError | undefined {
  const { object, merge } = get;
  // An earlier version stored an empty object to repair a damaged one.
  if (equalBytes(bytes, merge.nothing)) {
    get.absent |= bit;
    return undefined;
  }
  if (object !== undefined && equalBytes(object, bytes)) {
    get.current |= bit;
    return undefined;
  }
  try {
    if (object === undefined) {
      merge.check(bytes);
      get.object = briefCopy(bytes);
      get.current = bit;
      return undefined;
    }
    const merged = merge.merge(object, bytes);
    if (merged === object) {
      get.behind |= bit;
      return undefined;
    }
    get.behind |= get.current;
    if (merged === bytes) {
      get.object = briefCopy(bytes);
      get.current = bit;
    } else {
      get.object = merged;
      get.current = 0;
      get.behind |= bit;
    }
    return undefined;
  } catch (error) {
    // Anything but a refusal of the bytes is a bug in the merge, and must not
    // be hidden.
    if (!isWhorlError(error)) throw error;
    return new WhorlError(
      "value_corrupt",
      `Cannot use the answer of a replica: ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

function replicaFailed(
  get: GetState,
  replica: number,
  error: WhorlError,
  effects: GetEffect[],
): void {
  get.open &= ~(1 << replica);
  if (failureName(error) === "value_corrupt") get.corrupt |= 1 << replica;
  get.failures ??= new Array(get.replicas.length).fill(undefined);
  get.failures[replica] = error;
  countFailure(get.count, replica);
  decide(get, effects);
}

function decide(get: GetState, effects: GetEffect[]): void {
  if (get.phase === "settling") {
    if (get.open === 0) finish(get, effects);
    return;
  }
  switch (verdictOf(get.count)) {
    case "satisfied":
      effects.push({
        type: "respond",
        result: { ok: true, object: get.object },
      });
      settle(get, effects);
      return;
    case "impossible":
      fail(get, "quorum_unavailable", effects);
      return;
    case "pending":
      return;
  }
}

function fail(
  get: GetState,
  code: "insufficient_vnodes" | "quorum_unavailable" | "timeout",
  effects: GetEffect[],
): void {
  const error = quorumError(code, get.replicas, get.count, get.failures);
  effects.push({ type: "respond", result: { ok: false, error } });
  settle(get, effects);
}

function settle(get: GetState, effects: GetEffect[]): void {
  get.phase = "settling";
  if (get.open === 0) finish(get, effects);
  else effects.push({ type: "set_grace", afterMs: get.graceMs });
}

function finish(get: GetState, effects: GetEffect[]): void {
  get.phase = "finished";
  const { behind, absent, corrupt } = get;
  const { primaries } = get.count;
  let repairs = 0;
  if (get.object !== undefined) {
    repairs = replicasToRepair({ behind, absent, corrupt, primaries });
  } else if (corrupt !== 0) {
    repairs = replicasToEmpty({ absent, corrupt, primaries }, get.rule.n);
  }
  for (let i = 0; i < get.replicas.length; i++) {
    if (repairs & (1 << i)) effects.push(SEND_REPAIR[i] as GetEffect);
  }
  effects.push(FINISHED);
}

/** The object that repairs of a finished read send: everything found. */
export function repairOf({ object, merge }: GetState): Uint8Array {
  return object ?? merge.nothing;
}
