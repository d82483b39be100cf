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
 * Bytes of operations that may be under way; a further one is answered
 * `overload`. Half of what may pile up before a subprocess that does not read,
 * so that answers of vnodes still fit in.
 */
export const REQUEST_BYTES_MAX = 64 * 1024 * 1024;
/** Longest operation: one frame less what the way adds to it. */
export const OPERATION_BYTES_MAX: number = FRAME_BYTES_MAX - 64;

/**
 * Number of the first coverage query, far beyond any that other requests come
 * to, so that an answer tells by its correlation which coordinators it is for.
 */
export const COVERAGE_SEQUENCE_FIRST: number = 2 ** 49;

/** Whether the answer under `correlation` is for a coordinator of coverage queries. */
export function isCoverageCorrelation(correlation: number): boolean {
  return correlation >= COVERAGE_SEQUENCE_FIRST * REPLICAS_PER_REQUEST;
}

/** Counts of coordinators since they were first started. */
export interface RequestCounts {
  /** Operations that got a coordinator. */
  started: number;
  /** Operations answered with a refusal instead: overload, or nonsense. */
  refused: number;
  /** Writes sent on to a node that has a primary of the key. */
  forwarded: number;
  /** Replicas that were behind and have been sent what they lacked. */
  repairs: number;
}

/** Takes operations in and gets what answers them. */
export interface Coordinators extends AnswerTarget, OperationCarrier {
  readonly counts: Readonly<RequestCounts>;
  /** Operations under way. */
  readonly size: number;
  /** Takes in another node's answer to an operation that was sent on to it; valid only during the call. */
  operationAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void;
  /** `node` is gone, or silent: nobody waits any longer for what it owes. `why` is asked if anybody does. */
  nodeLost(node: string, why: () => WhorlError): void;
  /** From now on requests to this module see the ring as `view`; those under way keep theirs. */
  setView(moduleId: number, view: RingView): void;
}
