/**
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { MemberKind, Membership } from "./raft_entry.ts";

const KINDS: MemberKind[] = ["voter", "promotable", "non_voter"];

export function writeMembership(into: ByteWriter, m: Membership): void {
  into.u48(m.index);
  into.u16(m.members.length);
  for (const { node, uid, kind, target } of m.members) {
    into.text(node);
    into.u48(uid);
    into.u8(KINDS.indexOf(kind));
    into.u48(target);
  }
}

export function readMembership(from: ByteReader): Membership {
  const index = from.u48();
  const members = [];
  for (let left = from.u16(); left > 0; left--) {
    const node = from.text();
    const uid = from.u48();
    const kind = KINDS[from.u8()];
    const target = from.u48();
    if (kind === undefined) throw new WhorlError("protocol_error", "kind");
    members.push({ node, uid, kind, target });
  }
  return { index, members };
}
