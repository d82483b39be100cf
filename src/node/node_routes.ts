/**
 * Routes from this node's coordinators to vnodes on this and other nodes, and
 * the targets that send answers back to requesters on other nodes.
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import {
  type OperationResult,
  writeOperationResult,
} from "../request/operation_codec.ts";
import type { RequestRoutes } from "../request/request_routes.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import type { Link } from "../transport/link.ts";
import type { AnswerTarget } from "../vnode/vnode_master_link.ts";
import { writeFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import type { LinkAnswers } from "./link_answers.ts";
import { LINK_BACKLOG_BYTES_MAX } from "./link_budget.ts";
import type { VnodeManager } from "./vnode_manager.ts";

/**
 * The routes of the node `self`. Its parts are looked up for each request,
 * since a restart replaces them.
 */
export class NodeRoutes implements RequestRoutes {
  #self: string;
  #vnodes: () => VnodeManager | undefined;
  #linkTo: (node: string) => Link | undefined;
  #isSuspect: (node: string) => boolean;
  #sink: { end(): void } | undefined;
  /** Ends a request to a vnode of this node. */
  readonly #localEnd = { end: (): void => this.#vnodes()?.endRequest() };

  constructor(
    self: string,
    vnodes: () => VnodeManager | undefined,
    linkTo: (node: string) => Link | undefined,
    isSuspect: (node: string) => boolean,
  ) {
    this.#self = self;
    this.#vnodes = vnodes;
    this.#linkTo = linkTo;
    this.#isSuspect = isSuspect;
  }

  beginVnodeRequest(
    node: string,
    moduleId: number,
    vnode: number,
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
        vnode,
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
    if (link === undefined) return notReachable(node);
    // The suspicion has been reported already, so this request would not be
    // failed later. A repair waits for no answer and may still arrive.
    if (correlation !== 0 && this.#isSuspect(node)) return nodeSuspected(node);
    if (link.bufferedBytes > LINK_BACKLOG_BYTES_MAX) {
      return new WhorlError(
        "overload",
        `Cannot send a request to ${node} as ${link.bufferedBytes} bytes wait for it: the limit is ${LINK_BACKLOG_BYTES_MAX}`,
        { details: { node } },
      );
    }
    this.#sink = link;
    return link.begin(type, correlation);
  }
}

/** The error when there is no link to `node`. */
export function notReachable(node: string): WhorlError {
  return new WhorlError(
    "not_reachable",
    `Cannot reach ${node} as there is no connection to it`,
    { details: { node } },
  );
}

/** The error for a request to `node` while that node is suspected. */
export function nodeSuspected(node: string): WhorlError {
  return new WhorlError(
    "node_suspected",
    `Cannot wait for ${node} as it has fallen silent; what it was asked to write may yet happen`,
    { details: { node } },
  );
}

/**
 * Sends the answer of one of this node's vnodes to the peer that requested it.
 */
export class PeerRequestTarget implements AnswerTarget {
  readonly #answers: LinkAnswers;
  readonly #deadlineAt: number;

  /** @param timeLeftMs How long the peer waits for the answer. */
  constructor(answers: LinkAnswers, timeLeftMs: number) {
    this.#answers = answers;
    this.#deadlineAt = answers.deadlineIn(timeLeftMs);
  }

  vnodeAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    // A repair needs no answer.
    if (correlation === 0) return;
    this.#answers.send(type, correlation, bytes, start, end, this.#deadlineAt);
  }
}

/**
 * Shared by all answers of a thread, since each is written and sent
 * synchronously.
 */
let answerBody = new ByteWriter(512);
/** Most memory that the shared buffer keeps, in bytes. */
const ANSWER_BYTES_KEPT = 64 * 1024;

/** Sends the outcome of an operation to the client or node that sent it. */
export class RemoteOperationTarget implements OperationTarget {
  readonly #answers: LinkAnswers;
  readonly #correlation: number;
  readonly #deadlineAt: number;

  /** @param timeLeftMs How long the sender waits for the outcome. */
  constructor(answers: LinkAnswers, correlation: number, timeLeftMs: number) {
    this.#answers = answers;
    this.#correlation = correlation;
    this.#deadlineAt = answers.deadlineIn(timeLeftMs);
  }

  operationDone(result: OperationResult): void {
    const body = answerBody;
    body.clear();
    writeOperationResult(body, result);
    if (body.bytes.length > ANSWER_BYTES_KEPT) answerBody = new ByteWriter(512);
    this.operationAnswered(
      FrameType.operationReply,
      body.bytes,
      0,
      body.length,
    );
  }

  /** The answer is passed on unchanged. */
  operationAnswered(
    type: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    this.#answers.send(
      type,
      this.#correlation,
      bytes,
      start,
      end,
      this.#deadlineAt,
    );
  }

  operationFailed(error: WhorlError): void {
    const body = new ByteWriter(256);
    writeFailure(body, error);
    this.operationAnswered(
      FrameType.operationError,
      body.bytes,
      0,
      body.length,
    );
  }
}
