/**
 * The encoding of a Raft group's messages. All numbers but flags, counts and
 * machine versions are `u48`:
 *
 *     message             u8 type · term · rest, by type
 *      1 pre_vote         lastIndex · lastTerm · u16 machineVersion
 *      2 pre_vote_reply   u8 granted
 *      3 vote             lastIndex · lastTerm · u8 transfer
 *      4 vote_reply       u8 granted
 *      5 append           prevIndex · prevTerm · commitIndex · runs
 *      6 append_reply     u8 success · index · indexTerm
 *      7 confirm          round · commitIndex
 *      8 confirm_reply    round
 *      9 read_index       round
 *     10 read_index_reply round · index + 1, or 0 if the leader cannot say
 *     11 heartbeat        commitIndex
 *     12 heartbeat_reply
 *     13 install_snapshot transfer · index · term · u16 machineVersion · membership
 *     14 timeout_now
 *
 *     run                 term · u32 entries · that many (u32 bytes · body)
 *
 * Consecutive entries of one term form a run; their indexes are implied. Runs
 * are in the order of their terms and extend to the end of the message.
 * Messages that no correct member sends are refused here, so that the core only
 * meets consistent ones.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { briefCopy } from "../base/byte_slab.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { readMembership, writeMembership } from "./membership_codec.ts";
import { ENTRY_HEADER_BYTES, EntryKind, type RaftEntry } from "./raft_entry.ts";
import type { RaftMessage } from "./raft_message.ts";

const TYPES = [
  "pre_vote",
  "pre_vote_reply",
  "vote",
  "vote_reply",
  "append",
  "append_reply",
  "confirm",
  "confirm_reply",
  "read_index",
  "read_index_reply",
  "heartbeat",
  "heartbeat_reply",
  "install_snapshot",
  "timeout_now",
] as const satisfies readonly RaftMessage["type"][];

const TYPE_NUMBERS: ReadonlyMap<RaftMessage["type"], number> = new Map(
  TYPES.map((type, at) => [type, at + 1]),
);
const APPEND_TYPE = 5;
const INDEX_MAX = 2 ** 48 - 1;

/** Bytes of an `append` without entries. */
export const APPEND_HEADER_BYTES = 25;
/** Most bytes that an entry adds to an `append` besides its body. */
export const APPEND_ENTRY_BYTES = 14;

/** Appends `message`. */
export function writeRaftMessage(into: ByteWriter, message: RaftMessage): void {
  const { type } = message;
  if (type === "append") {
    const { term, prevIndex, prevTerm, commitIndex, entries } = message;
    return writeAppend(into, term, prevIndex, prevTerm, commitIndex, entries);
  }
  into.u8(TYPE_NUMBERS.get(type) as number);
  into.u48(message.term);
  switch (type) {
    case "pre_vote":
      into.u48(message.lastIndex);
      into.u48(message.lastTerm);
      return into.u16(message.machineVersion);
    case "vote":
      into.u48(message.lastIndex);
      into.u48(message.lastTerm);
      return into.u8(message.transfer ? 1 : 0);
    case "pre_vote_reply":
    case "vote_reply":
      return into.u8(message.granted ? 1 : 0);
    case "append_reply":
      into.u8(message.success ? 1 : 0);
      into.u48(message.index);
      return into.u48(message.indexTerm);
    case "confirm":
      into.u48(message.round);
      return into.u48(message.commitIndex);
    case "confirm_reply":
    case "read_index":
      return into.u48(message.round);
    case "read_index_reply":
      into.u48(message.round);
      return into.u48(message.index + 1);
    case "heartbeat":
      return into.u48(message.commitIndex);
    case "heartbeat_reply":
    case "timeout_now":
      return;
    case "install_snapshot": {
      const { index, term, machineVersion, membership } = message.snapshot;
      into.u48(message.transfer);
      into.u48(index);
      into.u48(term);
      into.u16(machineVersion);
      return writeMembership(into, membership);
    }
    default:
      return type satisfies never;
  }
}

/** Appends an `append` message with `entries`, which begin at `prevIndex + 1`, without making a message object. */
export function writeAppend(
  into: ByteWriter,
  term: number,
  prevIndex: number,
  prevTerm: number,
  commitIndex: number,
  entries: readonly RaftEntry[],
): void {
  into.u8(APPEND_TYPE);
  into.u48(term);
  into.u48(prevIndex);
  into.u48(prevTerm);
  into.u48(commitIndex);
  for (let first = 0; first < entries.length;) {
    const runTerm = (entries[first] as RaftEntry).term;
    into.u48(runTerm);
    const countAt = into.length;
    into.u32(0);
    let next = first;
    for (; next < entries.length; next++) {
      const entry = entries[next] as RaftEntry;
      if (entry.term !== runTerm) break;
      into.blob(entry.body);
    }
    into.setU32(countAt, next - first);
    first = next;
  }
}

/**
 * Reads the message at the position of `from`, which must end with it. The
 * bodies of its entries are views into one copy of the input.
 *
 * @throws {WhorlError} `protocol_error` if it is not a valid message.
 */
export function readRaftMessage(from: ByteReader): RaftMessage {
  const number = from.u8();
  const type = TYPES[number - 1];
  if (type === undefined) throw refusal(`its type is ${number}`);
  const message = readMessage(type, from.u48(), from);
  if (from.remaining > 0) {
    throw refusal(`${from.remaining} bytes follow its ${type}`);
  }
  return message;
}

function readMessage(
  type: RaftMessage["type"],
  term: number,
  from: ByteReader,
): RaftMessage {
  switch (type) {
    case "pre_vote":
      return {
        type,
        term,
        lastIndex: from.u48(),
        lastTerm: from.u48(),
        machineVersion: from.u16(),
      };
    case "vote":
      return {
        type,
        term,
        lastIndex: from.u48(),
        lastTerm: from.u48(),
        transfer: readFlag(from),
      };
    case "pre_vote_reply":
    case "vote_reply":
      return { type, term, granted: readFlag(from) };
    case "append":
      return readAppend(term, from);
    case "append_reply":
      return {
        type,
        term,
        success: readFlag(from),
        index: from.u48(),
        indexTerm: from.u48(),
      };
    case "confirm":
      return { type, term, round: from.u48(), commitIndex: from.u48() };
    case "confirm_reply":
    case "read_index":
      return { type, term, round: from.u48() };
    case "read_index_reply":
      return { type, term, round: from.u48(), index: from.u48() - 1 };
    case "heartbeat":
      return { type, term, commitIndex: from.u48() };
    case "heartbeat_reply":
    case "timeout_now":
      return { type, term };
    case "install_snapshot":
      return {
        type,
        term,
        transfer: from.u48(),
        snapshot: {
          index: from.u48(),
          term: from.u48(),
          machineVersion: from.u16(),
          membership: readMembership(from),
        },
      };
    default:
      return type satisfies never;
  }
}

function readAppend(term: number, from: ByteReader): RaftMessage {
  const prevIndex = from.u48();
  const prevTerm = from.u48();
  const commitIndex = from.u48();
  const entries: RaftEntry[] = [];
  if (from.remaining > 0) readRuns(term, prevIndex, prevTerm, from, entries);
  return { type: "append", term, prevIndex, prevTerm, commitIndex, entries };
}

function readRuns(
  term: number,
  prevIndex: number,
  prevTerm: number,
  from: ByteReader,
  entries: RaftEntry[],
): void {
  // The frame's bytes are only valid during the call, but entries are kept: one
  // copy for all of them.
  const bytes = briefCopy(from.rest());
  const runs = new ByteReader(bytes);
  let index = prevIndex;
  let lastTerm = prevTerm;
  while (runs.remaining > 0) {
    const runTerm = runs.u48();
    // A leader has no entries of later terms than its own, and terms never
    // decrease along a log (paper, 5.3).
    const descends = entries.length > 0
      ? runTerm <= lastTerm
      : runTerm < lastTerm;
    if (descends || runTerm > term) {
      throw refusal(`a run of entries of term ${runTerm} is out of order`);
    }
    const count = runs.u32();
    if (count === 0) throw refusal("a run has no entries");
    for (let left = count; left > 0; left--) {
      const length = runs.u32();
      const start = runs.offset;
      const body = runs.raw(length) as Uint8Array<ArrayBuffer>;
      const kind = bytes[start];
      if (length < ENTRY_HEADER_BYTES || !isEntryKind(kind)) {
        throw refusal(`an entry has ${length} bytes and is of kind ${kind}`);
      }
      entries.push({ index: ++index, term: runTerm, body });
    }
    lastTerm = runTerm;
  }
  if (index > INDEX_MAX) throw refusal("its entries go beyond the last index");
}

function isEntryKind(kind: number | undefined): boolean {
  return kind === EntryKind.command || kind === EntryKind.noop ||
    kind === EntryKind.membership;
}

function readFlag(from: ByteReader): boolean {
  const flag = from.u8();
  if (flag > 1) throw refusal(`a flag is ${flag}`);
  return flag === 1;
}

function refusal(reason: string): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot read a Raft message: ${reason}`,
  );
}
