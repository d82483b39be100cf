/**
 * The node's end of the link to a vnode master. Each request is answered
 * exactly once, whatever happens to the master. Requests that were in flight
 * when it died are answered with `vnode_crashed`; those made during its restart
 * wait for it, up to a bound and their deadlines, or are refused if it will not
 * be restarted soon.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { nodeStopping, reasonOf, WhorlError } from "../base/errors.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import {
  BatchingSink,
  type BatchingSinkOptions,
} from "../wire/batching_sink.ts";
import {
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  readFrames,
  writeFrame,
} from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { decodeMsgpack, writeMsgpack } from "../wire/msgpack.ts";
import { readFailure, writeFailure } from "../wire/failure.ts";
import { VNODE_REQUEST_TIME_LEFT_OFFSET } from "./vnode_wire.ts";

/**
 * Requests that a master may have unanswered; a further one is answered
 * `overload`.
 */
export const MASTER_IN_FLIGHT_MAX = 50_000;
/**
 * Bytes of unanswered requests of a master; a further request is answered
 * `overload`.
 */
export const MASTER_IN_FLIGHT_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes that may wait for a master that is being restarted. */
export const MASTER_WAITING_BYTES_MAX = 16 * 1024 * 1024;
/** Calls of a master itself without an answer; a further one is answered `overload`. */
export const MASTER_CALLS_MAX = 1_000;
/** Default timeout of a call, in milliseconds, including the wait for a master. */
export const MASTER_CALL_TIMEOUT_MS = 30_000;
/** Interval of the sweep for overdue requests, in milliseconds. */
const SWEEP_INTERVAL_MS = 250;
/** How long past its deadline a request is kept, in milliseconds, so that the vnode's own answer comes first. */
const SWEEP_GRACE_MS = 100;

/** The requester, who gets the answer. */
export interface AnswerTarget {
  /**
   * Takes an answer: `type` is `vnodeReply`, `vnodeAccepted` or `vnodeError`,
   * its body `bytes[start, end)`, valid only during the call.
   */
  vnodeAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void;
}

/** The channel to the running master. */
export interface MasterChannel {
  /** Sends one message, and owns its bytes from then on. */
  send(message: Uint8Array<ArrayBuffer>): void;
}

interface InFlight {
  /** Of the request. */
  bytes: number;
  readonly target: AnswerTarget;
  readonly correlation: number;
  readonly deadline: number;
}

interface PendingControl {
  readonly method: string;
  readonly deadline: number;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** Requests to one master and their answers. */
export class VnodeMasterLink {
  #runtime: Runtime;
  #channel: MasterChannel | undefined;
  #sink: BatchingSink;
  #inFlight = new Map<number, InFlight>();
  #calls = new Map<number, PendingControl>();
  #next = 1;
  #batchBeganMs = 0;
  #inFlightBytes = 0;
  /** The request being written, and the position of its payload in the sink. */
  #begun: InFlight | undefined;
  #begunAt = 0;
  #sweep: TimerHandle | undefined;
  /** Whether no further master will start. */
  #closed = false;
  /** Why requests do not wait for the next master, if so. */
  #refused: WhorlError | undefined;
  #onEvent: (event: unknown) => void;

  /**
   * @param runtime Time.
   * @param onEvent Called with the events of the master.
   * @param sink How frames to the masters are gathered.
   */
  constructor(
    runtime: Runtime,
    onEvent: (event: unknown) => void,
    sink: BatchingSinkOptions = {},
  ) {
    this.#runtime = runtime;
    this.#onEvent = onEvent;
    this.#sink = new BatchingSink(
      (callback) => runtime.defer(callback),
      (batch) => this.#channel?.send(batch),
      sink,
    );
    this.#sink.pause();
  }

  /** Requests that have not been answered. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Whether a master is running. */
  get attached(): boolean {
    return this.#channel !== undefined;
  }

  /** Whether requests are refused until there is a master. */
  get refusing(): boolean {
    return this.#refused !== undefined;
  }

  /** A master has started: sends it the waiting requests. */
  attach(channel: MasterChannel): void {
    this.#refused = undefined;
    this.#channel = {
      send: (waited) => {
        const wanted = this.#stillWanted(waited);
        if (wanted.length > 0) channel.send(wanted);
      },
    };
    this.#sink.resume();
    this.#channel = channel;
  }

  /** Without those that were answered or abandoned meanwhile; the others have less time left. */
  #stillWanted(waited: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const now = this.#runtime.now();
    const wanted = new ByteWriter(waited.length);
    readFrames(
      waited,
      0,
      waited.length,
      FRAME_BYTES_MAX,
      (type, flags, id, bytes, start, end) => {
        if (type === FrameType.call && !this.#calls.has(id)) return;
        const isRequest = type === FrameType.vnodeRequest;
        const request = isRequest ? this.#inFlight.get(id) : undefined;
        if (isRequest && request === undefined) return;
        const payloadStart = wanted.length + FRAME_HEADER_BYTES;
        writeFrame(wanted, type, id, bytes.subarray(start, end), flags);
        if (request !== undefined) {
          wanted.setU32(
            payloadStart + VNODE_REQUEST_TIME_LEFT_OFFSET,
            Math.max(0, Math.ceil(request.deadline - now)),
          );
        }
      },
    );
    return wanted.copy();
  }

  /** The master has died: fails its unanswered requests. */
  detach(reason: unknown): void {
    this.#channel = undefined;
    this.#sink.pause();
    this.#sink.discard();
    this.#failAll(() =>
      new WhorlError(
        "vnode_crashed",
        `The vnode master stopped: ${reasonOf(reason)}`,
      )
    );
  }

  /**
   * No master will run for a while: answers waiting requests, and those made
   * until one is attached, with `error`.
   */
  refuse(error: WhorlError): void {
    this.#refused = error;
    this.#sink.discard();
    this.#failAll(() => error);
  }

  /** No master will run again: fails all requests, now and later. */
  close(): void {
    this.#closed = true;
    this.#channel = undefined;
    this.#sink.pause();
    this.#sink.discard();
    this.#failAll(nodeStopping);
    if (this.#sweep !== undefined) this.#runtime.clearTimer(this.#sweep);
    this.#sweep = undefined;
  }

  /**
   * Begins a request to a vnode and returns the writer for its payload, or the
   * error with which it is refused; `target` gets the answer under
   * `correlation`. Finish with {@linkcode VnodeMasterLink.endRequest}.
   */
  beginRequest(
    target: AnswerTarget,
    correlation: number,
    timeLeftMs: number,
  ): ByteWriter | WhorlError {
    const refusal = this.#refusal();
    if (refusal !== undefined) return refusal;
    const id = this.#next++;
    const into = this.#begin(FrameType.vnodeRequest, id);
    const request: InFlight = {
      bytes: 0,
      target,
      correlation,
      deadline: this.#batchBeganMs + timeLeftMs,
    };
    this.#inFlight.set(id, request);
    this.#begun = request;
    this.#sweepSoon();
    this.#begunAt = into.length;
    return into;
  }

  /**
   * Begins a frame of any kind; the first frame of a batch records when the
   * batch began.
   */
  #begin(type: number, id: number): ByteWriter {
    // The clock is read once per batch, unless the batch waits for a master.
    if (this.#channel === undefined || this.#sink.bufferedBytes === 0) {
      this.#batchBeganMs = this.#runtime.now();
    }
    return this.#sink.begin(type, id);
  }

  /** Ends the request begun last. */
  endRequest(): void {
    const request = this.#begun;
    const byteCount = this.#sink.bufferedBytes - this.#begunAt;
    this.#begun = undefined;
    try {
      this.#sink.end();
    } catch (error) {
      // Too large for a frame: it will not be answered.
      this.#inFlight.delete(this.#next - 1);
      throw error;
    }
    if (request !== undefined) {
      request.bytes = byteCount;
      this.#inFlightBytes += byteCount;
    }
  }

  #forget(id: number, request: InFlight): void {
    this.#inFlight.delete(id);
    this.#inFlightBytes -= request.bytes;
  }

  #refusal(): WhorlError | undefined {
    const gone = this.#closed ? nodeStopping() : this.#refused;
    if (gone !== undefined) return gone;
    if (
      this.#inFlight.size < MASTER_IN_FLIGHT_MAX &&
      this.#inFlightBytes < MASTER_IN_FLIGHT_BYTES_MAX &&
      (this.#channel !== undefined ||
        this.#sink.bufferedBytes < MASTER_WAITING_BYTES_MAX)
    ) return undefined;
    return new WhorlError(
      "overload",
      `Cannot take a request for a vnode: ${this.#inFlight.size} of together ${this.#inFlightBytes} bytes are in hand`,
    );
  }

  /**
   * Calls a method of the master itself, now or when there is one.
   *
   * @throws {WhorlError} What the master answers, `timeout` if it has not, or
   * none has come, within `timeoutMs`, `vnode_crashed` if it stops first, why
   * no master comes for a while, `overload` or `closed`. After `timeout` it may
   * still be done.
   */
  call(
    method: string,
    args: unknown,
    timeoutMs: number = MASTER_CALL_TIMEOUT_MS,
  ): Promise<unknown> {
    const gone = this.#closed ? nodeStopping() : this.#refused;
    if (gone !== undefined) return Promise.reject(gone);
    if (this.#calls.size >= MASTER_CALLS_MAX) {
      return Promise.reject(
        new WhorlError(
          "overload",
          `Cannot call '${method}' of a vnode master as ${MASTER_CALLS_MAX} calls are unanswered`,
        ),
      );
    }
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const deadline = this.#runtime.now() + timeoutMs;
    this.#calls.set(id, { method, deadline, resolve, reject });
    this.#sweepSoon();
    writeMsgpack([method, args], this.#begin(FrameType.call, id));
    this.#sink.end();
    return promise;
  }

  /** Sends the master a one-way message, or the next one if there will be one soon. */
  cast(method: string, args: unknown): void {
    if (this.#closed || this.#refused !== undefined) return;
    writeMsgpack([method, args], this.#begin(FrameType.masterControl, 0));
    this.#sink.end();
  }

  /** Handles a message from the master. */
  receive(message: Uint8Array<ArrayBuffer>): void {
    readFrames(message, 0, message.length, FRAME_BYTES_MAX, this.#onFrame);
  }

  readonly #onFrame = (
    type: number,
    _flags: number,
    id: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void => {
    switch (type) {
      case FrameType.vnodeReply:
      case FrameType.vnodeError:
      case FrameType.vnodeAccepted: {
        const request = this.#inFlight.get(id);
        // It was answered already, at its deadline.
        if (request === undefined) return;
        if (type !== FrameType.vnodeAccepted) this.#forget(id, request);
        request.target.vnodeAnswer(
          type,
          request.correlation,
          bytes,
          start,
          end,
        );
        return;
      }
      case FrameType.callReply:
        this.#takeCall(id)?.resolve(decodeMsgpack(bytes.subarray(start, end)));
        return;
      case FrameType.callError:
        this.#takeCall(id)?.reject(readFailure(bytes.subarray(start, end)));
        return;
      case FrameType.masterEvent:
        this.#onEvent(decodeMsgpack(bytes.subarray(start, end)));
        return;
      default:
        throw new WhorlError(
          "protocol_error",
          `Cannot take a frame of type ${type} from a vnode master`,
        );
    }
  };

  #takeCall(id: number): PendingControl | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call;
  }

  /** Answers all requests with the error that `why` creates, if there are any: errors are expensive to create. */
  #failAll(why: () => WhorlError): void {
    if (this.#inFlight.size === 0 && this.#calls.size === 0) return;
    const error = why();
    const inFlight = [...this.#inFlight.values()];
    this.#inFlight.clear();
    this.#inFlightBytes = 0;
    for (const { target, correlation } of inFlight) {
      answerFailure(target, correlation, error);
    }
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.reject(error);
  }

  #sweepSoon(): void {
    this.#sweep ??= this.#runtime.setTimer(
      SWEEP_INTERVAL_MS,
      () => this.#sweepDeadlines(),
    );
  }

  #sweepDeadlines(): void {
    this.#sweep = undefined;
    const now = this.#runtime.now();
    const latest = now - SWEEP_GRACE_MS;
    for (const [id, request] of this.#inFlight) {
      const { target, correlation, deadline } = request;
      if (deadline > latest) continue;
      this.#forget(id, request);
      answerFailure(
        target,
        correlation,
        new WhorlError("timeout", "The vnode did not answer in time"),
      );
    }
    for (const [id, { method, deadline }] of this.#calls) {
      if (deadline > now) continue;
      this.#takeCall(id)?.reject(
        new WhorlError(
          "timeout",
          `Cannot call '${method}' of a vnode master in time: ${
            this.attached ? "it has not answered" : "none is running"
          }`,
          { details: { method, attached: this.attached } },
        ),
      );
    }
    if (this.#inFlight.size > 0 || this.#calls.size > 0) this.#sweepSoon();
  }
}

/** Gives `target` a failure as if a vnode had answered it. */
export function answerFailure(
  target: AnswerTarget,
  correlation: number,
  error: WhorlError,
): void {
  const writer = new ByteWriter(256);
  writeFailure(writer, error);
  target.vnodeAnswer(
    FrameType.vnodeError,
    correlation,
    writer.bytes,
    0,
    writer.length,
  );
}
