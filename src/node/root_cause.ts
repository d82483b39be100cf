/**
 * Why a node did not start, without the layers of supervisors around it.
 *
 * @module
 */
import { type ErrorCode, isWhorlError, WhorlError } from "../base/errors.ts";
import { RemoteError } from "../../supervisors/exit_reason.ts";

/**
 * The failure to report to an operator: the innermost `WhorlError` inside the
 * layers of "a child did not start", even if it came from a worker.
 */
export function rootCause(error: unknown): unknown {
  let found: unknown = error;
  for (let at = error; at instanceof Error; at = at.cause) {
    if (isWhorlError(at)) found = at;
    else if (at instanceof RemoteError && at.name === "WhorlError") {
      found = new WhorlError(at.code as ErrorCode, at.message, {
        details: { ...at.details },
        cause: at,
      });
    }
  }
  return found;
}
