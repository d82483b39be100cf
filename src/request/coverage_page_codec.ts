/**
 * The encoding of a coverage query between its caller and its coordinator, as
 * operations and their results:
 *
 *     coverage        operation header with an empty key; N and primary vnode
 *                     coverage stand for N and quorum · u32 idle ms · body
 *     coverageMore    operation header with an empty key · u53 query
 *     coverageCancel  the same
 *
 * The first two are answered by an operation result whose object is a page:
 *
 *     page   u53 query · u32 ms left · u16 count · pieces · if that was all: MessagePack report
 *     piece  u16 part · u16 the part it repeats, or 0xffff · u16 partition
 *            · text node · blob of chunks, each a blob
 *
 * The number of a query is drawn by its coordinator, and is very unlikely to
 * exist at another one. Chunks are the bytes of vnodes, in the module's codec.
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { decodeMsgpack, writeMsgpack } from "../wire/msgpack.ts";
import type { CoverageReport } from "./coverage_report.ts";
import {
  type OperationHeader,
  type OperationKind,
  writeOperationHeader,
} from "./operation_codec.ts";

/** The answers of vnodes since the last page. */
export interface CoveragePage {
  /** Number of the query. */
  readonly query: number;
  /** Time the query has left, in milliseconds. */
  readonly timeLeftMs: number;
  /** The answers, in order of arrival. */
  readonly pieces: readonly CoveragePagePiece[];
  /** What was covered, with the last page. */
  readonly report: CoverageReport | undefined;
}

/** An answer of one vnode. */
export interface CoveragePagePiece {
  /** Number of its share in the query. */
  readonly part: number;
  /** The part whose chunks it may repeat, if it replaces a vnode that failed. */
  readonly repeats: number | undefined;
  readonly partition: number;
  readonly node: string;
  /** Its chunks, as views. */
  readonly chunks: readonly Uint8Array[];
}

const NO_PART = 0xffff;

/** Appends an operation without a key up to its body. */
export function writeCoverageHeader(
  into: ByteWriter,
  header:
    & Pick<
      OperationHeader,
      "kind" | "flags" | "moduleId" | "command" | "timeLeftMs"
    >
    & { readonly n?: number; readonly primaryVnodeCoverage?: number },
): void {
  writeOperationHeader(into, {
    ...header,
    n: header.n ?? 0,
    quorum: header.primaryVnodeCoverage ?? 0,
    primaries: 0,
    durable: 0,
    nodeConfirms: 0,
  });
  into.u16(0);
}

/** Appends a whole operation that continues or cancels the coverage query called `query`. */
export function writeCoverageFollowUp(
  into: ByteWriter,
  kind:
    | typeof OperationKind.coverageMore
    | typeof OperationKind.coverageCancel,
  { moduleId, command, timeLeftMs }: Pick<
    OperationHeader,
    "moduleId" | "command" | "timeLeftMs"
  >,
  query: number,
): void {
  writeCoverageHeader(into, { kind, flags: 0, moduleId, command, timeLeftMs });
  into.u53(query);
}

/** Begins a page of this many pieces. */
export function writePageStart(
  into: ByteWriter,
  query: number,
  timeLeftMs: number,
  pieces: number,
): void {
  into.u53(query);
  into.u32(Math.ceil(timeLeftMs));
  into.u16(pieces);
}

/** Appends a piece; `chunks` is a vnode's answer, unchanged. */
export function writePiece(
  into: ByteWriter,
  piece: Omit<CoveragePagePiece, "chunks">,
  chunks: Uint8Array,
): void {
  into.u16(piece.part);
  into.u16(piece.repeats ?? NO_PART);
  into.u16(piece.partition);
  into.text(piece.node);
  into.blob(chunks);
}

/** Ends the last page. */
export function writePageReport(
  into: ByteWriter,
  report: CoverageReport,
): void {
  writeMsgpack(report, into);
}

/**
 * Reads a page; its chunks are views.
 *
 * @throws {WhorlError} `protocol_error` if it is invalid.
 */
export function readCoveragePage(from: ByteReader): CoveragePage {
  const query = from.u53();
  const timeLeftMs = from.u32();
  const pieces: CoveragePagePiece[] = [];
  for (let left = from.u16(); left > 0; left--) {
    const part = from.u16();
    const repeats = from.u16();
    const partition = from.u16();
    const node = from.text();
    const chunks: Uint8Array[] = [];
    const end = from.u32() + from.offset;
    while (from.offset < end) chunks.push(from.blob());
    if (from.offset !== end) {
      throw new WhorlError(
        "protocol_error",
        "Cannot read a page of a coverage query as a chunk of it is cut short",
      );
    }
    pieces.push({
      part,
      repeats: repeats === NO_PART ? undefined : repeats,
      partition,
      node,
      chunks,
    });
  }
  const report = from.remaining === 0
    ? undefined
    : reportIn(decodeMsgpack(from.rest()));
  return { query, timeLeftMs, pieces, report };
}

/**
 * The number of a page's query, and whether the page is its last: for those
 * that pass it on.
 *
 * @throws {WhorlError} `protocol_error` if it is invalid.
 */
export function readCoveragePageHead(
  from: ByteReader,
): { readonly query: number; readonly last: boolean } {
  const query = from.u53();
  from.u32();
  for (let left = from.u16(); left > 0; left--) {
    from.skip(3 * 2);
    from.skip(from.u16());
    from.blob();
  }
  return { query, last: from.remaining > 0 };
}

function reportIn(value: unknown): CoverageReport {
  const { complete, ringVersion, ringSize, asked, answered, missing } =
    (value ?? {}) as Record<string, unknown>;
  if (
    typeof complete === "boolean" && typeof ringVersion === "number" &&
    typeof ringSize === "number" && Array.isArray(asked) &&
    Array.isArray(answered) && Array.isArray(missing)
  ) return value as CoverageReport;
  throw new WhorlError(
    "protocol_error",
    "Cannot read the report of a coverage query",
  );
}
