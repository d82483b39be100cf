/**
 * A Raft message in words, from its first bytes: an append may be long, and
 * only its beginning is read.
 *
 * @module
 */
import { ByteReader } from "../../base/byte_reader.ts";
import { isWhorlError } from "../../base/errors.ts";
import {
  APPEND_HEADER_BYTES,
  readRaftMessage,
} from "../../raft/raft_message_codec.ts";
import type { RaftMessage } from "../../raft/raft_message.ts";

/** Of the group id and the uid. */
const NUMBERS_BYTES = 12;

/**
 * Describes the message in `bytes`, a frame without its header, or a prefix of
 * it; `undefined` if that is too short.
 */
export function describeRaftFrame(bytes: Uint8Array): string | undefined {
  const start = NUMBERS_BYTES;
  const copy = bytes.slice();
  return read(copy, start, copy.length) ??
    // Without its entries, which may be incomplete.
    read(copy, start, start + APPEND_HEADER_BYTES, " …");
}

function read(
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  end: number,
  more = "",
): string | undefined {
  if (end > bytes.length || start >= end) return undefined;
  try {
    return describe(readRaftMessage(new ByteReader(bytes, start, end)), more);
  } catch (error) {
    if (!isWhorlError(error)) throw error;
    return undefined;
  }
}

function describe(message: RaftMessage, more: string): string {
  const { type, term } = message;
  const name = `raft ${type.replaceAll("_", " ")} of term ${term}`;
  switch (message.type) {
    case "pre_vote":
    case "vote":
      return `${name}, log to ${message.lastIndex} of ${message.lastTerm}`;
    case "pre_vote_reply":
    case "vote_reply":
      return `${name}: ${message.granted ? "yes" : "no"}`;
    case "append":
      return `${name}: ${
        more === "" ? `${message.entries.length} entries` : `entries${more}`
      } behind ${message.prevIndex} of ${message.prevTerm}, committed ${message.commitIndex}`;
    case "append_reply":
      return `${name}: ${message.success ? "has" : "lacks"} ${message.index}`;
    case "confirm":
    case "confirm_reply":
    case "read_index":
      return `${name}, round ${message.round}`;
    case "read_index_reply":
      return `${name}, round ${message.round}: ${message.index}`;
    case "heartbeat":
      return `${name}, committed ${message.commitIndex}`;
    case "install_snapshot":
      return `${name}: ${message.snapshot.index}`;
    case "heartbeat_reply":
    case "timeout_now":
      return name;
  }
}
