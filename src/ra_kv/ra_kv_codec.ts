/**
 * The wire format of operations of `ra_kv` and their answers. The key field of
 * an operation (`operation_codec.ts`) is the name of the cluster, its command
 * says what to do, and the body of a write is the command that goes into the
 * log, so that only the client encodes it:
 *
 *     1 put, 2 delete, 3 batch   command (`ra_kv_command_codec.ts`)
 *     16 get                     u8 flags · u16 bytes · key
 *     17 readEntry               u48 index
 *     18 watch                   u8 flags · u48 index · u32 ms to wait
 *                                · u16 bytes · key or prefix
 *
 *     answers, as the object of an operation's result:
 *     write      u48 index · u48 term · u48 time · u16 machine version · text leader
 *     get        u8 flags (1 found, 2 expires) · u48 index · u48 term
 *                · if it expires: u48 when · u16 bytes · group · value
 *     group      u8 place of the leader, 255 if unknown · u8 members · text each
 *     readEntry  u48 index · u48 term · body of the entry; nothing if it is not there
 *     watch      u8 flags (1 missed) · u48 next index · u16 events · per event:
 *                u8 kind · u48 index · u16 bytes · key · u8 1 · u32 bytes · value
 *                or u8 0
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { moduleIdOf } from "../vnode/vnode_wire.ts";
import {
  OperationFlag,
  OperationKind,
  writeOperationHeader,
} from "../request/operation_codec.ts";
import { ChangeKind } from "./change_log.ts";
import { LastText } from "./last_text.ts";
import {
  RA_KV_KEY_BYTES_MAX,
  RA_KV_MACHINE,
  RaKvOp,
  writeClusterName,
} from "./ra_kv_command_codec.ts";

/** Number of this module in operations. */
export const RA_KV_MODULE_ID: number = moduleIdOf(RA_KV_MACHINE);

/** What an operation does. Numbers below 16 are writes, and equal those of their commands. */
export const RaKvOperation = {
  put: RaKvOp.put,
  delete: RaKvOp.delete,
  batch: RaKvOp.batch,
  get: 16,
  readEntry: 17,
  watch: 18,
} as const;

/** Whether an operation changes nothing. */
export function isRead(operation: number): boolean {
  return operation >= RaKvOperation.get;
}

/** Flags of a get. */
export const GetFlag = {
  /** Whatever the member has, even if it is old. */
  stale: 1,
  /** Read by the member on the node that is asked instead of the leader. */
  local: 2,
} as const;

/** Flags of a watch. */
export const WatchFlag = {
  /** All keys that begin with it. */
  prefix: 1,
  /** From what is applied now; the index is ignored. */
  fromNow: 2,
  /** Values are not wanted. */
  keysOnly: 4,
} as const;

/** Most events in one answer, unless one entry brings more. */
export const WATCH_EVENTS_MAX = 512;
/** Most bytes of values in one answer, unless one entry brings more: 4 MiB. */
export const WATCH_BYTES_MAX = 4 * 1024 * 1024;
/** Longest wait of one watch operation, in milliseconds. */
export const WATCH_WAIT_MS_MAX = 60_000;

/**
 * Begins an operation on the cluster `name`; its body follows. @throws
 * {WhorlError} `invalid_key`.
 */
export function beginOperation(
  into: ByteWriter,
  operation: number,
  name: string,
  timeLeftMs: number,
): void {
  writeOperationHeader(into, {
    kind: OperationKind.raft,
    flags: isRead(operation) ? OperationFlag.readOnly : 0,
    moduleId: RA_KV_MODULE_ID,
    command: operation,
    n: 0,
    quorum: 0,
    primaries: 0,
    durable: 0,
    nodeConfirms: 0,
    timeLeftMs,
  });
  writeClusterName(into, name);
}

/** The body of a get; the key is a view. */
export interface GetBody {
  readonly flags: number;
  readonly key: Uint8Array;
}

/** Reads the body of a get. @throws {WhorlError} `protocol_error`. */
export function readGetBody(from: ByteReader): GetBody {
  const flags = from.u8();
  if (flags > 3) throw refusal(`flags of a get are ${flags}`);
  const key = from.raw(from.u16());
  if (key.length < 1 || key.length > RA_KV_KEY_BYTES_MAX) {
    throw refusal(`a key has ${key.length} bytes`);
  }
  expectEnd(from);
  return { flags, key };
}

/** Reads the body of a readEntry. @throws {WhorlError} `protocol_error`. */
export function readEntryBody(from: ByteReader): number {
  const index = from.u48();
  expectEnd(from);
  return index;
}

/** The body of a watch; the key is a view. */
export interface WatchBody {
  readonly flags: number;
  /** Events up to here have been seen. */
  readonly index: number;
  readonly waitMs: number;
  /** The key, or a prefix, which may be empty. */
  readonly key: Uint8Array;
}

/** Appends the body of a watch. */
export function writeWatchBody(into: ByteWriter, body: WatchBody): void {
  into.u8(body.flags);
  into.u48(body.index);
  into.u32(body.waitMs);
  into.u16(body.key.length);
  into.raw(body.key);
}

/** Reads the body of a watch. @throws {WhorlError} `protocol_error`. */
export function readWatchBody(from: ByteReader): WatchBody {
  const flags = from.u8();
  const index = from.u48();
  const waitMs = from.u32();
  const key = from.raw(from.u16());
  if (flags > 7 || waitMs > WATCH_WAIT_MS_MAX) {
    throw refusal(`flags of a watch are ${flags}, and it waits ${waitMs} ms`);
  }
  if (
    key.length > RA_KV_KEY_BYTES_MAX ||
    key.length === 0 && (flags & WatchFlag.prefix) === 0
  ) throw refusal(`a key has ${key.length} bytes`);
  expectEnd(from);
  return { flags, index, waitMs, key };
}

/** The result of a write. */
export interface WriteAnswer {
  /** Index of its entry. */
  readonly index: number;
  readonly term: number;
  /** The leader's wall clock when it accepted it, in milliseconds since 1970. */
  readonly timeMs: number;
  readonly machineVersion: number;
  /** Name of the leader's node. */
  readonly leader: string;
}

/** Appends the answer to a write. */
export function writeWriteAnswer(
  into: ByteWriter,
  { index, term, timeMs, machineVersion }: Omit<WriteAnswer, "leader">,
  leader: string,
): void {
  into.u48(index);
  into.u48(term);
  into.u48(timeMs);
  into.u16(machineVersion);
  into.text(leader);
}

const leaders = new LastText();

/** Reads the answer to a write. @throws {WhorlError} `protocol_error`. */
export function readWriteAnswer(from: ByteReader): WriteAnswer {
  const index = from.u48();
  const term = from.u48();
  const timeMs = from.u48();
  const machineVersion = from.u16();
  const leaderStart = from.skip(from.u16());
  const leader = leaders.of(from.bytes, leaderStart, from.offset);
  expectEnd(from);
  return { index, term, timeMs, machineVersion, leader };
}

/** The leader and members of the group that answers a get. */
export interface GroupNames {
  /** Undefined if the member that answered knows none. */
  readonly leader: string | undefined;
  /** Names of their nodes. */
  readonly members: readonly string[];
}

const NO_LEADER = 255;

/** Appends the names of a group. */
export function writeGroupNames(into: ByteWriter, names: GroupNames): void {
  const { leader, members } = names;
  const place = leader === undefined ? -1 : members.indexOf(leader);
  into.u8(place < 0 ? NO_LEADER : place);
  into.u8(members.length);
  for (const name of members) into.text(name);
}

/** Reads the names of a group. @throws {WhorlError} `protocol_error`. */
export function readGroupNames(from: ByteReader): GroupNames {
  const place = from.u8();
  const members: string[] = [];
  for (let left = from.u8(); left > 0; left--) members.push(from.text());
  if (place !== NO_LEADER && place >= members.length) {
    throw refusal(`the leader is member ${place} of ${members.length}`);
  }
  return { leader: members[place], members };
}

/** The result of a get. */
export interface GetAnswer {
  readonly found: boolean;
  readonly index: number;
  readonly term: number;
  /** 0 if it does not expire. */
  readonly expiresAtMs: number;
  /** As written by {@linkcode writeGroupNames}. */
  readonly group: Uint8Array;
  /** As stored; empty if none was found. */
  readonly value: Uint8Array;
}

/** Appends the answer to a get. */
export function writeGetAnswer(into: ByteWriter, answer: GetAnswer): void {
  into.u8((answer.found ? 1 : 0) | (answer.expiresAtMs === 0 ? 0 : 2));
  into.u48(answer.index);
  into.u48(answer.term);
  if (answer.expiresAtMs !== 0) into.u48(answer.expiresAtMs);
  into.u16(answer.group.length);
  into.raw(answer.group);
  into.raw(answer.value);
}

/** Reads the answer to a get; group and value are views. @throws {WhorlError} `protocol_error`. */
export function readGetAnswer(from: ByteReader): GetAnswer {
  const flags = from.u8();
  if (flags > 3) throw refusal(`flags of an answer are ${flags}`);
  return {
    found: (flags & 1) !== 0,
    index: from.u48(),
    term: from.u48(),
    expiresAtMs: flags & 2 ? from.u48() : 0,
    group: from.raw(from.u16()),
    value: from.rest(),
  };
}

/** An event of a key. */
export interface WatchEvent {
  readonly kind: ChangeKind;
  readonly index: number;
  /** The key's bytes. */
  readonly key: Uint8Array;
  /** As stored; undefined unless the key was put and values are wanted. */
  readonly value: Uint8Array | undefined;
}

/** The result of a watch. */
export interface WatchAnswer {
  /** Whether events in between are no longer known. */
  readonly missed: boolean;
  /** Everything up to here was reported. */
  readonly next: number;
  readonly events: readonly WatchEvent[];
}

/** Appends the answer to a watch. */
export function writeWatchAnswer(into: ByteWriter, answer: WatchAnswer): void {
  into.u8(answer.missed ? 1 : 0);
  into.u48(answer.next);
  into.u16(answer.events.length);
  for (const { kind, index, key, value } of answer.events) {
    into.u8(kind);
    into.u48(index);
    into.u16(key.length);
    into.raw(key);
    into.u8(value === undefined ? 0 : 1);
    if (value !== undefined) into.blob(value);
  }
}

/** Reads the answer to a watch; keys and values are views. @throws {WhorlError} `protocol_error`. */
export function readWatchAnswer(from: ByteReader): WatchAnswer {
  const flags = from.u8();
  if (flags > 1) throw refusal(`flags of an answer are ${flags}`);
  const next = from.u48();
  const events: WatchEvent[] = [];
  for (let left = from.u16(); left > 0; left--) {
    const kind = from.u8();
    if (kind < ChangeKind.put || kind > ChangeKind.expire) {
      throw refusal(`an event is of kind ${kind}`);
    }
    const index = from.u48();
    const key = from.raw(from.u16());
    const value = from.u8() === 0 ? undefined : from.blob();
    events.push({ kind: kind as ChangeKind, index, key, value });
  }
  expectEnd(from);
  return { missed: flags === 1, next, events };
}

function expectEnd(from: ByteReader): void {
  if (from.remaining > 0) throw refusal(`${from.remaining} bytes follow it`);
}

function refusal(reason: string): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot read an operation of ra_kv or its answer: ${reason}`,
  );
}
