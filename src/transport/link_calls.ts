/**
 * Calls over links: a method name with plain data, answered by a result or a
 * failure. For rare requests such as administration; frequent ones have frames
 * of their own.
 *
 *     call       MessagePack [method, args, ms left]
 *     callReply  MessagePack result
 *     callError  MessagePack [code, message, details]
 *
 * @module
 */
import { briefCopy } from "../base/byte_slab.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { readFailure, writeFailure } from "../wire/failure.ts";
import type { FrameSink } from "../wire/frame_sink.ts";
import { FrameType } from "../wire/frame_type.ts";
import { decodeMsgpack, encodeMsgpackBriefly } from "../wire/msgpack.ts";

/** Default timeout of a call, in milliseconds. */
export const CALL_TIMEOUT_MS_DEFAULT = 10_000;
/** Calls that may be unanswered at a time; further ones fail with `overload`. */
export const CALLS_MAX = 10_000;

/** Largest failure that is sent, in bytes; of a larger one only the code is. */
const FAILURE_BYTES_MAX = 1024 * 1024;

/** Options of a call. */
export interface LinkCallOptions {
  /** Milliseconds to wait for the answer. @default {10000} */
  readonly timeoutMs?: number | undefined;
  /** Cancels the call. */
  readonly signal?: AbortSignal | undefined;
}

/** Where calls go: a link, which may have ended. */
export interface CallSink extends FrameSink {
  /** Why nothing can be sent any more; undefined while it can. */
  readonly closed?: { readonly message: string } | undefined;
}

interface PendingCall {
  readonly sink: CallSink;
  settle(error: unknown, value?: unknown): void;
}

/** Calls of this process over any number of links. */
export class LinkCalls {
  #runtime: Runtime;
  #pending = new Map<number, PendingCall>();
  #next = 1;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /**
   * Calls `method` at the other end of `sink`.
   *
   * @throws {WhorlError} What the other end answers, `timeout`, `cancelled`,
   * `overload`, `connection_closed` if the link has ended or ends first, or
   * `invalid_argument` or `frame_too_large` if `args` cannot be sent.
   */
  call(
    sink: CallSink,
    method: string,
    args: unknown,
    options: LinkCallOptions = {},
  ): Promise<unknown> {
    const { timeoutMs = CALL_TIMEOUT_MS_DEFAULT, signal } = options;
    if (signal?.aborted) return Promise.reject(cancelled(method));
    // `linkClosed` has run already, so nothing else would fail the call.
    if (sink.closed !== undefined) {
      return Promise.reject(connectionEnded(sink.closed.message));
    }
    if (this.#pending.size >= CALLS_MAX) {
      return Promise.reject(
        new WhorlError(
          "overload",
          `Cannot call '${method}' as ${CALLS_MAX} calls are unanswered`,
        ),
      );
    }
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    let body: Uint8Array;
    try {
      body = encodeMsgpackBriefly([method, args, timeoutMs]);
    } catch (error) {
      return Promise.reject(error);
    }
    const onAbort = (): void => this.#settle(id, cancelled(method));
    const timer: TimerHandle = this.#runtime.setTimer(
      timeoutMs,
      () =>
        this.#settle(
          id,
          new WhorlError(
            "timeout",
            `Cannot call '${method}' in time: no answer in ${timeoutMs} ms`,
          ),
        ),
    );
    signal?.addEventListener("abort", onAbort);
    this.#pending.set(id, {
      sink,
      settle: (error, value) => {
        this.#runtime.clearTimer(timer);
        signal?.removeEventListener("abort", onAbort);
        if (error === undefined) resolve(value);
        else reject(error);
      },
    });
    try {
      sink.begin(FrameType.call, id).raw(body);
      sink.end();
    } catch (error) {
      // It does not fit in a frame.
      this.#settle(id, error);
    }
    return promise;
  }

  /** Handles a `callReply` or `callError` that came from `sink`. */
  answered(
    sink: CallSink,
    type: number,
    correlation: number,
    body: Uint8Array,
  ): void {
    // It came after its timeout, or from a link that was not asked.
    if (this.#pending.get(correlation)?.sink !== sink) return;
    if (type === FrameType.callError) {
      this.#settle(correlation, readFailure(body));
      return;
    }
    try {
      // What the caller gets must not be a view into the receive buffer.
      this.#settle(correlation, undefined, decodeMsgpack(briefCopy(body)));
    } catch (error) {
      this.#settle(correlation, error);
    }
  }

  /** Whether a call waits for an answer from `sink`. */
  awaits(sink: CallSink): boolean {
    return this.#pending.values().some((pending) => pending.sink === sink);
  }

  /** A link has ended: fails the calls that wait for it. */
  linkClosed(sink: CallSink, reason: string): void {
    for (const [id, pending] of [...this.#pending]) {
      if (pending.sink === sink) this.#settle(id, connectionEnded(reason));
    }
  }

  /** Fails all unanswered calls. */
  close(): void {
    for (const id of [...this.#pending.keys()]) {
      this.#settle(id, new WhorlError("closed", "The connection was closed"));
    }
  }

  #settle(id: number, error: unknown, value?: unknown): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.settle(error, value);
  }
}

/** A call that arrived. */
export interface IncomingCall {
  readonly method: string;
  readonly args: unknown;
  /** Milliseconds until the caller gives up. */
  readonly timeLeftMs: number;
}

/** Reads a call. @throws {WhorlError} `protocol_error` if it is not one. */
export function readCall(body: Uint8Array): IncomingCall {
  const message = decodeMsgpack(briefCopy(body));
  if (
    !Array.isArray(message) || typeof message[0] !== "string" ||
    typeof message[2] !== "number"
  ) {
    throw new WhorlError("protocol_error", "Cannot take a call of this form");
  }
  return { method: message[0], args: message[1], timeLeftMs: message[2] };
}

/**
 * Answers a call with the result of `work`, or with the failure of it or of
 * encoding it. Never rejects: failures are for the caller only.
 */
export async function answerCall(
  sink: CallSink,
  correlation: number,
  work: () => Promise<unknown> | unknown,
): Promise<void> {
  let failure: unknown;
  try {
    const body = encodeMsgpackBriefly(await work());
    if (sink.closed !== undefined) return;
    sink.begin(FrameType.callReply, correlation).raw(body);
    sink.end();
    return;
  } catch (error) {
    failure = error;
  }
  if (sink.closed !== undefined) return;
  // Encoded before the frame begins, so that a failure leaves no partial frame.
  const body = failureBody(failure);
  sink.begin(FrameType.callError, correlation).rawRange(
    body.bytes,
    0,
    body.length,
  );
  sink.end();
}

/** A failure as it is sent, always small enough for a frame. */
function failureBody(failure: unknown): ByteWriter {
  const body = new ByteWriter(256);
  try {
    writeFailure(
      body,
      isWhorlError(failure)
        ? failure
        : new WhorlError("internal", reasonOf(failure), { cause: failure }),
    );
    if (body.length <= FAILURE_BYTES_MAX) return body;
  } catch {
    // The failure itself cannot be encoded: its code must do.
  }
  body.clear();
  writeFailure(
    body,
    new WhorlError(
      isWhorlError(failure) ? failure.code : "internal",
      "The call failed, and its error cannot be sent",
    ),
  );
  return body;
}

function connectionEnded(reason: string): WhorlError {
  return new WhorlError("connection_closed", `The connection ended: ${reason}`);
}

function cancelled(method: string): WhorlError {
  return new WhorlError("cancelled", `The call of '${method}' was cancelled`);
}
