/**
 * What a node answers once it knows that its cluster has removed it. Nobody looks
 * for data there any more, so its vnodes, its coordinators and the receivers of
 * its handoffs report no success: neither for new requests nor for those in
 * progress. A write in progress may still have happened, on other replicas.
 *
 * Messages of Raft groups, and the calls that belong to them, are not held back,
 * as members of a group are not those of the ring. Until the group itself has
 * removed it, a member here counts towards its majority, and may acknowledge
 * entries as long as the node runs: they are in its log, which stays on its disk,
 * and the member votes by that log. The others commit without it once they have
 * committed its removal. If it leads a group, it may commit entries as well, but
 * tells no client so.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { OperationResult } from "../request/operation_codec.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import { FrameType } from "../wire/frame_type.ts";

/** Why the node's answers report no success any more; `undefined` while it is a member. */
export type Departure = () => WhorlError | undefined;

/** The answer of `node`, which has left its cluster, to any request. */
export function hasLeftCluster(node: string): WhorlError {
  return new WhorlError(
    "closed",
    `Cannot answer as ${node} is no longer a member of its cluster; a write may still have happened on other nodes`,
    { details: { node } },
  );
}

/** Whether a frame of `type` reports success of a request or an operation. */
export function acknowledges(type: number): boolean {
  return type === FrameType.vnodeReply || type === FrameType.vnodeAccepted ||
    type === FrameType.operationReply;
}

/** Passes the outcome of an operation on, but no success once the node has left its cluster. */
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
