/**
 * What a node answers from the moment it knows that its cluster goes on without it.
 * Nobody looks for data there any more, so that it acknowledges nothing: neither what
 * it is asked for then nor what was under way. What was under way may have happened,
 * as other replicas may have it.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { OperationResult } from "../request/operation_codec.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import { FrameType } from "../wire/frame_type.ts";

/** Why the node acknowledges nothing; `undefined` while it is a member. */
export type Departure = () => WhorlError | undefined;

/** The answer of `node` to whatever it was asked. */
export function hasLeftCluster(node: string): WhorlError {
  return new WhorlError(
    "closed",
    `Cannot answer for ${node} as it is no member of its cluster any more; what it was asked to write may yet have happened elsewhere`,
    { details: { node } },
  );
}

/** Whether a frame of `type` says that something was done. */
export function acknowledges(type: number): boolean {
  return type === FrameType.vnodeReply || type === FrameType.vnodeAccepted ||
    type === FrameType.operationReply;
}

/** Whoever asked for an operation in this process: it hears of no success once the node has left. */
export class MemberTarget implements OperationTarget {
  readonly #target: OperationTarget;
  readonly #departure: Departure;

  constructor(target: OperationTarget, departure: Departure) {
    this.#target = target;
    this.#departure = departure;
  }

  operationDone(result: OperationResult): void {
    const departed = this.#departure();
    if (departed === undefined) this.#target.operationDone(result);
    else this.#target.operationFailed(departed);
  }

  operationFailed(error: WhorlError): void {
    this.#target.operationFailed(error);
  }
}
