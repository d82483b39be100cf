/**
 * The shell of `put_fsm.ts`: performs its effects and turns the answers of
 * vnodes into its events.
 *
 * @module
 */
import { RequestFlag } from "../vnode/vnode_wire.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  createPut,
  type PutEffect,
  type PutEvent,
  type PutState,
  stepPut,
} from "./put_fsm.ts";
import type { Replica } from "./quorum.ts";
import type { QuorumRule } from "./quorum_options.ts";
import type { ObjectCommands } from "./object_merge.ts";
import { MachineProcess } from "./machine_process.ts";
import type { BegunOperation } from "./request_process.ts";

/** Coordinates one write. */
export class PutProcess extends MachineProcess<PutEvent, PutEffect> {
  #put: PutState;
  #commands: ObjectCommands;

  constructor(
    operation: BegunOperation,
    commands: ObjectCommands,
    replicas: readonly Replica[],
    rule: QuorumRule,
  ) {
    super(operation);
    this.#commands = commands;
    this.#put = createPut(
      replicas,
      rule,
      this.view.self,
      commands.objects,
    );
  }

  replicaAnswered(type: number, replica: number, body: Uint8Array): void {
    if (type === FrameType.vnodeError) {
      const placed = this.#put.replicas[replica];
      this.host.deliver(this, this.readFailureEvent(replica, body, placed));
      return;
    }
    // The coordinator's answer causes sends to the others, with the time that
    // is left.
    if (this.#put.phase === "coordinating") {
      this.host.nowMs = this.host.runtime.now();
    }
    this.host.deliver(
      this,
      {
        type: type === FrameType.vnodeAccepted ? "accepted" : "reply",
        replica,
        object: body,
      } satisfies PutEvent,
    );
  }

  owesAnswerFrom(node: number): number {
    return owedBy(this.#put.replicas, this.#put.open, node);
  }

  protected step(event: PutEvent, effects: PutEffect[]): void {
    stepPut(this.#put, event, effects);
  }

  protected perform(effect: PutEffect): void {
    const put = this.#put;
    const { keyFieldStart, keyEnd, end } = this.header;
    switch (effect.type) {
      case "send_put":
        this.send(
          put.replicas,
          effect.replica,
          this.header.command,
          (effect.early ? RequestFlag.wantsAccepted : 0) |
            (effect.mayDecline ? RequestFlag.mayDecline : 0),
          keyFieldStart,
          end,
          undefined,
        );
        return;
      case "send_merge":
        this.send(
          put.replicas,
          effect.replica,
          this.#commands.merge,
          put.wantsEarly
            ? RequestFlag.wantsAccepted | RequestFlag.continues
            : RequestFlag.continues,
          keyFieldStart,
          keyEnd,
          put.object,
        );
        return;
      case "send_repair":
        this.host.countRepair();
        this.send(
          put.replicas,
          effect.replica,
          this.#commands.merge,
          0,
          keyFieldStart,
          keyEnd,
          put.object,
          false,
        );
        return;
      case "respond":
        this.respond(effect.result, put);
        return;
      default:
        this.performCommon(effect);
    }
  }
}

/** The replicas in `open` that are on `node`. */
export function owedBy(
  replicas: readonly Replica[],
  open: number,
  node: number,
): number {
  let owing = 0;
  for (let i = 0; i < replicas.length; i++) {
    if (open & (1 << i) && (replicas[i] as Replica).node === node) {
      owing |= 1 << i;
    }
  }
  return owing;
}
