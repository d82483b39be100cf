import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import type { MemberKind, RaftEntry } from "./raft_entry.ts";
import type { RaftMessage } from "./raft_message.ts";
import {
  APPEND_ENTRY_BYTES,
  APPEND_HEADER_BYTES,
  readRaftMessage,
  writeAppend,
  writeRaftMessage,
} from "./raft_message_codec.ts";

function bytesOf(message: RaftMessage): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  writeRaftMessage(into, message);
  return into.copy();
}

function messageOf(hex: string): RaftMessage {
  return readRaftMessage(new ByteReader(Uint8Array.fromHex(hex)));
}

function entriesOf(message: RaftMessage): readonly RaftEntry[] {
  if (message.type !== "append") throw new Error(`a ${message.type}`);
  return message.entries;
}

function refusalOf(hex: string): string {
  const error = assertThrows(() => messageOf(hex), WhorlError);
  assert(isWhorlError(error, "protocol_error"));
  return error.message;
}

/** A body: kind and time, then `data`. */
function body(kind: number, data = ""): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(`0${kind}0198a0b1c2d3${data}`);
}

const BODY = "020198a0b1c2d3";

/** One message of each type and its encoding. Written by hand: they are the format. */
const GOLDEN: readonly (readonly [RaftMessage, string])[] = [
  [
    {
      type: "pre_vote",
      term: 3,
      lastIndex: 2 ** 32 + 1,
      lastTerm: 2,
      machineVersion: 258,
    },
    "01 000000000003 000100000001 000000000002 0102",
  ],
  [{ type: "pre_vote_reply", term: 3, granted: true }, "02 000000000003 01"],
  [
    { type: "vote", term: 3, lastIndex: 9, lastTerm: 2, transfer: true },
    "03 000000000003 000000000009 000000000002 01",
  ],
  [{ type: "vote_reply", term: 3, granted: false }, "04 000000000003 00"],
  [
    {
      type: "append",
      term: 7,
      prevIndex: 10,
      prevTerm: 4,
      commitIndex: 9,
      entries: [
        { index: 11, term: 4, body: body(2) },
        { index: 12, term: 4, body: body(2, "ff") },
        { index: 13, term: 7, body: body(1, "0001") },
      ],
    },
    "05 000000000007 00000000000a 000000000004 000000000009" +
    `000000000004 00000002 00000007 ${BODY} 00000008 ${BODY}ff` +
    "000000000007 00000001 00000009 010198a0b1c2d30001",
  ],
  [
    {
      type: "append",
      term: 7,
      prevIndex: 0,
      prevTerm: 0,
      commitIndex: 0,
      entries: [],
    },
    "05 000000000007 000000000000 000000000000 000000000000",
  ],
  [
    {
      type: "append_reply",
      term: 7,
      success: true,
      index: 2 ** 48 - 1,
      indexTerm: 7,
    },
    "06 000000000007 01 ffffffffffff 000000000007",
  ],
  [
    { type: "confirm", term: 7, round: 5, commitIndex: 6 },
    "07 000000000007 000000000005 000000000006",
  ],
  [
    { type: "confirm_reply", term: 7, round: 5 },
    "08 000000000007 000000000005",
  ],
  [{ type: "read_index", term: 7, round: 5 }, "09 000000000007 000000000005"],
  [
    { type: "read_index_reply", term: 7, round: 5, index: -1 },
    "0a 000000000007 000000000005 000000000000",
  ],
  [
    { type: "read_index_reply", term: 7, round: 5, index: 0 },
    "0a 000000000007 000000000005 000000000001",
  ],
  [
    { type: "heartbeat", term: 7, commitIndex: 6 },
    "0b 000000000007 000000000006",
  ],
  [{ type: "heartbeat_reply", term: 7 }, "0c 000000000007"],
  [{ type: "timeout_now", term: 7 }, "0e 000000000007"],
];

Deno.test("writeRaftMessage() writes the documented format", () => {
  for (const [message, hex] of GOLDEN) {
    assertEquals(bytesOf(message).toHex(), hex.replaceAll(" ", ""));
  }
});

Deno.test("readRaftMessage() reads the documented format", () => {
  for (const [message, hex] of GOLDEN) {
    assertEquals(messageOf(hex.replaceAll(" ", "")), message);
  }
});

Deno.test("an install_snapshot begins with its numbers and ends with the members", () => {
  const message: RaftMessage = {
    type: "install_snapshot",
    term: 7,
    transfer: 8,
    snapshot: {
      index: 9,
      term: 6,
      machineVersion: 1,
      membership: {
        index: 5,
        members: [{ node: "a", uid: 3, kind: "voter", target: 0 }],
      },
    },
  };
  const bytes = bytesOf(message);
  assertEquals(
    bytes.subarray(0, 27).toHex(),
    "0d" + "000000000007" + "000000000008" + "000000000009" + "000000000006" +
      "0001",
  );
  assertEquals(messageOf(bytes.toHex()), message);
});

const u48 = fc.oneof(fc.nat(20), fc.maxSafeNat().map((n) => n % 2 ** 48));
const u16 = fc.nat(0xffff);

const append: fc.Arbitrary<RaftMessage> = fc.record({
  prevIndex: fc.nat(1_000_000),
  prevTerm: fc.nat(50),
  commitIndex: u48,
  entries: fc.array(
    fc.record({
      step: fc.constantFrom(0, 0, 0, 1, 5),
      kind: fc.constantFrom(1, 2, 3),
      data: fc.uint8Array({ maxLength: 40 }),
    }),
    { maxLength: 30 },
  ),
  later: fc.nat(3),
}).map(({ prevIndex, prevTerm, commitIndex, entries, later }) => {
  let term = prevTerm;
  const list: RaftEntry[] = entries.map(({ step, kind, data }, at) => ({
    index: prevIndex + 1 + at,
    term: term += step,
    body: body(kind, data.toHex()),
  }));
  return {
    type: "append" as const,
    term: term + later,
    prevIndex,
    prevTerm,
    commitIndex,
    entries: list,
  };
});

const snapshot = fc.record({
  index: u48,
  term: u48,
  machineVersion: u16,
  membership: fc.record({
    index: u48,
    members: fc.uniqueArray(
      fc.record({
        node: fc.string({ minLength: 1, maxLength: 12 }),
        uid: u48.map((n) => Math.max(1, n)),
        kind: fc.constantFrom<MemberKind>("voter", "non_voter"),
        target: fc.constant(0),
      }),
      { minLength: 1, maxLength: 7, selector: ({ node }) => node },
    ).map((members) => members.toSorted((a, b) => a.node < b.node ? -1 : 1)),
  }),
});

const anyMessage: fc.Arbitrary<RaftMessage> = fc.oneof(
  append,
  fc.record({
    type: fc.constant("pre_vote" as const),
    term: u48,
    lastIndex: u48,
    lastTerm: u48,
    machineVersion: u16,
  }),
  fc.record({
    type: fc.constantFrom("pre_vote_reply" as const, "vote_reply" as const),
    term: u48,
    granted: fc.boolean(),
  }),
  fc.record({
    type: fc.constant("vote" as const),
    term: u48,
    lastIndex: u48,
    lastTerm: u48,
    transfer: fc.boolean(),
  }),
  fc.record({
    type: fc.constant("append_reply" as const),
    term: u48,
    success: fc.boolean(),
    index: u48,
    indexTerm: u48,
  }),
  fc.record({
    type: fc.constant("confirm" as const),
    term: u48,
    round: u48,
    commitIndex: u48,
  }),
  fc.record({
    type: fc.constantFrom("confirm_reply" as const, "read_index" as const),
    term: u48,
    round: u48,
  }),
  fc.record({
    type: fc.constant("read_index_reply" as const),
    term: u48,
    round: u48,
    index: fc.integer({ min: -1, max: 1_000_000 }),
  }),
  fc.record({
    type: fc.constant("heartbeat" as const),
    term: u48,
    commitIndex: u48,
  }),
  fc.record({
    type: fc.constantFrom("heartbeat_reply" as const, "timeout_now" as const),
    term: u48,
  }),
  fc.record({
    type: fc.constant("install_snapshot" as const),
    term: u48,
    transfer: u48,
    snapshot,
  }),
);

Deno.test("every message survives encoding and decoding", () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      assertEquals(readRaftMessage(new ByteReader(bytesOf(message))), message);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("a message that is cut short anywhere is refused", () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const bytes = bytesOf(message);
      for (let end = 0; end < bytes.length; end++) {
        // An append that is cut between two runs is one with fewer entries.
        try {
          const shorter = entriesOf(
            readRaftMessage(new ByteReader(bytes, 0, end)),
          );
          const entries = entriesOf(message);
          assert(shorter.length < entries.length);
          assertEquals(shorter, entries.slice(0, shorter.length));
        } catch (error) {
          assert(isWhorlError(error, "protocol_error"), String(error));
        }
      }
    }),
    { numRuns: 100 },
  );
});

Deno.test("readRaftMessage() decodes any bytes or refuses them, and encoding gives the same bytes again", () => {
  const damaged = fc.tuple(
    anyMessage,
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
  ).map(([message, changes]) => {
    const bytes = bytesOf(message);
    for (const [at, value] of changes) bytes[at % bytes.length] = value;
    return bytes;
  });
  fc.assert(
    fc.property(
      fc.oneof(damaged, fc.uint8Array({ maxLength: 80 })),
      (bytes) => {
        let message: RaftMessage;
        try {
          message = readRaftMessage(new ByteReader(bytes));
        } catch (error) {
          assert(isWhorlError(error, "protocol_error"), String(error));
          return;
        }
        assertEquals(bytesOf(message).toHex(), bytes.toHex());
      },
    ),
    { numRuns: 3_000 },
  );
});

Deno.test("readRaftMessage() keeps entries in a single copy of their own", () => {
  const entries = [1, 2, 3].map((index) => ({
    index,
    term: 1,
    body: body(2, `0${index}`),
  }));
  const frame = bytesOf({
    type: "append",
    term: 1,
    prevIndex: 0,
    prevTerm: 0,
    commitIndex: 0,
    entries,
  });
  const received = entriesOf(readRaftMessage(new ByteReader(frame)));
  frame.fill(0);
  assertEquals(received, entries);
  const memory = new Set(received.map(({ body }) => body.buffer));
  assertEquals(memory.size, 1);
  assert(!memory.has(frame.buffer));
});

Deno.test("an append of one entry has the size given by its constants", () => {
  const into = new ByteWriter();
  writeAppend(into, 1, 0, 0, 0, [{ index: 1, term: 1, body: body(2) }]);
  assertEquals(into.length, APPEND_HEADER_BYTES + APPEND_ENTRY_BYTES + 7);
});

Deno.test("readRaftMessage() refuses messages that no leader would send", () => {
  const head = "05" + "000000000007" + "00000000000a" + "000000000004" +
    "000000000009";
  const run = (term: string, count: string, ...entries: string[]): string =>
    `00000000000${term}0000000${count}${entries.join("")}`;
  const entry = `00000007${BODY}`;
  messageOf(head + run("4", "1", entry) + run("7", "1", entry));
  const cases: [string, RegExp][] = [
    [run("3", "1", entry), /term 3 is out of order/],
    [run("8", "1", entry), /term 8 is out of order/],
    [run("5", "1", entry) + run("5", "1", entry), /term 5 is out of order/],
    [run("6", "1", entry) + run("5", "1", entry), /term 5 is out of order/],
    [run("5", "0"), /no entries/],
    [run("5", "2", entry), /cut short/],
    [run("5", "1", "ffffffff", BODY), /cut short/],
    [run("5", "1", "00000006", BODY.slice(0, 12)), /6 bytes/],
    [run("5", "1", "00000007", "00" + BODY.slice(2)), /of kind 0/],
    [run("5", "1", "00000007", "04" + BODY.slice(2)), /of kind 4/],
    [run("5", "1", entry) + "00", /cut short/],
  ];
  for (const [rest, expected] of cases) {
    const message = refusalOf(head + rest);
    assert(expected.test(message), `${rest}: ${message}`);
  }
  const last = "05" + "000000000007" + "ffffffffffff" + "000000000004" +
    "000000000009";
  assert(/last index/.test(refusalOf(last + run("5", "1", entry))));
});

Deno.test("readRaftMessage() refuses unknown types and flags, and trailing bytes", () => {
  assert(/type is 0/.test(refusalOf("00000000000001")));
  assert(/type is 15/.test(refusalOf("0f000000000001")));
  assert(/flag is 2/.test(refusalOf("0400000000000102")));
  assert(/1 bytes follow/.test(refusalOf("0e00000000000100")));
});
