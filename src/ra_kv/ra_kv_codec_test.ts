import { crc32 } from "node:zlib";
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  emptyOperationHeader,
  isReadOperation,
  OperationKind,
  readOperationHeader,
} from "../request/operation_codec.ts";
import { ChangeKind } from "./change_log.ts";
import {
  beginOperation,
  isRead,
  RA_KV_MODULE_ID,
  RaKvOperation,
  readEntryBody,
  readGetAnswer,
  readGetBody,
  readGroupNames,
  readWatchAnswer,
  readWatchBody,
  readWriteAnswer,
  WATCH_WAIT_MS_MAX,
  writeGetAnswer,
  writeGroupNames,
  writeWatchAnswer,
  writeWatchBody,
  writeWriteAnswer,
} from "./ra_kv_codec.ts";
import {
  emptyChange,
  type RaKvReply,
  readReply,
  visitChanges,
  writeDeleteChange,
  writePutChange,
  writeReply,
} from "./ra_kv_command_codec.ts";
import {
  mayHoldBytes,
  readValue,
  valueHash,
  writeValueField,
} from "./ra_kv_value.ts";

function bytesOf(write: (into: ByteWriter) => void): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  write(into);
  return into.copy();
}

const key = Uint8Array.of(107);
const u48 = fc.oneof(fc.nat(9), fc.maxSafeNat().map((n) => n % 2 ** 48));

/** Values, their bytes, and their readers. The bytes are written by hand: they are the format. */
const FRAMES: readonly {
  what: string;
  write: (into: ByteWriter) => void;
  read: (from: ByteReader) => unknown;
  value: unknown;
  hex: string;
}[] = [
  {
    what: "get",
    write: (into) => {
      into.u8(2);
      into.u16(1);
      into.raw(key);
    },
    read: readGetBody,
    value: { flags: 2, key },
    hex: "02" + "0001" + "6b",
  },
  {
    what: "readEntry",
    write: (into) => into.u48(7),
    read: readEntryBody,
    value: 7,
    hex: "000000000007",
  },
  {
    what: "watch",
    write: (into) =>
      writeWatchBody(into, { flags: 5, index: 9, waitMs: 1_000, key }),
    read: readWatchBody,
    value: { flags: 5, index: 9, waitMs: 1_000, key },
    hex: "05" + "000000000009" + "000003e8" + "0001" + "6b",
  },
  {
    what: "answer to a write",
    write: (into) =>
      writeWriteAnswer(into, {
        index: 1,
        term: 2,
        timeMs: 3,
        machineVersion: 4,
      }, "a"),
    read: readWriteAnswer,
    value: { index: 1, term: 2, timeMs: 3, machineVersion: 4, leader: "a" },
    hex: "000000000001" + "000000000002" + "000000000003" + "0004" + "000161",
  },
  {
    what: "names of a group",
    write: (into) =>
      writeGroupNames(into, { leader: "b", members: ["a", "b"] }),
    read: readGroupNames,
    value: { leader: "b", members: ["a", "b"] },
    hex: "01" + "02" + "000161" + "000162",
  },
  {
    what: "names of a group without a leader",
    write: (into) =>
      writeGroupNames(into, { leader: undefined, members: ["a"] }),
    read: readGroupNames,
    value: { leader: undefined, members: ["a"] },
    hex: "ff" + "01" + "000161",
  },
  {
    what: "answer to a get",
    write: (into) =>
      writeGetAnswer(into, {
        found: true,
        index: 5,
        term: 6,
        expiresAtMs: 7,
        group: Uint8Array.of(8),
        value: Uint8Array.of(9),
      }),
    read: readGetAnswer,
    value: {
      found: true,
      index: 5,
      term: 6,
      expiresAtMs: 7,
      group: Uint8Array.of(8),
      value: Uint8Array.of(9),
    },
    hex: "03" + "000000000005" + "000000000006" + "000000000007" + "0001" +
      "08" + "09",
  },
  {
    what: "answer to a watch",
    write: (into) =>
      writeWatchAnswer(into, {
        missed: true,
        next: 4,
        events: [
          {
            kind: ChangeKind.put,
            index: 3,
            key,
            value: Uint8Array.of(1, 2),
          },
          { kind: ChangeKind.expire, index: 4, key, value: undefined },
        ],
      }),
    read: readWatchAnswer,
    value: {
      missed: true,
      next: 4,
      events: [
        { kind: ChangeKind.put, index: 3, key, value: Uint8Array.of(1, 2) },
        { kind: ChangeKind.expire, index: 4, key, value: undefined },
      ],
    },
    hex: "01" + "000000000004" + "0002" +
      "01" + "000000000003" + "0001" + "6b" + "01" + "00000002" + "0102" +
      "03" + "000000000004" + "0001" + "6b" + "00",
  },
];

Deno.test("bodies and answers of ra_kv are encoded as the format says", () => {
  for (const { what, write, read, value, hex } of FRAMES) {
    const bytes = bytesOf(write);
    assertEquals(bytes.toHex(), hex, what);
    assertEquals(read(new ByteReader(bytes)), value, what);
  }
});

Deno.test("bodies and answers of ra_kv are read or refused, whatever their bytes", () => {
  const damaged = fc.tuple(
    fc.constantFrom(...FRAMES),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
    fc.integer({ min: -40, max: 5 }),
  ).map(([{ write }, changes, more]) => {
    const bytes = bytesOf(write);
    for (const [at, value] of changes) bytes[at % bytes.length] = value;
    return more <= 0
      ? bytes.slice(0, Math.max(0, bytes.length + more))
      : new Uint8Array([...bytes, ...new Uint8Array(more)]);
  });
  fc.assert(
    fc.property(
      fc.oneof(damaged, fc.uint8Array({ maxLength: 60 })),
      (bytes) => {
        for (const { read } of FRAMES) {
          try {
            read(new ByteReader(bytes));
          } catch (error) {
            assert(isWhorlError(error, "protocol_error"), String(error));
          }
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

Deno.test("readWatchBody() accepts the empty prefix, but no empty key and no endless wait", () => {
  const body = { flags: 1, index: 0, waitMs: WATCH_WAIT_MS_MAX, key };
  const read = (change: Partial<typeof body>) =>
    readWatchBody(
      new ByteReader(
        bytesOf((into) => writeWatchBody(into, { ...body, ...change })),
      ),
    );
  const empty = new Uint8Array(0);
  assertEquals(read({ key: empty }).key.length, 0);
  for (
    const bad of [
      { flags: 0, key: empty },
      { flags: 8 },
      { waitMs: WATCH_WAIT_MS_MAX + 1 },
      { key: new Uint8Array(1_025) },
    ]
  ) assertThrows(() => read(bad), WhorlError);
});

Deno.test("an operation names its cluster as key, and tells whether it only reads", () => {
  for (const operation of Object.values(RaKvOperation)) {
    const into = new ByteWriter();
    beginOperation(into, operation, "störe", 1_234);
    into.u8(7);
    const header = emptyOperationHeader();
    const from = new ByteReader(into.bytes, 0, into.length);
    readOperationHeader(from, header);
    assertEquals(
      [header.kind, header.moduleId, header.command, header.timeLeftMs],
      [OperationKind.raft, RA_KV_MODULE_ID, operation, 1_234],
    );
    const name = into.bytes.subarray(header.keyStart, header.keyEnd);
    assertEquals(new TextDecoder().decode(name), "störe");
    assertEquals(into.bytes[header.keyEnd], 7);
    assertEquals(isReadOperation(into.bytes, 0), isRead(operation));
    assertEquals(isRead(operation), operation >= 16);
  }
});

Deno.test("commands are encoded as the format says", () => {
  const hash = valueHash(Uint8Array.fromHex("01a176"));
  const put = bytesOf((into) => {
    into.u8(1);
    writePutChange(into, "k", "v", { ifIndex: 9, ttlMs: 10 });
  });
  assertEquals(
    put.toHex(),
    "01" + "03" + "0001" + "6b" + "000000000009" + "00000000000a" +
      hash.toString(16).padStart(8, "0") + "00000003" + "01a176",
  );
  const bytes = bytesOf((into) => {
    into.u8(3);
    into.u16(2);
    into.u8(1);
    writePutChange(into, "k", Uint8Array.of(5));
    into.u8(2);
    writeDeleteChange(into, "x", 0);
  });
  assertEquals(
    bytes.toHex(),
    "03" + "0002" +
      "01" + "00" + "0001" + "6b" +
      valueHash(Uint8Array.of(0, 5)).toString(16).padStart(8, "0") +
      "00000002" + "0005" +
      "02" + "01" + "0001" + "78" + "000000000000",
  );
  const seen: unknown[] = [];
  visitChanges(new ByteReader(bytes), emptyChange(), (change, place) => {
    seen.push([place, change.op, change.ifIndex]);
  });
  assertEquals(seen, [[0, 1, -1], [1, 2, 0]]);
});

Deno.test("replies survive encoding and decoding", () => {
  const replies: fc.Arbitrary<RaKvReply> = fc.oneof(
    fc.constant({ type: "done" as const }),
    fc.constant({ type: "not_found" as const }),
    fc.record({
      type: fc.constant("index_mismatch" as const),
      place: fc.nat(0xffff),
      index: u48,
    }),
    fc.record({
      type: fc.constant("refused" as const),
      reason: fc.string({ maxLength: 100 }),
    }),
  );
  fc.assert(fc.property(replies, (reply) => {
    const bytes = bytesOf((into) => writeReply(into, reply));
    assertEquals(readReply(new ByteReader(bytes)), reply);
    // One of them a constant, so that nobody changes it.
    assertThrows(
      () => readReply(new ByteReader(bytes.slice(0, -1))),
      WhorlError,
    );
  }));
  assertThrows(() => readReply(new ByteReader(Uint8Array.of(4))), WhorlError);
});

Deno.test("values come back as they were put, in all kinds of MessagePack", () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.uint8Array({ maxLength: 20 }),
    fc.tuple(fc.uint8Array({ maxLength: 5 }), fc.maxSafeInteger()),
    fc.string({ unit: "grapheme" }),
  ).filter((value) => !JSON.stringify(value).includes("__proto__"));
  fc.assert(fc.property(value, (value) => {
    const bytes = bytesOf((into) => writeValueField(into, value as never));
    const from = new ByteReader(bytes);
    const hash = from.u32();
    const kept = from.blob();
    assertEquals(from.remaining, 0);
    assertEquals(hash, valueHash(kept));
    const read = readValue(kept);
    assertEquals(read, value as never);
    if (!mayHoldBytes(kept)) assert(typeof read !== "object" || read === null);
  }));
});

Deno.test("valueHash() is the CRC-32 of short values and long ones", () => {
  // The check value of the algorithm.
  assertEquals(valueHash(new TextEncoder().encode("123456789")), 0xcbf4_3926);
  for (const length of [0, 1, 100, 511, 512, 513, 2_000]) {
    const bytes = Uint8Array.from({ length }, (_, at) => at * 7);
    assertEquals(valueHash(bytes), crc32(bytes));
    const within = new Uint8Array([1, 2, ...bytes, 3]);
    assertEquals(valueHash(within, 2, 2 + length), crc32(bytes));
  }
});

Deno.test("readValue() refuses what is not a value", () => {
  for (const hex of ["", "02", "0201", "01", "01c1", "01a1", "010000"]) {
    const error = assertThrows(
      () => readValue(Uint8Array.fromHex(hex)),
      WhorlError,
    );
    assertEquals(error.code, "value_corrupt");
  }
});
