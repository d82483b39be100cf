/**
 * A write that another node coordinates, because it has a primary vnode of the
 * key and this one has none: the operation is sent there once, unchanged. This
 * node keeps the deadline, and answers itself if the other node is lost or
 * falls silent.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { readFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  OPERATION_FLAGS_OFFSET,
  OPERATION_TIME_LEFT_OFFSET,
  OperationFlag,
  readOperationResult,
} from "./operation_codec.ts";
import {
  type BegunOperation,
  REPLICAS_PER_REQUEST,
  RequestProcess,
} from "./request_process.ts";

/** How long past its deadline to wait for the coordinator's own answer. */
const ANSWER_GRACE_MS = 100;

/** The events of a forwarded operation. */
export type ForwardEvent =
  | { readonly type: "start" }
  | {
    readonly type: "answer";
    readonly frameType: number;
    readonly body: Uint8Array;
  }
  /** The operation was not sent. */
  | { readonly type: "refused" }
  | { readonly type: "failed"; readonly error: WhorlError }
  | { readonly type: "deadline" }
  | { readonly type: "grace_over" }
  | { readonly type: "cancel" };

/** Waits for the answer of the node that coordinates. */
export class ForwardProcess extends RequestProcess {
  #node: number;

  /** @param node Index of the node that coordinates. */
  constructor(
    operation: BegunOperation,
    node: number,
  ) {
    super(operation);
    this.#node = node;
  }

  owesAnswerFrom(node: number): number {
    return node === this.#node ? 1 : 0;
  }

  replicaAnswered(frameType: number, _replica: number, body: Uint8Array): void {
    this.host.deliver(
      this,
      { type: "answer", frameType, body } satisfies ForwardEvent,
    );
  }

  /** Reports that the operation was not sent. */
  refused(): void {
    this.host.deliver(this, { type: "refused" } satisfies ForwardEvent);
  }

  advance(event: ForwardEvent): void {
    switch (event.type) {
      case "start":
        this.#forward();
        return;
      case "refused":
        this.#coordinateHere();
        return;
      case "answer":
        if (event.frameType === FrameType.operationError) {
          this.fail(readFailure(event.body));
        } else {
          const body = event.body.slice();
          this.succeed(readOperationResult(new ByteReader(body)));
        }
        this.finished();
        return;
      case "failed":
        this.fail(this.#lost(event.error));
        this.finished();
        return;
      case "deadline":
      case "grace_over":
        this.fail(
          new WhorlError(
            "timeout",
            `Cannot write in time as ${
              this.view.nodes[this.#node]
            } has not answered`,
          ),
        );
        this.finished();
        return;
      case "cancel":
        this.fail(new WhorlError("cancelled", "The request was cancelled"));
        this.finished();
        return;
      default:
        return event satisfies never;
    }
  }

  /** The write may have happened there, so it is not tried elsewhere: the caller decides. */
  #lost(cause: WhorlError): WhorlError {
    const node = this.view.nodes[this.#node];
    return cause.code === "node_suspected"
      ? new WhorlError(
        "node_suspected",
        `Cannot tell whether the write happened as ${node}, which coordinates it, has fallen silent`,
        { details: { node }, cause },
      )
      : new WhorlError(
        "coordinator_lost",
        `The node that coordinates the write is lost; its outcome is unknown: ${cause.message}`,
        { cause },
      );
  }

  #forward(): void {
    const { timeLeftMs } = this.header;
    this.setDeadline(timeLeftMs + ANSWER_GRACE_MS);
    const into = this.host.routes.beginOperation(
      this.view.nodes[this.#node] as string,
      this.sequence * REPLICAS_PER_REQUEST,
    );
    if (into instanceof WhorlError) {
      this.#coordinateHere();
      return;
    }
    const start = into.length;
    into.raw(this.bytes);
    into.setU8(
      start + OPERATION_FLAGS_OFFSET,
      this.header.flags | OperationFlag.forwarded,
    );
    into.setU32(start + OPERATION_TIME_LEFT_OFFSET, timeLeftMs);
    this.host.routes.endOperation();
  }

  /** Nothing was sent, so it is safe to coordinate from here, whichever vnode makes the version. */
  #coordinateHere(): void {
    const timeLeftMs = this.timeLeftMs - ANSWER_GRACE_MS;
    this.finished();
    this.handOver(
      this.header.flags | OperationFlag.forwarded,
      Math.max(1, Math.ceil(timeLeftMs)),
    );
  }
}
