import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  readCoverageBatch,
  readCoverageRequest,
} from "../vnode/coverage_codec.ts";
import { encodeMsgpack } from "../wire/msgpack.ts";
import {
  readCoveragePage,
  readCoveragePageHead,
  writePageReport,
  writePageStart,
  writePiece,
} from "./coverage_page_codec.ts";
import type { CoverageReport } from "./coverage_report.ts";

const REPORT: CoverageReport = {
  complete: false,
  ringVersion: 12,
  ringSize: 8,
  asked: [
    { partition: 3, node: "dev1@host", keySpaces: [1, 2], state: "answered" },
    {
      partition: 5,
      node: "dev2@host",
      keySpaces: [4],
      state: "failed",
      error: { code: "timeout", message: "It was silent" },
    },
  ],
  answered: [1, 2],
  missing: [4],
};

function chunksOf(...chunks: readonly number[][]): Uint8Array {
  const into = new ByteWriter();
  for (const chunk of chunks) into.blob(Uint8Array.from(chunk));
  return into.copy();
}

function pageOf(report: boolean): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  writePageStart(into, Number.MAX_SAFE_INTEGER, 1_234.5, 2);
  const piece = {
    part: 0,
    repeats: undefined,
    partition: 3,
    node: "dev1@host",
  };
  writePiece(into, piece, chunksOf([1, 2], []));
  writePiece(into, { ...piece, part: 9, repeats: 4 }, chunksOf());
  if (report) writePageReport(into, REPORT);
  return into.copy();
}

Deno.test("readCoveragePage() reads a page as it was written", () => {
  for (const last of [false, true]) {
    assertEquals(readCoveragePage(new ByteReader(pageOf(last))), {
      query: Number.MAX_SAFE_INTEGER,
      timeLeftMs: 1_235,
      pieces: [
        {
          part: 0,
          repeats: undefined,
          partition: 3,
          node: "dev1@host",
          chunks: [Uint8Array.of(1, 2), new Uint8Array(0)],
        },
        { part: 9, repeats: 4, partition: 3, node: "dev1@host", chunks: [] },
      ],
      report: last ? REPORT : undefined,
    });
  }
});

Deno.test("readCoveragePageHead() tells which query a page belongs to, and whether it is the last", () => {
  for (const last of [false, true]) {
    assertEquals(readCoveragePageHead(new ByteReader(pageOf(last))), {
      query: Number.MAX_SAFE_INTEGER,
      last,
    });
  }
});

Deno.test("readCoveragePage() refuses a page that is cut short, or whose report is invalid", () => {
  const page = pageOf(false);
  for (let length = 0; length < page.length; length++) {
    assertThrows(
      () => readCoveragePage(new ByteReader(page.subarray(0, length))),
      WhorlError,
    );
    assertThrows(
      () => readCoveragePageHead(new ByteReader(page.subarray(0, length))),
      WhorlError,
    );
  }
  for (const report of [null, 1, {}, { ...REPORT, missing: 3 }]) {
    const into = new ByteWriter();
    writePageStart(into, 1, 1, 0);
    into.raw(encodeMsgpack(report));
    assertThrows(
      () => readCoveragePage(new ByteReader(into.copy())),
      WhorlError,
    );
  }
});

Deno.test("the readers of pages refuse any other bytes, and fail in no other way", () => {
  const readers = [
    readCoveragePage,
    readCoveragePageHead,
    readCoverageBatch,
    readCoverageRequest,
  ];
  const damaged = fc.tuple(
    fc.constantFrom(pageOf(false), pageOf(true)),
    fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }),
  ).map(([page, changes]) => {
    const bytes = page.slice();
    for (const [at, value] of changes) bytes[at % bytes.length] = value;
    return bytes;
  });
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 60 }), damaged),
      fc.constantFrom(...readers),
      (bytes, read) => {
        try {
          read(new ByteReader(bytes));
        } catch (error) {
          assert(isWhorlError(error), `${error}`);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});
