/**
 * Laws of the import parsers: whatever the records and however the bytes are
 * cut, what is read is what was written.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { csvParser } from "../../cli/import/csv_parser.ts";
import { jsonArrayParser } from "../../cli/import/json_array_parser.ts";
import { ndjsonParser } from "../../cli/import/ndjson_parser.ts";
import type { Found, RecordParser } from "../../cli/import/record_parser.ts";

const LIMIT = 1 << 20;

/** Values that parser found in `text`, cut after every `cut` bytes. */
function valuesIn(parser: RecordParser, text: string, cut: number): unknown[] {
  const bytes = new TextEncoder().encode(text);
  const found: Found[] = [];
  for (let at = 0; at < bytes.length; at += cut) {
    parser.push(bytes.subarray(at, at + cut), found);
  }
  parser.end(found);
  return found.map((one) => one.type === "record" ? one.value : one);
}

const cuts = fc.integer({ min: 1, max: 40 });

Deno.test("jsonArrayParser() reads what JSON.stringify() wrote", () => {
  fc.assert(fc.property(
    fc.array(fc.jsonValue(), { maxLength: 8 }),
    fc.constantFrom(undefined, 2, "\t"),
    cuts,
    (values, indent, cut) => {
      const text = JSON.stringify(values, null, indent);
      assertEquals(
        valuesIn(jsonArrayParser(LIMIT), text, cut),
        JSON.parse(text),
      );
    },
  ));
});

Deno.test("ndjsonParser() reads what JSON.stringify() wrote line by line", () => {
  fc.assert(fc.property(
    fc.array(fc.jsonValue(), { maxLength: 8 }),
    fc.constantFrom("\n", "\r\n", "\n\n"),
    cuts,
    (values, lineEnd, cut) => {
      const lines = values.map((value) => JSON.stringify(value));
      assertEquals(
        valuesIn(ndjsonParser(LIMIT), lines.join(lineEnd), cut),
        lines.map((line) => JSON.parse(line)),
      );
    },
  ));
});

Deno.test("csvParser() reads back any fields that were quoted as RFC 4180 says", () => {
  // A lone surrogate does not survive UTF-8; CR before LF reads as LF.
  const field = fc.string({ unit: "grapheme", maxLength: 12 })
    .map((text) => text.replaceAll("\r", ""));
  const extra = fc.constantFrom("", '"', ",", "\n", '"",\n');
  const cell = fc.tuple(field, extra, field).map((parts) => parts.join(""));
  fc.assert(fc.property(
    fc.array(fc.tuple(cell, cell), { maxLength: 8 }),
    fc.constantFrom("\n", "\r\n"),
    cuts,
    (rows, lineEnd, cut) => {
      const quoted = rows.map((row) =>
        row.map((text) => `"${text.replaceAll('"', '""')}"`).join(",")
      );
      const text = ["a,b", ...quoted, ""].join(lineEnd);
      assertEquals(
        valuesIn(csvParser(LIMIT), text, cut),
        rows.map(([a, b]) => ({ a, b })),
      );
    },
  ));
});
