/**
 * Failures of requests to supervisors, processes and programs.
 *
 * @module
 */

/**
 * Stable names of failures. The first seven are OTP's.
 *
 * - `already_started`: a child of this id runs;
 * - `already_present`: a child of this id is known and does not run;
 * - `not_found`: no child has this id;
 * - `running`: the child runs, so it cannot be restarted or deleted;
 * - `restarting`: the child waits for its restart;
 * - `simple_one_for_one`: a supervisor of identical children has no ids;
 * - `max_children`: the supervisor has as many children as it may;
 * - `start_failed`: the child did not start, see `cause`;
 * - `noproc`: the process or supervisor has ended or is stopping;
 * - `timeout`: no answer came in time;
 * - `overload`: the mailbox is full;
 * - `exited`: the process ended before it answered, see `reason` in `details`;
 * - `already_registered`: another process has this name.
 */
export type SupervisorErrorCode =
  | "already_started"
  | "already_present"
  | "not_found"
  | "running"
  | "restarting"
  | "simple_one_for_one"
  | "max_children"
  | "start_failed"
  | "noproc"
  | "timeout"
  | "overload"
  | "exited"
  | "already_registered";

/** A refused or failed request. Match on {@linkcode SupervisorError.code}. */
export class SupervisorError extends Error {
  /** `SupervisorError`. */
  override name = "SupervisorError";
  /** The failure, as a stable name. */
  readonly code: SupervisorErrorCode;
  /** Details of the failure, as plain data. */
  readonly details: Readonly<Record<string, unknown>>;

  /**
   * Makes one.
   *
   * @param code The stable name of the failure.
   * @param message What was attempted, the rule, and the current value.
   * @param options `details` as plain data, `cause` as the error behind it.
   */
  constructor(
    code: SupervisorErrorCode,
    message: string,
    options: { details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.details = options.details ?? {};
  }
}
