/**
 * From the bytes of one JSON text to its value, or to the reason why not.
 *
 * @module
 */
import type { JsonValue } from "../../src/kv/kv_client.ts";
import type { Found } from "./record_parser.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of `bytes`, or `undefined` if they are not UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** What stands in `bytes`: a record, or a reject with the reason. */
export function findJson(bytes: Uint8Array, line: number): Found {
  const text = textOf(bytes);
  if (text === undefined) {
    return { type: "reject", line, reason: "not valid UTF-8" };
  }
  try {
    return { type: "record", line, value: JSON.parse(text) as JsonValue };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return {
      type: "reject",
      line,
      reason: `not JSON: ${shortened(error.message)}`,
    };
  }
}

/** V8 quotes the text in its messages: cut it short, and let no control character reach a terminal. */
function shortened(message: string): string {
  const clean = message.replace(/\p{Cc}/gu, "?");
  return clean.length <= 120 ? clean : clean.slice(0, 117) + "...";
}
