/**
 * The shell of `get_fsm.ts`: performs its effects and turns the answers of
 * vnodes into its events. An empty answer means that the vnode holds nothing.
 *
 * @module
 */
import { FrameType } from "../wire/frame_type.ts";
import {
  createGet,
  type GetEffect,
  type GetEvent,
  type GetState,
  repairOf,
  stepGet,
} from "./get_fsm.ts";
import { owedBy } from "./put_process.ts";
import type { Replica } from "./quorum.ts";
import type { QuorumRule } from "./quorum_options.ts";
import type { ObjectCommands } from "./object_merge.ts";
import { MachineProcess } from "./machine_process.ts";
import type { BegunOperation } from "./request_process.ts";

/** Coordinates one read. */
export class GetProcess extends MachineProcess<GetEvent, GetEffect> {
  #get: GetState;
  #commands: ObjectCommands;

  constructor(
    operation: BegunOperation,
    commands: ObjectCommands,
    replicas: readonly Replica[],
    rule: QuorumRule,
  ) {
    super(operation);
    this.#commands = commands;
    this.#get = createGet(replicas, rule, commands.objects);
  }

  replicaAnswered(type: number, replica: number, body: Uint8Array): void {
    if (type === FrameType.vnodeError) {
      const placed = this.#get.replicas[replica];
      this.host.deliver(this, this.readFailureEvent(replica, body, placed));
      return;
    }
    this.host.deliver(
      this,
      (body.length === 0
        ? { type: "absent", replica }
        : { type: "found", replica, bytes: body }) satisfies GetEvent,
    );
  }

  owesAnswerFrom(node: number): number {
    return owedBy(this.#get.replicas, this.#get.open, node);
  }

  protected step(event: GetEvent, effects: GetEffect[]): void {
    stepGet(this.#get, event, effects);
  }

  protected perform(effect: GetEffect): void {
    const get = this.#get;
    const { keyFieldStart, keyEnd } = this.header;
    switch (effect.type) {
      case "send_get":
        this.send(
          get.replicas,
          effect.replica,
          this.header.command,
          0,
          keyFieldStart,
          keyEnd,
          undefined,
        );
        return;
      case "send_repair":
        this.host.countRepair();
        this.send(
          get.replicas,
          effect.replica,
          this.#commands.merge,
          0,
          keyFieldStart,
          keyEnd,
          repairOf(get),
          false,
        );
        return;
      case "respond":
        this.respond(effect.result, get);
        return;
      default:
        this.performCommon(effect);
    }
  }
}
