/**
 * When a vnode master that has fallen is started again. A disk that is full or
 * erring cannot be cured by starting faster: a master whose store fails, or that
 * does not start at all, is tried at once and then after longer and longer
 * pauses. What has crashed or was killed otherwise is started again at once, and
 * a master that does so over and over is what restart intensity is for.
 *
 * @module
 */
import type { Backoff } from "../../supervisors/backoff.ts";
import {
  type ExitReason,
  formatReason,
  type SerializedError,
} from "../../supervisors/exit_reason.ts";
import { type ErrorCode, WhorlError } from "../base/errors.ts";

/** Restarts of one master on average borne within {@linkcode MASTER_RESTARTS_PERIOD_MS}. */
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

/** Whether a master that ran and ended for `reason` waits before it is started again: its store has failed. */
export function masterPausesAfter(reason: ExitReason): boolean {
  return storeFailureIn(reason) !== undefined;
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

/** The failure of a store behind `reason`, however deep. */
function storeFailureIn(reason: ExitReason): SerializedError | undefined {
  if (typeof reason === "string" || reason.type !== "crash") return undefined;
  let at: SerializedError | undefined = reason.error;
  while (at !== undefined && !at.code?.startsWith("store_")) at = at.cause;
  return at;
}
