/**
 * A watch of a group delivers each change once, in log order, or reports that
 * it missed some, whichever member answers and however often the watch resumes
 * at another one.
 *
 * - Indexes never decrease, and a key is delivered once per index.
 * - What is delivered was written, with that value.
 * - Nothing written between the first and the latest index is left out, unless
 *   the watch was told that it missed something; with values, a put may be left
 *   out if another change of the key follows.
 *
 * @module
 */
import type { RaKvEvent } from "../../ra_kv/ra_kv_client.ts";
import type { GroupWrites } from "./group_writes.ts";
import type { Violation } from "./violation.ts";

/** The events of one watch of all keys. */
export interface WatchSight {
  /** Name of the watch, for messages. */
  readonly name: string;
  readonly events: readonly RaKvEvent[];
  /** Whether puts deliver their values. */
  readonly values: boolean;
  /** Whether values of a key have a TTL. */
  readonly fleeting: (key: string) => boolean;
}

/** Checks the events of `sight` against what was written. */
export function checkWatch(
  sight: WatchSight,
  writes: GroupWrites,
): readonly Violation[] {
  const violations: Violation[] = [];
  const fail = (check: string, message: string): void =>
    void violations.push({ check, message: `${sight.name} ${message}` });
  /**
   * Everything up to here was delivered, and from where if not from the
   * beginning.
   */
  let last = 0;
  const gaps: [number, number][] = [];
  /** Index of each delivered change of a key. */
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

/** Whether a delivered change was really made. */
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
