/**
 * Where the outcome of an operation goes.
 *
 * @module
 */
import type { WhorlError } from "../base/errors.ts";
import type { OperationResult } from "./operation_codec.ts";

/** Receives the outcome of one operation: exactly one of its methods is called, once. */
export interface OperationTarget {
  /** It succeeded. The target may keep the bytes in `result`. */
  operationDone(result: OperationResult): void;
  /**
   * It failed; a write that failed with `timeout`, `coordinator_lost` or
   * `node_suspected` may have happened.
   */
  operationFailed(error: WhorlError): void;
  /**
   * The encoded outcome: `type` is `operationReply` or `operationError`, its
   * body is `bytes[start, end)`, valid only during the call. For targets that
   * pass the outcome on; others get it decoded.
   */
  operationAnswered?(
    type: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void;
}
