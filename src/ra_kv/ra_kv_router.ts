/**
 * Takes the operations of `ra_kv` in at a node and sees to it that each is
 * carried out where it must be: at the leader of its cluster, or at a member. It
 * keeps the deadline, waits while there is no leader, and sends an operation on
 * to another node, which carries it out or refuses it (`next_hop.ts`).
 *
 *     submit ──► here ─────────────► answer
 *        │         └── not leader ─┐
 *        ├──► to another node ─────┼──► answer
 *        │         └── refused ────┤
 *        ├──► who has a member? ───┤
 *        └──► wait ◄───────────────┘ until there is a leader, or no time left
 *
 * What was refused was not carried out, so it is tried again. Writes whose fate
 * is unknown are not; reads are.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { briefCopyOf } from "../base/byte_slab.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { type Deadline, DeadlineWheel } from "../environment/deadline_wheel.ts";
import type { RaftMember, RaftSystem } from "../raft/raft_member.ts";
import type { OperationCarrier } from "../request/operation_carrier.ts";
import {
  emptyOperationHeader,
  OPERATION_FLAGS_OFFSET,
  OPERATION_TIME_LEFT_OFFSET,
  OperationFlag,
  readOperationHeader,
  readOperationResult,
} from "../request/operation_codec.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import { readFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import { LastText } from "./last_text.ts";
import {
  type ClusterHint,
  type Hop,
  mayTryAgain,
  nextHop,
  wasNotDone,
} from "./next_hop.ts";
import {
  GetFlag,
  isRead,
  RA_KV_MODULE_ID,
  RaKvOperation,
  readEntryBody,
  readGetBody,
  readWatchBody,
} from "./ra_kv_codec.ts";
import { RA_KV_MACHINE } from "./ra_kv_command_codec.ts";
import {
  get,
  type RaKvMember,
  type RaKvTarget,
  readEntry,
  write,
} from "./ra_kv_service.ts";
import { RaKvWatches } from "./ra_kv_watches.ts";

/** Operations under way on one node; one more is answered `overload`. */
export const RA_KV_REQUESTS_MAX = 65_536;
/** Bytes of operations under way on one node. */
export const RA_KV_REQUEST_BYTES_MAX: number = 64 * 1024 * 1024;
/** Time after which those that wait are tried again, in milliseconds. */
export const RETRY_INTERVAL_MS = 10;
/** Time between two questions who has a member of a cluster, in milliseconds. */
export const FIND_INTERVAL_MS = 100;
/** Clusters of which it is remembered where they are. */
export const HINTS_MAX = 10_000;
/** Refusals in a row after which an operation waits before it is tried again. */
const HASTY_TRIES_MAX = 3;
/** Numbers of operations sent on, so that an answer tells whom it is for: beyond those of requests, below those of coverage queries. */
export const RAFT_CORRELATION_FIRST: number = 2 ** 51;
/** How many numbers the first one may be; the others are enough for ever. */
const FIRST_NUMBERS = 2 ** 40;
/** How much longer than its deadline an operation that was sent on is waited for. */
const ANSWER_GRACE_MS = 100;

/** Whether an answer under `correlation` is for a router. */
export function isRaftCorrelation(correlation: number): boolean {
  return correlation >= RAFT_CORRELATION_FIRST &&
    correlation < 2 * RAFT_CORRELATION_FIRST;
}

/** The way to other nodes. */
export interface RaKvRoutes {
  /** Begins an operation for `node`, or says why it cannot leave. */
  beginOperation(node: string, correlation: number): ByteWriter | WhorlError;
  /** Ends the operation begun last. */
  endOperation(): void;
  /**
   * Asks all other nodes who has a member of `cluster`.
   *
   * @returns What is known; `certain` if all have answered.
   */
  find(
    cluster: string,
  ): Promise<
    { readonly hint: ClusterHint | undefined; readonly certain: boolean }
  >;
}

/** What a router is made of. */
export interface RaKvRouterOptions {
  /** Name of this node. */
  readonly self: string;
  /** The groups of this node; undefined while they are starting. */
  readonly system: () => RaftSystem | undefined;
  /** Whether groups of this node have yet to start, or to start again. @default {none} */
  readonly isStarting?: () => boolean;
  readonly runtime: Runtime;
  readonly routes: RaKvRoutes;
}

/** The member of `cluster` in `system`, if it has one. @throws {WhorlError} `invalid_argument` for a group of another kind. */
export function raKvMember(
  system: RaftSystem | undefined,
  cluster: string,
): RaKvMember | undefined {
  const member = system?.member(cluster);
  if (member === undefined) return undefined;
  if (!isRaKv(member)) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot use ${cluster} as a cluster of ra_kv: it is a group of another kind`,
    );
  }
  return member;
}

/** Whether `member` is of a cluster of `ra_kv`. */
export function isRaKv(member: RaftMember): member is RaKvMember {
  return member.log.config.machine === RA_KV_MACHINE;
}

/** Routes operations; see the module's text. */
export class RaKvRouter implements OperationCarrier {
  readonly self: string;
  readonly routes: RaKvRoutes;
  readonly runtime: Runtime;
  readonly watches: RaKvWatches;
  readonly wheel: DeadlineWheel;
  readonly #system: () => RaftSystem | undefined;
  readonly #isStarting: () => boolean;
  readonly #header = emptyOperationHeader();
  readonly #reader = new ByteReader(new Uint8Array(0));
  readonly #names = new LastText();
  #size = 0;
  #bytes = 0;
  /** Begins anywhere, so that a late answer to another router of this node is not taken for one to this. */
  #next: number;
  readonly #sent = new Map<number, RaKvRequest>();
  readonly #waiting = new Set<RaKvRequest>();
  #timer: TimerHandle | undefined;
  readonly #hints = new Map<string, ClusterHint>();
  /** When each of them was asked for last; those that are being asked for never come up again before they are answered. */
  readonly #findings = new Map<string, number>();
  #closed = false;

  constructor(options: RaKvRouterOptions) {
    this.self = options.self;
    this.routes = options.routes;
    this.runtime = options.runtime;
    this.#next = RAFT_CORRELATION_FIRST +
      Math.floor(options.runtime.random() * FIRST_NUMBERS);
    this.#system = options.system;
    this.#isStarting = options.isStarting ?? (() => false);
    this.watches = new RaKvWatches(options.runtime);
    this.wheel = new DeadlineWheel(options.runtime);
  }

  /** Operations under way. */
  get size(): number {
    return this.#size;
  }

  /** Takes in the operation in `bytes[start, end)`, which is copied; `target` is answered once, possibly before this returns. */
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
    this.wheel.set(request, request.timeLeftMs);
    request.route();
  }

  #requestFor(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: OperationTarget,
  ): RaKvRequest {
    if (this.#closed) throw new WhorlError("closed", "The node is stopping");
    this.#reader.reset(bytes, start, end);
    readOperationHeader(this.#reader, this.#header);
    const { moduleId, command, flags, timeLeftMs, keyStart, keyEnd } =
      this.#header;
    if (moduleId !== RA_KV_MODULE_ID || !OPERATIONS.has(command)) {
      throw new WhorlError(
        "unknown_command",
        `Cannot carry out operation ${command} as ra_kv has none`,
      );
    }
    if (
      this.#size >= RA_KV_REQUESTS_MAX ||
      this.#bytes + end - start > RA_KV_REQUEST_BYTES_MAX
    ) {
      throw new WhorlError(
        "overload",
        `Cannot take an operation as ${this.#size} of ${this.#bytes} bytes are under way`,
      );
    }
    const cluster = this.#names.of(bytes.subarray(keyStart, keyEnd));
    return new RaKvRequest(this, {
      cluster,
      operation: command,
      flags,
      timeLeftMs,
      bytes: briefCopyOf(bytes, start, end),
      bodyStart: keyEnd - start,
      target,
    });
  }

  /** Another node's answer to an operation that was sent on to it; valid only during the call. */
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

  /** `node` is gone, or silent: nobody waits any longer for what it owes. */
  nodeLost(node: string, why: () => WhorlError): void {
    if (this.#sent.size === 0) return;
    for (const [correlation, request] of [...this.#sent]) {
      if (request.sentTo !== node) continue;
      this.#sent.delete(correlation);
      request.nodeLost(node, why());
    }
  }

  /** The groups of this node are there, or have changed who leads: those that wait are tried again at once. */
  tryAgain(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const request of waiting) request.route();
  }

  /** Fails what is under way; what was written may yet happen. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== undefined) this.runtime.clearTimer(this.#timer);
    this.#timer = undefined;
    this.watches.close();
    const error = new WhorlError("closed", "The node is stopping");
    for (const request of [...this.#sent.values(), ...this.#waiting]) {
      request.abandon(error);
    }
    this.#sent.clear();
    this.#waiting.clear();
    this.wheel.close();
  }

  /** Whether this node has, or may have, a member that does not run just now. */
  #isDown(cluster: string): boolean {
    return this.#isStarting() || this.#system()?.isDown(cluster) === true;
  }

  /** @internal */
  memberOf(cluster: string): RaKvMember | undefined {
    return raKvMember(this.#system(), cluster);
  }

  /** @internal */
  hintOf(cluster: string): ClusterHint | undefined {
    return this.#hints.get(cluster);
  }

  /** @internal Remembers where `cluster` is, or forgets it. */
  remember(cluster: string, hint: ClusterHint | undefined): void {
    this.#hints.delete(cluster);
    if (hint === undefined) return;
    this.#hints.set(cluster, hint);
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
    if (this.#closed) {
      return request.abandon(new WhorlError("closed", "The node is stopping"));
    }
    this.#waiting.add(request);
    this.#timer ??= this.runtime.setTimer(RETRY_INTERVAL_MS, () => {
      this.#timer = undefined;
      this.tryAgain();
    });
  }

  /** @internal Asks where the cluster of `request` is, and tries it again then. */
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
      // It is asked again while anybody waits.
    }).then(() => {
      // What nobody waits for any more need not be remembered.
      if ([...this.#waiting].some((other) => other.cluster === cluster)) {
        this.#findings.set(cluster, this.runtime.now());
      } else this.#findings.delete(cluster);
      this.tryAgain();
    });
  }

  #refuse(cluster: string): void {
    for (const request of [...this.#waiting]) {
      if (request.cluster === cluster && this.memberOf(cluster) === undefined) {
        request.abandon(unknownCluster(cluster, this.self));
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

interface RequestParts {
  readonly cluster: string;
  readonly operation: number;
  /** {@linkcode OperationFlag} bits. */
  readonly flags: number;
  readonly timeLeftMs: number;
  /** All of the operation. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly bodyStart: number;
  readonly target: OperationTarget;
}

/** One operation under way. */
class RaKvRequest implements Deadline, RaKvTarget {
  wheelNext: Deadline | undefined = undefined;
  wheelPrevious: Deadline | undefined = undefined;
  wheelTick = 0;
  readonly #router: RaKvRouter;
  readonly #parts: RequestParts;
  readonly #deadlineAt: number;
  /** Where it was sent; undefined while it is here. */
  sentTo: string | undefined;
  #correlation = 0;
  #avoid: string | undefined;
  #hastyTries = 0;
  /** Whether somebody has it who may carry it out. */
  #given = false;
  #graceGiven = false;
  #finished = false;

  constructor(router: RaKvRouter, parts: RequestParts) {
    this.#router = router;
    this.#parts = parts;
    this.#deadlineAt = router.runtime.now() + parts.timeLeftMs;
  }

  get cluster(): string {
    return this.#parts.cluster;
  }

  get timeLeftMs(): number {
    return Math.max(
      1,
      Math.ceil(this.#deadlineAt - this.#router.runtime.now()),
    );
  }

  get #isRead(): boolean {
    return isRead(this.#parts.operation);
  }

  /** Takes it one step on. */
  route(): void {
    if (this.#finished) return;
    const { operation, flags, cluster } = this.#parts;
    let member: RaKvMember | undefined;
    try {
      member = this.#router.memberOf(cluster);
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      return this.failed(error);
    }
    const hop = nextHop({
      wants: operation < RaKvOperation.get ||
          operation === RaKvOperation.get && !this.#mayStay()
        ? "leader"
        : "member",
      forwarded: (flags & OperationFlag.forwarded) !== 0,
      self: this.#router.self,
      here: member && {
        leads: member.role === "leader",
        leader: member.leader,
      },
      hint: this.#router.hintOf(cluster),
      avoid: this.#avoid,
    });
    this.#avoid = undefined;
    this.#go(hop, member);
  }

  #mayStay(): boolean {
    const flags = this.#parts.bytes[this.#parts.bodyStart] ?? 0;
    return (flags & (GetFlag.local | GetFlag.stale)) !== 0;
  }

  #go(hop: Hop, member: RaKvMember | undefined): void {
    switch (hop.type) {
      case "here":
        return this.#perform(member as RaKvMember);
      case "to":
        return this.#send(hop.node);
      case "find":
        return this.#router.find(this);
      case "wait":
        return this.#router.wait(this);
      case "refuse":
        return this.#fail(
          hop.code === "unknown_cluster"
            ? unknownCluster(this.cluster, this.#router.self)
            : notLeader(this.cluster, this.#router.self, member?.leader),
        );
      default:
        return hop satisfies never;
    }
  }

  #perform(member: RaKvMember): void {
    const { operation, bytes, bodyStart } = this.#parts;
    this.#given = true;
    try {
      const body = new ByteReader(bytes, bodyStart);
      switch (operation) {
        case RaKvOperation.get:
          return get(member, readGetBody(body), this);
        case RaKvOperation.readEntry:
          return void readEntry(member, readEntryBody(body), this);
        case RaKvOperation.watch:
          return this.#router.watches.add(member, readWatchBody(body), this);
        default:
          return write(member, commandOf(operation, bytes, bodyStart), this);
      }
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      this.#fail(error);
    }
  }

  #send(node: string): void {
    const { routes } = this.#router;
    const { bytes, flags } = this.#parts;
    const correlation = this.#router.open(this);
    const into = routes.beginOperation(node, correlation);
    if (into instanceof WhorlError) {
      this.#router.closeNumber(correlation);
      return this.#cannotSend(node, into);
    }
    const start = into.length;
    into.raw(bytes);
    into.setU8(start + OPERATION_FLAGS_OFFSET, flags | OperationFlag.forwarded);
    into.setU32(start + OPERATION_TIME_LEFT_OFFSET, this.timeLeftMs);
    try {
      routes.endOperation();
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      this.#router.closeNumber(correlation);
      return this.#fail(error);
    }
    this.#given = true;
    this.sentTo = node;
    this.#correlation = correlation;
  }

  #cannotSend(node: string, error: WhorlError): void {
    if (error.code === "overload") return this.#fail(error);
    // It may be back soon, or another one may lead.
    this.#avoid = node;
    this.#forgetWhere(node);
    this.#router.wait(this);
  }

  answeredElsewhere(
    type: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    const node = this.sentTo as string;
    this.sentTo = undefined;
    if (type === FrameType.operationError) {
      return this.#refused(node, readFailure(bytes.subarray(start, end)));
    }
    const { target } = this.#parts;
    if (!this.#finish()) return;
    if (target.operationAnswered !== undefined) {
      target.operationAnswered(type, bytes, start, end);
      return;
    }
    try {
      // What the caller gets must not be a view into the receive buffer.
      const kept = new ByteReader(bytes.slice(start, end));
      target.operationDone(readOperationResult(kept));
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      target.operationFailed(error);
    }
  }

  nodeLost(node: string, cause: WhorlError): void {
    this.sentTo = undefined;
    this.#forgetWhere(node);
    if (this.#isRead) {
      this.#avoid = node;
      return this.#router.wait(this);
    }
    this.#fail(
      new WhorlError(
        cause.code,
        `Cannot tell whether the write to ${this.cluster} happened as ${node} is lost: ${cause.message}`,
        { details: { ...cause.details, cluster: this.cluster }, cause },
      ),
    );
  }

  answered(object: Uint8Array<ArrayBuffer> | undefined): void {
    const { target } = this.#parts;
    if (!this.#finish()) return;
    target.operationDone({ object, replies: [], replicas: [] });
  }

  failed(error: WhorlError): void {
    this.#refused(this.#router.self, error);
  }

  /** What `node` has refused is tried again if it was certainly not done, or does no harm. */
  #refused(node: string, error: WhorlError): void {
    if (this.#finished) return;
    const elsewhere = node !== this.#router.self;
    const refusal = {
      code: error.code,
      isRead: this.#isRead,
      elsewhere,
      forwarded: (this.#parts.flags & OperationFlag.forwarded) !== 0,
    };
    if (!mayTryAgain(refusal)) return this.#fail(error);
    if (wasNotDone(refusal)) this.#given = false;
    const leader = typeof error.details["leader"] === "string"
      ? error.details["leader"]
      : undefined;
    if (elsewhere) {
      if (error.code === "unknown_cluster") this.#forgetWhere(node);
      else this.#heard(node, leader);
    }
    this.#hastyTries++;
    const isNews = leader !== undefined && leader !== node;
    if (isNews && this.#hastyTries <= HASTY_TRIES_MAX) return this.route();
    this.#hastyTries = 0;
    if (elsewhere && !isNews) this.#avoid = node;
    this.#router.wait(this);
  }

  /** `node` has a member, which takes `leader` for the leader. */
  #heard(node: string, leader: string | undefined): void {
    const known = this.#router.hintOf(this.cluster)?.members ?? [];
    const members = known.includes(node) ? known : [...known, node];
    this.#router.remember(this.cluster, { leader, members });
  }

  #forgetWhere(node: string): void {
    const hint = this.#router.hintOf(this.cluster);
    if (hint === undefined) return;
    const members = hint.members.filter((name) => name !== node);
    const leader = hint.leader === node ? undefined : hint.leader;
    this.#router.remember(
      this.cluster,
      members.length === 0 ? undefined : { leader, members },
    );
  }

  deadlinePassed(): void {
    if (this.sentTo !== undefined && !this.#graceGiven) {
      // The other node's own answer says more.
      this.#graceGiven = true;
      this.#router.wheel.set(this, ANSWER_GRACE_MS);
      return;
    }
    const { cluster } = this;
    const outcomeUnknown = this.#given && !this.#isRead;
    this.#fail(
      new WhorlError(
        "timeout",
        outcomeUnknown
          ? `Cannot tell whether the write to ${cluster} happened: no majority of its members has confirmed it in time`
          : this.#given
          ? `Cannot read from ${cluster} in time as no majority of its members has answered`
          : `Cannot reach a leader of ${cluster} in time`,
        {
          details: {
            cluster,
            node: this.sentTo ?? this.#router.self,
            outcomeUnknown,
          },
        },
      ),
    );
  }

  /** Gives it up, whatever became of it. */
  abandon(error: WhorlError): void {
    this.#fail(error);
  }

  #fail(error: WhorlError): void {
    const { target } = this.#parts;
    if (this.#finish()) target.operationFailed(error);
  }

  #finish(): boolean {
    if (this.#finished) return false;
    this.#finished = true;
    this.#router.closeNumber(this.#correlation);
    this.#router.forget(this, this.#parts.bytes.length);
    return true;
  }
}

function commandOf(
  operation: number,
  bytes: Uint8Array<ArrayBuffer>,
  bodyStart: number,
): Uint8Array {
  if (bytes[bodyStart] !== operation) {
    throw new WhorlError(
      "protocol_error",
      `Cannot carry out operation ${operation} as its command is another`,
    );
  }
  return bytes.subarray(bodyStart);
}

function unknownCluster(cluster: string, node: string): WhorlError {
  return new WhorlError(
    "unknown_cluster",
    `Cannot find a cluster called ${cluster}`,
    { details: { cluster, node } },
  );
}

function notLeader(
  cluster: string,
  node: string,
  leader: string | undefined,
): WhorlError {
  return new WhorlError("not_leader", `${node} does not lead ${cluster}`, {
    details: { cluster, node, leader: leader ?? null },
  });
}
