/**
 * How a vnode answers: with the reply of a handler or with a failure. A reply
 * that cannot be encoded, or is too large for a frame, is replaced by a
 * failure.
 *
 * @module
 */
import type { ByteWriter } from "../base/byte_writer.ts";
import { type ErrorCode, reasonOf, WhorlError } from "../base/errors.ts";
import { type Failure, writeFailure } from "../wire/failure.ts";
import type { FrameSink } from "../wire/frame_sink.ts";
import { FrameType } from "../wire/frame_type.ts";

/**
 * The refusal of a command that another replica can run; this one has done
 * nothing.
 */
export function declinedError(partition: number, requests: number): WhorlError {
  return new WhorlError(
    "overload",
    `The vnode of partition ${partition} leaves the command to another replica as it has ${requests} in hand`,
    { details: { partition, declined: true } },
  );
}

/** The refusal of a command for a partition that moved to `owner`. */
export function wentElsewhere(partition: number, owner: string): WhorlError {
  return new WhorlError(
    "wrong_owner",
    `Cannot run a command here as partition ${partition} went to ${owner}`,
    { details: { partition, owner } },
  );
}

/** The answers of one vnode. */
export class VnodeAnswers {
  readonly #sink: FrameSink;
  readonly #moduleName: string;
  readonly #partition: number;

  constructor(sink: FrameSink, moduleName: string, partition: number) {
    this.#sink = sink;
    this.#moduleName = moduleName;
    this.#partition = partition;
  }

  /** Answers with what `encode` writes, in a frame of type `type`. */
  answer(
    correlation: number,
    type: number,
    encode: (into: ByteWriter) => void,
  ): void {
    const sink = this.#sink;
    const into = sink.begin(type, correlation);
    const bodyStart = into.length;
    let failure: unknown;
    try {
      encode(into);
    } catch (error) {
      // The frame has begun and must end: empty it and send the failure after it.
      into.length = bodyStart;
      failure = error;
    }
    if (failure !== undefined) {
      into.setU8(bodyStart - 10, FrameType.vnodeError);
      writeFailure(into, this.#unsendable(failure));
    }
    try {
      sink.end();
    } catch (tooLarge) {
      // The frame was removed again, so the failure replaces it.
      this.failWith(correlation, this.#unsendable(tooLarge), "vnode_error");
    }
  }

  #unsendable(cause: unknown): WhorlError {
    return new WhorlError(
      "vnode_error",
      `Cannot encode the answer of '${this.#moduleName}': ${reasonOf(cause)}`,
    );
  }

  /** Answers with a failure; its details name the partition as well. */
  fail(
    correlation: number,
    code: ErrorCode,
    message: string,
    details?: Readonly<Record<string, unknown>>,
  ): void {
    const partition = this.#partition;
    this.#send(correlation, {
      code,
      message,
      details: details === undefined
        ? { partition }
        : { partition, ...details },
    });
  }

  /** Answers with `error`: a `WhorlError` as it is, anything else under the code `otherwise`. */
  failWith(correlation: number, error: unknown, otherwise: ErrorCode): void {
    this.#send(
      correlation,
      error instanceof WhorlError
        ? error
        : { code: otherwise, message: reasonOf(error), details: {} },
    );
  }

  #send(correlation: number, failure: Failure): void {
    const sink = this.#sink;
    writeFailure(sink.begin(FrameType.vnodeError, correlation), failure);
    sink.end();
  }
}
