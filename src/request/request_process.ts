/**
 * The shell shared by all coordinators of requests: a child of the host's
 * supervisor with a deadline, a caller to answer once, and requests to vnodes,
 * told apart by replica. The decisions are made by the state machines; see
 * `put_process.ts` and its siblings.
 *
 * @module
 */
import { ChildBase } from "../../supervisors/child.ts";
import { crash, type ExitReason } from "../../supervisors/exit_reason.ts";
import { reasonOf, WhorlError } from "../base/errors.ts";
import type { Deadline } from "../environment/deadline_wheel.ts";
import type { RingView } from "../ring/ring_view.ts";
import { RequestFlag, writeVnodeRequestHeader } from "../vnode/vnode_wire.ts";
import { readFailure } from "../wire/failure.ts";
import { partitionOfKey } from "./operation_partition.ts";
import {
  OPERATION_FLAGS_OFFSET,
  OPERATION_TIME_LEFT_OFFSET,
  OperationFlag,
  type OperationHeader,
  type OperationResult,
  type ReplicaReport,
} from "./operation_codec.ts";
import type { OperationTarget } from "./operation_target.ts";
import type { HostedProcess, ProcessHost } from "./process_host.ts";
import type { QuorumCount, Replica } from "./quorum.ts";
import type { QuorumRule } from "./quorum_options.ts";
import type { LifeEffect, ReplicaEvent } from "./request_machine.ts";
import {
  answerState,
  type FailureList,
  failureName,
} from "./request_outcome.ts";

/** Number of replicas that a correlation can tell apart; see `RequestHost`. */
export const REPLICAS_PER_REQUEST = 8;

/** An operation that begins a request. */
export interface BegunOperation {
  readonly host: ProcessHost;
  /** Number of the request on the host. */
  readonly sequence: number;
  readonly header: OperationHeader;
  /** The operation as received; the request may keep it. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly target: OperationTarget;
  /** The current ring. */
  readonly view: RingView;
}

/** The state of a request that its answer reports. */
interface Answered {
  readonly replicas: readonly Replica[];
  readonly count: QuorumCount;
  readonly failures: FailureList;
  /** The answer of each replica, if callers get them. */
  readonly replies?: readonly (Uint8Array | undefined)[];
}

/** A request that is being coordinated. */
export abstract class RequestProcess extends ChildBase
  implements Deadline, HostedProcess {
  readonly kind = "task";
  /** @internal For the wheel. */
  wheelNext: Deadline | undefined = undefined;
  /** @internal For the wheel. */
  wheelPrevious: Deadline | undefined = undefined;
  /** @internal For the wheel. */
  wheelTick = 0;
  /** Number of this request on its host. */
  readonly sequence: number;
  protected readonly host: ProcessHost;
  protected readonly header: OperationHeader;
  /** The operation as received. */
  protected readonly bytes: Uint8Array<ArrayBuffer>;
  /** The ring when the request began. */
  protected readonly view: RingView;
  #target: OperationTarget;
  #answered = false;
  #deadlineAt = 0;
  #inGrace = false;

  constructor({ host, sequence, header, bytes, target, view }: BegunOperation) {
    super();
    this.host = host;
    this.sequence = sequence;
    this.header = header;
    this.bytes = bytes;
    this.view = view;
    this.#target = target;
  }

  /**
   * Advances the state machine by `event` and performs its effects. Never
   * called while another request is being advanced.
   */
  abstract advance(event: unknown): void;

  /** The replicas on `node` that have not answered, as a set. */
  abstract owesAnswerFrom(node: number): number;

  /**
   * Handles a vnode's answer; `body` is valid only during the call.
   *
   * @param sequence The number it came under: this request's, or one that it
   * opened on its host.
   */
  abstract replicaAnswered(
    type: number,
    replica: number,
    body: Uint8Array,
    sequence: number,
  ): void;

  /** Size of the operation it holds, in bytes. */
  get byteCount(): number {
    return this.bytes.length;
  }

  /** Index of the node called `name` in this request's ring, or -1. */
  indexOf(name: string): number {
    return this.view.nodes.indexOf(name);
  }

  /** Delivers the first event. */
  begin(): void {
    this.host.deliver(this, { type: "start" });
  }

  /**
   * A node is gone or silent, so the answers it owes count as failed; if they
   * arrive after all, they are dropped.
   */
  nodeLost(node: number, error: WhorlError): void {
    const owing = this.owesAnswerFrom(node);
    for (let i = 0, rest = owing; rest !== 0; i++, rest >>= 1) {
      if (rest & 1) {
        this.host.deliver(this, { type: "failed", replica: i, error });
      }
    }
  }

  deadlinePassed(): void {
    this.host.nowMs = this.host.runtime.now();
    this.host.deliver(this, {
      type: this.#inGrace ? "grace_over" : "deadline",
    });
  }

  stop(_reason: ExitReason): void {
    this.fail(
      new WhorlError(
        "closed",
        "The coordinators are stopping; a write in progress may still happen",
      ),
    );
    this.host.deliver(this, { type: "cancel" });
  }

  /**
   * Lets another coordinator continue with the operation, with other flags and
   * the time left, and answer its caller.
   */
  protected handOver(flags: number, timeLeftMs: number): void {
    if (this.#answered) return;
    this.#answered = true;
    const bytes = this.bytes.slice();
    bytes[OPERATION_FLAGS_OFFSET] = flags;
    new DataView(bytes.buffer).setUint32(
      OPERATION_TIME_LEFT_OFFSET,
      timeLeftMs,
    );
    try {
      this.host.submit(bytes, 0, bytes.length, this.#target);
    } catch (error) {
      this.#answered = false;
      throw error;
    }
  }

  kill(): void {
    this.host.forget(this);
    this.fail(
      new WhorlError(
        "coordinator_lost",
        "The coordinator of the request was killed; its outcome is unknown",
      ),
    );
    this.end("killed");
  }

  /** Handles a bug: answers the caller and crashes. */
  crash(error: unknown): void {
    this.host.forget(this);
    this.fail(
      new WhorlError(
        "coordinator_lost",
        `The coordinator of the request failed: ${reasonOf(error)}`,
        { cause: error },
      ),
    );
    this.end(crash(error));
  }

  /** Sends the next answer to `target`. False if a caller is already waiting for one. */
  protected waitFor(target: OperationTarget): boolean {
    if (!this.#answered) return false;
    this.#answered = false;
    this.#target = target;
    return true;
  }

  /** Milliseconds until the deadline. */
  protected get timeLeftMs(): number {
    return Math.max(1, this.#deadlineAt - this.host.runtime.now());
  }

  protected setDeadline(afterMs: number): void {
    const { host } = this;
    this.#deadlineAt = host.nowMs + afterMs;
    host.wheel.set(this, afterMs, host.nowMs);
  }

  #setGrace(afterMs: number): void {
    this.#inGrace = true;
    // The host's time is that of the last submission, which may be long ago.
    this.host.nowMs = this.host.runtime.now();
    this.host.wheel.set(this, afterMs, this.host.nowMs);
  }

  /** The state machine is done. */
  protected finished(): void {
    this.host.forget(this);
    this.end("normal");
  }

  /** Performs the effects that the machines of all requests share. */
  protected performCommon(effect: LifeEffect): void {
    switch (effect.type) {
      case "set_deadline":
        this.setDeadline(effect.afterMs);
        return;
      case "set_grace":
        this.#setGrace(effect.afterMs);
        return;
      case "finished":
        this.finished();
        return;
      default:
        return effect satisfies never;
    }
  }

  /** Answers the caller; `request` is the state that the answer reports. */
  protected respond(
    result:
      | { readonly ok: true; readonly object?: Uint8Array | undefined }
      | { readonly ok: false; readonly error: WhorlError },
    { replicas, count, failures, replies }: Answered,
  ): void {
    if (!result.ok) {
      this.fail(result.error);
      return;
    }
    this.succeed({
      object: result.object,
      replies: replies?.slice() ?? [],
      replicas: this.#reports(replicas, count, failures),
    });
  }

  protected succeed(result: OperationResult): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#target.operationDone(result);
  }

  protected fail(error: WhorlError): void {
    if (this.#answered) return;
    this.#answered = true;
    nameNodes(error, this.view.nodes);
    if (error.code === "overload") this.#nameShared(error.details);
    this.#target.operationFailed(error);
  }

  /** Adds which other operations would be refused as well; see `shared_fate.ts`. */
  #nameShared(details: Record<string, unknown>): void {
    if (details.againAfterMs === undefined) return;
    // Known already if another coordinator refused it.
    if (details.keyPartition !== undefined) return;
    const { bytes, header: { keyStart, keyEnd }, view: { ringSize } } = this;
    details.keyPartition = partitionOfKey(bytes, keyStart, keyEnd, ringSize);
    details.ringSize = ringSize;
  }

  /**
   * The event of a failure; `body` is valid only during the call.
   *
   * @param placed Where the replica is, if others must learn of its load.
   */
  protected readFailureEvent(
    replica: number,
    body: Uint8Array,
    placed?: Replica,
  ): ReplicaEvent {
    const error = readFailure(body);
    if (error.code === "overload" && placed !== undefined) {
      const { host, view } = this;
      host.overloads.hear(
        {
          node: view.nodes[placed.node] as string,
          moduleId: this.header.moduleId,
          vnode: view.firstVnode + placed.partition,
        },
        error,
        host.runtime.now(),
      );
    }
    if (error.code !== "wrong_owner") {
      return { type: "failed", replica, error };
    }
    // The newest view may know a node that the request's own does not; only
    // nodes of its own view have an index in it.
    const owner = this.view.nodes.indexOf(String(error.details.owner));
    return {
      type: "wrong_owner",
      replica,
      owner: owner < 0 ? undefined : owner,
    };
  }

  /**
   * Sends a command to a replica: the operation's bytes from `start` to `end`,
   * then `more`. A refusal is delivered as an event.
   */
  protected send(
    replicas: readonly Replica[],
    replica: number,
    command: number,
    flags: number,
    start: number,
    end: number,
    more: Uint8Array | undefined,
    reported = true,
  ): void {
    const { partition, node, primary } = replicas[replica] as Replica;
    const { host, header } = this;
    const vnode = this.view.firstVnode + partition;
    const timeLeftMs = reported
      ? Math.max(1, this.#deadlineAt - host.nowMs)
      : header.timeLeftMs;
    const correlation = reported
      ? this.sequence * REPLICAS_PER_REQUEST + replica
      : 0;
    const into = host.routes.beginVnodeRequest(
      this.view.nodes[node] as string,
      header.moduleId,
      vnode,
      host,
      correlation,
      timeLeftMs,
    );
    if (into instanceof WhorlError) {
      if (reported) {
        host.deliver(this, { type: "failed", replica, error: into });
      }
      return;
    }
    writeVnodeRequestHeader(
      into,
      header.moduleId,
      vnode,
      command,
      primary ? flags : flags | RequestFlag.asFallback,
      timeLeftMs,
    );
    into.rawRange(this.bytes, start, end);
    if (more !== undefined) into.raw(more);
    host.routes.endVnodeRequest();
  }

  #reports(
    replicas: readonly Replica[],
    count: QuorumCount,
    failures: FailureList,
  ): ReplicaReport[] {
    if (this.header.flags & OperationFlag.withoutReplicas) return [];
    return replicas.map((replica, i): ReplicaReport => {
      const error = failures?.[i];
      return {
        partition: replica.partition,
        node: this.view.nodes[replica.node] as string,
        primary: replica.primary,
        state: answerState(count, i),
        ...(error === undefined ? {} : {
          error: { code: failureName(error), message: error.message },
        }),
      };
    });
  }
}

/**
 * Replaces node numbers by names in the answers of `error`: the state machines
 * only know the numbers in this request's view.
 */
function nameNodes({ details }: WhorlError, nodes: readonly string[]): void {
  if (!Array.isArray(details.answers)) return;
  // In place: nobody else has seen it, and another error would be expensive.
  for (const answer of details.answers as { node: unknown }[]) {
    if (typeof answer.node === "number") answer.node = nodes[answer.node];
  }
}

/** The quorum an operation asks for, in the form the state machines use. */
export function quorumRuleOf(
  header: OperationHeader,
  kind: "read" | "write",
  strict: boolean,
): QuorumRule {
  return {
    kind,
    n: header.n,
    need: header.quorum,
    primaries: header.primaries,
    durable: header.durable,
    nodeConfirms: header.nodeConfirms,
    strict,
    timeoutMs: header.timeLeftMs,
  };
}
