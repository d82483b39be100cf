/**
 * How a snapshot is transferred, in calls over a connection of its own so that
 * it delays nothing else:
 *
 *     raft_snapshot_begin   offers it; answered with the receiver's applied index
 *     raft_snapshot_live    live entries above that index, in order
 *     raft_snapshot_state   a piece of the machine's state
 *     raft_snapshot_end     it is complete; answered once it is durable and installed
 *
 * Each call is answered before the next is sent, so the slower end sets the
 * pace and neither end holds much in memory.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { readMembership, writeMembership } from "./membership_codec.ts";
import type { RaftEntry, SnapshotMeta } from "./raft_entry.ts";

/** Approximate bytes in one call. */
export const SNAPSHOT_PIECE_BYTES = 1024 * 1024;

/** Arguments of `raft_snapshot_begin`. */
export interface SnapshotOffer {
  readonly group: string;
  /** Sent because another group may reuse the name of a deleted one. Older versions leave it out. */
  readonly groupId?: number | undefined;
  /** Uid of the leader's member. */
  readonly uid: number;
  readonly term: number;
  readonly transfer: number;
  readonly snapshot: SnapshotMeta;
}

/** Encodes an offer. */
export function writeOffer(offer: SnapshotOffer): Record<string, unknown> {
  const members = new ByteWriter(256);
  writeMembership(members, offer.snapshot.membership);
  const { index, term, machineVersion } = offer.snapshot;
  return {
    group: offer.group,
    groupId: offer.groupId,
    uid: offer.uid,
    term: offer.term,
    transfer: offer.transfer,
    index,
    snapshotTerm: term,
    machineVersion,
    members: members.copy(),
  };
}

/** @throws {WhorlError} `protocol_error` if it is none. */
export function readOffer(args: unknown): SnapshotOffer {
  const fields = (args ?? {}) as Record<string, unknown>;
  const { group, members } = fields;
  if (typeof group !== "string" || !(members instanceof Uint8Array)) {
    throw notUnderstood();
  }
  return {
    group,
    groupId: fields["groupId"] === undefined || fields["groupId"] === null
      ? undefined
      : number(fields["groupId"]),
    uid: number(fields["uid"]),
    term: number(fields["term"]),
    transfer: number(fields["transfer"]),
    snapshot: {
      index: number(fields["index"]),
      term: number(fields["snapshotTerm"]),
      membership: readMembership(new ByteReader(members)),
      machineVersion: number(fields["machineVersion"]),
    },
  };
}

/** Arguments of the other three calls. */
export interface SnapshotPiece {
  readonly group: string;
  readonly transfer: number;
  /** Entries, a piece of the state, or nothing. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** @throws {WhorlError} `protocol_error` if it is none. */
export function readPiece(args: unknown): SnapshotPiece {
  const { group, transfer, bytes } = (args ?? {}) as Record<string, unknown>;
  if (typeof group !== "string" || !(bytes instanceof Uint8Array)) {
    throw notUnderstood();
  }
  // Copied, as it is a view into the message, valid only until the call is
  // answered.
  return { group, transfer: number(transfer), bytes: bytes.slice() };
}

/** Encodes entries, each as `u48 index · u48 term · u32 bytes · body`. */
export function writeEntries(
  entries: Iterable<RaftEntry>,
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(4096);
  for (const { index, term, body } of entries) {
    into.u48(index);
    into.u48(term);
    into.u32(body.length);
    into.raw(body);
  }
  return into.copy();
}

/** @throws {WhorlError} `protocol_error` if they are cut short. */
export function readEntries(bytes: Uint8Array<ArrayBuffer>): RaftEntry[] {
  const from = new ByteReader(bytes);
  const entries: RaftEntry[] = [];
  while (from.remaining > 0) {
    const index = from.u48();
    const term = from.u48();
    const length = from.u32();
    const start = from.skip(length);
    entries.push({ index, term, body: bytes.subarray(start, start + length) });
  }
  return entries;
}

function number(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw notUnderstood();
  }
  return value as number;
}

function notUnderstood(): WhorlError {
  return new WhorlError(
    "protocol_error",
    "Cannot take a snapshot of a Raft group as its description is not understood",
  );
}
