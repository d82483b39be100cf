/**
 * One operation of `ra_kv` in progress at a node: where it goes next, and which
 * answers and failures cause another attempt. `ra_kv_router.ts` keeps all of
 * them.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import type { Deadline, DeadlineWheel } from "../environment/deadline_wheel.ts";
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
import { unknownCluster } from "./cluster_questions.ts";
import {
  type ClusterHint,
  type Hop,
  LONELY_MS,
  mayTryAgain,
  nextHop,
  wasNotDone,
} from "./next_hop.ts";
import {
  GetFlag,
  isRead,
  RaKvOperation,
  readEntryBody,
  readGetBody,
  readWatchBody,
  type WatchBody,
} from "./ra_kv_codec.ts";
import {
  get,
  type RaKvMember,
  type RaKvTarget,
  readEntry,
  write,
} from "./ra_kv_service.ts";
import { writeClusterName } from "./ra_kv_command_codec.ts";
import type { RaKvWatches } from "./ra_kv_watches.ts";

/** Refusals in a row after which an operation waits before the next attempt. */
const HASTY_TRIES_MAX = 3;
/** Raft has no replicas that answer separately. */
const NOBODY: readonly never[] = [];
/** How much longer than its deadline to wait for an operation that was sent on. */
const ANSWER_GRACE_MS = 100;

/** The way to other nodes. */
export interface RaKvRoutes {
  /** Begins an operation for `node`, or returns why it cannot be sent. */
  beginOperation(node: string, correlation: number): ByteWriter | WhorlError;
  /** Ends the operation that was begun last. */
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

/**
 * The group that now has a key of `cluster`, whose keys have moved as described
 * by the details `moved`; undefined if unknown.
 */
export type GroupSuccessor = (
  cluster: string,
  key: Uint8Array,
  moved: Readonly<Record<string, unknown>>,
) => string | undefined;

/** What a request needs from its router. */
export interface RequestHost {
  /** Name of this node. */
  readonly self: string;
  readonly runtime: Runtime;
  readonly routes: RaKvRoutes;
  readonly watches: RaKvWatches;
  readonly wheel: DeadlineWheel;
  readonly successor: GroupSuccessor;
  /**
   * The member of `cluster` here.
   *
   * @throws {WhorlError} `invalid_argument` for a group of another kind.
   */
  memberOf(cluster: string): RaKvMember | undefined;
  /** Where `cluster` is, according to what was heard at `sinceMs` or later. */
  hintOf(cluster: string, sinceMs?: number): ClusterHint | undefined;
  /** Remembers where `cluster` is, or forgets it. */
  remember(cluster: string, hint: ClusterHint | undefined): void;
  /** A number under which `request` waits for an answer. */
  open(request: RaKvRequest): number;
  /** Ends the wait for an answer under that number. */
  closeNumber(correlation: number): void;
  /** Tries `request` again after {@linkcode RETRY_INTERVAL_MS}, or earlier if something changes. */
  wait(request: RaKvRequest): void;
  /** Asks where the cluster of `request` is, and then tries it again. */
  find(request: RaKvRequest): void;
  /** Removes `request`, which has its answer. */
  forget(request: RaKvRequest, byteCount: number): void;
}

/** What a request consists of. */
export interface RequestParts {
  readonly cluster: string;
  readonly operation: number;
  /** {@linkcode OperationFlag} bits. */
  readonly flags: number;
  readonly timeLeftMs: number;
  /** The whole operation as received. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly bodyStart: number;
  readonly target: OperationTarget;
}

/** An operation in progress. */
export class RaKvRequest implements Deadline, RaKvTarget {
  wheelNext: Deadline | undefined = undefined;
  wheelPrevious: Deadline | undefined = undefined;
  wheelTick = 0;
  readonly #router: RequestHost;
  #parts: RequestParts;
  readonly #deadlineAt: number;
  /** Where it was sent; undefined while it is here. */
  sentTo: string | undefined;
  /** Its size as received, which the router counts. */
  readonly #byteCount: number;
  #correlation = 0;
  #avoid: string | undefined;
  #hastyTries = 0;
  /** Whether it was handed to someone who may carry it out. */
  #given = false;
  #graceGiven = false;
  /** Up to where a member without a leader was asked what it has for this watch: once is enough, however often it is tried again. */
  #askedUpTo = -1;
  #finished = false;

  /** @param nowMs The current time, on the clock of `router`. */
  constructor(router: RequestHost, nowMs: number, parts: RequestParts) {
    this.#router = router;
    this.#parts = parts;
    this.#byteCount = parts.bytes.length;
    this.#deadlineAt = nowMs + parts.timeLeftMs;
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

  /** Takes the next step. */
  route(): void {
    if (this.#finished) return;
    const { flags, cluster } = this.#parts;
    let member: RaKvMember | undefined;
    try {
      member = this.#router.memberOf(cluster);
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      return this.failed(error);
    }
    const leaderlessSinceMs = member?.leaderlessSinceMs;
    const isLonely = leaderlessSinceMs !== undefined &&
      this.#router.runtime.now() >= leaderlessSinceMs + LONELY_MS;
    if (isLonely && this.#isToldBy(member as RaKvMember)) return;
    const hop = nextHop({
      wants: this.#needsLeader(isLonely) ? "leader" : "member",
      forwarded: (flags & OperationFlag.forwarded) !== 0,
      self: this.#router.self,
      here: member && {
        leads: member.role === "leader",
        leader: member.leader,
        isLonely,
      },
      hint: this.#router.hintOf(cluster, leaderlessSinceMs),
      avoid: this.#avoid,
    });
    this.#avoid = undefined;
    this.#go(hop, member);
  }

  /** @param isLonely Whether the member here has had no leader for a while, so that it learns nothing new. */
  #needsLeader(isLonely: boolean): boolean {
    const { operation, bytes, bodyStart } = this.#parts;
    // The member has told what it had. It may have been removed, and would never
    // see the awaited change.
    if (operation === RaKvOperation.watch) return isLonely;
    if (operation !== RaKvOperation.get) return operation < RaKvOperation.get;
    const flags = bytes[bodyStart] ?? 0;
    return (flags & GetFlag.stale) === 0 &&
      ((flags & GetFlag.local) === 0 || isLonely);
  }

  /** Whether this is a watch that the member here, which has had no leader for a while, answers with what it has. */
  #isToldBy(member: RaKvMember): boolean {
    const { operation } = this.#parts;
    if (
      operation !== RaKvOperation.watch ||
      member.appliedIndex <= this.#askedUpTo
    ) return false;
    this.#askedUpTo = member.appliedIndex;
    try {
      return this.#router.watches.tellNow(member, this.#watchBody(), this);
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      this.#fail(error);
      return true;
    }
  }

  #watchBody(): WatchBody {
    const { bytes, bodyStart } = this.#parts;
    return readWatchBody(new ByteReader(bytes, bodyStart));
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
            ? unknownCluster(this.cluster, { node: this.#router.self })
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
      switch (operation) {
        case RaKvOperation.get:
          return get(
            member,
            readGetBody(new ByteReader(bytes, bodyStart)),
            this,
          );
        case RaKvOperation.readEntry:
          return void readEntry(
            member,
            readEntryBody(new ByteReader(bytes, bodyStart)),
            this,
          );
        case RaKvOperation.watch:
          return this.#router.watches.add(member, this.#watchBody(), this);
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
    // The node may be back soon, or another one may lead.
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
      // The caller's result must not be a view into the receive buffer.
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
    target.operationDone({ object, replies: NOBODY, replicas: NOBODY });
  }

  failed(error: WhorlError): void {
    this.#refused(this.#router.self, error);
  }

  /**
   * Tries again after `node` refused it, if it was certainly not done or if
   * doing it twice is harmless.
   */
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
    if (error.code === "moved") {
      return this.#follow(error) ? this.route() : this.#fail(error);
    }
    // The group has a leader already, so there is no need to look for one.
    if (error.code === "not_open") return this.#router.wait(this);
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

  /** Continues with the group to which its key has moved; false if that is unknown. */
  #follow({ details }: WhorlError): boolean {
    const parts = this.#parts;
    const key = keyOf(parts.operation, parts.bytes, parts.bodyStart);
    const cluster = key && this.#router.successor(parts.cluster, key, details);
    if (cluster === undefined) return false;
    const from = new ByteReader(parts.bytes);
    const header = emptyOperationHeader();
    readOperationHeader(from, header);
    const into = new ByteWriter(parts.bytes.length + cluster.length);
    into.rawRange(parts.bytes, 0, header.keyFieldStart);
    writeClusterName(into, cluster);
    const bodyStart = into.length;
    into.rawRange(parts.bytes, parts.bodyStart, parts.bytes.length);
    this.#parts = { ...parts, cluster, bytes: into.copy(), bodyStart };
    return true;
  }

  /** Notes that `node` has a member, which names `leader` as the leader. */
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
      // The other node's own answer is more specific.
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

  /** Gives up, whatever its outcome. */
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
    if (this.#correlation > 0) this.#router.closeNumber(this.#correlation);
    this.#router.forget(this, this.#byteCount);
    return true;
  }
}

/** The key of an operation on one key; undefined for any other. */
function keyOf(
  operation: number,
  bytes: Uint8Array,
  bodyStart: number,
): Uint8Array | undefined {
  const at = operation === RaKvOperation.get
    ? bodyStart + 1
    : operation === RaKvOperation.put || operation === RaKvOperation.delete
    ? bodyStart + 2
    : undefined;
  if (at === undefined) return undefined;
  const length = (bytes[at] as number) << 8 | (bytes[at + 1] as number);
  return bytes.subarray(at + 2, at + 2 + length);
}

function commandOf(
  operation: number,
  bytes: Uint8Array<ArrayBuffer>,
  bodyStart: number,
): Uint8Array {
  if (bytes[bodyStart] !== operation) {
    throw new WhorlError(
      "protocol_error",
      `Cannot carry out operation ${operation} as its command differs`,
    );
  }
  return bytes.subarray(bodyStart);
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
