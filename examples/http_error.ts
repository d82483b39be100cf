/**
 * Error responses of an HTTP interface: `{ type, reason }`, where the type is a
 * stable name with hyphens.
 *
 * @module
 */
import { type ErrorCode, isWhorlError } from "../mod.ts";

/** An error response. */
export class HttpError extends Error {
  /** @param type What went wrong, as a stable name. */
  constructor(
    readonly status: number,
    readonly type: string,
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
  // A part of the node has crashed and is being restarted.
  "closed",
];

/**
 * The error response for `error`.
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
  const type = code.replaceAll("_", "-");
  if (refusals.includes(code)) return new HttpError(400, type, message);
  return new HttpError(TRY_AGAIN.includes(code) ? 503 : 500, type, message);
}

/** {@linkcode httpErrorOf} as a response. */
export function errorResponse(
  error: unknown,
  refusals?: readonly ErrorCode[],
): Response {
  const { status, type, message, headers } = httpErrorOf(error, refusals);
  return Response.json({ type, reason: message }, { status, headers });
}
