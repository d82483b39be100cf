/**
 * The coordinators of a node as the rest of it sees them, wherever they run: in
 * this thread (`request_host.ts`), or in a worker or subprocess behind
 * `request_host_link.ts`.
 *
 * @module
 */
import type { WhorlError } from "../base/errors.ts";
import type { RingView } from "../ring/ring_view.ts";
import { FRAME_BYTES_MAX } from "../wire/frame.ts";
import type { AnswerTarget } from "../vnode/vnode_master_link.ts";
import type { OperationCarrier } from "./operation_carrier.ts";
import { REPLICAS_PER_REQUEST } from "./request_process.ts";

/**
 * Most bytes of operations in progress; a further one is answered `overload`.
 * It is half of what may pile up for a subprocess that does not read, so that
 * answers of vnodes still fit in.
 */
export const REQUEST_BYTES_MAX = 64 * 1024 * 1024;
/** Largest operation, in bytes: one frame less the headers that are added on the way. */
export const OPERATION_BYTES_MAX: number = FRAME_BYTES_MAX - 64;

/**
 * Number of the first coverage query, far above the numbers that other requests
 * reach, so that the correlation of an answer tells which coordinators it is
 * for.
 */
export const COVERAGE_SEQUENCE_FIRST: number = 2 ** 49;

/** Whether the answer with this `correlation` is for a coordinator of coverage queries. */
export function isCoverageCorrelation(correlation: number): boolean {
  return correlation >= COVERAGE_SEQUENCE_FIRST * REPLICAS_PER_REQUEST;
}

/** Counts of coordinators since they were first started. */
export interface RequestCounts {
  /** Operations that were given a coordinator. */
  started: number;
  /** Operations that were refused instead: overloaded or invalid. */
  refused: number;
  /** Writes sent on to a node that has a primary of the key. */
  forwarded: number;
  /** Replicas that were behind and were sent the object. */
  repairs: number;
}

/** Accepts operations, and the answers to what they ask. */
export interface Coordinators extends AnswerTarget, OperationCarrier {
  readonly counts: Readonly<RequestCounts>;
  /** Number of operations in progress. */
  readonly size: number;
  /**
   * Accepts another node's answer to an operation that was sent on to it; valid
   * only during the call.
   */
  operationAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void;
  /** `node` is gone or silent: ends all waits for its answers. Calls `why` if there are any. */
  nodeLost(node: string, why: () => WhorlError): void;
  /** From now on requests to this module use the ring `view`; those in progress keep theirs. */
  setView(moduleId: number, view: RingView): void;
}
