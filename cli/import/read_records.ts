/**
 * From a stream of bytes to batches of records: finds out the format, feeds the
 * parser piece by piece, and gives what each piece completed. Nothing is read
 * ahead of the one who asks, so a slow store slows the reading.
 *
 * @module
 */
import { WhorlError } from "../../src/base/errors.ts";
import { csvParser } from "./csv_parser.ts";
import { jsonArrayParser } from "./json_array_parser.ts";
import { ndjsonParser } from "./ndjson_parser.ts";
import {
  type Format,
  type Found,
  RECORD_BYTES_MAX,
  type RecordParser,
} from "./record_parser.ts";

/** Bytes parsed before what they gave is handed on. */
const PIECE_BYTES = 64 * 1024;
/** First bytes looked at to tell the format; white space may stand before. */
const SNIFF_BYTES = 1024;

/** Where bytes come from. */
export type ByteSource =
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>;

/** How to read. */
export interface ReadOptions {
  /** The format. @default {told by the first bytes: `[` is json, `{` is ndjson} */
  readonly format?: Format | undefined;
  /** Longest record in bytes. @default {8388608} */
  readonly recordBytesMax?: number | undefined;
  /** Ends the reading early. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads records from `source`, some at a time, in order.
 *
 * @throws {WhorlError} `invalid_argument` if the format cannot be told or the
 * file as a whole makes no sense; what came before has been given.
 */
export async function* readRecords(
  source: ByteSource,
  options: ReadOptions = {},
): AsyncGenerator<readonly Found[], void, undefined> {
  const reader = streamOf(source).getReader();
  // A read that waits for a slow pipe ends when the caller loses patience.
  const giveUp = () => void reader.cancel(options.signal?.reason);
  options.signal?.addEventListener("abort", giveUp, { once: true });
  try {
    if (options.signal?.aborted) return;
    const limit = options.recordBytesMax ?? RECORD_BYTES_MAX;
    let parser = options.format && parserFor(options.format, limit);
    let head: Uint8Array = new Uint8Array(0);
    for (
      let next = await reader.read();
      !next.done;
      next = await reader.read()
    ) {
      let bytes = next.value;
      if (parser === undefined) {
        head = bytes = joined(head, bytes);
        if (isBlank(head) && head.length < SNIFF_BYTES) continue;
        parser = parserFor(formatByContent(head), limit);
      }
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        yield* batch((found) =>
          parser!.push(bytes.subarray(at, at + PIECE_BYTES), found)
        );
      }
    }
    if (parser === undefined || options.signal?.aborted) return;
    yield* batch((found) => parser!.end(found));
  } finally {
    options.signal?.removeEventListener("abort", giveUp);
    // After the last byte this does nothing; after a break it closes the file.
    await reader.cancel();
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function isBlank(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, SNIFF_BYTES)).trim() === "";
}

/** Gives what `parse` found, also when it then fails. */
function* batch(
  parse: (found: Found[]) => void,
): Generator<readonly Found[], void, undefined> {
  const found: Found[] = [];
  try {
    parse(found);
  } catch (error) {
    if (found.length > 0) yield found;
    throw error;
  }
  if (found.length > 0) yield found;
}

/** The format a file's name tells, or `undefined`. A `.gz` at the end is looked through. */
export function formatByName(name: string): Format | undefined {
  const extension = /\.([a-z]+)(?:\.gz)?$/i.exec(name)?.[1]?.toLowerCase();
  switch (extension) {
    case "ndjson":
    case "jsonl":
    case "jsonlines":
      return "ndjson";
    case "csv":
      return "csv";
    case "tsv":
    case "tab":
      return "tsv";
    // "json" says too little: many such files hold one object a line.
    default:
      return undefined;
  }
}

/** The format the first bytes tell. @throws {WhorlError} `invalid_argument` if they don't. */
export function formatByContent(bytes: Uint8Array): Format {
  const start = new TextDecoder().decode(bytes.subarray(0, SNIFF_BYTES));
  const first = start.trimStart()[0];
  if (first === "[") return "json";
  if (first === "{") return "ndjson";
  throw new WhorlError(
    "invalid_argument",
    `Cannot tell the format as the first character is neither [ nor {: it is ${
      JSON.stringify(first ?? "")
    }; say which with --format`,
  );
}

function parserFor(format: Format, recordBytesMax: number): RecordParser {
  switch (format) {
    case "ndjson":
      return ndjsonParser(recordBytesMax);
    case "json":
      return jsonArrayParser(recordBytesMax);
    case "csv":
      return csvParser(recordBytesMax);
    case "tsv":
      return csvParser(recordBytesMax, "\t");
    default:
      return format satisfies never;
  }
}

function streamOf(source: ByteSource): ReadableStream<Uint8Array> {
  return source instanceof ReadableStream
    ? source
    : ReadableStream.from(source);
}
