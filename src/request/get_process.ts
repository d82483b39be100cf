/**
 * The shell of `get_fsm.ts`: performs its effects and turns what vnodes say
 * into its events. An empty answer of a vnode means that it holds nothing.
 *
 * @module
 */
import { FrameType } from "../wire/frame_type.ts";
import {
  createGet,
  type GetEffect,
  type GetEvent,
  type GetState,
  stepGet,
} from "./get_fsm.ts";
import type { OperationHeader } from "./operation_codec.ts";
import { owedBy } from "./put_process.ts";
import type { Replica } from "./quorum.ts";
import type { QuorumRule } from "./quorum_options.ts";
import type { RingView } from "../ring/ring_view.ts";
import type { ObjectCommands } from "./object_merge.ts";
import type { OperationTarget } from "./operation_target.ts";
import type { ProcessHost } from "./process_host.ts";
import { RequestProcess } from "./request_process.ts";

/** Coordinates one read. */
export class GetProcess extends RequestProcess {
  #get: GetState;
  #commands: ObjectCommands;

  constructor(
    host: ProcessHost,
    sequence: number,
    header: OperationHeader,
    bytes: Uint8Array<ArrayBuffer>,
    target: OperationTarget,
    view: RingView,
    commands: ObjectCommands,
    replicas: readonly Replica[],
    rule: QuorumRule,
  ) {
    super(host, sequence, header, bytes, target, view);
    this.#commands = commands;
    this.#get = createGet(replicas, rule, commands.objects);
  }

  replicaAnswered(type: number, replica: number, body: Uint8Array): void {
    if (type === FrameType.vnodeError) {
      this.host.deliver(this, this.readFailureEvent(replica, body));
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

  advance(event: GetEvent): void {
    const { effects } = this.host;
    stepGet(this.#get, event, effects as GetEffect[]);
    for (let i = 0; i < effects.length; i++) {
      this.#perform(effects[i] as GetEffect);
    }
    effects.length = 0;
  }

  #perform(effect: GetEffect): void {
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
          get.object,
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
