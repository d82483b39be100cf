/**
 * What a request reports about its replicas: which answered, which failed and
 * how, and which are missing. It is part of every result, and of the error when
 * a quorum was not met.
 *
 * @module
 */
import { type ErrorCode, WhorlError } from "../base/errors.ts";
import { type QuorumCount, type Replica, unmetDemand } from "./quorum.ts";

/** The answer of a replica so far. */
export type AnswerState =
  /** It succeeded, durably if it is a write. */
  | "done"
  /** It accepted the write, which is not known to be durable yet. */
  | "accepted"
  | "failed"
  /** It has not answered. */
  | "missing"
  /** It was not asked: a fallback of a strict quorum. */
  | "skipped";

/** Failures by replica; created for the first one, as most requests have none. */
export type FailureList = (WhorlError | undefined)[] | undefined;

/** The answer of the `index`-th replica so far. */
export function answerState(count: QuorumCount, index: number): AnswerState {
  const bit = 1 << index;
  if (count.durable & bit) return "done";
  if (count.succeeded & bit) return "accepted";
  if (count.failed & bit) return "failed";
  return count.asked & bit ? "missing" : "skipped";
}

/**
 * The error of a request that did not meet its quorum: `insufficient_vnodes` if
 * the preference list was too short from the start, `quorum_unavailable` if
 * failures caused it (`overload` if all of them were that and no replica has
 * accepted it), `timeout` if answers are missing. Details: `option`, `needed`,
 * `got`, the answers so far, and `againAfterMs` if all overloaded replicas have
 * given one.
 */
export function quorumError(
  code: "insufficient_vnodes" | "quorum_unavailable" | "timeout" | "overload",
  replicas: readonly Replica[],
  count: QuorumCount,
  failures: FailureList,
): WhorlError {
  if (code === "quorum_unavailable" && count.succeeded === 0) {
    const names = (failures ?? []).filter((error) => error !== undefined)
      .map(failureName);
    // No replica has accepted it and nothing is broken: the caller should wait.
    if (names.length > 0 && names.every((name) => name === "overload")) {
      code = "overload";
    }
  }
  const demand = unmetDemand(count, code !== "timeout");
  const action = count.rule.kind === "write" ? "write" : "read";
  const rule = demand === undefined
    ? "no replica could coordinate it"
    : `${demand.option} must be ${demand.needed}`;
  const suffix = code === "timeout" ? " in time" : "";
  const current = demand === undefined
    ? ""
    : `: current value is ${demand.got}`;
  const againAfterMs = code === "overload" ? soonestMs(failures) : undefined;
  return new WhorlError(
    code,
    `Cannot ${action}${suffix} as ${rule}${current}${
      firstFailure(replicas, failures)
    }`,
    {
      details: {
        ...demand,
        ...(againAfterMs === undefined ? {} : { againAfterMs }),
        answers: replicas.map((replica, i) => {
          const error = failures?.[i];
          return {
            partition: replica.partition,
            node: replica.node,
            primary: replica.primary,
            state: answerState(count, i),
            ...(error === undefined
              ? {}
              : { code: failureName(error), message: error.message }),
          };
        }),
      },
    },
  );
}

/**
 * When the first of the failed replicas accepts commands again, in
 * milliseconds, if all have told.
 */
function soonestMs(failures: FailureList): number | undefined {
  let soonest = Infinity;
  for (const error of failures ?? []) {
    if (error === undefined) continue;
    const { againAfterMs } = error.details;
    // It comes from another process and may have any shape.
    if (typeof againAfterMs !== "number" || !(againAfterMs > 0)) return;
    soonest = Math.min(soonest, againAfterMs);
  }
  return soonest;
}

/**
 * What an operator wants to know first about a quorum that was not met; the
 * others are in the details.
 */
function firstFailure(
  replicas: readonly Replica[],
  failures: FailureList,
): string {
  for (const [i, { partition, node }] of replicas.entries()) {
    const error = failures?.[i];
    if (error !== undefined) {
      return `; partition ${partition} on ${node} failed: ${error.message}`;
    }
  }
  return "";
}

/** The name of a failure: the one a module declared, or the code. */
export function failureName(error: WhorlError): string {
  const { failure } = error.details;
  return typeof failure === "string" ? failure : error.code;
}

/** Whether `error` means that nothing can be sent to the node now, or that it has left its cluster. */
export function isOutOfReach(error: WhorlError): boolean {
  const name = failureName(error);
  return name === "not_reachable" || name === "connection_closed" ||
    name === "node_suspected" || hasLeft(error);
}

/** Such a node names itself; otherwise `closed` is about one vnode or request. */
function hasLeft({ code, details }: WhorlError): boolean {
  return code === "closed" && typeof details.node === "string";
}

/** Failures that the same request would meet at every replica, so trying another is useless. */
const REFUSALS: ReadonlySet<string> = new Set<ErrorCode | string>([
  "invalid_argument",
  "invalid_context",
  "invalid_key",
  "invalid_quorum",
  "protocol_error",
  "too_many_siblings",
  "unknown_command",
  "value_too_large",
]);

/** Whether `error` refuses the request itself, wherever it is sent. */
export function isRefusal(error: WhorlError): boolean {
  return REFUSALS.has(failureName(error));
}
