/**
 * How a snapshot travels from a leader to a member that is too far behind, on a
 * bulk link. The leader's `install_snapshot` has said what it is; these frames
 * follow it, each sent when the one before is answered:
 *
 *     begin   u48 group · u48 uid of the receiver · u48 transfer
 *     live    u48 transfer · (u48 index · u48 term · u32 bytes · body) each, to the end
 *     state   u48 transfer · the next piece of the state, to the end
 *     end     u48 transfer · u32 live entries · u53 bytes of state, that were sent
 *     reply   u48 transfer · u8 0 · u48 index
 *             u48 transfer · u8 1 · failure (`failure.ts`)
 *
 * The answer to `begin` says up to which index the receiver has applied the log:
 * live entries up to there it has, and is not sent. The others stand in the
 * order of their indexes. Other answers have the index 0.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { readFailure, writeFailure } from "../wire/failure.ts";
import { ENTRY_HEADER_BYTES, type RaftEntry } from "./raft_entry.ts";

/** Most bytes of entries or of state in one frame, but for an entry that is larger by itself: 1 MiB. */
export const SNAPSHOT_PIECE_BYTES_MAX = 1024 * 1024;
/** Bytes of a live entry besides its body. */
export const LIVE_ENTRY_BYTES = 16;

/** Asks for the transfer to begin. */
export interface SnapshotBegin {
  /** Number of the group. */
  readonly group: number;
  /** Life of the receiving member that it is meant for. */
  readonly uid: number;
  /** As in `install_snapshot`. */
  readonly transfer: number;
}

/** What must have come when it ends. */
export interface SnapshotEnd {
  readonly transfer: number;
  readonly liveEntries: number;
  readonly stateBytes: number;
}

/** What the receiver made of a frame. */
export type SnapshotReply =
  | { readonly transfer: number; readonly index: number }
  | { readonly transfer: number; readonly error: WhorlError };

/** Appends a `begin`. */
export function writeSnapshotBegin(
  into: ByteWriter,
  { group, uid, transfer }: SnapshotBegin,
): void {
  into.u48(group);
  into.u48(uid);
  into.u48(transfer);
}

/** Reads a `begin`. @throws {WhorlError} `protocol_error`, as all that read here. */
export function readSnapshotBegin(from: ByteReader): SnapshotBegin {
  const begin = {
    group: from.u48(),
    uid: from.u48(),
    transfer: from.u48(),
  };
  expectEnd(from);
  return begin;
}

/** Appends a `live` with `entries`, whose indexes ascend. */
export function writeSnapshotLive(
  into: ByteWriter,
  transfer: number,
  entries: Iterable<RaftEntry>,
): void {
  into.u48(transfer);
  for (const { index, term, body } of entries) {
    into.u48(index);
    into.u48(term);
    into.blob(body);
  }
}

/** Reads a `live`; the bodies are views into one copy. */
export function readSnapshotLive(
  from: ByteReader,
): { readonly transfer: number; readonly entries: readonly RaftEntry[] } {
  const transfer = from.u48();
  const bytes = new Uint8Array(from.rest());
  const rest = new ByteReader(bytes);
  const entries: RaftEntry[] = [];
  let last = 0;
  while (rest.remaining > 0) {
    const index = rest.u48();
    const term = rest.u48();
    const body = rest.blob() as Uint8Array<ArrayBuffer>;
    if (index <= last || body.length < ENTRY_HEADER_BYTES) {
      throw refusal(
        `an entry of ${body.length} bytes at ${index} follows ${last}`,
      );
    }
    entries.push({ index, term, body });
    last = index;
  }
  return { transfer, entries };
}

/** Appends a `state`. */
export function writeSnapshotState(
  into: ByteWriter,
  transfer: number,
  piece: Uint8Array,
): void {
  into.u48(transfer);
  into.raw(piece);
}

/** Reads a `state`; the piece is a copy. */
export function readSnapshotState(
  from: ByteReader,
): { readonly transfer: number; readonly piece: Uint8Array<ArrayBuffer> } {
  return { transfer: from.u48(), piece: new Uint8Array(from.rest()) };
}

/** Appends an `end`. */
export function writeSnapshotEnd(
  into: ByteWriter,
  { transfer, liveEntries, stateBytes }: SnapshotEnd,
): void {
  into.u48(transfer);
  into.u32(liveEntries);
  into.u53(stateBytes);
}

/** Reads an `end`. */
export function readSnapshotEnd(from: ByteReader): SnapshotEnd {
  const end = {
    transfer: from.u48(),
    liveEntries: from.u32(),
    stateBytes: from.u53(),
  };
  expectEnd(from);
  return end;
}

/** Appends a `reply`. */
export function writeSnapshotReply(
  into: ByteWriter,
  reply: SnapshotReply,
): void {
  into.u48(reply.transfer);
  if ("error" in reply) {
    into.u8(1);
    return writeFailure(into, reply.error);
  }
  into.u8(0);
  into.u48(reply.index);
}

/** Reads a `reply`. */
export function readSnapshotReply(from: ByteReader): SnapshotReply {
  const transfer = from.u48();
  const failed = from.u8();
  if (failed > 1) throw refusal(`a reply begins with ${failed}`);
  if (failed === 1) return { transfer, error: readFailure(from.rest()) };
  const index = from.u48();
  expectEnd(from);
  return { transfer, index };
}

function expectEnd(from: ByteReader): void {
  if (from.remaining > 0) throw refusal(`${from.remaining} bytes follow it`);
}

function refusal(reason: string): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot read part of a snapshot transfer: ${reason}`,
  );
}
