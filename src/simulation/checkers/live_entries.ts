/**
 * The entries that a member of `ra_kv` reports as live are those that hold
 * values: they show an operator what a log must keep. An entry whose value has
 * expired meanwhile may be missing.
 *
 * ```ts
 * import { checkLiveEntries } from "./live_entries.ts";
 *
 * const found = [{ key: "k", index: 7, mayEnd: false }];
 * const violations = checkLiveEntries("a member of sim", [5, 7], found);
 * // violations[0].message: A member of sim calls entry 5 live, which holds no value
 * ```
 *
 * @module
 */
import type { Violation } from "./violation.ts";

/** The result of a read of a key that nobody has written since. */
export interface FoundEntry {
  readonly key: string;
  /** Of the entry that holds the value; 0 if there is none. */
  readonly index: number;
  /** Whether the value has a TTL, and so may have expired since. */
  readonly mayEnd: boolean;
}

/**
 * Compares what a member reports as live with the values found under all its
 * keys.
 *
 * @param member Its name in messages.
 */
export function checkLiveEntries(
  member: string,
  live: readonly number[],
  found: readonly FoundEntry[],
): Violation[] {
  const violations: Violation[] = [];
  const told = new Set(live);
  for (const { key, index, mayEnd } of found) {
    if (index === 0 || mayEnd || told.has(index)) continue;
    violations.push({
      check: "live_entries",
      message: `${member} does not call entry ${index} live, which holds ${
        JSON.stringify(key)
      }`,
    });
  }
  const holding = new Set(found.map(({ index }) => index));
  for (const index of told) {
    if (holding.has(index)) continue;
    violations.push({
      check: "live_entries",
      message: `${member} calls entry ${index} live, which holds no value`,
    });
  }
  return violations;
}
