/**
 * The shell of `op_fsm.ts`: performs its effects and turns the answers of
 * vnodes into its events.
 *
 * @module
 */
import { FrameType } from "../wire/frame_type.ts";
import {
  createOp,
  type OpEffect,
  type OpEvent,
  type OpState,
  stepOp,
} from "./op_fsm.ts";
import { OperationFlag } from "./operation_codec.ts";
import { owedBy } from "./put_process.ts";
import type { Replica } from "./quorum.ts";
import type { QuorumRule } from "./quorum_options.ts";
import { MachineProcess } from "./machine_process.ts";
import type { BegunOperation } from "./request_process.ts";

/** Coordinates one command of an application's module. */
export class OpProcess extends MachineProcess<OpEvent, OpEffect> {
  #op: OpState;

  constructor(
    operation: BegunOperation,
    replicas: readonly Replica[],
    rule: QuorumRule,
  ) {
    super(operation);
    this.#op = createOp(replicas, rule);
  }

  replicaAnswered(type: number, replica: number, body: Uint8Array): void {
    if (type === FrameType.vnodeError) {
      const placed = this.#op.replicas[replica];
      this.host.deliver(this, this.readFailureEvent(replica, body, placed));
      return;
    }
    this.host.deliver(
      this,
      {
        type: type === FrameType.vnodeAccepted ? "accepted" : "reply",
        replica,
        bytes: body,
      } satisfies OpEvent,
    );
  }

  owesAnswerFrom(node: number): number {
    return owedBy(this.#op.replicas, this.#op.open, node);
  }

  protected step(event: OpEvent, effects: OpEffect[]): void {
    stepOp(this.#op, event, effects);
  }

  protected perform(effect: OpEffect): void {
    const op = this.#op;
    const { header } = this;
    switch (effect.type) {
      case "send":
        this.send(
          op.replicas,
          effect.replica,
          header.command,
          0,
          header.flags & OperationFlag.bodyOnly
            ? header.keyEnd
            : header.keyFieldStart,
          header.end,
          undefined,
        );
        return;
      case "respond":
        this.respond(effect.result, op);
        return;
      default:
        this.performCommon(effect);
    }
  }
}
