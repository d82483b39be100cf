/**
 * That there was nothing to delete.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";

/** A key that was to be deleted is not there: a majority agrees. */
export class NotFoundError extends WhorlError {
  /** Its name in messages. */
  override name = "NotFoundError";
  /** Name of the leader's node that said so. */
  readonly leader: string;

  /** @param error The failure as it travelled here. */
  /** @internal Made from the `not_found` that a leader answered. */
  constructor(error: WhorlError) {
    super("not_found", error.message, {
      details: { ...error.details },
      cause: error,
    });
    this.leader = String(error.details["leader"] ?? "");
  }
}
