/**
 * Newline-delimited JSON: one value a line (ndjson, jsonl). Empty lines are
 * skipped, a broken line is rejected and the next one is read as if nothing had
 * happened.
 *
 * @module
 */
import { findJson } from "./json_text.ts";
import { LineSplitter } from "./line_splitter.ts";
import type { Found, RecordParser } from "./record_parser.ts";

const SPACE = 32;

/** Reads newline-delimited JSON. */
export function ndjsonParser(recordBytesMax: number): RecordParser {
  let into: Found[] = [];
  const lines = new LineSplitter(recordBytesMax, (line, number) => {
    if (line === undefined) {
      const reason = `longer than ${recordBytesMax} bytes`;
      into.push({ type: "reject", line: number, reason });
    } else if (!line.every((byte) => byte <= SPACE)) {
      into.push(findJson(line, number));
    }
  });
  return {
    push(bytes, found) {
      into = found;
      lines.push(bytes);
    },
    end(found) {
      into = found;
      lines.end();
    },
  };
}
