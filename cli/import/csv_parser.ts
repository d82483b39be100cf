/**
 * CSV after RFC 4180: fields in quotes may hold delimiters, doubled quotes and
 * line ends; lines end with CRLF or LF; the first row names the fields. A row
 * becomes an object of strings, since CSV knows no other type.
 *
 * Why not the standard library's: it stops at the first bad row and does not
 * say on which line a row began; an import has to go on and to say so.
 *
 * A bad row is rejected and reading goes on with the next line. A quote that
 * opens inside an unquoted field (`5" disk`) spoils its own row only, because it
 * does not open a quoted field.
 *
 * @module
 */
import { WhorlError } from "../../src/base/errors.ts";
import type { JsonValue } from "../../src/kv/kv_client.ts";
import { textOf } from "./json_text.ts";
import { LineSplitter } from "./line_splitter.ts";
import type { Found, RecordParser } from "./record_parser.ts";

const QUOTE = 34;

/** Where a line leaves the row it belongs to. */
type RowState = "done" | "in_quotes";

/** Reads CSV with a one-byte `delimiter`. */
export function csvParser(
  recordBytesMax: number,
  delimiter = ",",
): RecordParser {
  const delimiterByte = delimiter.charCodeAt(0);
  let into: Found[] = [];
  let header: readonly string[] | undefined;
  /** Lines of a row whose quoted field goes on, already decoded. */
  let pending: string[] = [];
  let pendingBytes = 0;
  let rowLine = 0;
  let state: RowState = "done";

  const reject = (line: number, reason: string) => {
    pending = [];
    pendingBytes = 0;
    state = "done";
    if (header === undefined) {
      throw new WhorlError(
        "invalid_argument",
        `Cannot read CSV as the header is bad: ${reason}`,
      );
    }
    into.push({ type: "reject", line, reason });
  };

  const lines = new LineSplitter(recordBytesMax, (line, number) => {
    if (state === "done") rowLine = number;
    if (line === undefined) {
      return reject(rowLine, `longer than ${recordBytesMax} bytes`);
    }
    if (line.length === 0 && state === "done") return;
    const text = textOf(line);
    if (text === undefined) return reject(rowLine, "not valid UTF-8");
    // Most rows have no quotes at all and are split as they are.
    if (state === "done" && !line.includes(QUOTE)) {
      return row(text.split(delimiter));
    }
    state = stateAfter(line, delimiterByte, state);
    pending.push(text);
    pendingBytes += line.length + 1;
    if (pendingBytes > recordBytesMax) {
      return reject(rowLine, `longer than ${recordBytesMax} bytes`);
    }
    if (state === "in_quotes") return;
    // RFC 4180 leaves line ends inside quotes as they are; the splitter took a
    // CR with them, so all of them read as LF here.
    const whole = pending.length === 1 ? text : pending.join("\n");
    pending = [];
    pendingBytes = 0;
    const fields = splitQuoted(whole, delimiter);
    if (typeof fields === "string") reject(rowLine, fields);
    else row(fields);
  });

  const row = (fields: readonly string[]) => {
    if (header === undefined) {
      header = checkHeader(fields);
    } else if (fields.length !== header.length) {
      reject(
        rowLine,
        `${fields.length} fields where the header has ${header.length}`,
      );
    } else {
      const value: Record<string, JsonValue> = {};
      for (let i = 0; i < fields.length; i++) value[header[i]!] = fields[i]!;
      into.push({ type: "record", line: rowLine, value });
    }
  };

  return {
    push(bytes, found) {
      into = found;
      lines.push(bytes);
    },
    end(found) {
      into = found;
      lines.end();
      if (state === "in_quotes") {
        reject(rowLine, "a quote is opened and never closed");
      }
    },
  };
}

/** Walks `line` just far enough to know whether it ends inside quotes. */
function stateAfter(
  line: Uint8Array,
  delimiter: number,
  state: RowState,
): RowState {
  let quoted = state === "in_quotes";
  let fieldBegins = !quoted;
  for (let i = 0; i < line.length; i++) {
    const byte = line[i]!;
    if (quoted) {
      if (byte === QUOTE) {
        if (line[i + 1] === QUOTE) i++;
        else quoted = false;
      }
    } else if (byte === QUOTE && fieldBegins) {
      quoted = true;
      fieldBegins = false;
    } else {
      fieldBegins = byte === delimiter;
    }
  }
  return quoted ? "in_quotes" : "done";
}

/** The fields of a whole row, or why it is not one. */
function splitQuoted(text: string, delimiter: string): string[] | string {
  const fields: string[] = [];
  let at = 0;
  while (true) {
    if (text[at] === '"') {
      let field = "";
      let from = at + 1;
      let close = text.indexOf('"', from);
      while (close !== -1 && text[close + 1] === '"') {
        field += text.slice(from, close + 1);
        from = close + 2;
        close = text.indexOf('"', from);
      }
      if (close === -1) return "a quote is opened and never closed";
      fields.push(field + text.slice(from, close));
      at = close + 1;
      if (at === text.length) return fields;
      if (text[at] !== delimiter) return "text after a closing quote";
    } else {
      const end = text.indexOf(delimiter, at);
      const field = text.slice(at, end === -1 ? text.length : end);
      if (field.includes('"')) return "a quote inside an unquoted field";
      fields.push(field);
      if (end === -1) return fields;
      at = end;
    }
    at++;
  }
}

function checkHeader(names: readonly string[]): readonly string[] {
  const seen = new Set<string>();
  for (const name of names) {
    if (name === "") {
      throw new WhorlError(
        "invalid_argument",
        `Cannot read CSV as every field needs a name in the header: number ${
          seen.size + 1
        } is empty`,
      );
    }
    // It would set the object's prototype instead of a field.
    if (seen.has(name) || name === "__proto__") {
      throw new WhorlError(
        "invalid_argument",
        `Cannot read CSV as names in the header must be usable and differ: ${
          JSON.stringify(name)
        } is not`,
      );
    }
    seen.add(name);
  }
  return names;
}
