/**
 * The encoding of an operation, from a client to a node, and from the node that
 * accepted it to the one that coordinates it:
 *
 *     operation       u8 kind · u8 flags · u32 module · u8 command · u8 N · u8 quorum
 *                     · u8 primaries · u8 durable · u8 nodes · u32 ms left
 *                     · u16 key bytes · key · body
 *     operationReply  u8 count · per replica (u16 partition · u8 state · u8 bits
 *                     · text node · if it failed: text code · text message)
 *                     · u8 count · per reply (u8 0, or u8 1 · blob) · object
 *     operationError  MessagePack [code, message, details]
 *
 * A key is `u16 bucket bytes · bucket · key`, which is also how `kv` stores it:
 * the slice from the key's length to the end is the body of its vnode command,
 * so nothing is encoded twice on the way. A module of an application does not
 * get the key, so its operations may have `u16 0xffff · 20 bytes` instead, the
 * place on the ring, for keys that are neither text nor bytes. No bucket is
 * that long, so a node that does not know this form refuses the operation.
 * Operations of coverage queries have no key; `coverage_page_codec.ts`
 * describes their bodies and results. Those of Raft groups have the name of the
 * group as their key; `ra_kv_codec.ts` describes the rest.
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { AnswerState } from "./request_outcome.ts";

/** The kind of coordination an operation needs. */
export const OperationKind = {
  /** One command to N vnodes, W answers: `op_fsm.ts`. */
  request: 1,
  /** Coordinated by one vnode, then copied: `put_fsm.ts`. */
  put: 2,
  /** Read from N, merged, repaired: `get_fsm.ts`. */
  get: 3,
  /** Asks as many vnodes as are needed to cover every key, page by page: `coverage_fsm.ts`. */
  coverage: 4,
  /** Asks for the next page; the previous one has been consumed. */
  coverageMore: 5,
  /** Ends a coverage query. */
  coverageCancel: 6,
  /** For the leader or a member of a Raft group: `ra_kv_router.ts`. */
  raft: 7,
} as const;

/**
 * Whether an operation of `kind` is part of a coverage query: these have their
 * own coordinators.
 */
export function isCoverageKind(kind: number | undefined): boolean {
  return kind !== undefined && kind >= OperationKind.coverage &&
    kind <= OperationKind.coverageCancel;
}

/** Whether it is harmless to do the operation that begins at `start` twice. */
export function isReadOperation(bytes: Uint8Array, start: number): boolean {
  return bytes[start] === OperationKind.get ||
    ((bytes[start + OPERATION_FLAGS_OFFSET] ?? 0) & OperationFlag.readOnly) !==
      0;
}

/** Whether an operation only reads, according to its caller: it asks for an R. */
export function changesNothing(
  { kind, flags, durable }: OperationHeader,
): boolean {
  return kind === OperationKind.get || kind === OperationKind.coverage ||
    (flags & OperationFlag.readOnly) !== 0 ||
    kind === OperationKind.request && durable === 0;
}

/** Whether an operation of `kind` is for a coordinator that is already running. */
export function isFollowUp(kind: number | undefined): boolean {
  return kind === OperationKind.coverageMore ||
    kind === OperationKind.coverageCancel;
}

/** Flags of an operation. */
export const OperationFlag = {
  /** Sent on by the node that accepted it: do not send it further. */
  forwarded: 1,
  /** Only primaries count, no fallbacks. */
  strict: 2,
  /** The vnode command is the body alone, not key and body. */
  bodyOnly: 4,
  /** The reply need not include the answers of the replicas. */
  withoutReplicas: 8,
  /** Coverage: continue without the key spaces that no vnode can report. */
  allUp: 16,
  /** Changes nothing, whatever its kind: it may be tried again elsewhere. */
  readOnly: 32,
} as const;

/** The fixed part of an operation; the offsets are into the bytes it was read from. */
export interface OperationHeader {
  kind: number;
  flags: number;
  moduleId: number;
  command: number;
  n: number;
  /** R or W. */
  quorum: number;
  /** PR or PW. */
  primaries: number;
  /** DW; 0 for reads. */
  durable: number;
  nodeConfirms: number;
  timeLeftMs: number;
  /** Offset of the u16 before the key. */
  keyFieldStart: number;
  /** Where the key begins and ends; the body follows. */
  keyStart: number;
  keyEnd: number;
  end: number;
}

/** Offset of `u32 ms left`, for senders that update it. */
export const OPERATION_TIME_LEFT_OFFSET = 12;
/** Offset of the flags. */
export const OPERATION_FLAGS_OFFSET = 1;
/** Offset of the module's number. */
export const OPERATION_MODULE_OFFSET = 2;
/** Offset of N, followed by the numbers of replicas required. */
export const OPERATION_COUNTS_OFFSET = 7;
/** Offset of the key's length. */
export const OPERATION_KEY_OFFSET = 16;

/** In place of a bucket's length, this marks a place on the ring. */
export const PLACE_KEY_MARK = 0xffff;

/**
 * Appends the key field of an operation that names its place on the ring, as
 * returned by `chashKey`.
 */
export function writePlaceKey(place: Uint8Array, into: ByteWriter): void {
  into.u16(2 + place.length);
  into.u16(PLACE_KEY_MARK);
  into.raw(place);
}

/** An empty header to read into. */
export function emptyOperationHeader(): OperationHeader {
  return {
    kind: 0,
    flags: 0,
    moduleId: 0,
    command: 0,
    n: 0,
    quorum: 0,
    primaries: 0,
    durable: 0,
    nodeConfirms: 0,
    timeLeftMs: 0,
    keyFieldStart: 0,
    keyStart: 0,
    keyEnd: 0,
    end: 0,
  };
}

/** Appends an operation up to its key. */
export function writeOperationHeader(
  into: ByteWriter,
  header: Readonly<
    Omit<OperationHeader, "keyFieldStart" | "keyStart" | "keyEnd" | "end">
  >,
): void {
  const at = into.length;
  into.reserve(OPERATION_KEY_OFFSET);
  const { bytes } = into;
  bytes[at] = header.kind;
  bytes[at + OPERATION_FLAGS_OFFSET] = header.flags;
  into.setU32(at + OPERATION_MODULE_OFFSET, header.moduleId);
  bytes[at + 6] = header.command;
  const counts = at + OPERATION_COUNTS_OFFSET;
  bytes[counts] = header.n;
  bytes[counts + 1] = header.quorum;
  bytes[counts + 2] = header.primaries;
  bytes[counts + 3] = header.durable;
  bytes[counts + 4] = header.nodeConfirms;
  into.setU32(at + OPERATION_TIME_LEFT_OFFSET, header.timeLeftMs);
  into.length = at + OPERATION_KEY_OFFSET;
}

/**
 * Reads the header of the operation at which `from` stands.
 *
 * @throws {WhorlError} `protocol_error` if it is cut short or of an unknown
 * kind.
 */
export function readOperationHeader(
  from: ByteReader,
  header: OperationHeader,
): void {
  header.kind = from.u8();
  if (header.kind < 1 || header.kind > OperationKind.raft) {
    throw new WhorlError(
      "protocol_error",
      `Cannot run an operation of unknown kind ${header.kind}`,
    );
  }
  header.flags = from.u8();
  header.moduleId = from.u32();
  header.command = from.u8();
  header.n = from.u8();
  header.quorum = from.u8();
  header.primaries = from.u8();
  header.durable = from.u8();
  header.nodeConfirms = from.u8();
  header.timeLeftMs = from.u32();
  header.keyFieldStart = from.offset;
  const keyBytes = from.u16();
  header.keyStart = from.offset;
  header.keyEnd = header.keyStart + keyBytes;
  header.end = from.end;
  if (header.keyEnd > header.end) {
    throw new WhorlError(
      "protocol_error",
      "Cannot run an operation whose key is cut short",
    );
  }
}

/** The answer of one replica, as a caller sees it. */
export interface ReplicaReport {
  /** Partition in the preference list. */
  readonly partition: number;
  /** Name of the node it is on. */
  readonly node: string;
  /** Whether that node owns the partition, rather than standing in for its owner. */
  readonly primary: boolean;
  /** Its answer so far. */
  readonly state: AnswerState;
  /** Why it failed, if it did. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** The result of an operation. */
export interface OperationResult {
  /** Put and get: the current object; undefined if there is none. */
  readonly object: Uint8Array | undefined;
  /** Request: the answer of each replica. Empty for put and get. */
  readonly replies: readonly (Uint8Array | undefined)[];
  /** The replicas and their answers, in order of the preference list. */
  readonly replicas: readonly ReplicaReport[];
}

const STATES: readonly AnswerState[] = [
  "done",
  "accepted",
  "failed",
  "missing",
  "skipped",
];

/** Appends a result. */
export function writeOperationResult(
  into: ByteWriter,
  result: OperationResult,
): void {
  into.u8(result.replicas.length);
  for (const { partition, node, primary, state, error } of result.replicas) {
    into.u16(partition);
    into.u8(STATES.indexOf(state));
    into.u8((primary ? 1 : 0) | (error === undefined ? 0 : 2));
    into.text(node);
    if (error !== undefined) {
      into.text(error.code);
      into.text(error.message.slice(0, 1000));
    }
  }
  into.u8(result.replies.length);
  for (const reply of result.replies) {
    into.u8(reply === undefined ? 0 : 1);
    if (reply !== undefined) into.blob(reply);
  }
  // No object is empty, so nothing at the end means that there is none.
  if (result.object !== undefined) into.raw(result.object);
}

/** Reads a result; its bytes are views into the message. */
export function readOperationResult(from: ByteReader): OperationResult {
  const replicas: ReplicaReport[] = [];
  for (let left = from.u8(); left > 0; left--) {
    const partition = from.u16();
    const state = STATES[from.u8()];
    const bits = from.u8();
    const node = from.text();
    if (state === undefined) {
      throw new WhorlError("protocol_error", "Cannot read a replica's state");
    }
    replicas.push({
      partition,
      node,
      primary: (bits & 1) !== 0,
      state,
      ...((bits & 2) === 0
        ? {}
        : { error: { code: from.text(), message: from.text() } }),
    });
  }
  const replies: (Uint8Array | undefined)[] = [];
  for (let left = from.u8(); left > 0; left--) {
    replies.push(from.u8() === 0 ? undefined : from.blob());
  }
  const object = from.remaining === 0 ? undefined : from.rest();
  return { object, replies, replicas };
}
