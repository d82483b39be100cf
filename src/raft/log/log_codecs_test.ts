import { ByteWriter } from "../../base/byte_writer.ts";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../../base/errors.ts";
import {
  decodeManifest,
  encodeManifest,
  type GroupManifest,
} from "./group_manifest_codec.ts";
import { IndexRanges } from "./index_ranges.ts";
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  SegmentIndex,
  SegmentIndexWriter,
} from "./segment_codec.ts";
import {
  decodeLive,
  decodeStateHeader,
  encodeLive,
  encodeStateEnd,
  encodeStateHeader,
  isStateEnd,
} from "./snapshot_codec.ts";
import {
  BATCH_HEADER_BYTES,
  decodeFileHeader,
  encodeFileHeader,
  findBatch,
  LINE_BYTES,
  readBatch,
  readLine,
  RecordKind,
  sealBatch,
  setLine,
} from "./wal_codec.ts";

const LARGE = 2 ** 48 - 1;
const membership = {
  index: 3,
  members: [{ node: "a@h", uid: LARGE, kind: "voter", target: 0 }],
} as const;
const meta = { index: 2 ** 53 - 1, term: 9, membership, machineVersion: 2 };

Deno.test("decodeManifest() reads what encodeManifest() wrote, and refuses any other bytes", () => {
  const bare: GroupManifest = {
    config: {
      uid: LARGE,
      groupId: 4,
      name: "käse",
      machine: "kv",
      initial: membership,
    },
    walFloor: 2 ** 40,
    term: 0,
    votedFor: undefined,
    appliedIndex: 0,
    damaged: false,
    snapshot: undefined,
    nextNumber: 1,
    segments: [],
  };
  const full: GroupManifest = {
    ...bare,
    term: 5,
    votedFor: "b@h",
    damaged: true,
    snapshot: { number: 8, meta },
    segments: [{
      number: 3,
      first: 1,
      last: 9,
      count: 9,
      bodyBytes: 2 ** 33,
      indexCrc: 0xffff_ffff,
      runs: [{ first: 1, term: 1 }, { first: 4, term: 2 }],
      memberships: [4],
    }],
  };
  for (const manifest of [bare, full]) {
    const bytes = encodeManifest(manifest);
    assertEquals(decodeManifest(bytes, "m"), manifest);
    for (let at = 0; at < bytes.length; at++) {
      const other = bytes.with(at, bytes[at] as number ^ 4);
      assertThrows(() => decodeManifest(other, "m"), WhorlError);
      assertThrows(() => decodeManifest(bytes.slice(0, at), "m"), WhorlError);
    }
  }
});

Deno.test("readBatch() reads what was sealed, only with the salt of its file", () => {
  const bytes = new Uint8Array(5 + BATCH_HEADER_BYTES + 2 * LINE_BYTES + 10);
  const batch = bytes.subarray(5);
  const view = new DataView(bytes.buffer, 5);
  setLine(view, BATCH_HEADER_BYTES, RecordKind.entry, LARGE, 7, 8, 10, 11);
  setLine(
    view,
    BATCH_HEADER_BYTES + LINE_BYTES,
    RecordKind.vote,
    1,
    0,
    LARGE,
    0,
    0,
  );
  sealBatch(batch, view, 77, 2 ** 40, 2, 10);
  const found = {
    number: 2 ** 40,
    count: 2,
    table: 5 + BATCH_HEADER_BYTES,
    bodies: bytes.length - 10,
    end: bytes.length,
  };
  assertEquals(readBatch(bytes, 5, 77), found);
  assertEquals(findBatch(bytes, 0, bytes.length, 77), found);
  assertEquals(findBatch(bytes, 0, bytes.length, undefined), found);
  assertEquals(readBatch(bytes, 5, 78), undefined);
  assertEquals(findBatch(bytes, 6, bytes.length, 77), undefined);
  // Where it begins is bounded, but not where it ends.
  assertEquals(findBatch(bytes, 0, 6, 77), found);
  assertEquals(findBatch(bytes, 0, 5, 77), undefined);
  for (let length = 0; length < bytes.length; length++) {
    assertEquals(
      findBatch(bytes.subarray(0, length), 0, length, 77),
      undefined,
    );
  }
  for (let at = 5; at < found.bodies; at++) {
    const other = bytes.with(at, bytes[at] as number ^ 4);
    assertEquals(readBatch(other, 5, 77), undefined);
  }
  const line = { kind: 0, uid: 0, index: 0, term: 0, length: 0, crc: 0 };
  readLine(bytes, found.table, line);
  assertEquals(line, {
    kind: RecordKind.entry,
    uid: LARGE,
    index: 7,
    term: 8,
    length: 10,
    crc: 11,
  });
});

Deno.test("file headers are read as written, and refused when damaged", () => {
  const wal = encodeFileHeader({
    storeId: "0123456789abcdef",
    salt: 0xffff_fffe,
    number: LARGE,
  });
  assertEquals(decodeFileHeader(wal), {
    format: 1,
    storeId: "0123456789abcdef",
    salt: 0xffff_fffe,
    number: LARGE,
  });
  const segment = encodeSegmentHeader(LARGE, 2 ** 40);
  assertEquals(decodeSegmentHeader(segment), {
    format: 1,
    uid: LARGE,
    number: 2 ** 40,
  });
  for (let at = 0; at < 64; at++) {
    for (
      const [bytes, decode] of [
        [wal, decodeFileHeader],
        [segment, decodeSegmentHeader],
      ] as const
    ) {
      assertEquals(decode(bytes.with(at, bytes[at] as number ^ 16)), undefined);
      assertEquals(decode(bytes.subarray(0, at)), undefined);
    }
  }
});

Deno.test("SegmentIndex finds records, whether or not entries were left out", () => {
  for (const indexes of [[5, 6, 7, 8], [2, 3, 9, 40, 41, 900]]) {
    const writer = new SegmentIndexWriter();
    indexes.forEach((index, i) => writer.add(index, 64 + 10 * i, 10, i));
    const index = new SegmentIndex(writer.view());
    assertEquals(index.count, indexes.length);
    for (let place = 0; place < 1_000; place++) {
      const line = indexes.findIndex((other) => other >= place);
      assertEquals(index.lineFrom(place), line < 0 ? indexes.length : line);
    }
    assertEquals(
      [index.offsetAt(1), index.lengthAt(1), index.crcAt(1)],
      [74, 10, 1],
    );
  }
  assertEquals(new SegmentIndex(new Uint8Array(0)).lineFrom(3), 0);
});

/** The indexes in `bytes`, and how often others had a turn in between. */
function decoded(bytes: Uint8Array<ArrayBuffer>) {
  const work = decodeLive(bytes);
  for (let chances = 0;; chances++) {
    const { done, value } = work.next();
    if (done) return value && { ...value, chances };
  }
}

function whole(pieces: Iterable<Uint8Array>): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  for (const piece of pieces) into.raw(piece);
  return into.copy();
}

Deno.test("decodeLive() reads what encodeLive() wrote, and refuses any other bytes", () => {
  for (
    const indexes of [[], [1], [1, 2, 3, 500, 70_000, 2 ** 40, 2 ** 53 - 1]]
  ) {
    const bytes = whole(encodeLive(meta, IndexRanges.of(indexes)));
    const found = decoded(bytes);
    assertEquals(found?.format, 1);
    assertEquals(found?.meta, meta);
    assertEquals([...found?.live ?? []], indexes);
    for (let at = 0; at < bytes.length; at++) {
      const other = bytes.with(at, bytes[at] as number ^ 2);
      assertEquals(decoded(other), undefined);
    }
  }
});

Deno.test("encodeLive() splits large sets into pieces", () => {
  const indexes = Array.from({ length: 100_000 }, (_, at) => 3 * at + 1);
  const pieces: Uint8Array[] = [];
  for (const piece of encodeLive(meta, IndexRanges.of(indexes))) {
    pieces.push(piece.slice());
  }
  assert(pieces.length > 2);
  const found = decoded(whole(pieces));
  assertEquals([...found?.live ?? []], indexes);
  assertEquals(found?.chances, 3, "it is read with pauses likewise");
});

Deno.test("the end of a state matches only its own pieces", () => {
  assertEquals(decodeStateHeader(encodeStateHeader()), 1);
  assertEquals(decodeStateHeader(new Uint8Array(10)), undefined);
  assert(isStateEnd(encodeStateEnd(3, 100), 3, 100));
  assert(!isStateEnd(encodeStateEnd(3, 100), 2, 100));
  assert(!isStateEnd(encodeStateEnd(3, 100), 3, 99));
});
