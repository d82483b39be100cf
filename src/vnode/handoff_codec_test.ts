import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  appendEntry,
  BATCH_HEADER_BYTES,
  beginBatch,
  beginsHandoff,
  ENTRY_HEADER_BYTES,
  HandoffAction,
  HandoffEntry,
  HandoffMode,
  HandoffOutcome,
  HandoffProgress,
  isTargetAction,
  nextHash,
  readBatch,
  readBatchHead,
  readHandoffRequest,
  sealBatch,
  TOTAL_UNKNOWN,
  writeBatchHead,
  writeHandoffAcked,
  writeHandoffBatch,
  writeHandoffFinal,
  writeHandoffFinish,
  writeHandoffNext,
  writeHandoffOffer,
  writeHandoffOpen,
  writeHandoffSpread,
  writeHandoffSwitch,
} from "./handoff_codec.ts";

const BIG = Number.MAX_SAFE_INTEGER;

function bytesOf(write: (into: ByteWriter) => void): Uint8Array {
  const into = new ByteWriter();
  write(into);
  return into.copy();
}

function open(keySpaces: Set<number> | null): Uint8Array {
  return bytesOf((into) =>
    writeHandoffOpen(into, {
      transfer: BIG,
      mode: HandoffMode.copy,
      target: { node: "b@hôst", partition: 1_023 },
      keySpaces,
    })
  );
}

/** Each request, as bytes and as it is read. */
const requests: [Uint8Array, unknown][] = [
  [
    bytesOf((into) =>
      writeHandoffOpen(into, {
        transfer: BIG,
        mode: HandoffMode.spread,
        target: { node: "*", partition: 1_024 },
        keySpaces: null,
        spread: { ringSize: 1_024, firstVnode: 64_512 },
      })
    ),
    {
      action: HandoffAction.open,
      transfer: BIG,
      mode: HandoffMode.spread,
      target: { node: "*", partition: 1_024 },
      keySpaces: null,
      spread: { ringSize: 1_024, firstVnode: 64_512 },
    },
  ],
  [
    bytesOf((into) => writeHandoffSpread(into, BIG)),
    { action: HandoffAction.spread, transfer: BIG },
  ],
  ...[null, new Set<number>(), new Set([0, 1_023])].map((
    keySpaces,
  ): [Uint8Array, unknown] => [open(keySpaces), {
    action: HandoffAction.open,
    transfer: BIG,
    mode: HandoffMode.copy,
    target: { node: "b@hôst", partition: 1_023 },
    keySpaces,
  }]),
  ...[true, false].map((repeat): [Uint8Array, unknown] => [
    bytesOf((into) => writeHandoffNext(into, 7, BIG, repeat)),
    { action: HandoffAction.next, transfer: 7, acked: BIG, repeat },
  ]),
  [
    bytesOf((into) => writeHandoffAcked(into, 7, 3)),
    { action: HandoffAction.acked, transfer: 7, acked: 3 },
  ],
  [bytesOf((into) => writeHandoffSwitch(into, 7)), {
    action: HandoffAction.switch,
    transfer: 7,
  }],
  [
    bytesOf((into) =>
      writeHandoffFinish(into, 7, HandoffOutcome.abandoned, "c@host")
    ),
    {
      action: HandoffAction.finish,
      transfer: 7,
      outcome: HandoffOutcome.abandoned,
      owner: "c@host",
      decided: { term: 0, version: 0 },
    },
  ],
  [
    bytesOf((into) =>
      writeHandoffFinish(into, 7, HandoffOutcome.released, "c@host", {
        term: 3,
        version: BIG,
      })
    ),
    {
      action: HandoffAction.finish,
      transfer: 7,
      outcome: HandoffOutcome.released,
      owner: "c@host",
      decided: { term: 3, version: BIG },
    },
  ],
  [bytesOf((into) => writeHandoffOffer(into, 7)), {
    action: HandoffAction.offer,
    transfer: 7,
  }],
  [bytesOf((into) => writeHandoffBatch(into, 7)), {
    action: HandoffAction.batch,
    transfer: 7,
  }],
  [bytesOf((into) => writeHandoffFinal(into, 7, BIG, 0xffff_ffff)), {
    action: HandoffAction.final,
    transfer: 7,
    items: BIG,
    hash: 0xffff_ffff,
  }],
];

/** A sealed batch with an item and a command. */
function batch(number = 9): Uint8Array {
  const into = new ByteWriter();
  beginBatch(into);
  appendEntry(into, HandoffEntry.item, 0, Uint8Array.of(1, 2, 3));
  appendEntry(into, HandoffEntry.command, 255, new Uint8Array(0));
  sealBatch(into, number, 2);
  return into.copy();
}

/** A batch with `entries` after its checksum, which matches. */
function sealed(count: number, entries: number[]): Uint8Array {
  const into = new ByteWriter();
  beginBatch(into);
  into.raw(Uint8Array.from(entries));
  sealBatch(into, 1, count);
  return into.copy();
}

/** Asserts that `read` refuses what it is given with `protocol_error`. */
function assertRefused(read: () => unknown): void {
  const error = assertThrows(read, WhorlError);
  assertEquals(error.code, "protocol_error");
}

Deno.test("readHandoffRequest() undoes what each request was written with", () => {
  for (const [bytes, expected] of requests) {
    const from = new ByteReader(bytes);
    assertEquals(readHandoffRequest(from) as unknown, expected);
    assertEquals(from.remaining, 0);
  }
});

Deno.test("readHandoffRequest() refuses a request that is cut short, at every byte", () => {
  for (const [bytes] of requests) {
    for (let length = 0; length < bytes.length; length++) {
      assertRefused(() =>
        readHandoffRequest(new ByteReader(bytes.subarray(0, length)))
      );
    }
  }
});

Deno.test("readHandoffRequest() refuses actions, modes and outcomes it does not know, and too many key spaces", () => {
  const known = new Set<number>(Object.values(HandoffAction));
  for (let action = 0; action < 256; action++) {
    if (known.has(action)) continue;
    const bytes = new Uint8Array(64);
    bytes[0] = action;
    assertRefused(() => readHandoffRequest(new ByteReader(bytes)));
  }
  const mode = open(null);
  mode[9] = 2;
  assertRefused(() => readHandoffRequest(new ByteReader(mode)));
  const outcome = bytesOf((into) =>
    writeHandoffFinish(into, 7, HandoffOutcome.abandoned + 1, "")
  );
  assertRefused(() => readHandoffRequest(new ByteReader(outcome)));
  const most = Array.from({ length: 4_096 }, (_, i) => i);
  const read = readHandoffRequest(new ByteReader(open(new Set(most))));
  assert(read.action === HandoffAction.open && read.keySpaces?.size === 4_096);
  assertRefused(() =>
    readHandoffRequest(new ByteReader(open(new Set([...most, 4_096]))))
  );
});

Deno.test("isTargetAction() and beginsHandoff() know whom each action is for", () => {
  const names = (of: (action: number) => boolean) =>
    Object.entries(HandoffAction).filter(([, action]) => of(action))
      .map(([name]) => name);
  assertEquals(names(isTargetAction), ["offer", "batch", "final", "spread"]);
  assertEquals(names(beginsHandoff), ["open", "offer", "spread"]);
  assertEquals([isTargetAction(undefined), beginsHandoff(undefined)], [
    false,
    false,
  ]);
});

Deno.test("readBatch() undoes beginBatch(), appendEntry() and sealBatch()", () => {
  const bytes = batch();
  assertEquals(
    bytes.length,
    BATCH_HEADER_BYTES + 2 * ENTRY_HEADER_BYTES + 3,
  );
  const { number, entries } = readBatch(new ByteReader(bytes));
  assertEquals(number, 9);
  assertEquals(entries, [
    { kind: HandoffEntry.item, command: 0, content: Uint8Array.of(1, 2, 3) },
    { kind: HandoffEntry.command, command: 255, content: new Uint8Array(0) },
  ]);
});

Deno.test("readBatch() refuses a batch that is cut short or has more to it, at every byte", () => {
  const bytes = batch();
  for (let length = 0; length < bytes.length; length++) {
    assertRefused(() => readBatch(new ByteReader(bytes.subarray(0, length))));
  }
  assertRefused(() => readBatch(new ByteReader(Uint8Array.of(...bytes, 0))));
});

Deno.test("readBatch() refuses a batch of which any byte behind its number was damaged", () => {
  for (let at = 8; at < batch().length; at++) {
    const bytes = batch();
    bytes[at]! ^= 0x10;
    assertRefused(() => readBatch(new ByteReader(bytes)));
  }
});

Deno.test("readBatch() refuses what its checksum vouches for and nobody knows: kinds, counts, bytes that are left", () => {
  assertRefused(() => readBatch(new ByteReader(sealed(1, [2, 0, 0, 0, 0, 0]))));
  assertRefused(() => readBatch(new ByteReader(sealed(2, [0, 0, 0, 0, 0, 0]))));
  assertRefused(() => readBatch(new ByteReader(sealed(0xffff_ffff, []))));
  assertRefused(() => readBatch(new ByteReader(sealed(0, [0, 0, 0, 0, 0, 0]))));
  assertRefused(() =>
    readBatch(new ByteReader(sealed(1, [0, 0, 255, 255, 255, 255])))
  );
});

Deno.test("readBatchHead() undoes writeBatchHead() and says where the batch begins", () => {
  const head = {
    progress: HandoffProgress.nearlyAll,
    items: BIG,
    bytes: 5,
    hash: 0xffff_fffe,
    total: TOTAL_UNKNOWN,
  };
  const bytes = bytesOf((into) => {
    writeBatchHead(into, head);
    into.raw(batch());
  });
  const { at, ...read } = readBatchHead(new ByteReader(bytes));
  assertEquals(read, { ...head, number: 9, entries: 2 });
  assertEquals(bytes.subarray(at), batch());
  for (let length = 0; length < at + BATCH_HEADER_BYTES; length++) {
    assertRefused(() =>
      readBatchHead(new ByteReader(bytes.subarray(0, length)))
    );
  }
});

Deno.test("nextHash() tells batches in another order apart, and stays 32 bits", () => {
  const of = (...checksums: number[]) => checksums.reduce(nextHash, 0);
  assert(of(1, 2) !== of(2, 1));
  assert(of(0xffff_ffff, 0xffff_ffff) <= 0xffff_ffff);
  assertEquals(of(5), 5);
});

Deno.test("readHandoffRequest(), readBatch() and readBatchHead() answer any bytes with a value or protocol_error", () => {
  const action = fc.constantFrom(...Object.values(HandoffAction));
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    // Most bytes are no request at all: these get further.
    fc.tuple(action, fc.uint8Array({ maxLength: 200 })).map(([first, rest]) =>
      Uint8Array.of(first, ...rest)
    ),
    fc.tuple(fc.nat(5), fc.array(fc.nat(255), { maxLength: 60 })).map((
      [count, entries],
    ) => sealed(count, entries)),
    fc.tuple(
      fc.constantFrom(...requests.map(([bytes]) => bytes), batch()),
      fc.nat(80),
      fc.nat(255),
    ).map(([bytes, at, value]) =>
      bytes.map((byte, i) => i === at ? value : byte)
    ),
  );
  fc.assert(
    fc.property(anything, (bytes) => {
      for (const read of [readHandoffRequest, readBatch, readBatchHead]) {
        try {
          read(new ByteReader(bytes));
        } catch (error) {
          assert(isWhorlError(error, "protocol_error"), `${error}`);
        }
      }
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("readBatch() returns just the entries that any batch was made of", () => {
  const entry = fc.record({
    kind: fc.constantFrom(HandoffEntry.item, HandoffEntry.command),
    command: fc.nat(255),
    content: fc.uint8Array({ maxLength: 50 }),
  });
  fc.assert(
    fc.property(fc.array(entry), fc.nat(), (entries, number) => {
      const into = new ByteWriter(1);
      beginBatch(into);
      for (const { kind, command, content } of entries) {
        appendEntry(into, kind, command, content);
      }
      const checksum = sealBatch(into, number, entries.length);
      const read = readBatch(new ByteReader(into.copy()));
      assertEquals({ ...read, entries: [...read.entries] }, {
        number,
        checksum,
        entries,
      });
    }),
  );
});
