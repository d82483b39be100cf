/**
 * How a client hands an operation on and waits for what comes of it, the same
 * for `kv` and for an application's own modules.
 *
 * @module
 */
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { OperationResult } from "./operation_codec.ts";
import type { OperationTarget } from "./operation_target.ts";

/** Whoever carries operations: the host of coordinators in a node, or a client's connection. */
export interface OperationCarrier {
  /** Takes the operation in `bytes[start, end)`, which is copied, and answers `target` once, possibly before this returns. */
  submit(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: OperationTarget,
  ): void;
}

/**
 * Hands `operation` to `carrier`, which copies it, and resolves to what
 * `resultOf` makes of the result.
 *
 * @param failureOf The failure as the caller knows it. @default {as it is}
 * @throws {WhorlError} `cancelled` when `signal` fires first, though the
 * operation may yet be carried out; what `failureOf` makes of a failure; what
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
  const { promise, resolve, reject } = Promise.withResolvers<Result>();
  const onAbort = (): void => reject(cancelled());
  signal?.addEventListener("abort", onAbort, { once: true });
  const target: OperationTarget = {
    operationDone(result) {
      signal?.removeEventListener("abort", onAbort);
      try {
        resolve(resultOf(result));
      } catch (error) {
        reject(error);
      }
    },
    operationFailed(error) {
      signal?.removeEventListener("abort", onAbort);
      reject(failureOf(error));
    },
  };
  try {
    carrier.submit(operation.bytes, 0, operation.length, target);
  } catch (error) {
    signal?.removeEventListener("abort", onAbort);
    throw error;
  }
  return promise;
}

function cancelled(): WhorlError {
  return new WhorlError("cancelled", "The operation was cancelled");
}
