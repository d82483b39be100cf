/**
 * Hybrid logical clocks: timestamps near the wall clock that never run
 * backwards and respect causality (Kulkarni et al., "Logical Physical Clocks",
 * OPODIS 2014). A stamp made after another was made or received here is greater
 * than it, whatever the wall clock did meanwhile. With the node as last resort
 * the order is total, so of two writes every node picks the same one.
 *
 * @module
 */

/** A moment. */
export interface HybridTime {
  /** The greatest wall clock, in milliseconds, seen when it was made. */
  readonly wallMs: number;
  /** Tells apart the moments within one `wallMs`, from 0. */
  readonly count: number;
}

/** A moment and the node it was made on: unique, and totally ordered. */
export interface HybridStamp extends HybridTime {
  /** The node that made it. */
  readonly node: string;
}

/** Before every moment: where a clock starts. */
export const hybridStart: HybridTime = { wallMs: 0, count: 0 };

/**
 * Counts beyond this move on to the next millisecond instead, so that a count
 * fits 16 bits on every wire.
 */
export const HYBRID_COUNT_MAX = 0xffff;

/** The moment after `last` for an event on this node, at `wallMs` on its wall clock. */
export function tickHybrid(last: HybridTime, wallMs: number): HybridTime {
  // Rounded first: a fraction above the last moment is no later than it.
  const now = Math.floor(wallMs);
  return now > last.wallMs ? { wallMs: now, count: 0 } : next(last);
}

/** The moment after both `last` and a stamp that was received from elsewhere. */
export function receiveHybrid(
  last: HybridTime,
  received: HybridTime,
  wallMs: number,
): HybridTime {
  return tickHybrid(
    compareHybridTimes(last, received) < 0 ? received : last,
    wallMs,
  );
}

/**
 * How far a received stamp is ahead of the wall clock here, in milliseconds, at
 * least 0. A receiver should refuse what is further ahead than clocks can
 * reasonably disagree, or one broken clock sets the time of the whole cluster.
 */
export function hybridLeadMs(received: HybridTime, wallMs: number): number {
  return Math.max(0, received.wallMs - wallMs);
}

/** Orders moments; 0 only for equal ones. */
export function compareHybridTimes(a: HybridTime, b: HybridTime): number {
  return a.wallMs - b.wallMs || a.count - b.count;
}

/** Orders stamps by time, then count, then node; 0 only for equal ones. */
export function compareHybridStamps(a: HybridStamp, b: HybridStamp): number {
  return compareHybridTimes(a, b) ||
    (a.node < b.node ? -1 : a.node > b.node ? 1 : 0);
}

function next(last: HybridTime): HybridTime {
  return last.count < HYBRID_COUNT_MAX
    ? { wallMs: last.wallMs, count: last.count + 1 }
    : { wallMs: last.wallMs + 1, count: 0 };
}
