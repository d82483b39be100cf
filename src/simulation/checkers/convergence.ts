/**
 * Replicas of a key are equal in the end: once faults are over and repairs are
 * done, they must not differ by one byte, since equal histories of a key are
 * equal bytes.
 *
 * ```ts
 * import { checkConvergence } from "./convergence.ts";
 *
 * const replicas = new Map([["users/ann", new Map([
 *   ["partition 3 on a", new Uint8Array([1])],
 *   ["partition 4 on b", new Uint8Array([2])],
 *   ["partition 5 on c", undefined],
 * ])]]);
 * const violations = checkConvergence(replicas);
 * // violations[0].key === "users/ann"
 * ```
 *
 * @module
 */
import { equalBytes } from "../../base/byte_order.ts";
import type { Violation } from "./violation.ts";

/**
 * What each replica of a key holds, by a name that says where it is;
 * `undefined` if nothing.
 */
export type StoredReplicas = ReadonlyMap<string, Uint8Array | undefined>;

/** Bytes of a content that a message shows. */
const SHOWN_BYTES_MAX = 64;

/**
 * Reports the keys whose replicas differ, with every content and who holds it.
 *
 * @param replicas By key.
 * @param describe Puts a content into words, for example `describeKvObject`.
 * Default: hex.
 */
export function checkConvergence(
  replicas: ReadonlyMap<string, StoredReplicas>,
  describe: (bytes: Uint8Array) => string = inHex,
): readonly Violation[] {
  const violations: Violation[] = [];
  for (const [key, stored] of replicas) {
    const contents: { bytes: Uint8Array | undefined; holders: string[] }[] = [];
    for (const [replica, bytes] of stored) {
      const same = contents.find((content) => isSame(content.bytes, bytes));
      if (same === undefined) contents.push({ bytes, holders: [replica] });
      else same.holders.push(replica);
    }
    if (contents.length < 2) continue;
    const told = contents.map(({ bytes, holders }) => ({
      holders,
      content: bytes === undefined ? "nothing" : describe(bytes),
    }));
    violations.push({
      check: "convergence",
      message: `Key ${JSON.stringify(key)} differs between its replicas: ${
        told.map(({ holders, content }) =>
          `${content} on ${holders.join(", ")}`
        )
          .join("; ")
      }`,
      key,
      details: told,
    });
  }
  return violations;
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalBytes(a, b);
}

function inHex(bytes: Uint8Array): string {
  const shown = bytes.subarray(0, SHOWN_BYTES_MAX).toHex();
  return bytes.length > SHOWN_BYTES_MAX
    ? `${shown}… (${bytes.length} bytes)`
    : shown;
}
