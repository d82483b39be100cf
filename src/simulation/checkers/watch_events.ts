/**
 * Whoever watches a group is told of each change once, in the order of the log,
 * or that something was missed: whatever member answers, and however often the
 * watch goes on at another one.
 *
 * - Indexes never fall, and nobody is told twice of one key at one index.
 * - What is told was written, and with that value.
 * - Of what was written between the first index and the latest nothing is left
 *   out, unless the watch was told that it missed that; with values, a put may
 *   be left out that another change of the key follows.
 *
 * @module
 */
import type { RaKvEvent } from "../../ra_kv/ra_kv_client.ts";
import type { GroupWrites } from "./group_writes.ts";
import type { Violation } from "./violation.ts";

/** What one watch of all keys has seen. */
export interface WatchSight {
  /** Who it is, for messages. */
  readonly name: string;
  readonly events: readonly RaKvEvent[];
  /** Whether puts were to bring their values. */
  readonly values: boolean;
  /** Keys whose values have an end. */
  readonly fleeting: (key: string) => boolean;
}

/** Holds what `sight` saw to what was written. */
export function checkWatch(
  sight: WatchSight,
  writes: GroupWrites,
): readonly Violation[] {
  const violations: Violation[] = [];
  const fail = (check: string, message: string): void =>
    void violations.push({ check, message: `${sight.name} ${message}` });
  /** Up to where all is told, and from where on if not from the beginning. */
  let last = 0;
  const gaps: [number, number][] = [];
  /** Index of each change that was told of a key. */
  const told = new Map<string, number[]>();
  for (const event of sight.events) {
    const { type, index } = event;
    if (type === "watching" || type === "missed") {
      if (index < last) {
        fail("watch_order", `is told "${type}" ${index} after index ${last}`);
      }
      gaps.push([last, index]);
      last = Math.max(last, index);
      continue;
    }
    const { key } = event;
    const before = told.getOrInsertComputed(key, () => []);
    if (index < last) {
      fail("watch_order", `is told of index ${index} after index ${last}`);
    }
    if (gaps.at(-1)?.[1] === index || before.includes(index)) {
      fail(
        "watch_twice",
        `is told again of ${key} at index ${index}, or of what it was not to know`,
      );
    }
    before.push(index);
    last = Math.max(last, index);
    checkSource(sight, event, writes, fail);
  }
  for (const { key, index, value, mayBeNothing } of writes.certain()) {
    if (index === undefined || index > last || mayBeNothing) continue;
    if (gaps.some(([from, to]) => index > from && index <= to)) continue;
    const known = told.get(key) ?? [];
    if (known.includes(index)) continue;
    if (
      sight.values && value !== null && known.some((later) => later > index)
    ) continue;
    fail(
      "watch_missed",
      `is not told of ${key} at index ${index}, and has seen everything up to ${last}`,
    );
  }
  return violations;
}

/** Whether what is told was done. */
function checkSource(
  { values, fleeting }: WatchSight,
  event: Extract<RaKvEvent, { readonly key: string }>,
  writes: GroupWrites,
  fail: (check: string, message: string) => void,
): void {
  const { key, index } = event;
  if (event.type === "expire") {
    if (!fleeting(key) || writes.at(index, key) !== undefined) {
      fail(
        "watch_phantom",
        `is told that ${key} has expired at index ${index}`,
      );
    }
    return;
  }
  const value = event.type === "put" && values ? event.value as string : null;
  const isExplained = event.type === "put" && !values
    ? writes.at(index, key)?.value !== null &&
      (writes.at(index, key) !== undefined ||
        writes.of(key).some((write) =>
          write.index === undefined && write.value !== null
        ))
    : writes.explain(index, key, value);
  if (isExplained) return;
  fail(
    "watch_phantom",
    `is told of a ${event.type} of ${key} at index ${index}, ${
      JSON.stringify(value)
    }, which nobody has written`,
  );
}
