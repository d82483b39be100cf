/**
 * Decides when a vnode master that has ended is restarted. Restarting faster
 * does not cure a full or failing disk: a master that meets one, or that does
 * not start at all, is restarted at once and then after growing pauses. One
 * that was killed, has crashed otherwise, or has a damaged store is restarted
 * at once; restart intensity limits how often.
 *
 * @module
 */
import type { Backoff } from "../../supervisors/backoff.ts";
import {
  type ExitReason,
  formatReason,
  type SerializedError,
} from "../../supervisors/exit_reason.ts";
import { type ErrorCode, isStoreFailure, WhorlError } from "../base/errors.ts";

/** Restarts per master allowed within {@linkcode MASTER_RESTARTS_PERIOD_MS}, on average. */
export const MASTER_RESTARTS_MAX = 10;
/** The window for restarts of masters, in milliseconds. */
export const MASTER_RESTARTS_PERIOD_MS = 10_000;

/**
 * Pauses before restarts of a master whose store fails. Even when chance takes
 * its full share of each, one that never comes up counts for 9 restarts within
 * {@linkcode MASTER_RESTARTS_PERIOD_MS}, so that it does not use up
 * {@linkcode MASTER_RESTARTS_MAX}.
 */
export const MASTER_BACKOFF: Backoff = {
  atOnce: 1,
  minMs: 100,
  maxMs: 5_000,
};

/** Failures of a store that may pass with time; damage does not. */
const CURABLE: ReadonlySet<string> = new Set<ErrorCode>([
  "store_full",
  "store_locked",
  "store_unavailable",
]);

/**
 * Whether a master that ended, or did not start, for `reason` waits before it is
 * started again: a failure of its store that time may cure, or a start that
 * failed for another reason than its store.
 */
export function masterPausesAfter(reason: ExitReason, ran: boolean): boolean {
  const code = storeFailureIn(reason)?.code;
  return code === undefined ? !ran : CURABLE.has(code);
}

/** The same for a part of the node: one that ran and crashed is restarted at once. */
export function partPausesAfter(reason: ExitReason, ran: boolean): boolean {
  return !ran && masterPausesAfter(reason, ran);
}

/**
 * What callers are told while a master that ended for `reason` waits: the
 * failure of its store if that is why, otherwise `vnode_crashed`.
 */
export function masterWaiting(master: string, reason: ExitReason): WhorlError {
  const failure = storeFailureIn(reason);
  return new WhorlError(
    (failure?.code ?? "vnode_crashed") as ErrorCode,
    `Cannot reach a vnode as its master ${master} waits to be started again: ${
      failure?.message ?? formatReason(reason)
    }`,
    { details: { master } },
  );
}

/** Whether a master ended because its store is damaged. */
export function isStoreDamaged(reason: ExitReason): boolean {
  return storeFailureIn(reason)?.code === "store_corrupt";
}

/** The store failure that caused `reason`, at any depth. */
function storeFailureIn(reason: ExitReason): SerializedError | undefined {
  if (typeof reason === "string" || reason.type !== "crash") return undefined;
  let at: SerializedError | undefined = reason.error;
  while (at !== undefined && !isStoreFailure(at.code)) at = at.cause;
  return at;
}
