/**
 * The shell of `op_fsm.ts`: performs its effects and turns what vnodes say into
 * its events.
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
import type { OperationHeader } from "./operation_codec.ts";
import { OperationFlag } from "./operation_codec.ts";
import { owedBy } from "./put_process.ts";
import type { Replica } from "./quorum.ts";
import type { QuorumRule } from "./quorum_options.ts";
import type { RingView } from "../ring/ring_view.ts";
import type { OperationTarget } from "./operation_target.ts";
import type { ProcessHost } from "./process_host.ts";
import { RequestProcess } from "./request_process.ts";

/** Coordinates one command of an application's module. */
export class OpProcess extends RequestProcess {
  #op: OpState;

  constructor(
    host: ProcessHost,
    sequence: number,
    header: OperationHeader,
    bytes: Uint8Array<ArrayBuffer>,
    target: OperationTarget,
    view: RingView,
    replicas: readonly Replica[],
    rule: QuorumRule,
  ) {
    super(host, sequence, header, bytes, target, view);
    this.#op = createOp(replicas, rule);
  }

  replicaAnswered(type: number, replica: number, body: Uint8Array): void {
    if (type === FrameType.vnodeError) {
      this.host.deliver(this, this.readFailureEvent(replica, body));
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

  advance(event: OpEvent): void {
    const { effects } = this.host;
    stepOp(this.#op, event, effects as OpEffect[]);
    for (let i = 0; i < effects.length; i++) {
      this.#perform(effects[i] as OpEffect);
    }
    effects.length = 0;
  }

  #perform(effect: OpEffect): void {
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
