/**
 * Which failures leave it open whether something happened.
 *
 * @module
 */
import { type ErrorCode, isWhorlError } from "../base/errors.ts";

const OPEN_CODES: readonly ErrorCode[] = [
  "timeout",
  "leader_lost",
  "connection_closed",
  "node_suspected",
  "cancelled",
  "closed",
];

/**
 * Whether an operation or a change of members that failed with `error` may have
 * happened or may still happen, so that only a read can tell.
 */
export function raKvOutcomeUnknown(error: unknown): boolean {
  return isWhorlError(error) && error.details["outcomeUnknown"] !== false &&
    OPEN_CODES.includes(error.code);
}
