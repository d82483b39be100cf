/**
 * How a client submits an operation and waits for its outcome, for `kv` as well
 * as for an application's own modules.
 *
 * @module
 */
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { OperationResult } from "./operation_codec.ts";
import type { OperationTarget } from "./operation_target.ts";

/** Carries operations: the host of coordinators in a node, or a client's connection. */
export interface OperationCarrier {
  /**
   * Accepts the operation in `bytes[start, end)`, which is copied, and answers
   * `target` once, possibly before this returns.
   */
  submit(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: OperationTarget,
  ): void;
}

/**
 * Submits `operation` to `carrier`, which copies it, and resolves to `resultOf`
 * its result.
 *
 * @param failureOf Converts the error for the caller.
 * @default {unchanged}
 * @throws {WhorlError} `cancelled` when `signal` fires first, although the
 * operation may still be carried out; the result of `failureOf`; what
 * `resultOf` throws.
 */
export function submitOperation<Result>(
  carrier: OperationCarrier,
  operation: ByteWriter,
  signal: AbortSignal | undefined,
  resultOf: (result: OperationResult) => Result,
  failureOf: (error: WhorlError) => WhorlError = (error) => error,
): Promise<Result> {
  if (signal?.aborted) return Promise.reject(cancelled());
  const target = new AwaitedOperation(resultOf, failureOf);
  if (signal !== undefined) target.endWith(signal);
  try {
    carrier.submit(operation.bytes, 0, operation.length, target);
  } catch (error) {
    target.letGo();
    throw error;
  }
  return target.promise;
}

/**
 * An operation with a waiting caller. It is a class because closures for each
 * operation would be most of its cost.
 */
class AwaitedOperation<Result> implements OperationTarget {
  readonly promise: Promise<Result>;
  readonly #resolve: (result: Result) => void;
  readonly #reject: (error: unknown) => void;
  readonly #resultOf: (result: OperationResult) => Result;
  readonly #failureOf: (error: WhorlError) => WhorlError;
  #signal: AbortSignal | undefined;
  #onAbort: (() => void) | undefined;

  constructor(
    resultOf: (result: OperationResult) => Result,
    failureOf: (error: WhorlError) => WhorlError,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#resultOf = resultOf;
    this.#failureOf = failureOf;
  }

  /** Cancels the wait when `signal` fires. */
  endWith(signal: AbortSignal): void {
    this.#signal = signal;
    this.#onAbort = () => this.#reject(cancelled());
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Removes the listener from the signal. */
  letGo(): void {
    if (this.#signal === undefined || this.#onAbort === undefined) return;
    this.#signal.removeEventListener("abort", this.#onAbort);
  }

  operationDone(result: OperationResult): void {
    this.letGo();
    try {
      this.#resolve(this.#resultOf(result));
    } catch (error) {
      this.#reject(error);
    }
  }

  operationFailed(error: WhorlError): void {
    this.letGo();
    this.#reject(this.#failureOf(error));
  }
}

function cancelled(): WhorlError {
  return new WhorlError("cancelled", "The operation was cancelled");
}
