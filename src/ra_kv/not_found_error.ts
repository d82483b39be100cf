/**
 * The error of a delete that found nothing to delete.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";

/** The key of a delete does not exist, as a majority confirms. */
export class NotFoundError extends WhorlError {
  /** Its name in messages. */
  override name = "NotFoundError";
  /** Name of the leader's node, which answered. */
  readonly leader: string;

  /** @internal @param error The `not_found` that a leader answered. */
  constructor(error: WhorlError) {
    super("not_found", error.message, {
      details: { ...error.details },
      cause: error,
    });
    this.leader = String(error.details["leader"] ?? "");
  }
}
