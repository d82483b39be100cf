import { assert, assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import { csvParser } from "./csv_parser.ts";
import { jsonArrayParser } from "./json_array_parser.ts";
import { ndjsonParser } from "./ndjson_parser.ts";
import type { Found, RecordParser } from "./record_parser.ts";

type Make = (bytesMax: number) => RecordParser;
const csv: Make = (max) => csvParser(max);

/** Parses `text` in one piece and byte by byte, which must agree. */
function parse(make: Make, text: string | Uint8Array, bytesMax = 1_000) {
  const bytes = typeof text === "string"
    ? new TextEncoder().encode(text)
    : text;
  const whole: Found[] = [];
  const parser = make(bytesMax);
  parser.push(bytes, whole);
  parser.end(whole);
  const pieces: Found[] = [];
  const slow = make(bytesMax);
  for (const byte of bytes) slow.push(Uint8Array.of(byte), pieces);
  slow.end(pieces);
  assertEquals(pieces, whole, "the same however the bytes are cut");
  return whole.map((found) =>
    found.type === "record"
      ? [found.line, found.value]
      : `${found.line}: ${found.reason}`
  );
}

function fails(make: Make, text: string): string {
  return assertThrows(() => parse(make, text), WhorlError).message;
}

Deno.test("ndjsonParser() reads a value a line, with LF, CRLF, a BOM, empty lines and no end of line", () => {
  assertEquals(parse(ndjsonParser, '\ufeff{"a":1}\r\n\n  \r\n{"a":2}\n3'), [
    [1, { a: 1 }],
    [4, { a: 2 }],
    [5, 3],
  ]);
  assertEquals(parse(ndjsonParser, ""), []);
});

Deno.test("ndjsonParser() rejects a broken line in the middle and goes on", () => {
  const found = parse(ndjsonParser, '{"a":1}\n{"a":\n{"a":3}\n');
  assertEquals(found[0], [1, { a: 1 }]);
  assert(String(found[1]).startsWith("2: not JSON: "));
  assertEquals(found[2], [3, { a: 3 }]);
});

Deno.test("ndjsonParser() keeps characters that need several bytes or a surrogate pair", () => {
  assertEquals(parse(ndjsonParser, '{"ü":"日本 🚀\u2028"}\n'), [
    [1, { "ü": "日本 🚀\u2028" }],
  ]);
});

Deno.test("ndjsonParser() rejects bytes that are not UTF-8", () => {
  const bytes = Uint8Array.of(34, 0xff, 34, 10, 49, 10);
  assertEquals(parse(ndjsonParser, bytes), ["1: not valid UTF-8", [2, 1]]);
});

Deno.test("ndjsonParser() skips a record over the limit and takes one that just fits", () => {
  const fits = `"${"x".repeat(98)}"`;
  const text = `1\n${fits}\r\n"${"x".repeat(99)}"\n"${"y".repeat(500)}"\n2`;
  assertEquals(parse(ndjsonParser, text, 100), [
    [1, 1],
    [2, "x".repeat(98)],
    "3: longer than 100 bytes",
    "4: longer than 100 bytes",
    [5, 2],
  ]);
});

Deno.test("jsonArrayParser() reads elements whatever they hold, with the line each begins on", () => {
  const text =
    '\ufeff\n[ {"a":"],}\\"[{"},\r\n  [1,[2]], "x\\\\", 5,\n\n null , -1e3\n]\n ';
  assertEquals(parse(jsonArrayParser, text), [
    [2, { a: '],}"[{' }],
    [3, [1, [2]]],
    [3, "x\\"],
    [3, 5],
    [5, null],
    [5, -1000],
  ]);
  assertEquals(parse(jsonArrayParser, " [ ] "), []);
});

Deno.test("jsonArrayParser() rejects an element that is no JSON and goes on", () => {
  const found = parse(jsonArrayParser, '[{"a":1},\n{"b":},\nnope,,{"c":3},]');
  assertEquals(found.length, 6);
  assert(String(found[1]).startsWith("2: not JSON"));
  assert(String(found[2]).startsWith("3: not JSON"));
  assertEquals(found[3], '3: no element before ","');
  assertEquals(found[4], [3, { c: 3 }]);
  assertEquals(found[5], '3: no element before "]"');
});

Deno.test("jsonArrayParser() skips an element over the limit", () => {
  assertEquals(
    parse(jsonArrayParser, `[1,"${"x".repeat(200)}",{"a":2}]`, 100),
    [[1, 1], "1: longer than 100 bytes", [1, { a: 2 }]],
  );
});

Deno.test("jsonArrayParser() says where it cannot go on", () => {
  assert(fails(jsonArrayParser, "").includes("it is empty"));
  assert(fails(jsonArrayParser, '{"a":1}').includes('must begin with "["'));
  assert(fails(jsonArrayParser, "[1]\n[2]").includes("line 2: there is some"));
  assert(fails(jsonArrayParser, "[1,\n2").includes("line 2"));
  assert(fails(jsonArrayParser, "[1,\n").includes('its "]" is missing'));
  assert(fails(jsonArrayParser, "[1}").includes("never opened"));
  assert(fails(jsonArrayParser, '[{"a":1').includes("does not end"));
});

Deno.test("csvParser() reads quotes, doubled quotes, delimiters and line ends inside quotes (RFC 4180)", () => {
  const text =
    '\ufeffid,name\r\n1,ann\r\n"2","b, ""x""\r\nsecond line"\r\n3,\n"",""';
  assertEquals(parse(csv, text), [
    [2, { id: "1", name: "ann" }],
    [3, { id: "2", name: 'b, "x"\nsecond line' }],
    [5, { id: "3", name: "" }],
    [6, { id: "", name: "" }],
  ]);
});

Deno.test("csvParser() rejects rows that are not rows and goes on with the next line", () => {
  assertEquals(
    parse(csv, 'id,name\n1\n2,x,y\n3,5" disk\n4,"a"b\n5,ok\n6,"open'),
    [
      "2: 1 fields where the header has 2",
      "3: 3 fields where the header has 2",
      "4: a quote inside an unquoted field",
      "5: text after a closing quote",
      [6, { id: "5", name: "ok" }],
      "7: a quote is opened and never closed",
    ],
  );
});

Deno.test("csvParser() bounds a quoted field that goes on for many lines", () => {
  const text = `id\n"${"line\n".repeat(100)}\nok\n`;
  const found = parse(csv, text, 100);
  assertEquals(found[0], "2: longer than 100 bytes");
  assertEquals(found.at(-1), [103, { id: "ok" }]);
});

Deno.test("csvParser() refuses a header that cannot name fields", () => {
  assert(fails(csv, "id,id\n").includes('"id"'));
  assert(fails(csv, "id,,x\n").includes("number 2 is empty"));
  assert(fails(csv, "id,__proto__\n1,2\n").includes("__proto__"));
  assert(fails(csv, '"id\n').includes("never closed"));
});

Deno.test("csvParser() takes other delimiters", () => {
  assertEquals(parse((max) => csvParser(max, "\t"), "a\tb\n1,5\t2\n"), [
    [2, { a: "1,5", b: "2" }],
  ]);
});
