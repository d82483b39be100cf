/**
 * The heartbeats of all groups that one node leads and another one follows, in
 * one frame, and the answer to them. Numbers are `u48` unless stated otherwise:
 *
 *     heartbeats   u32 sequence · (group · term · commitIndex) each, to the end
 *     reply        u32 sequence · (group · uid of the member there, 0 if there is
 *                  none · its term) each, to the end
 *
 * Groups are in any order, each at most once. The answer lists only exceptions:
 * groups in which the answering node knows a higher term, and groups it has no
 * member of. So two nodes with idle groups send a few bytes per group in one
 * direction, and none in the other.
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";

/** The heartbeat of one group. */
export interface GroupHeartbeat {
  /** Number of the group. */
  readonly group: number;
  /** The leader's. */
  readonly term: number;
  readonly commitIndex: number;
}

/** A group whose heartbeat did not find a follower in its term. */
export interface HeartbeatException {
  /** Number of the group. */
  readonly group: number;
  /** Uid of the member on the answering node; 0 if none is running there. */
  readonly uid: number;
  /** The term that this member knows; 0 without a member. */
  readonly term: number;
}

/** One frame of heartbeats. */
export interface Heartbeats {
  /** Increases with each frame to that node and wraps around after 2^32 - 1. */
  readonly sequence: number;
  readonly groups: readonly GroupHeartbeat[];
}

/** The answer to one frame of heartbeats. */
export interface HeartbeatsReply {
  /** The sequence of the frame that it answers. */
  readonly sequence: number;
  /** All other groups of that frame have a follower in the same term. */
  readonly exceptions: readonly HeartbeatException[];
}

/** Bytes of a group in either frame. */
export const HEARTBEAT_GROUP_BYTES = 18;
/** Most groups in one frame. */
export const HEARTBEAT_GROUPS_MAX = 65_536;

const HEADER_BYTES = 4;

/** Appends `heartbeats`. */
export function writeHeartbeats(
  into: ByteWriter,
  { sequence, groups }: Heartbeats,
): void {
  into.u32(sequence);
  for (const { group, term, commitIndex } of groups) {
    into.u48(group);
    into.u48(term);
    into.u48(commitIndex);
  }
}

/** Reads heartbeats to the end of `from`. @throws {WhorlError} `protocol_error` if they are malformed. */
export function readHeartbeats(from: ByteReader): Heartbeats {
  const left = groupCount(from);
  const sequence = from.u32();
  const groups = new Array<GroupHeartbeat>(left);
  for (let at = 0; at < left; at++) {
    groups[at] = {
      group: from.u48(),
      term: from.u48(),
      commitIndex: from.u48(),
    };
  }
  return { sequence, groups };
}

/** Appends `reply`. */
export function writeHeartbeatsReply(
  into: ByteWriter,
  { sequence, exceptions }: HeartbeatsReply,
): void {
  into.u32(sequence);
  for (const { group, uid, term } of exceptions) {
    into.u48(group);
    into.u48(uid);
    into.u48(term);
  }
}

/** Reads a reply to the end of `from`. @throws {WhorlError} `protocol_error` if it is malformed. */
export function readHeartbeatsReply(from: ByteReader): HeartbeatsReply {
  const left = groupCount(from);
  const sequence = from.u32();
  const exceptions = new Array<HeartbeatException>(left);
  for (let at = 0; at < left; at++) {
    exceptions[at] = { group: from.u48(), uid: from.u48(), term: from.u48() };
  }
  return { sequence, exceptions };
}

/** The number of groups, checked before memory is allocated for them. */
function groupCount(from: ByteReader): number {
  const count = (from.remaining - HEADER_BYTES) / HEARTBEAT_GROUP_BYTES;
  if (!Number.isInteger(count) || count < 0 || count > HEARTBEAT_GROUPS_MAX) {
    throw new WhorlError(
      "protocol_error",
      `Cannot read the heartbeats of Raft groups: they are ${from.remaining} bytes`,
    );
  }
  return count;
}
