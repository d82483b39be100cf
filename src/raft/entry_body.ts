/**
 * The body of an entry: see `raft_entry.ts`.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { briefBytes } from "../base/byte_slab.ts";
import { readMembership } from "./membership_codec.ts";
import {
  ENTRY_HEADER_BYTES,
  EntryKind,
  type Membership,
  type RaftEntry,
} from "./raft_entry.ts";

/** Encodes a body; `data` is copied. */
export function entryBody(
  kind: EntryKind,
  timeMs: number,
  data: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const body = briefBytes(ENTRY_HEADER_BYTES + data.length);
  body[0] = kind;
  const high = Math.floor(timeMs / 0x1_0000_0000);
  const low = timeMs >>> 0;
  body[1] = high >>> 8;
  body[2] = high;
  body[3] = low >>> 24;
  body[4] = low >>> 16;
  body[5] = low >>> 8;
  body[6] = low;
  body.set(data, ENTRY_HEADER_BYTES);
  return body;
}

/** The kind of an entry. */
export function kindOfEntry(body: Uint8Array): number {
  return body[0] as number;
}

/** The leader's wall clock when it accepted the entry, in milliseconds since 1970. */
export function timeOfEntry(body: Uint8Array): number {
  const high = (body[1] as number) * 256 + (body[2] as number);
  const low = ((body[3] as number) << 24 | (body[4] as number) << 16 |
    (body[5] as number) << 8 | (body[6] as number)) >>> 0;
  return high * 0x1_0000_0000 + low;
}

/** The data of an entry: a command, or what its kind defines. */
export function dataOfEntry(
  body: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  return body.subarray(ENTRY_HEADER_BYTES);
}

/** Whether the entry whose body begins at `offset` is of the kind `membership`. */
export function isMembership(body: Uint8Array, offset = 0): boolean {
  return body[offset] === EntryKind.membership;
}

/** The members in an entry of the kind `membership`. */
export function membershipOf({ index, body }: RaftEntry): Membership {
  const { members } = readMembership(new ByteReader(body, ENTRY_HEADER_BYTES));
  return { index, members };
}
