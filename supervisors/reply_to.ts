/**
 * Options of a call, and the right to answer it.
 *
 * @module
 */
/** How to call a process. */
export interface CallOptions {
  /** Longest wait for the answer, in milliseconds. @default {5000} */
  readonly timeoutMs?: number;
}

/** OTP's default: five seconds. */
export const CALL_TIMEOUT_MS_DEFAULT = 5_000;

/** The right to answer a call once, now or later. */
export interface ReplyTo<Reply> {
  /** False once the call has been answered, or the caller has given up waiting. */
  readonly pending: boolean;
  /** Answers. Does nothing if the call has been answered or has timed out. */
  reply(value: Reply): void;
  /** Answers with an error, which the caller's promise rejects with. */
  fail(error: Error): void;
}
