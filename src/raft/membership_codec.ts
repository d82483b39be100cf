/**
 * The members of a Raft group as bytes, the same in entries, in snapshots and
 * between nodes.
 *
 *     u8 format (1) · u53 index · u16 count · members
 *     member   text node · u48 uid · u8 kind · u53 target
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { Member, MemberKind, Membership } from "./raft_entry.ts";

const FORMAT = 1;
/** The position in the list is the number of the kind. */
const KINDS: readonly MemberKind[] = ["voter", "promotable", "non_voter"];

/** Appends `membership` to `into`. */
export function writeMembership(
  into: ByteWriter,
  { index, members }: Membership,
): void {
  into.u8(FORMAT);
  into.u53(index);
  into.u16(members.length);
  for (const { node, uid, kind, target } of members) {
    into.text(node);
    into.u16(Math.floor(uid / 0x1_0000_0000));
    into.u32(uid >>> 0);
    into.u8(KINDS.indexOf(kind));
    into.u53(target);
  }
}

/**
 * Reads what {@linkcode writeMembership} wrote.
 *
 * @throws {WhorlError} `protocol_error` if it is cut short, of another format,
 * has an unknown kind, or names a node twice.
 */
export function readMembership(from: ByteReader): Membership {
  const format = from.u8();
  if (format !== FORMAT) {
    throw refused(`their format must be ${FORMAT}: current value is ${format}`);
  }
  const index = from.u53();
  const count = from.u16();
  const members: Member[] = [];
  for (let i = 0; i < count; i++) {
    const node = from.text();
    const uid = from.u16() * 0x1_0000_0000 + from.u32();
    const kindNumber = from.u8();
    const kind = KINDS[kindNumber];
    if (kind === undefined) {
      throw refused(`${node} is of kind ${kindNumber}, which is not known`);
    }
    if (members.some((member) => member.node === node)) {
      throw refused(`${node} is named twice`);
    }
    members.push({ node, uid, kind, target: from.u53() });
  }
  return { index, members };
}

function refused(reason: string): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot read the members of a group as ${reason}`,
  );
}
