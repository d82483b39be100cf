import { assertEquals, assertThrows } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { readMembership, writeMembership } from "./membership_codec.ts";
import type { Membership } from "./raft_entry.ts";

const membership: Membership = {
  index: 2 ** 53 - 1,
  members: [
    { node: "a@127.0.0.1", uid: 0, kind: "voter", target: 0 },
    { node: "b@127.0.0.1", uid: 2 ** 48 - 1, kind: "promotable", target: 77 },
    { node: "ü@h", uid: 0x1_0000_0001, kind: "non_voter", target: 0 },
  ],
};

function encoded(value: Membership): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  writeMembership(into, value);
  return into.copy();
}

Deno.test("readMembership() reads what writeMembership() wrote", () => {
  for (const value of [membership, { index: 0, members: [] }]) {
    const from = new ByteReader(encoded(value));
    assertEquals(readMembership(from), value);
    assertEquals(from.remaining, 0);
  }
});

Deno.test("readMembership() refuses bytes that are cut short anywhere", () => {
  const bytes = encoded(membership);
  for (let length = 0; length < bytes.length; length++) {
    assertThrows(
      () => readMembership(new ByteReader(bytes, 0, length)),
      WhorlError,
    );
  }
});

Deno.test("readMembership() refuses unknown formats and kinds, and a node named twice", () => {
  const twice = { ...membership.members[0]! };
  for (
    const [bytes, reason] of [
      [encoded(membership).with(0, 2), "format must be 1"],
      [
        encoded({ index: 1, members: [twice] }).with(11 + 2 + 11 + 6, 3),
        "of kind 3",
      ],
      [encoded({ index: 1, members: [twice, twice] }), "named twice"],
    ] as const
  ) {
    assertThrows(
      () => readMembership(new ByteReader(bytes)),
      WhorlError,
      reason,
    );
  }
});
