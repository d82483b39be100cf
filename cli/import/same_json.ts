/**
 * Whether two stored values are the same.
 *
 * @module
 */
import type { KvValue } from "../../src/kv/kv_client.ts";

/** Whether `a` and `b` say the same; the order of fields does not matter. */
export function sameJson(a: KvValue, b: KvValue): boolean {
  if (a === b) return true;
  if (
    a === null || b === null || typeof a !== "object" || typeof b !== "object"
  ) return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length &&
      a.every((item, at) => sameJson(item, b[at]));
  }
  const left = a as Record<string, KvValue>;
  const right = b as Record<string, KvValue>;
  const names = Object.keys(left);
  return names.length === Object.keys(right).length &&
    names.every((name) =>
      Object.hasOwn(right, name) && sameJson(left[name]!, right[name]!)
    );
}
