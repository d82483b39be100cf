/**
 * Who asked for an operation, and how it is told what came of it.
 *
 * @module
 */
import type { WhorlError } from "../base/errors.ts";
import type { OperationResult } from "./operation_codec.ts";

/** Gets the outcome of one operation: exactly one of its methods is called, once. */
export interface OperationTarget {
  /** It succeeded. The bytes in `result` are the target's to keep. */
  operationDone(result: OperationResult): void;
  /** It failed; a write that failed with `timeout`, `coordinator_lost` or `node_suspected` may yet have happened. */
  operationFailed(error: WhorlError): void;
  /**
   * What came of it, as it travels: `type` is `operationReply` or
   * `operationError`, its body `bytes[start, end)`, valid only during the call.
   * For targets that pass the outcome on; the others get it decoded.
   */
  operationAnswered?(
    type: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void;
}
