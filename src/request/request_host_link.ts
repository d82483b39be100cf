/**
 * The node's end of a host of coordinators that is a worker or a subprocess. It
 * keeps every operation until it is answered, so each is answered once,
 * whatever happens to the host: if it dies, those it was working on are
 * answered with `coordinator_lost`. Operations that arrive while it is being
 * restarted wait for it, up to a bound and their deadlines, or are refused if
 * it will not be restarted soon.
 *
 * The host's requests to vnodes and other nodes are sent on by the node's
 * routes under the host's own correlations. A restarted host continues these
 * numbers, so an answer to its predecessor finds nothing.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { briefCopyOf, NO_BYTES } from "../base/byte_slab.ts";
import { isWhorlError, nodeStopping, WhorlError } from "../base/errors.ts";
import { type Deadline, DeadlineWheel } from "../environment/deadline_wheel.ts";
import type { RingView } from "../ring/ring_view.ts";
import { writeRingView } from "../ring/ring_view_codec.ts";
import { answerFailure } from "../vnode/vnode_master_link.ts";
import {
  readVnodeRequestHeader,
  RequestFlag,
  type VnodeRequestHeader,
} from "../vnode/vnode_wire.ts";
import { BatchingSink } from "../wire/batching_sink.ts";
import { readFailure, writeFailure } from "../wire/failure.ts";
import { FRAME_BYTES_MAX, readFrames } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { decodeMsgpack } from "../wire/msgpack.ts";
import {
  type Coordinators,
  OPERATION_BYTES_MAX,
  REQUEST_BYTES_MAX,
  type RequestCounts,
} from "./coordinators.ts";
import {
  isFollowUp,
  OPERATION_TIME_LEFT_OFFSET,
  type OperationResult,
  readOperationResult,
} from "./operation_codec.ts";
import type { OperationTarget } from "./operation_target.ts";
import { OPERATION_REFUSED } from "./request_host_wire.ts";
import { REPLICAS_PER_REQUEST } from "./request_process.ts";
import type { RequestRoutes } from "./request_routes.ts";

/**
 * How long past its deadline an operation is kept, so that its coordinator's
 * own answer comes first.
 */
const ANSWER_GRACE_MS = 250;

/** The running host, as this end sees it. */
export interface HostChannel {
  /** Sends one message; the bytes must not be used afterwards. */
  send(message: Uint8Array<ArrayBuffer>): void;
}

/** What a link needs. */
export interface RequestHostLinkOptions {
  readonly runtime: Runtime;
  /** The way to vnodes and other nodes. */
  readonly routes: RequestRoutes;
  /** Most unanswered operations at a time; a further one is answered `overload`. */
  readonly requestsMax: number;
  /** See {@linkcode RequestHostLink.nextSequence}. @default {1} */
  readonly firstSequence?: number;
  /** Receives events that the host reports on its own. */
  readonly onEvent: (event: unknown) => void;
}

/** An operation without an answer. */
class OpenOperation implements Deadline {
  wheelNext: Deadline | undefined = undefined;
  wheelPrevious: Deadline | undefined = undefined;
  wheelTick = 0;
  /** The operation itself, while there is no host to give it to. */
  waiting: Uint8Array<ArrayBuffer> | undefined = undefined;

  constructor(
    readonly link: RequestHostLink,
    readonly id: number,
    readonly target: OperationTarget,
    readonly byteCount: number,
    /** Its deadline, without the grace. */
    readonly deadlineMs: number,
    /** Whether it is for a coordinator that is already running. */
    readonly followsUp: boolean,
  ) {}

  deadlinePassed(): void {
    this.link.timedOut(this.id);
  }
}

/** Coordinators that run elsewhere; see the module comment. */
export class RequestHostLink implements Coordinators {
  readonly counts: RequestCounts = {
    started: 0,
    refused: 0,
    forwarded: 0,
    repairs: 0,
  };
  #runtime: Runtime;
  #routes: RequestRoutes;
  #requestsMax: number;
  #onEvent: (event: unknown) => void;
  #wheel: DeadlineWheel;
  #sink: BatchingSink;
  #channel: HostChannel | undefined;
  #closed: WhorlError | undefined;
  /** Why operations do not wait for the next host. */
  #refused: WhorlError | undefined;
  #views = new Map<number, RingView>();
  #open = new Map<number, OpenOperation>();
  #openBytes = 0;
  #nextId = 1;
  /** The last request of any host for which something was sent. */
  #lastSequence: number;
  /** Names of nodes, by the numbers this host has given them. */
  #nodes: string[] = [];
  #reader = new ByteReader(NO_BYTES);
  #header: VnodeRequestHeader = {
    moduleId: 0,
    vnode: 0,
    command: 0,
    flags: 0,
    timeLeftMs: 0,
  };

  constructor(options: RequestHostLinkOptions) {
    const { runtime } = options;
    this.#runtime = runtime;
    this.#routes = options.routes;
    this.#requestsMax = options.requestsMax;
    this.#onEvent = options.onEvent;
    this.#lastSequence = (options.firstSequence ?? 1) - 1;
    this.#wheel = new DeadlineWheel(runtime);
    this.#sink = new BatchingSink(
      (callback) => runtime.defer(callback),
      (batch) => this.#channel?.send(batch),
    );
  }

  /** Number of unanswered operations. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * Number that the first request of the next host must get. Nothing was sent
   * for a request with this number or a higher one.
   */
  get nextSequence(): number {
    return this.#lastSequence + 1;
  }

  /** A host has started: gives it the rings and the waiting operations. */
  attach(channel: HostChannel): void {
    this.#channel = channel;
    this.#refused = undefined;
    this.#nodes = [];
    for (const [moduleId, view] of this.#views) this.#sendView(moduleId, view);
    const nowMs = this.#runtime.now();
    for (const operation of this.#open.values()) {
      const bytes = operation.waiting;
      if (bytes === undefined) continue;
      operation.waiting = undefined;
      const leftMs = Math.max(1, Math.ceil(operation.deadlineMs - nowMs));
      new DataView(bytes.buffer).setUint32(OPERATION_TIME_LEFT_OFFSET, leftMs);
      this.#sink.begin(FrameType.operation, operation.id).raw(bytes);
      this.#sink.end();
    }
  }

  /** The host has died: answers the operations it was working on. */
  detach(reason: string): void {
    this.#channel = undefined;
    this.#sink.discard();
    const error = new WhorlError(
      "coordinator_lost",
      `The host of the coordinators stopped; the outcome of the request is unknown: ${reason}`,
    );
    for (const { id, waiting } of [...this.#open.values()]) {
      if (waiting === undefined) this.#fail(id, error);
    }
  }

  /**
   * No host will come for a while: fails waiting operations, and those that
   * arrive before one is attached, with `error`.
   */
  refuse(error: WhorlError): void {
    this.#refused = error;
    for (const id of [...this.#open.keys()]) this.#fail(id, error);
  }

  /** No host will come any more: fails all operations, now and later. */
  close(): void {
    this.detach("the node is stopping");
    this.#closed = nodeStopping();
    for (const id of [...this.#open.keys()]) this.#fail(id, this.#closed);
    this.#wheel.close();
  }

  submit(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: OperationTarget,
  ): void {
    const followsUp = isFollowUp(bytes[start]);
    const refusal = this.#refusal(end - start, followsUp);
    if (refusal !== undefined) {
      if (!followsUp) this.counts.refused++;
      target.operationFailed(refusal);
      return;
    }
    if (!followsUp) this.counts.started++;
    this.#reader.reset(bytes, start + OPERATION_TIME_LEFT_OFFSET, end);
    const timeLeftMs = this.#reader.u32();
    const nowMs = this.#runtime.now();
    const operation = new OpenOperation(
      this,
      this.#nextId++,
      target,
      end - start,
      nowMs + timeLeftMs,
      followsUp,
    );
    this.#open.set(operation.id, operation);
    this.#openBytes += operation.byteCount;
    this.#wheel.set(operation, timeLeftMs + ANSWER_GRACE_MS, nowMs);
    if (this.#channel === undefined) {
      operation.waiting = new Uint8Array(bytes.subarray(start, end));
      return;
    }
    this.#sink.begin(FrameType.operation, operation.id)
      .rawRange(bytes, start, end);
    this.#sink.end();
  }

  #refusal(byteCount: number, followsUp: boolean): WhorlError | undefined {
    const gone = this.#closed ?? this.#refused;
    if (gone !== undefined) return gone;
    if (followsUp && this.#channel === undefined) {
      return new WhorlError(
        "coordinator_lost",
        "Cannot continue a coverage query as the host of its coordinator has stopped",
      );
    }
    if (byteCount < OPERATION_TIME_LEFT_OFFSET + 4) {
      return new WhorlError(
        "protocol_error",
        "Cannot run an operation that is cut short",
      );
    }
    if (byteCount > OPERATION_BYTES_MAX) {
      return new WhorlError(
        "frame_too_large",
        `Cannot run an operation of ${byteCount} bytes: the limit is ${OPERATION_BYTES_MAX}`,
        { details: { length: byteCount, limit: OPERATION_BYTES_MAX } },
      );
    }
    // Follow-ups of a query must not be kept out by new operations.
    if (this.#open.size >= this.#requestsMax * (followsUp ? 2 : 1)) {
      return new WhorlError(
        "overload",
        `Cannot accept a request as ${this.#open.size} are in progress: the limit is ${this.#requestsMax}`,
      );
    }
    if (this.#openBytes + byteCount > REQUEST_BYTES_MAX) {
      return new WhorlError(
        "overload",
        `Cannot accept a request as those in progress have ${this.#openBytes} bytes: the limit is ${REQUEST_BYTES_MAX}`,
      );
    }
    return undefined;
  }

  vnodeAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    // Nobody waits for the answer to a repair, or for one to a host that is
    // gone.
    if (correlation === 0 || this.#channel === undefined) return;
    this.#sink.begin(type, correlation).rawRange(bytes, start, end);
    this.#sink.end();
  }

  operationAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    this.vnodeAnswer(type, correlation, bytes, start, end);
  }

  nodeLost(node: string, why: () => WhorlError): void {
    // The next host has not asked it anything yet.
    if (this.#channel === undefined) return;
    const into = this.#sink.begin(FrameType.nodeLost, 0);
    into.text(node);
    writeFailure(into, why());
    this.#sink.end();
  }

  setView(moduleId: number, view: RingView): void {
    this.#views.set(moduleId, view);
    if (this.#channel !== undefined) this.#sendView(moduleId, view);
  }

  #sendView(moduleId: number, view: RingView): void {
    writeRingView(this.#sink.begin(FrameType.ringView, 0), moduleId, view);
    this.#sink.end();
  }

  /**
   * Handles a message from the attached host.
   *
   * @throws {WhorlError} `protocol_error` or `frame_too_large` for a message
   * that no correct host sends: it should be replaced.
   */
  receive(message: Uint8Array<ArrayBuffer>): void {
    readFrames(message, 0, message.length, FRAME_BYTES_MAX, this.#onFrame);
  }

  readonly #onFrame: Parameters<typeof readFrames>[4] = (
    type,
    flags,
    correlation,
    bytes,
    start,
    end,
  ) => {
    switch (type) {
      case FrameType.vnodeRequest:
        this.#relayRequest(correlation, bytes, start, end);
        return;
      case FrameType.operation:
        this.#relayOperation(correlation, bytes, start, end);
        return;
      case FrameType.operationReply:
      case FrameType.operationError:
        if (
          flags & OPERATION_REFUSED &&
          this.#open.get(correlation)?.followsUp === false
        ) {
          this.counts.started--;
          this.counts.refused++;
        }
        this.#answer(type, correlation, bytes, start, end);
        return;
      case FrameType.nodeNumber:
        this.#nodes[correlation] = new ByteReader(bytes, start, end)
          .rawText(end - start);
        return;
      case FrameType.masterEvent:
        this.#onEvent(decodeMsgpack(bytes.subarray(start, end)));
        return;
      default:
        throw new WhorlError(
          "protocol_error",
          `Cannot take a frame of type ${type} from a host of coordinators`,
        );
    }
  };

  #relayRequest(
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    const node = this.#nodeCalled(reader.u16());
    const requestStart = reader.offset;
    readVnodeRequestHeader(reader, this.#header);
    if (correlation !== 0) this.#askedFor(correlation);
    else if (!(this.#header.flags & RequestFlag.coverage)) {
      this.counts.repairs++;
    }
    const into = this.#routes.beginVnodeRequest(
      node,
      this.#header.moduleId,
      this.#header.vnode,
      this,
      correlation,
      this.#header.timeLeftMs,
    );
    if (into instanceof WhorlError) {
      answerFailure(this, correlation, into);
      return;
    }
    into.rawRange(bytes, requestStart, end);
    this.#routes.endVnodeRequest();
  }

  #relayOperation(
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    const node = this.#nodeCalled(reader.u16());
    const operationStart = reader.offset;
    this.counts.forwarded++;
    this.#askedFor(correlation);
    const into = this.#routes.beginOperation(node, correlation);
    if (into instanceof WhorlError) {
      if (this.#channel === undefined) return;
      writeFailure(
        this.#sink.begin(
          FrameType.operationError,
          correlation,
          OPERATION_REFUSED,
        ),
        into,
      );
      this.#sink.end();
      return;
    }
    into.rawRange(bytes, operationStart, end);
    this.#routes.endOperation();
  }

  #nodeCalled(number: number): string {
    const name = this.#nodes[number];
    if (name !== undefined) return name;
    throw new WhorlError(
      "protocol_error",
      `Cannot send a request to node ${number}: the host of the coordinators has not named it`,
    );
  }

  #askedFor(correlation: number): void {
    const sequence = Math.floor(correlation / REPLICAS_PER_REQUEST);
    if (sequence > this.#lastSequence) this.#lastSequence = sequence;
  }

  #answer(
    type: number,
    id: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    // It is missing if its deadline passed and it was answered.
    const target = this.#take(id)?.target;
    if (target === undefined) return;
    if (target.operationAnswered !== undefined) {
      target.operationAnswered(type, bytes, start, end);
    } else if (type === FrameType.operationError) {
      target.operationFailed(readFailure(bytes.subarray(start, end)));
    } else {
      const result = resultIn(bytes, start, end);
      if (result instanceof WhorlError) target.operationFailed(result);
      else target.operationDone(result);
    }
  }

  /** @internal The deadline of an operation has passed without an answer from its coordinator. */
  timedOut(id: number): void {
    this.#fail(
      id,
      new WhorlError(
        "timeout",
        "The coordinator did not answer in time; the outcome of the request is unknown",
      ),
    );
  }

  #fail(id: number, error: WhorlError): void {
    this.#take(id)?.target.operationFailed(error);
  }

  #take(id: number): OpenOperation | undefined {
    const operation = this.#open.get(id);
    if (operation === undefined) return undefined;
    this.#open.delete(id);
    this.#openBytes -= operation.byteCount;
    this.#wheel.clear(operation);
    return operation;
  }
}

/** The result in `bytes[start, end)`, copied, or why it is invalid. */
function resultIn(
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  end: number,
): OperationResult | WhorlError {
  try {
    return readOperationResult(
      new ByteReader(briefCopyOf(bytes, start, end)),
    );
  } catch (error) {
    if (isWhorlError(error)) return error;
    throw error;
  }
}
