/**
 * What a local read, which asks no other member, may return: any committed
 * state, but none older than what the member had applied when it was asked, and
 * none older than an earlier read of the same incarnation.
 *
 * @module
 */
import type { GroupWrites } from "./group_writes.ts";
import type { Violation } from "./violation.ts";

/** A local read at one member. */
export interface StaleRead {
  /** The member and its incarnation. */
  readonly life: string;
  readonly key: string;
  readonly value: string | null;
  /** Index of the entry with the value; 0 if there is none. */
  readonly index: number;
  /** Applied index of the member when it was asked. */
  readonly appliedIndex: number;
  /** Highest commit index of any member when it had answered. */
  readonly commitIndex: number;
  /** Whether values of the key have a TTL. */
  readonly fleeting: boolean;
}

/** Checks `reads`, in the order in which they were done, against the writes. */
export function checkStaleReads(
  reads: readonly StaleRead[],
  writes: GroupWrites,
): readonly Violation[] {
  const violations: Violation[] = [];
  const latest = new Map<string, number>();
  for (const read of reads) {
    const { life, key, value, index, commitIndex } = read;
    const fail = (check: string, message: string): void =>
      void violations.push({
        check,
        message: `A stale read of ${key} at ${life} gave ${
          JSON.stringify(value)
        } of index ${index}${message}`,
      });
    if (index > 0) {
      if (index > commitIndex) {
        fail(
          "stale_read_uncommitted",
          `, and only ${commitIndex} was committed anywhere`,
        );
      }
      if (!writes.explain(index, key, value)) {
        fail("stale_read_phantom", ", which nobody has written");
      }
      const place = `${life} ${key}`;
      const before = latest.get(place) ?? 0;
      if (index < before) {
        fail("stale_read_falls", ` after one of index ${before}`);
      }
      latest.set(place, index);
    }
    const missed = missedBy(read, writes);
    if (missed === undefined) continue;
    fail(
      "stale_read_behind",
      `, and had applied up to ${read.appliedIndex}, with a write at ${missed}`,
    );
  }
  return violations;
}

/**
 * Index of the latest write that the member had applied and `read` does not
 * show.
 */
function missedBy(
  { key, index, appliedIndex, fleeting }: StaleRead,
  writes: GroupWrites,
): number | undefined {
  const ofKey = writes.of(key);
  let applied = 0;
  let mayBeDeleted = fleeting;
  for (const write of ofKey) {
    if (write.index === undefined) mayBeDeleted ||= write.value === null;
    else if (write.index <= appliedIndex) {
      applied = Math.max(applied, write.index);
    }
  }
  if (index > 0 || applied === 0) {
    return index >= applied ? undefined : applied;
  }
  mayBeDeleted ||= ofKey.some((write) =>
    write.value === null && (write.index as number) >= applied
  );
  return mayBeDeleted ? undefined : applied;
}
