/**
 * Vector clocks with timestamps, as riak_core's `vclock.erl` has them: per node
 * the count of its changes and when it last made one (Mattern, "Virtual Time and
 * Global States of Distributed Systems", 1989).
 *
 * Causality is in the counters alone. Timestamps serve pruning, which bounds a
 * clock that many nodes write to, and break ties between equal counters. Where
 * nothing prunes, `version_vector.ts` is the smaller tool.
 *
 * A clock is a list of dots in no fixed order: an increment puts its dot at the
 * head, a merge sorts by node. Clocks never change once made.
 *
 * @module
 */
import { compareTexts } from "../base/text_order.ts";

/** The last change of one node that a clock contains. */
export interface TimedDot {
  /** Who changed. */
  readonly node: string;
  /** How often it had changed by then, from 1. */
  readonly counter: number;
  /** When it did, in whole units of the caller's choice (riak: seconds). */
  readonly timestamp: number;
}

/** A vector clock: at most one dot a node. */
export type VectorClock = readonly TimedDot[];

/** The clock of a value nobody has changed. */
export const emptyClock: VectorClock = [];

/** `clock` with one more change by `node` at `timestamp`. */
export function incrementClock(
  clock: VectorClock,
  node: string,
  timestamp: number,
): VectorClock {
  const counter = counterOf(clock, node) + 1;
  const others = clock.filter((dot) => dot.node !== node);
  return [{ node, counter, timestamp }, ...others];
}

/** Whether `clock` contains every change `earlier` contains; true for equal ones. */
export function clockDescends(
  clock: VectorClock,
  earlier: VectorClock,
): boolean {
  return earlier.every((dot) => descendsDot(clock, dot));
}

/** Whether `clock` contains that change. */
export function descendsDot(
  clock: VectorClock,
  dot: Omit<TimedDot, "timestamp">,
): boolean {
  const own = dotOf(clock, dot.node);
  return own !== undefined && own.counter >= dot.counter;
}

/** Whether `clock` contains all of `earlier` and more. Timestamps do not count. */
export function clockDominates(
  clock: VectorClock,
  earlier: VectorClock,
): boolean {
  return clockDescends(clock, earlier) && !clockDescends(earlier, clock);
}

/** Whether each contains a change the other does not. */
export function clocksConcurrent(a: VectorClock, b: VectorClock): boolean {
  return !clockDescends(a, b) && !clockDescends(b, a);
}

/** Whether both have the same dots, timestamps included, in any order. */
export function clocksEqual(a: VectorClock, b: VectorClock): boolean {
  return a.length === b.length && a.every((dot) => {
    const other = dotOf(b, dot.node);
    return other !== undefined && other.counter === dot.counter &&
      other.timestamp === dot.timestamp;
  });
}

/**
 * The least clock that contains all of `clocks`, sorted by node. Of two dots
 * with one counter, the later timestamp is kept. A single clock is returned as
 * it is.
 */
export function mergeClocks(clocks: readonly VectorClock[]): VectorClock {
  if (clocks.length === 1) return clocks[0]!;
  const newest = new Map<string, TimedDot>();
  for (const clock of clocks) {
    for (const dot of clock) {
      const other = newest.get(dot.node);
      if (other === undefined || isNewer(dot, other)) newest.set(dot.node, dot);
    }
  }
  return [...newest.values()].sort((a, b) => compareTexts(a.node, b.node));
}

/** How often `node` has changed, 0 if never. */
export function counterOf(clock: VectorClock, node: string): number {
  return dotOf(clock, node)?.counter ?? 0;
}

/** When `node` last changed, if it ever did. */
export function timestampOf(
  clock: VectorClock,
  node: string,
): number | undefined {
  return dotOf(clock, node)?.timestamp;
}

/** The last change of `node`, if it ever made one. */
export function dotOf(clock: VectorClock, node: string): TimedDot | undefined {
  return clock.find((dot) => dot.node === node);
}

/** A dot without its timestamp: the bare event. */
export function pureDot(dot: TimedDot): Omit<TimedDot, "timestamp"> {
  return { node: dot.node, counter: dot.counter };
}

/** Whether `value` is a dot, for values that come from elsewhere. */
export function isDot(value: unknown): value is TimedDot {
  if (typeof value !== "object" || value === null) return false;
  const { node, counter, timestamp } = value as Partial<TimedDot>;
  return typeof node === "string" && Number.isSafeInteger(counter) &&
    Number.isSafeInteger(timestamp);
}

/** Every node that has changed, in the clock's order. */
export function nodesOf(clock: VectorClock): string[] {
  return clock.map((dot) => dot.node);
}

/** The latest timestamp, if there is any. */
export function lastModified(clock: VectorClock): number | undefined {
  return clock.length === 0
    ? undefined
    : clock.reduce((last, dot) => Math.max(last, dot.timestamp), -Infinity);
}

/** When a clock is cut short; times are in the unit of its timestamps. */
export interface PruneOptions {
  /** Up to this many dots are always kept. Riak's default: 50. */
  readonly small: number;
  /** More than this many are cut, if they are not young. Riak's default: 50. */
  readonly big: number;
  /** Dots no older than this are kept. Riak's default: 20. */
  readonly young: number;
  /** Dots older than this are cut, beyond `small`. Riak's default: 86,400. */
  readonly old: number;
}

/**
 * `clock` without its oldest dots, as far as `options` wants them gone. A value
 * whose clock was pruned can seem concurrent with its own ancestor, so a sibling
 * may come back; it never makes an ancestor of a newer value.
 */
export function pruneClock(
  clock: VectorClock,
  now: number,
  options: PruneOptions,
): VectorClock {
  // By node within one timestamp, so that every replica cuts the same dots.
  const oldestFirst = clock.toSorted((a, b) =>
    a.timestamp - b.timestamp || compareTexts(a.node, b.node)
  );
  let cut = 0;
  while (oldestFirst.length - cut > options.small) {
    const age = now - oldestFirst[cut]!.timestamp;
    if (age < options.young) break;
    if (oldestFirst.length - cut <= options.big && age <= options.old) break;
    cut++;
  }
  return oldestFirst.slice(cut);
}

function isNewer(dot: TimedDot, than: TimedDot): boolean {
  return dot.counter > than.counter ||
    dot.counter === than.counter && dot.timestamp > than.timestamp;
}
