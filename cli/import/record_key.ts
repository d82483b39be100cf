/**
 * The key of a record: a field of it, by dotted path.
 *
 * @module
 */
import type { JsonValue } from "../../src/kv/kv_client.ts";

/** Either the key, or why there is none. */
export type KeyResult =
  | { readonly key: string }
  | { readonly reason: string };

/**
 * Takes the field at `path` (`id`, `user.id`) as the key. Text stays as it is
 * and numbers become text; anything else is no key. A field whose own name has
 * dots is found as well.
 */
export function recordKey(record: JsonValue, path: string): KeyResult {
  if (record === null || typeof record !== "object" || Array.isArray(record)) {
    return { reason: `not an object but ${kindOf(record)}` };
  }
  const value = fieldAt(record, path);
  if (typeof value === "string" && value !== "") return { key: value };
  if (typeof value === "number") {
    // Two numbers past 2^53 can be read as the same one, and then one record
    // would silently replace the other.
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      return {
        reason: `key field ${
          JSON.stringify(path)
        } is a number too large to be exact: write it as text`,
      };
    }
    return { key: String(value) };
  }
  const found = value === undefined ? "missing" : kindOf(value);
  return { reason: `key field ${JSON.stringify(path)} is ${found}` };
}

function fieldAt(record: JsonValue, path: string): JsonValue | undefined {
  if (record === null || typeof record !== "object") return undefined;
  if (Object.hasOwn(record, path)) {
    return (record as Record<string, JsonValue>)[path];
  }
  const dot = path.indexOf(".");
  if (dot === -1) return undefined;
  const inner = fieldAt(record, path.slice(0, dot));
  return inner === undefined ? undefined : fieldAt(inner, path.slice(dot + 1));
}

function kindOf(value: JsonValue): string {
  if (value === null) return "null";
  if (value === "") return "empty";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
