/**
 * Accepts operations of `ra_kv` at a node and has each carried out in the right
 * place: at the leader of its cluster, or at a member. It keeps the deadline,
 * waits while there is no leader, and sends an operation on to another node,
 * which carries it out or refuses it (`next_hop.ts`).
 *
 *     submit ──► here ─────────────► answer
 *        │         └── not leader ─┐
 *        ├──► to another node ─────┼──► answer
 *        │         └── refused ────┤
 *        ├──► who has a member? ───┤
 *        └──► wait ◄───────────────┘ until there is a leader, or no time left
 *
 * A refused operation was not carried out, so it is tried again. After other
 * failures only reads are tried again, because the outcome of a write is
 * unknown. If the key of an operation has moved to another group, the operation
 * continues there.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { briefCopyOf, NO_BYTES } from "../base/byte_slab.ts";
import {
  isWhorlError,
  madeOnce,
  nodeStopping,
  WhorlError,
} from "../base/errors.ts";
import { DeadlineWheel } from "../environment/deadline_wheel.ts";
import { TurnClock } from "../environment/turn_clock.ts";
import { isYetToBeAdded, type RaftSystem } from "../raft/raft_member.ts";
import type { OperationCarrier } from "../request/operation_carrier.ts";
import {
  emptyOperationHeader,
  readOperationHeader,
} from "../request/operation_codec.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import { unknownCluster } from "./cluster_questions.ts";
import { LastText } from "./last_text.ts";
import type { ClusterHint } from "./next_hop.ts";
import { RA_KV_MODULE_ID, RaKvOperation } from "./ra_kv_codec.ts";
import { raKvMember } from "./ra_kv_member.ts";
import {
  type GroupSuccessor,
  RaKvRequest,
  type RaKvRoutes,
  type RequestHost,
} from "./ra_kv_request.ts";
import type { RaKvMember } from "./ra_kv_service.ts";
import { RaKvWatches } from "./ra_kv_watches.ts";

export type { GroupSuccessor, RaKvRoutes } from "./ra_kv_request.ts";

/** Most operations in progress on one node; one more is answered `overload`. */
export const RA_KV_REQUESTS_MAX = 65_536;
/** Most bytes of operations in progress on one node. */
export const RA_KV_REQUEST_BYTES_MAX: number = 64 * 1024 * 1024;
/** Interval at which waiting operations are tried again, in milliseconds. */
export const RETRY_INTERVAL_MS = 10;
/** Shortest time between two searches for the members of a cluster, in milliseconds. */
const FIND_INTERVAL_MS = 100;
/** Most clusters whose location is remembered. */
export const HINTS_MAX = 10_000;
/**
 * First correlation number of operations that are sent on, so that an answer
 * tells whom it is for: above those of requests, below those of coverage
 * queries.
 */
export const RAFT_CORRELATION_FIRST: number = 2 ** 51;
/** Range from which a router draws its first number; enough numbers remain after it. */
const FIRST_NUMBERS = 2 ** 40;

/** Whether an answer with this `correlation` is for a router. */
export function isRaftCorrelation(correlation: number): boolean {
  return correlation >= RAFT_CORRELATION_FIRST &&
    correlation < 2 * RAFT_CORRELATION_FIRST;
}

/** What was heard about a cluster, and when. */
interface HeardHint {
  readonly hint: ClusterHint;
  readonly atMs: number;
}

/** What a router needs. */
export interface RaKvRouterOptions {
  /** Name of this node. */
  readonly self: string;
  /** The groups of this node; undefined while they are starting. */
  readonly system: () => RaftSystem | undefined;
  /** Whether groups of this node have yet to start or restart. @default {none} */
  readonly isStarting?: () => boolean;
  readonly runtime: Runtime;
  readonly routes: RaKvRoutes;
  /** Where the keys of a group that has moved are. @default {unknown} */
  readonly successor?: GroupSuccessor;
}

/** Routes operations; see the module comment. */
export class RaKvRouter implements OperationCarrier, RequestHost {
  readonly self: string;
  readonly routes: RaKvRoutes;
  readonly runtime: Runtime;
  readonly watches: RaKvWatches;
  readonly wheel: DeadlineWheel;
  readonly successor: GroupSuccessor;
  readonly #system: () => RaftSystem | undefined;
  readonly #isStarting: () => boolean;
  readonly #header = emptyOperationHeader();
  readonly #reader = new ByteReader(NO_BYTES);
  readonly #names = new LastText();
  readonly #clock: TurnClock;
  #size = 0;
  #bytes = 0;
  /**
   * Starts at a random number, so that a late answer to an earlier router of
   * this node is not mistaken for one to this.
   */
  #next: number;
  readonly #sent = new Map<number, RaKvRequest>();
  readonly #waiting = new Set<RaKvRequest>();
  #timer: TimerHandle | undefined;
  readonly #hints = new Map<string, HeardHint>();
  /** When each cluster was last searched for; `Infinity` while a search is running. */
  readonly #findings = new Map<string, number>();
  /**
   * Once closed, makes the one error for all requests: 65,536 errors would take
   * most of a second.
   */
  #closed: (() => WhorlError) | undefined;

  constructor(options: RaKvRouterOptions) {
    this.self = options.self;
    this.routes = options.routes;
    this.successor = options.successor ?? (() => undefined);
    this.runtime = options.runtime;
    this.#clock = new TurnClock(options.runtime);
    this.#next = RAFT_CORRELATION_FIRST +
      Math.floor(options.runtime.random() * FIRST_NUMBERS);
    this.#system = options.system;
    this.#isStarting = options.isStarting ?? (() => false);
    this.watches = new RaKvWatches(options.runtime);
    this.wheel = new DeadlineWheel(options.runtime);
  }

  /** Number of operations in progress. */
  get size(): number {
    return this.#size;
  }

  /**
   * Accepts the operation in `bytes[start, end)`, which is copied; `target` is
   * answered once, possibly before this returns.
   */
  submit(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: OperationTarget,
  ): void {
    let request: RaKvRequest;
    try {
      request = this.#requestFor(bytes, start, end, target);
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      target.operationFailed(error);
      return;
    }
    this.#size++;
    this.#bytes += end - start;
    this.wheel.set(request, this.#header.timeLeftMs, this.#clock.now());
    request.route();
  }

  #requestFor(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: OperationTarget,
  ): RaKvRequest {
    if (this.#closed !== undefined) throw this.#closed();
    this.#reader.reset(bytes, start, end);
    readOperationHeader(this.#reader, this.#header);
    const { moduleId, command, flags, timeLeftMs, keyStart, keyEnd } =
      this.#header;
    if (moduleId !== RA_KV_MODULE_ID || !OPERATIONS.has(command)) {
      throw new WhorlError(
        "unknown_command",
        `Cannot carry out operation ${command} as ra_kv has no such operation`,
      );
    }
    if (
      this.#size >= RA_KV_REQUESTS_MAX ||
      this.#bytes + end - start > RA_KV_REQUEST_BYTES_MAX
    ) {
      throw new WhorlError(
        "overload",
        `Cannot accept an operation as ${this.#size} with ${this.#bytes} bytes are in progress`,
      );
    }
    const cluster = this.#names.of(bytes, keyStart, keyEnd);
    return new RaKvRequest(this, this.#clock.now(), {
      cluster,
      operation: command,
      flags,
      timeLeftMs,
      bytes: briefCopyOf(bytes, start, end),
      bodyStart: keyEnd - start,
      target,
    });
  }

  /** Another node's answer to an operation sent on to it; valid only during the call. */
  operationAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    const request = this.#sent.get(correlation);
    if (request === undefined) return;
    this.#sent.delete(correlation);
    request.answeredElsewhere(type, bytes, start, end);
  }

  /** `node` is gone or silent: ends all waits for its answers. */
  nodeLost(node: string, why: () => WhorlError): void {
    if (this.#sent.size === 0) return;
    for (const [correlation, request] of [...this.#sent]) {
      if (request.sentTo !== node) continue;
      this.#sent.delete(correlation);
      request.nodeLost(node, why());
    }
  }

  /**
   * Tries all waiting operations again at once: this node's groups have
   * started, or have a new leader.
   */
  tryAgain(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const request of waiting) request.route();
  }

  /** Fails all operations in progress; writes may still happen. */
  close(): void {
    const closed = this.#closed = madeOnce(nodeStopping);
    if (this.#timer !== undefined) this.runtime.clearTimer(this.#timer);
    this.#timer = undefined;
    this.watches.close(closed);
    for (const request of [...this.#sent.values(), ...this.#waiting]) {
      request.abandon(closed());
    }
    this.#sent.clear();
    this.#waiting.clear();
    this.wheel.close();
  }

  /** Whether this node has, or may have, a member that does not run now. */
  #isDown(cluster: string): boolean {
    return this.#isStarting() || this.#system()?.isDown(cluster) === true;
  }

  /** @internal The member on this node that can be asked: one that its group has yet to add knows nothing. */
  memberOf(cluster: string): RaKvMember | undefined {
    const member = raKvMember(this.#system(), cluster);
    return member === undefined || isYetToBeAdded(member) ? undefined : member;
  }

  /** @internal */
  hintOf(cluster: string, sinceMs = -Infinity): ClusterHint | undefined {
    const heard = this.#hints.get(cluster);
    return heard === undefined || heard.atMs < sinceMs ? undefined : heard.hint;
  }

  /** @internal Remembers where `cluster` is, or forgets it. */
  remember(cluster: string, hint: ClusterHint | undefined): void {
    this.#hints.delete(cluster);
    if (hint === undefined) return;
    this.#hints.set(cluster, { hint, atMs: this.runtime.now() });
    if (this.#hints.size <= HINTS_MAX) return;
    for (const oldest of this.#hints.keys()) {
      this.#hints.delete(oldest);
      return;
    }
  }

  /** @internal A number under which `request` waits for an answer. */
  open(request: RaKvRequest): number {
    const correlation = this.#next++;
    this.#sent.set(correlation, request);
    return correlation;
  }

  /** @internal */
  closeNumber(correlation: number): void {
    this.#sent.delete(correlation);
  }

  /** @internal Tries `request` again in a moment. */
  wait(request: RaKvRequest): void {
    if (this.#closed !== undefined) return request.abandon(this.#closed());
    this.#waiting.add(request);
    this.#timer ??= this.runtime.setTimer(RETRY_INTERVAL_MS, () => {
      this.#timer = undefined;
      this.tryAgain();
    });
  }

  /** @internal Asks where the cluster of `request` is, and then tries it again. */
  find(request: RaKvRequest): void {
    const { cluster } = request;
    this.wait(request);
    const askedAt = this.#findings.get(cluster);
    if (
      askedAt !== undefined && this.runtime.now() < askedAt + FIND_INTERVAL_MS
    ) return;
    this.#findings.set(cluster, Infinity);
    this.routes.find(cluster).then(({ hint, certain }) => {
      this.remember(cluster, hint);
      if (hint === undefined && certain && !this.#isDown(cluster)) {
        this.#refuse(cluster);
      }
    }, () => {
      // The search is repeated as long as an operation waits.
    }).then(() => {
      // Forgets the search once nobody waits for this cluster.
      if ([...this.#waiting].some((other) => other.cluster === cluster)) {
        this.#findings.set(cluster, this.runtime.now());
      } else this.#findings.delete(cluster);
      this.tryAgain();
    });
  }

  #refuse(cluster: string): void {
    // The group that has yet to add a member may still exist.
    if (raKvMember(this.#system(), cluster) !== undefined) return;
    for (const request of [...this.#waiting]) {
      if (request.cluster === cluster) {
        request.abandon(unknownCluster(cluster, { node: this.self }));
      }
    }
  }

  /** @internal */
  forget(request: RaKvRequest, byteCount: number): void {
    this.#size--;
    this.#bytes -= byteCount;
    this.#waiting.delete(request);
    this.wheel.clear(request);
  }
}

const OPERATIONS: ReadonlySet<number> = new Set(Object.values(RaKvOperation));
