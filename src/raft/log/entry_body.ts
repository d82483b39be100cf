/**
 * What the log itself has to know of the bodies of entries.
 *
 * @module
 */
import { ByteReader } from "../../base/byte_reader.ts";
import { readMembership } from "../membership_codec.ts";
import {
  ENTRY_HEADER_BYTES,
  EntryKind,
  type Membership,
  type RaftEntry,
} from "../raft_entry.ts";

/** Whether the entry whose body begins at `offset` is one of the kind `membership`. */
export function isMembership(body: Uint8Array, offset: number): boolean {
  return body[offset] === EntryKind.membership;
}

/** The members that an entry of the kind `membership` says. */
export function membershipOf({ index, body }: RaftEntry): Membership {
  const { members } = readMembership(new ByteReader(body, ENTRY_HEADER_BYTES));
  return { index, members };
}
