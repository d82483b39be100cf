/**
 * Coordinates requests: it accepts operations, starts a coordinator for each
 * under a bounded simple_one_for_one supervisor, and passes the answers of
 * vnodes on to it. It runs in the node's main thread, or as a program in a
 * worker or subprocess; all it needs from outside are its routes.
 *
 * A correlation is the request's number times eight plus the replica, so an
 * answer finds its coordinator with one look-up; a coverage query opens a
 * number for each of its asks. Events that arrive for a coordinator while
 * another one is being advanced wait their turn.
 *
 * @module
 */
import { DynamicSupervisor } from "../../supervisors/dynamic_supervisor.ts";
import { formatReason } from "../../supervisors/exit_reason.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import type { SupervisorReport } from "../../supervisors/supervisor.ts";
import type { Log } from "../environment/log.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { briefCopyOf, NO_BYTES } from "../base/byte_slab.ts";
import { isWhorlError, nodeStopping, WhorlError } from "../base/errors.ts";
import { DeadlineWheel } from "../environment/deadline_wheel.ts";
import type { RingView } from "../ring/ring_view.ts";
import { coordinatorFor } from "./coordinator_for.ts";
import {
  type Coordinators,
  OPERATION_BYTES_MAX,
  REQUEST_BYTES_MAX,
  type RequestCounts,
} from "./coordinators.ts";
import type { CoveragePace } from "./coverage_pace.ts";
import { CoverageProcess } from "./coverage_process.ts";
import { ForwardProcess } from "./forward_process.ts";
import type { ObjectCommands } from "./object_merge.ts";
import {
  changesNothing,
  emptyOperationHeader,
  isFollowUp,
  type OperationHeader,
  OperationKind,
  readOperationHeader,
} from "./operation_codec.ts";
import type { OperationTarget } from "./operation_target.ts";
import type { ProcessHost } from "./process_host.ts";
import {
  REPLICAS_PER_REQUEST,
  type RequestProcess,
} from "./request_process.ts";
import type { RequestRoutes } from "./request_routes.ts";
import { ToldOverloads } from "./told_overloads.ts";

/** Shortest time between two log lines about crashed coordinators, in milliseconds. */
const CRASH_LOG_INTERVAL_MS = 1_000;

/** What a host needs. */
export interface RequestHostOptions {
  readonly runtime: Runtime;
  readonly routes: RequestRoutes;
  /** Versioned modules, by module number. */
  readonly objectModules: ReadonlyMap<number, ObjectCommands>;
  /** Most requests at once; a further one is answered `overload`. */
  readonly requestsMax: number;
  /** Name of its supervisor. @default {"op_fsm_sup"} */
  readonly name?: string;
  /**
   * Number of its first request. A host that replaces another continues its
   * numbers, so that a late answer to one of the other's requests is never
   * taken for one to its own.
   *
   * @default {1}
   */
  readonly firstSequence?: number;
  /** How fast coverage queries may go. @default {as fast as they can} */
  readonly coveragePace?: CoveragePace;
  /** Told of coordinators that crashed or were killed, at most once a second. */
  readonly log: Log;
}

/** Coordinates requests; see the module comment. */
export class RequestHost implements Coordinators, ProcessHost {
  readonly runtime: Runtime;
  readonly routes: RequestRoutes;
  readonly wheel: DeadlineWheel;
  readonly overloads: ToldOverloads = new ToldOverloads();
  readonly coveragePace: CoveragePace | undefined;
  readonly supervisor: DynamicSupervisor<[RequestProcess], RequestProcess>;
  readonly counts: RequestCounts = {
    started: 0,
    refused: 0,
    forwarded: 0,
    repairs: 0,
  };
  /** The current ring, by module number: nodes may run different modules. */
  #views = new Map<number, RingView>();
  /**
   * @internal The time of the last submission or deadline: reading the clock in
   * each step would cost more than the step.
   */
  nowMs: number;
  /** @internal Effects of the current step. */
  readonly effects: unknown[] = [];
  #objectModules: ReadonlyMap<number, ObjectCommands>;
  /** By the numbers under which they receive answers. */
  #requests = new Map<number, RequestProcess>();
  /** Coverage queries, by the numbers their callers use. */
  #queries = new Map<number, CoverageProcess>();
  #next: number;
  #log: Log;
  #crashes = 0;
  #crashLoggedMs = -Infinity;
  #header: OperationHeader = emptyOperationHeader();
  #reader = new ByteReader(NO_BYTES);
  /** Bytes of all operations in progress. */
  #bytes = 0;
  #advancing = false;
  #waiting: { process: RequestProcess; event: unknown }[] = [];

  constructor(options: RequestHostOptions) {
    this.runtime = options.runtime;
    this.routes = options.routes;
    this.nowMs = options.runtime.now();
    this.#objectModules = options.objectModules;
    this.#next = options.firstSequence ?? 1;
    this.#log = options.log;
    this.coveragePace = options.coveragePace;
    this.wheel = new DeadlineWheel(options.runtime);
    this.supervisor = new DynamicSupervisor({
      name: options.name ?? "op_fsm_sup",
      start: (process: RequestProcess) => process,
      maxChildren: options.requestsMax,
      shutdown: 1_000,
      runtime: options.runtime,
      onReport: (report) => this.#reported(report),
    });
  }

  /** From now on requests to this module use the ring `view`; those in progress keep theirs. */
  setView(moduleId: number, view: RingView): void {
    this.#views.set(moduleId, view);
  }

  /** Number of the next request: `firstSequence` of a host that replaces this one. */
  get nextSequence(): number {
    return this.#next;
  }

  /** Number of requests in progress. */
  get size(): number {
    return this.supervisor.size;
  }

  /**
   * Accepts the operation in `bytes[start, end)`, which is copied. `target` is
   * answered once, possibly before this returns.
   */
  submit(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: OperationTarget,
  ): void {
    this.nowMs = this.runtime.now();
    if (isFollowUp(bytes[start])) {
      this.#followUp(bytes, start, end, target);
      return;
    }
    let process: RequestProcess;
    try {
      // Before anything is copied: refusals must be cheap.
      this.#checkRoom();
      this.#checkSize(end - start);
      process = this.#coordinatorFor(
        briefCopyOf(bytes, start, end),
        target,
      );
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      this.counts.refused++;
      target.operationFailed(error);
      return;
    }
    this.counts.started++;
    this.#bytes += process.byteCount;
    this.#requests.set(process.sequence, process);
    if (process instanceof CoverageProcess) {
      this.#queries.set(process.query, process);
    }
    this.supervisor.startChild(process);
    process.begin();
  }

  /** Handles an operation for a coverage query in progress. */
  #followUp(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: OperationTarget,
  ): void {
    let query: CoverageProcess | undefined;
    try {
      this.#reader.reset(bytes, start, end);
      readOperationHeader(this.#reader, this.#header);
      query = this.#queries.get(this.#reader.u53());
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      target.operationFailed(error);
      return;
    }
    if (this.#header.kind === OperationKind.coverageCancel) {
      query?.cancel();
      target.operationDone({ object: undefined, replies: [], replicas: [] });
    } else if (query !== undefined) query.more(target);
    else if (!this.supervisor.alive) {
      target.operationFailed(nodeStopping());
    } else {
      target.operationFailed(
        new WhorlError(
          "coordinator_lost",
          "Cannot continue a coverage query as its coordinator is gone: it was killed, or its caller was silent for too long",
        ),
      );
    }
  }

  /** Operations in progress are also bounded in bytes, as a client may send few but large ones. */
  #checkSize(byteCount: number): void {
    if (byteCount > OPERATION_BYTES_MAX) {
      throw new WhorlError(
        "frame_too_large",
        `Cannot run an operation of ${byteCount} bytes: the limit is ${OPERATION_BYTES_MAX}`,
        { details: { length: byteCount, limit: OPERATION_BYTES_MAX } },
      );
    }
    if (this.#bytes + byteCount > REQUEST_BYTES_MAX) {
      throw new WhorlError(
        "overload",
        `Cannot accept a request of ${byteCount} bytes as requests of ${this.#bytes} bytes are in progress: the limit is ${REQUEST_BYTES_MAX}`,
      );
    }
  }

  #checkRoom(): void {
    if (!this.supervisor.full) return;
    throw this.supervisor.alive
      ? new WhorlError(
        "overload",
        `Cannot accept a request as ${this.supervisor.size} are in progress: the limit is ${this.supervisor.maxChildren}`,
      )
      : nodeStopping();
  }

  #coordinatorFor(
    bytes: Uint8Array<ArrayBuffer>,
    target: OperationTarget,
  ): RequestProcess {
    this.#reader.reset(bytes, 0, bytes.length);
    readOperationHeader(this.#reader, this.#header);
    const header = { ...this.#header };
    const current = this.#views.get(header.moduleId);
    // While the ring is being resized, reads may use another one.
    const view = changesNothing(header) ? current?.reads ?? current : current;
    if (view === undefined) {
      throw this.#views.size === 0
        ? new WhorlError(
          "node_still_starting",
          "Cannot accept a request as the node has no ring yet",
        )
        : new WhorlError(
          "invalid_argument",
          "Cannot accept a request for a module that no node runs",
        );
    }
    const sequence = this.#next++;
    const coordinator = coordinatorFor({
      host: this,
      sequence,
      header,
      bytes,
      target,
      view,
      objects: this.#objectModules.get(header.moduleId),
    });
    if (coordinator instanceof ForwardProcess) this.counts.forwarded++;
    return coordinator;
  }

  /** A vnode's answer to a request of this host. */
  vnodeAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    const replica = correlation % REPLICAS_PER_REQUEST;
    const sequence = (correlation - replica) / REPLICAS_PER_REQUEST;
    const process = this.#requests.get(sequence);
    // The request has ended: the answer came after the grace, or is to a
    // repair.
    if (process === undefined) return;
    process.replicaAnswered(
      type,
      replica,
      bytes.subarray(start, end),
      sequence,
    );
  }

  /** Another node's answer to an operation that was sent on to it. */
  operationAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    this.vnodeAnswer(type, correlation, bytes, start, end);
  }

  /** An operation could not be sent on. */
  operationRefused(correlation: number): void {
    const process = this.#requests.get(correlation / REPLICAS_PER_REQUEST);
    if (process instanceof ForwardProcess) process.refused();
  }

  /** `node` is gone or silent: ends all waits for its answers. */
  nodeLost(node: string, why: () => WhorlError): void {
    if (this.#requests.size === 0) return;
    const error = why();
    for (const process of new Set(this.#requests.values())) {
      process.nodeLost(process.indexOf(node), error);
    }
  }

  /** @internal Gives `process` an event, now or after the current step. */
  deliver(process: RequestProcess, event: unknown): void {
    if (this.#advancing) {
      // Only failures come back during a step, so the event holds no view into
      // a message that is gone by then.
      this.#waiting.push({ process, event });
      return;
    }
    this.#advancing = true;
    this.#advance(process, event);
    for (let i = 0; i < this.#waiting.length; i++) {
      const { process, event } = this.#waiting[i] as {
        process: RequestProcess;
        event: unknown;
      };
      this.#advance(process, event);
    }
    if (this.#waiting.length > 0) this.#waiting = [];
    this.#advancing = false;
  }

  #advance(process: RequestProcess, event: unknown): void {
    if (!process.alive) return;
    try {
      process.advance(event);
    } catch (error) {
      this.effects.length = 0;
      process.crash(error);
    }
  }

  #reported(report: SupervisorReport): void {
    if (report.type !== "child_exited") return;
    this.#crashes++;
    const nowMs = this.runtime.now();
    // What crashes one coordinator may crash thousands, and one line is enough.
    if (nowMs - this.#crashLoggedMs < CRASH_LOG_INTERVAL_MS) return;
    this.#crashLoggedMs = nowMs;
    this.#log.error("A coordinator of a request crashed", {
      reason: formatReason(report.reason),
      crashed: this.#crashes,
    });
  }

  /** @internal Another number for answers to `process`. */
  openSequence(process: RequestProcess): number {
    const sequence = this.#next++;
    this.#requests.set(sequence, process);
    return sequence;
  }

  /** @internal Ends the wait for answers under `sequence`. */
  closeSequence(sequence: number): void {
    this.#requests.delete(sequence);
  }

  /** @internal Removes a request that has ended. */
  forget(process: RequestProcess): void {
    if (process instanceof CoverageProcess) this.#queries.delete(process.query);
    if (this.#requests.delete(process.sequence)) {
      this.#bytes -= process.byteCount;
    }
    this.wheel.clear(process);
  }

  /** @internal Counts a replica that is being repaired. */
  countRepair(): void {
    this.counts.repairs++;
  }

  /** Cancels everything in progress; every caller is answered. */
  async close(): Promise<void> {
    await this.supervisor.shutdown();
    this.wheel.close();
  }
}
