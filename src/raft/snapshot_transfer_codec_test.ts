import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  LIVE_ENTRY_BYTES,
  readSnapshotBegin,
  readSnapshotEnd,
  readSnapshotLive,
  readSnapshotReply,
  readSnapshotState,
  writeSnapshotBegin,
  writeSnapshotEnd,
  writeSnapshotLive,
  writeSnapshotReply,
  writeSnapshotState,
} from "./snapshot_transfer_codec.ts";

function bytesOf(write: (into: ByteWriter) => void): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  write(into);
  return into.copy();
}

const entries = [3, 2 ** 32 + 1].map((index) => ({
  index,
  term: 2,
  body: Uint8Array.fromHex("020198a0b1c2d3ff"),
}));
const error = new WhorlError("timeout", "It took too long");

/** One of each frame: how it is written, read, what it holds and how it looks. */
const FRAMES: readonly {
  write: (into: ByteWriter) => void;
  read: (from: ByteReader) => unknown;
  value: unknown;
  hex: string;
}[] = [
  {
    write: (into) =>
      writeSnapshotBegin(into, { group: 1, uid: 2, transfer: 3 }),
    read: readSnapshotBegin,
    value: { group: 1, uid: 2, transfer: 3 },
    hex: "000000000001" + "000000000002" + "000000000003",
  },
  {
    write: (into) => writeSnapshotLive(into, 3, entries),
    read: readSnapshotLive,
    value: { transfer: 3, entries },
    hex: "000000000003" +
      "000000000003" + "000000000002" + "00000008" + "020198a0b1c2d3ff" +
      "000100000001" + "000000000002" + "00000008" + "020198a0b1c2d3ff",
  },
  {
    write: (into) => writeSnapshotState(into, 3, Uint8Array.of(1, 2)),
    read: readSnapshotState,
    value: { transfer: 3, piece: Uint8Array.of(1, 2) },
    hex: "000000000003" + "0102",
  },
  {
    write: (into) =>
      writeSnapshotEnd(into, { transfer: 3, liveEntries: 2, stateBytes: 9 }),
    read: readSnapshotEnd,
    value: { transfer: 3, liveEntries: 2, stateBytes: 9 },
    hex: "000000000003" + "00000002" + "0000000000000009",
  },
  {
    write: (into) => writeSnapshotReply(into, { transfer: 3, index: 4 }),
    read: readSnapshotReply,
    value: { transfer: 3, index: 4 },
    hex: "000000000003" + "00" + "000000000004",
  },
];

Deno.test("frames of a snapshot transfer look as the format says", () => {
  for (const { write, read, value, hex } of FRAMES) {
    const bytes = bytesOf(write);
    assertEquals(bytes.toHex(), hex);
    assertEquals(read(new ByteReader(bytes)), value);
  }
});

Deno.test("a refusal of a snapshot comes with its code", () => {
  const bytes = bytesOf((into) =>
    writeSnapshotReply(into, { transfer: 3, error })
  );
  const reply = readSnapshotReply(new ByteReader(bytes));
  assertEquals(reply.transfer, 3);
  assert("error" in reply && reply.error.code === "timeout");
});

Deno.test("frames of a snapshot transfer are read or refused, whatever they hold", () => {
  const damaged = fc.tuple(
    fc.constantFrom(...FRAMES),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
    fc.nat(60),
  ).map(([{ write }, changes, cut]) => {
    const bytes = bytesOf(write);
    for (const [at, value] of changes) bytes[at % bytes.length] = value;
    return bytes.slice(0, Math.max(0, bytes.length - Math.max(0, cut - 30)));
  });
  fc.assert(
    fc.property(
      fc.oneof(damaged, fc.uint8Array({ maxLength: 60 })),
      (bytes) => {
        for (const { read } of FRAMES) {
          try {
            read(new ByteReader(bytes));
          } catch (thrown) {
            assert(isWhorlError(thrown, "protocol_error"), String(thrown));
          }
        }
      },
    ),
    { numRuns: 1_000 },
  );
});

Deno.test("readSnapshotLive() refuses entries that are out of order or have no header", () => {
  const twice = bytesOf((into) =>
    writeSnapshotLive(into, 3, [entries[0]!, entries[0]!])
  );
  const short = bytesOf((into) =>
    writeSnapshotLive(into, 3, [{ index: 1, term: 1, body: new Uint8Array(6) }])
  );
  for (const bytes of [twice, short]) {
    assertThrows(() => readSnapshotLive(new ByteReader(bytes)), WhorlError);
  }
});

Deno.test("readSnapshotLive() keeps entries in one copy of their own", () => {
  const bytes = bytesOf((into) => writeSnapshotLive(into, 3, entries));
  const live = readSnapshotLive(new ByteReader(bytes));
  bytes.fill(0);
  assertEquals(live.entries, entries);
  assertEquals(new Set(live.entries.map(({ body }) => body.buffer)).size, 1);
});

Deno.test("LIVE_ENTRY_BYTES is what an entry takes besides its body", () => {
  const bytes = bytesOf((into) => writeSnapshotLive(into, 3, [entries[0]!]));
  assertEquals(bytes.length, 6 + LIVE_ENTRY_BYTES + 8);
});
