/**
 * The way from the coordinators of this node to vnodes, here and elsewhere, and
 * the way back for those who asked from elsewhere.
 *
 * @module
 */
import type { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  type OperationResult,
  writeOperationResult,
} from "../request/operation_codec.ts";
import type { RequestRoutes } from "../request/request_routes.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import type { Link } from "../transport/link.ts";
import {
  answerFailure,
  type AnswerTarget,
} from "../vnode/vnode_master_link.ts";
import { writeFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import type { VnodeManager } from "./vnode_manager.ts";

/**
 * Bytes that may wait for a peer before new requests to it are refused with
 * `overload`. A quarter of what a link bears before it breaks, so that answers
 * and gossip still get through.
 */
export const PEER_BUFFERED_BYTES_MAX = 16 * 1024 * 1024;

/** Routes of the node called `self`. Parts may be replaced when they are restarted, so they are asked for each time. */
export class NodeRoutes implements RequestRoutes {
  #self: string;
  #vnodes: () => VnodeManager | undefined;
  #linkTo: (node: string) => Link | undefined;
  #sink: { end(): void } | undefined;
  /** The end of a request to a vnode of this node. */
  readonly #localEnd = { end: (): void => this.#vnodes()?.endRequest() };

  constructor(
    self: string,
    vnodes: () => VnodeManager | undefined,
    linkTo: (node: string) => Link | undefined,
  ) {
    this.#self = self;
    this.#vnodes = vnodes;
    this.#linkTo = linkTo;
  }

  beginVnodeRequest(
    node: string,
    moduleId: number,
    partition: number,
    target: AnswerTarget,
    correlation: number,
    timeLeftMs: number,
  ): ByteWriter | WhorlError {
    if (node === this.#self) {
      this.#sink = this.#localEnd;
      const vnodes = this.#vnodes();
      if (vnodes === undefined) {
        return new WhorlError("closed", "The node is starting or stopping");
      }
      return vnodes.beginRequest(
        moduleId,
        partition,
        target,
        correlation,
        timeLeftMs,
      );
    }
    return this.#begin(node, FrameType.vnodeRequest, correlation);
  }

  endVnodeRequest(): void {
    this.#sink?.end();
  }

  beginOperation(node: string, correlation: number): ByteWriter | WhorlError {
    return this.#begin(node, FrameType.operation, correlation);
  }

  endOperation(): void {
    this.#sink?.end();
  }

  #begin(
    node: string,
    type: number,
    correlation: number,
  ): ByteWriter | WhorlError {
    const link = this.#linkTo(node);
    if (link === undefined) {
      return new WhorlError(
        "not_reachable",
        `Cannot reach ${node} as there is no connection to it`,
        { details: { node } },
      );
    }
    if (link.bufferedBytes > PEER_BUFFERED_BYTES_MAX) {
      return new WhorlError(
        "overload",
        `Cannot send a request to ${node} as ${link.bufferedBytes} bytes wait for it: the limit is ${PEER_BUFFERED_BYTES_MAX}`,
        { details: { node } },
      );
    }
    this.#sink = link;
    return link.begin(type, correlation);
  }
}

/** Brings answers of this node's vnodes to the peer that asked. */
export class PeerAnswers implements AnswerTarget {
  #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  vnodeAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    // Nobody waits for the answer to a repair, or across a link that has gone.
    if (correlation === 0 || this.#link.closed !== undefined) return;
    this.#link.begin(type, correlation).rawRange(bytes, start, end);
    this.#link.end();
  }

  /** Answers for a vnode that is not there. */
  refuse(correlation: number, error: WhorlError): void {
    answerFailure(this, correlation, error);
  }
}

/** Brings the outcome of one operation to the client or node that sent it. */
export class RemoteOperationTarget implements OperationTarget {
  #link: Link;
  #correlation: number;

  constructor(link: Link, correlation: number) {
    this.#link = link;
    this.#correlation = correlation;
  }

  operationDone(result: OperationResult): void {
    if (this.#link.closed !== undefined) return;
    writeOperationResult(
      this.#link.begin(FrameType.operationReply, this.#correlation),
      result,
    );
    try {
      this.#link.end();
    } catch (error) {
      // The frame was taken back; the one who asked must hear of it all the same.
      if (!isWhorlError(error, "frame_too_large")) throw error;
      this.operationFailed(error);
    }
  }

  /** The answer is passed on as it came. */
  operationAnswered(
    type: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    if (this.#link.closed !== undefined) return;
    this.#link.begin(type, this.#correlation).rawRange(bytes, start, end);
    this.#link.end();
  }

  operationFailed(error: WhorlError): void {
    if (this.#link.closed !== undefined) return;
    writeFailure(
      this.#link.begin(FrameType.operationError, this.#correlation),
      error,
    );
    this.#link.end();
  }
}
