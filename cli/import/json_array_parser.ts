/**
 * One JSON array of records, read element by element: the bytes are only
 * scanned for where an element ends (strings and depth of brackets), and each
 * element is then parsed by itself, so the array may be larger than memory.
 *
 * A broken element whose brackets match is rejected alone. If brackets do not
 * match, nobody can tell where the next element begins: reading ends there.
 *
 * @module
 */
import { WhorlError } from "../../src/base/errors.ts";
import { findJson } from "./json_text.ts";
import type { Found, RecordParser } from "./record_parser.ts";

const LF = 10;
const SPACE = 32;
const QUOTE = 34;
const COMMA = 44;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const BOM = [0xef, 0xbb, 0xbf];

/** Where the scanner stands outside elements. */
type Place = "before_array" | "before_element" | "in_element" | "after_array";

/** Reads one JSON array. */
export function jsonArrayParser(recordBytesMax: number): RecordParser {
  let place: Place = "before_array";
  let line = 1;
  let elementLine = 1;
  let depth = 0;
  let inString = false;
  let escaped = false;
  let any = false;
  let seen = 0;
  /** The beginning of an element whose end has not come; `undefined` once it is over the limit. */
  let held: Uint8Array[] | undefined = [];
  let heldBytes = 0;

  const hold = (part: Uint8Array, found: Found[]) => {
    if (held === undefined || part.length === 0) return;
    heldBytes += part.length;
    if (heldBytes > recordBytesMax) {
      held = undefined;
      const reason = `longer than ${recordBytesMax} bytes`;
      found.push({ type: "reject", line: elementLine, reason });
    } else {
      held.push(part.slice());
    }
  };

  const finish = (part: Uint8Array, found: Found[]) => {
    if (held?.length === 0 && part.length <= recordBytesMax) {
      found.push(findJson(part, elementLine));
    } else {
      hold(part, found);
      if (held !== undefined) found.push(findJson(joined(held), elementLine));
    }
    held = [];
    heldBytes = 0;
  };

  const push = (bytes: Uint8Array, found: Found[]) => {
    let start = 0;
    for (let i = 0; i < bytes.length; i++, seen++) {
      const byte = bytes[i]!;
      if (byte === LF) line++;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
        continue;
      }
      if (place === "in_element") {
        if (byte === QUOTE) inString = true;
        else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
        else if (depth > 0) {
          if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--;
        } else if (byte === COMMA || byte === CLOSE_ARRAY) {
          finish(bytes.subarray(start, i), found);
          place = byte === COMMA ? "before_element" : "after_array";
          any = true;
        } else if (byte === CLOSE_OBJECT) {
          throw broken(line, "a bracket closes that was never opened");
        }
        continue;
      }
      if (byte <= SPACE || seen < BOM.length && byte === BOM[seen]) continue;
      if (place === "before_array") {
        if (byte !== OPEN_ARRAY) throw broken(line, 'it must begin with "["');
        place = "before_element";
      } else if (place === "after_array") {
        throw broken(line, "there is something after its end");
      } else if (byte === CLOSE_ARRAY && !any) {
        place = "after_array";
      } else if (byte === COMMA || byte === CLOSE_ARRAY) {
        const reason = `no element before "${String.fromCharCode(byte)}"`;
        found.push({ type: "reject", line, reason });
        any = true;
        if (byte === CLOSE_ARRAY) place = "after_array";
      } else {
        place = "in_element";
        elementLine = line;
        start = i;
        // Looked at again as the first byte of the element.
        if (byte === LF) line--;
        i--;
        seen--;
      }
    }
    if (place === "in_element") hold(bytes.subarray(start), found);
  };

  return {
    push,
    end() {
      if (place === "after_array") return;
      throw broken(
        place === "in_element" ? elementLine : line,
        place === "in_element"
          ? "the element that begins there does not end"
          : place === "before_array"
          ? "it is empty"
          : 'its "]" is missing',
      );
    },
  };
}

function broken(line: number, why: string): WhorlError {
  return new WhorlError(
    "invalid_argument",
    `Cannot read the JSON array beyond line ${line}: ${why}`,
    { details: { line } },
  );
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(
    parts.reduce((length, part) => length + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
