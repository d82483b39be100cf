/**
 * How a process is called, and the right to answer.
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

/** Whoever holds this may answer a call, now or later, once. */
export interface ReplyTo<Reply> {
  /** False once the call has been answered, or the caller has given up waiting. */
  readonly pending: boolean;
  /** Answers. Does nothing if it has been answered or is too late. */
  reply(value: Reply): void;
  /** Answers with an error, which the caller's promise rejects with. */
  fail(error: Error): void;
}
