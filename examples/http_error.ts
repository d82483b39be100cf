/**
 * What an HTTP interface answers when something is not as it should be.
 *
 * @module
 */
import { type ErrorCode, isWhorlError } from "../mod.ts";

/** A response that is not what was asked for. */
export class HttpError extends Error {
  /** @param code What went wrong, as a stable name. */
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly headers: Record<string, string> = {},
  ) {
    super(message);
  }
}

/** Failures after which the same request may succeed. */
const TRY_AGAIN: readonly ErrorCode[] = [
  "timeout",
  "overload",
  "quorum_unavailable",
  "insufficient_vnodes",
  "coordinator_lost",
  "node_suspected",
  "connection_closed",
  // A part of the node has fallen and is being started again.
  "closed",
];

/**
 * What a caller is told of `error`.
 *
 * @param refusals Failures that say that the request itself is wrong. @default {[]}
 */
export function httpErrorOf(
  error: unknown,
  refusals: readonly ErrorCode[] = [],
): HttpError {
  if (error instanceof HttpError) return error;
  const { message } = error instanceof Error ? error : new Error(`${error}`);
  if (!isWhorlError(error)) return new HttpError(500, "internal", message);
  const { code } = error;
  if (refusals.includes(code)) return new HttpError(400, code, message);
  return new HttpError(TRY_AGAIN.includes(code) ? 503 : 500, code, message);
}
