/**
 * A host of coordinators as a child program, for a worker or a subprocess. It
 * reaches vnodes and other nodes through its node, with the frames of
 * `request_host_wire.ts`. The frames of one turn are sent in one message.
 *
 * @module
 */
import type {
  Program,
  ProgramContext,
  RunningProgram,
} from "../../supervisors/program.ts";
import { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import type { Environment } from "../environment/environment.ts";
import { readRingView } from "../ring/ring_view_codec.ts";
import type { AnswerTarget } from "../vnode/vnode_master_link.ts";
import { BatchingSink } from "../wire/batching_sink.ts";
import { readFailure, writeFailure } from "../wire/failure.ts";
import { FRAME_BYTES_MAX, readFrames } from "../wire/frame.ts";
import type { FrameSink } from "../wire/frame_sink.ts";
import { FrameType } from "../wire/frame_type.ts";
import type { RequestCounts } from "./coordinators.ts";
import type { ObjectCommands } from "./object_merge.ts";
import {
  type OperationResult,
  writeOperationResult,
} from "./operation_codec.ts";
import type { OperationTarget } from "./operation_target.ts";
import { RequestHost } from "./request_host.ts";
import {
  OPERATION_REFUSED,
  type RequestHostArgs,
} from "./request_host_wire.ts";
import type { RequestRoutes } from "./request_routes.ts";

/** The program of a host that logs to `environment`; its time is that of its runtime. */
export function requestHostProgram(
  environment: Pick<Environment, "log">,
  objectModules: ReadonlyMap<number, ObjectCommands>,
): Program {
  return (context: ProgramContext): RunningProgram => {
    const { requestsMax, firstSequence } = context.args as RequestHostArgs;
    const { runtime } = context;
    const sink = new BatchingSink(
      (callback) => runtime.defer(callback),
      (batch) => context.send(batch),
    );
    const host = new RequestHost({
      runtime,
      log: environment.log,
      routes: new NumberedRoutes(sink),
      objectModules,
      requestsMax,
      firstSequence,
      name: context.name,
    });
    const onFrame = frameHandler(host, sink);
    context.onMessage((message) => {
      readFrames(message, 0, message.length, FRAME_BYTES_MAX, onFrame);
    });
    // A program that is killed as a task is not stopped, but must not leave
    // anything behind either.
    context.signal.addEventListener("abort", () => host.close(), {
      once: true,
    });
    return {
      async stop() {
        await host.close();
        sink.flush();
      },
    };
  };
}

function frameHandler(
  host: RequestHost,
  sink: FrameSink,
): Parameters<typeof readFrames>[4] {
  return (type, flags, correlation, bytes, start, end) => {
    switch (type) {
      case FrameType.vnodeReply:
      case FrameType.vnodeAccepted:
      case FrameType.vnodeError:
        host.vnodeAnswer(type, correlation, bytes, start, end);
        return;
      case FrameType.operation:
        host.submit(
          bytes,
          start,
          end,
          new AskerTarget(sink, correlation, host.counts),
        );
        return;
      case FrameType.operationReply:
      case FrameType.operationError:
        if (flags & OPERATION_REFUSED) host.operationRefused(correlation);
        else host.operationAnswer(type, correlation, bytes, start, end);
        return;
      case FrameType.ringView: {
        const { moduleId, view } = readRingView(bytes.subarray(start, end));
        host.setView(moduleId, view);
        return;
      }
      case FrameType.nodeLost: {
        const reader = new ByteReader(bytes, start, end);
        host.nodeLost(reader.text(), () => readFailure(reader.rest()));
        return;
      }
      default:
        throw new WhorlError(
          "protocol_error",
          `Cannot take a frame of type ${type} from a node`,
        );
    }
  };
}

/** Routes through the node, which knows other nodes by numbers assigned here. */
class NumberedRoutes implements RequestRoutes {
  #sink: FrameSink;
  #numbers = new Map<string, number>();

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  beginVnodeRequest(
    node: string,
    _moduleId: number,
    _partition: number,
    _target: AnswerTarget,
    correlation: number,
  ): ByteWriter {
    return this.#begin(node, FrameType.vnodeRequest, correlation);
  }

  endVnodeRequest(): void {
    this.#sink.end();
  }

  beginOperation(node: string, correlation: number): ByteWriter {
    return this.#begin(node, FrameType.operation, correlation);
  }

  endOperation(): void {
    this.#sink.end();
  }

  #begin(node: string, type: number, correlation: number): ByteWriter {
    const number = this.#numbers.get(node) ?? this.#introduce(node);
    const into = this.#sink.begin(type, correlation);
    into.u16(number);
    return into;
  }

  #introduce(node: string): number {
    const number = this.#numbers.size;
    this.#numbers.set(node, number);
    this.#sink.begin(FrameType.nodeNumber, number).rawText(node);
    this.#sink.end();
    return number;
  }
}

/** Sends the outcome of one operation to the node that submitted it. */
class AskerTarget implements OperationTarget {
  #sink: FrameSink;
  #correlation: number;
  #counts: Readonly<RequestCounts>;
  #startedBefore: number;

  constructor(
    sink: FrameSink,
    correlation: number,
    counts: Readonly<RequestCounts>,
  ) {
    this.#sink = sink;
    this.#correlation = correlation;
    this.#counts = counts;
    this.#startedBefore = counts.started;
  }

  operationDone(result: OperationResult): void {
    writeOperationResult(
      this.#sink.begin(FrameType.operationReply, this.#correlation),
      result,
    );
    try {
      this.#sink.end();
    } catch (error) {
      // The frame was withdrawn, but the caller must still be answered.
      if (!isWhorlError(error, "frame_too_large")) throw error;
      this.operationFailed(error);
    }
  }

  operationFailed(error: WhorlError): void {
    // A refusal comes before anything else can have been started.
    const refused = this.#counts.started === this.#startedBefore;
    writeFailure(
      this.#sink.begin(
        FrameType.operationError,
        this.#correlation,
        refused ? OPERATION_REFUSED : 0,
      ),
      error,
    );
    this.#sink.end();
  }
}
