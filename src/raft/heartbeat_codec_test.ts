import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  HEARTBEAT_GROUP_BYTES,
  HEARTBEAT_GROUPS_MAX,
  type Heartbeats,
  type HeartbeatsReply,
  readHeartbeats,
  readHeartbeatsReply,
  writeHeartbeats,
  writeHeartbeatsReply,
} from "./heartbeat_codec.ts";

function bytesOf(write: (into: ByteWriter) => void): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  write(into);
  return into.copy();
}

const heartbeats: Heartbeats = {
  sequence: 2 ** 32 - 1,
  groups: [
    { group: 2 ** 48 - 1, term: 3, commitIndex: 2 ** 32 },
    { group: 1, term: 4, commitIndex: 0 },
  ],
};
const reply: HeartbeatsReply = {
  sequence: 7,
  exceptions: [{ group: 1, uid: 0, term: 0 }, { group: 2, uid: 9, term: 5 }],
};

Deno.test("heartbeats are encoded as the format says", () => {
  const bytes = bytesOf((into) => writeHeartbeats(into, heartbeats));
  assertEquals(
    bytes.toHex(),
    "ffffffff" + "ffffffffffff" + "000000000003" + "000100000000" +
      "000000000001" + "000000000004" + "000000000000",
  );
  assertEquals(readHeartbeats(new ByteReader(bytes)), heartbeats);
});

Deno.test("the answer to heartbeats is encoded as the format says", () => {
  const bytes = bytesOf((into) => writeHeartbeatsReply(into, reply));
  assertEquals(
    bytes.toHex(),
    "00000007" + "000000000001" + "000000000000" + "000000000000" +
      "000000000002" + "000000000009" + "000000000005",
  );
  assertEquals(readHeartbeatsReply(new ByteReader(bytes)), reply);
});

Deno.test("heartbeats without groups and answers without exceptions are four bytes", () => {
  const none = { sequence: 1, groups: [], exceptions: [] };
  assertEquals(bytesOf((into) => writeHeartbeats(into, none)).length, 4);
  const bytes = bytesOf((into) => writeHeartbeatsReply(into, none));
  assertEquals(bytes.length, 4);
  assertEquals(readHeartbeatsReply(new ByteReader(bytes)).exceptions, []);
});

const u48 = fc.maxSafeNat().map((n) => n % 2 ** 48);

Deno.test("heartbeats and their answers survive encoding and decoding, or are refused", () => {
  const triple = fc.tuple(u48, u48, u48);
  fc.assert(
    fc.property(
      fc.nat(0xffff_ffff),
      fc.array(triple, { maxLength: 20 }),
      fc.nat(17),
      (sequence, triples, more) => {
        const groups = triples.map(([group, term, commitIndex]) => ({
          group,
          term,
          commitIndex,
        }));
        const exceptions = triples.map(([group, uid, term]) => ({
          group,
          uid,
          term,
        }));
        const beats = bytesOf((into) =>
          writeHeartbeats(into, { sequence, groups })
        );
        const answer = bytesOf((into) =>
          writeHeartbeatsReply(into, { sequence, exceptions })
        );
        assertEquals(readHeartbeats(new ByteReader(beats)), {
          sequence,
          groups,
        });
        assertEquals(readHeartbeatsReply(new ByteReader(answer)), {
          sequence,
          exceptions,
        });
        // One part of a group more, or less than the sequence.
        const odd = more === 0
          ? beats.slice(0, 3)
          : new Uint8Array([...beats, ...new Uint8Array(more)]);
        for (const read of [readHeartbeats, readHeartbeatsReply]) {
          const error = assertThrows(
            () => read(new ByteReader(odd)),
            WhorlError,
          );
          assert(isWhorlError(error, "protocol_error"));
        }
      },
    ),
  );
});

Deno.test("readHeartbeats() accepts no more groups than a frame may have", () => {
  const most = 4 + HEARTBEAT_GROUPS_MAX * HEARTBEAT_GROUP_BYTES;
  const bytes = new Uint8Array(most + HEARTBEAT_GROUP_BYTES);
  readHeartbeats(new ByteReader(bytes, 0, most));
  assertThrows(() => readHeartbeats(new ByteReader(bytes)), WhorlError);
});
