/**
 * The format of the store's commands, on the wire and in the log, and of their
 * replies:
 *
 *     command   1 put     change
 *               2 delete  change
 *               3 batch   u16 changes · u8 1 or 2 · change, each
 *               4 sweep   removes expired keys
 *               5 end     deletes the cluster
 *               6 shut    u16 sources · u16 partition each
 *               7 import  u48 term · u16 source · u48 up to · u48 sealed at, or 0
 *                         · u16 changes · u8 1 or 2 · change, each
 *               8 seal    u32 generation · u16 partitions
 *
 *     change    u8 flags · u16 bytes · key · if flag 1: u48 index
 *               a put goes on: if flag 2: u48 milliseconds to live
 *               · if flag 4: u48 version · value field
 *
 *     value     u32 hash · u32 bytes · value (`ra_kv_value.ts`)
 *
 *     reply     u8 0             done
 *               u8 1             no such key to delete
 *               u8 2 · u16 place of the change in its batch · u48 index that the
 *                                key has instead of the one it should, 0 for none
 *               u8 3 · text      refused, now and always
 *               u8 4 · u32 generation · u16 partitions
 *                                not carried out: the keys are in other groups
 *               u8 5             not carried out: the keys are not here yet
 *
 * A command begins with its `u8 op`. Flag 1 makes a change conditional: the key
 * must have that index, or not exist if it is 0. Flag 4 is set in all puts of
 * an import, and only there. `succession.ts` explains commands 6 to 8.
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import {
  RA_KV_VALUE_BYTES_MAX,
  type RaKvValue,
  writeValueField,
} from "./ra_kv_value.ts";

/** Name of the machine, and of the module in operations. */
export const RA_KV_MACHINE = "ra_kv";

/** What a command does. */
export const RaKvOp = {
  put: 1,
  delete: 2,
  batch: 3,
  sweep: 4,
  end: 5,
  shut: 6,
  import: 7,
  seal: 8,
} as const;

/** The command that deletes the cluster. */
export const END_COMMAND: Uint8Array<ArrayBuffer> = Uint8Array.of(RaKvOp.end);

/** Flags of a change. */
export const ChangeFlag = { ifIndex: 1, ttl: 2, version: 4 } as const;

/** Longest key, in bytes of UTF-8. */
export const RA_KV_KEY_BYTES_MAX = 1_024;
/** Longest name of a cluster, in bytes of UTF-8. */
export const CLUSTER_NAME_BYTES_MAX = 255;
/** Most changes in one batch. */
export const BATCH_CHANGES_MAX = 1_000;
/** Most bytes in one batch: about as many as in a value. */
export const BATCH_BYTES_MAX: number = RA_KV_VALUE_BYTES_MAX + 4_096;
/** Longest time to live, in milliseconds: some 280 years. */
const TTL_MS_MAX = 2 ** 43;

/** Appends a key with its length. @throws {WhorlError} `invalid_key`; then nothing was appended. */
export function writeKey(into: ByteWriter, key: string): void {
  writeName(into, "key", key, RA_KV_KEY_BYTES_MAX);
}

/**
 * Appends the name of a cluster with its length.
 *
 * @throws {WhorlError} `invalid_key`, as {@linkcode writeKey}.
 */
export function writeClusterName(into: ByteWriter, name: string): void {
  writeName(into, "cluster name", name, CLUSTER_NAME_BYTES_MAX);
}

/**
 * Reads a key and returns where it starts in the bytes of `from`. @throws
 * {WhorlError} `invalid_key`, `protocol_error`.
 */
function skipKey(from: ByteReader): number {
  const length = from.u16();
  if (length < 1 || length > RA_KV_KEY_BYTES_MAX) {
    throw invalidName("key", RA_KV_KEY_BYTES_MAX, length);
  }
  return from.skip(length);
}

function writeName(
  into: ByteWriter,
  what: string,
  name: unknown,
  bytesMax: number,
): void {
  if (typeof name !== "string") {
    throw new WhorlError(
      "invalid_key",
      `Cannot use a ${what} as it must be text: it is of type ${typeof name}`,
    );
  }
  if (name.length === 0 || name.length > bytesMax) {
    throw invalidName(what, bytesMax, name.length);
  }
  const start = into.length;
  into.u16(0);
  const written = writeAscii(into, name) || writeUnicode(into, what, name);
  if (written > bytesMax) {
    into.length = start;
    throw invalidName(what, bytesMax, written);
  }
  into.setU16(start, written);
}

/** Appends `name` if it is ASCII, as most are, and returns its length in bytes; 0 if it is not. */
function writeAscii(into: ByteWriter, name: string): number {
  const { length } = name;
  into.reserve(length);
  const { bytes, length: start } = into;
  for (let at = 0; at < length; at++) {
    const code = name.charCodeAt(at);
    if (code > 0x7f) return 0;
    bytes[start + at] = code;
  }
  into.length += length;
  return length;
}

function writeUnicode(into: ByteWriter, what: string, name: string): number {
  if (name.isWellFormed()) return into.rawText(name);
  into.length -= 2;
  throw new WhorlError(
    "invalid_key",
    `Cannot use a ${what} as it must be well-formed Unicode: it has a lone surrogate`,
  );
}

/** Options of a put. */
export interface PutConditions {
  /** Index that the key must have; 0 if it must not exist. */
  readonly ifIndex?: number | undefined;
  /** Milliseconds after which the key expires. */
  readonly ttlMs?: number | undefined;
}

/** Appends a put of `value`. @throws {WhorlError} `invalid_key`, `invalid_argument`, `value_too_large`. */
export function writePutChange(
  into: ByteWriter,
  key: string,
  value: RaKvValue,
  conditions: PutConditions = {},
): void {
  const { ifIndex, ttlMs } = conditions;
  into.u8(
    (ifIndex === undefined ? 0 : ChangeFlag.ifIndex) |
      (ttlMs === undefined ? 0 : ChangeFlag.ttl),
  );
  writeKey(into, key);
  if (ifIndex !== undefined) writeIndex(into, ifIndex);
  if (ttlMs !== undefined) into.u48(checkedTtl(ttlMs));
  writeValueField(into, value);
}

/** Appends a delete. @throws {WhorlError} `invalid_key`, `invalid_argument`. */
export function writeDeleteChange(
  into: ByteWriter,
  key: string,
  ifIndex: number | undefined,
): void {
  into.u8(ifIndex === undefined ? 0 : ChangeFlag.ifIndex);
  writeKey(into, key);
  if (ifIndex !== undefined) writeIndex(into, ifIndex);
}

function writeIndex(into: ByteWriter, index: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= 2 ** 48) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot take 'ifIndex' as it must be a whole number from 0 to 2^48 - 1: it is ${index}`,
    );
  }
  into.u48(index);
}

function checkedTtl(ttlMs: number): number {
  if (Number.isInteger(ttlMs) && ttlMs >= 1 && ttlMs <= TTL_MS_MAX) {
    return ttlMs;
  }
  throw new WhorlError(
    "invalid_argument",
    `Cannot take 'ttlMs' as it must be a whole number from 1 to ${TTL_MS_MAX}: it is ${ttlMs}`,
  );
}

/** A decoded change; all offsets are into the bytes it was read from. */
export interface ChangeView {
  op: number;
  keyStart: number;
  keyEnd: number;
  /** -1 if there is no condition. */
  ifIndex: number;
  /** 0 if it never expires. */
  ttlMs: number;
  /** The version that an imported value had in its source; 0 if it is not imported. */
  version: number;
  hash: number;
  valueStart: number;
  valueEnd: number;
}

/** A change to read into. */
export function emptyChange(): ChangeView {
  return {
    op: 0,
    keyStart: 0,
    keyEnd: 0,
    ifIndex: -1,
    ttlMs: 0,
    version: 0,
    hash: 0,
    valueStart: 0,
    valueEnd: 0,
  };
}

const PUT_FLAGS = ChangeFlag.ifIndex | ChangeFlag.ttl;

/**
 * Reads the change of kind `op` at which `from` stands.
 *
 * @throws {WhorlError} `protocol_error`, `invalid_key`.
 */
export function readChange(
  from: ByteReader,
  op: number,
  into: ChangeView,
): void {
  const flags = from.u8();
  const known = op === RaKvOp.put ? PUT_FLAGS : ChangeFlag.ifIndex;
  if ((flags & ~known) !== 0) throw refusal(`its flags are ${flags}`);
  readChangeWith(from, op, flags, into);
}

/**
 * Reads the change of kind `op` of an import at which `from` stands. @throws
 * {WhorlError} `protocol_error`, `invalid_key`.
 */
export function readImportedChange(
  from: ByteReader,
  op: number,
  into: ChangeView,
): void {
  const flags = from.u8();
  if (flags !== (op === RaKvOp.put ? ChangeFlag.version : 0)) {
    throw refusal(`the flags of what it imports are ${flags}`);
  }
  readChangeWith(from, op, flags, into);
}

function readChangeWith(
  from: ByteReader,
  op: number,
  flags: number,
  into: ChangeView,
): void {
  if (op !== RaKvOp.put && op !== RaKvOp.delete) {
    throw refusal(`it has a change of kind ${op}`);
  }
  into.op = op;
  into.keyStart = skipKey(from);
  into.keyEnd = from.offset;
  into.ifIndex = flags & ChangeFlag.ifIndex ? from.u48() : -1;
  into.ttlMs = 0;
  into.version = 0;
  into.hash = 0;
  into.valueStart = into.valueEnd = from.offset;
  if (op === RaKvOp.delete) return;
  if (flags & ChangeFlag.ttl) {
    into.ttlMs = from.u48();
    if (into.ttlMs < 1 || into.ttlMs > TTL_MS_MAX) {
      throw refusal(`its time to live is ${into.ttlMs} ms`);
    }
  }
  if (flags & ChangeFlag.version) {
    into.version = from.u48();
    if (into.version < 1) throw refusal("a version of it is 0");
  }
  into.hash = from.u32();
  const bytes = from.u32();
  if (bytes < 1 || bytes > RA_KV_VALUE_BYTES_MAX) {
    throw refusal(`its value has ${bytes} bytes`);
  }
  into.valueStart = from.skip(bytes);
  into.valueEnd = from.offset;
}

/** The fields of an import before its changes. */
export interface ImportHeader {
  /**
   * Term of the leader that read the changes from the source; in another term
   * the import does nothing.
   */
  readonly term: number;
  /** Partition of the source group. */
  readonly source: number;
  /**
   * Index in the source group up to which everything is here after this import;
   * 0 for a part of the first copy.
   */
  readonly upTo: number;
  /**
   * The version at which the source was sealed, if this is the last import from
   * it; otherwise 0.
   */
  readonly sealedAt: number;
  readonly count: number;
}

/** Reads the fields before the changes of an import. @throws {WhorlError} `protocol_error`. */
export function readImportHeader(from: ByteReader): ImportHeader {
  const header = {
    term: from.u48(),
    source: from.u16(),
    upTo: from.u48(),
    sealedAt: from.u48(),
    count: from.u16(),
  };
  if (header.count > BATCH_CHANGES_MAX) {
    throw refusal(`it has ${header.count} changes`);
  }
  return header;
}

/** Reads the number of changes of a batch. @throws {WhorlError} `protocol_error`. */
export function readBatchCount(from: ByteReader): number {
  const count = from.u16();
  if (count < 1 || count > BATCH_CHANGES_MAX) {
    throw refusal(`it has ${count} changes`);
  }
  return count;
}

/** @throws {WhorlError} `protocol_error` if anything follows the command. */
export function expectCommandEnd(from: ByteReader): void {
  if (from.remaining > 0) throw refusal(`${from.remaining} bytes follow it`);
}

/**
 * Calls `visit` for every change of the command at which `from` stands, reusing
 * one view, until it returns false.
 *
 * @throws {WhorlError} `protocol_error`, `invalid_key` if it is malformed; the
 * changes before the fault were visited.
 */
export function visitChanges(
  from: ByteReader,
  view: ChangeView,
  visit: (change: ChangeView, place: number) => boolean | void,
): void {
  const op = from.u8();
  if (op === RaKvOp.sweep || op === RaKvOp.end) return expectCommandEnd(from);
  if (op === RaKvOp.shut || op === RaKvOp.seal) return;
  if (op === RaKvOp.import) {
    const { count } = readImportHeader(from);
    for (let place = 0; place < count; place++) {
      readImportedChange(from, from.u8(), view);
      if (visit(view, place) === false) return;
    }
  } else if (op === RaKvOp.batch) {
    const count = readBatchCount(from);
    for (let place = 0; place < count; place++) {
      readChange(from, from.u8(), view);
      if (visit(view, place) === false) return;
    }
  } else {
    readChange(from, op, view);
    if (visit(view, 0) === false) return;
  }
  expectCommandEnd(from);
}

/** The result of a command. */
export type RaKvReply =
  | { readonly type: "done" }
  | { readonly type: "not_found" }
  | {
    readonly type: "index_mismatch";
    /** Position of the change in its batch, from 0. */
    readonly place: number;
    /** Index that the key has; 0 if it does not exist. */
    readonly index: number;
  }
  | { readonly type: "refused"; readonly reason: string }
  | {
    readonly type: "moved";
    /** Generation of the ring whose groups have the keys. */
    readonly generation: number;
    /** Number of partitions of that ring. */
    readonly size: number;
  }
  | { readonly type: "not_open" };

const ReplyStatus = {
  done: 0,
  notFound: 1,
  mismatch: 2,
  refused: 3,
  moved: 4,
  notOpen: 5,
} as const;

/** Appends a reply. */
export function writeReply(into: ByteWriter, reply: RaKvReply): void {
  switch (reply.type) {
    case "done":
      return into.u8(ReplyStatus.done);
    case "not_found":
      return into.u8(ReplyStatus.notFound);
    case "index_mismatch":
      into.u8(ReplyStatus.mismatch);
      into.u16(reply.place);
      return into.u48(reply.index);
    case "refused":
      into.u8(ReplyStatus.refused);
      return into.text(reply.reason.slice(0, 1_000));
    case "moved":
      into.u8(ReplyStatus.moved);
      into.u32(reply.generation);
      return into.u16(reply.size);
    case "not_open":
      return into.u8(ReplyStatus.notOpen);
    default:
      return reply satisfies never;
  }
}

const DONE: RaKvReply = { type: "done" };
const NOT_FOUND: RaKvReply = { type: "not_found" };
const NOT_OPEN: RaKvReply = { type: "not_open" };

/** Reads the reply at which `from` stands. @throws {WhorlError} `protocol_error`. */
export function readReply(from: ByteReader): RaKvReply {
  const status = from.u8();
  switch (status) {
    case ReplyStatus.done:
      return DONE;
    case ReplyStatus.notFound:
      return NOT_FOUND;
    case ReplyStatus.mismatch:
      return {
        type: "index_mismatch",
        place: from.u16(),
        index: from.u48(),
      };
    case ReplyStatus.refused:
      return { type: "refused", reason: from.text() };
    case ReplyStatus.moved:
      return { type: "moved", generation: from.u32(), size: from.u16() };
    case ReplyStatus.notOpen:
      return NOT_OPEN;
    default:
      throw refusal(`its reply begins with ${status}`);
  }
}

function invalidName(what: string, bytesMax: number, bytes: number) {
  return new WhorlError(
    "invalid_key",
    `Cannot use a ${what} as it must have 1 to ${bytesMax} bytes: current value has ${bytes}`,
    { details: { what, limit: bytesMax, bytes } },
  );
}

function refusal(reason: string): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot read a command of ra_kv: ${reason}`,
  );
}
