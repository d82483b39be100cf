/**
 * Decides in O(n log n) whether a register of which every value is written once
 * was linearizable (Gibbons & Korach, "Testing Shared Memories", 1997, §4.2).
 *
 * A write and the reads of its value form a cluster, and since no value comes
 * twice, a linearization is a sequence of whole clusters. Cluster A has to come
 * before B when some operation of A returned before one of B was invoked, that
 * is when `firstReturn(A) < lastInvocation(B)`. So there is an order unless two
 * clusters must each come before the other: for if clusters form a longer
 * circle, the one with the earliest first return must precede its predecessor
 * too, which had to precede another at an even later moment.
 *
 * @module
 */

/** One operation on a register of unique values. */
export interface ZoneOperation {
  /** What it wrote, or what it read; `null` for the state before any write. */
  readonly value: string | number | null;
  /** Whether it wrote the value; else it read it. */
  readonly write: boolean;
  /** When its client began it. */
  readonly invokedAtMs: number;
  /** `Infinity` for a write that may or may not have happened. */
  readonly returnedAtMs: number;
}

interface Cluster {
  /** When its write was invoked; no read may have returned before. */
  writtenFromMs: number;
  firstReturnMs: number;
  lastInvocationMs: number;
  written: boolean;
}

/**
 * Whether `operations` are linearizable, or `undefined` if a value was written
 * twice, so that this cannot tell. Every write of them must have happened, or
 * have been read, or not matter.
 */
export function zonesLinearizable(
  operations: readonly ZoneOperation[],
): boolean | undefined {
  const clusters = new Map<string | number | null, Cluster>();
  // The state before any write is one that was written before everything.
  clusters.set(null, {
    writtenFromMs: -Infinity,
    firstReturnMs: -Infinity,
    lastInvocationMs: -Infinity,
    written: true,
  });
  for (const { value, write, invokedAtMs, returnedAtMs } of operations) {
    let cluster = clusters.get(value);
    if (cluster === undefined) {
      cluster = {
        writtenFromMs: Infinity,
        firstReturnMs: Infinity,
        lastInvocationMs: -Infinity,
        written: false,
      };
      clusters.set(value, cluster);
    }
    if (write) {
      if (cluster.written) return undefined;
      cluster.written = true;
      cluster.writtenFromMs = invokedAtMs;
    }
    cluster.firstReturnMs = Math.min(cluster.firstReturnMs, returnedAtMs);
    cluster.lastInvocationMs = Math.max(cluster.lastInvocationMs, invokedAtMs);
  }
  const byFirstReturn = [...clusters.values()];
  for (const { written, writtenFromMs, firstReturnMs } of byFirstReturn) {
    // Nobody wrote it, or it was read before anybody did.
    if (!written || firstReturnMs < writtenFromMs) return false;
  }
  return noneMutual(byFirstReturn);
}

/** Whether of no two clusters each has to come before the other. */
function noneMutual(clusters: Cluster[]): boolean {
  clusters.sort((a, b) =>
    // Not by difference, as that of two infinities is no number.
    a.firstReturnMs < b.firstReturnMs
      ? -1
      : Number(a.firstReturnMs > b.firstReturnMs)
  );
  // The two latest last invocations among the clusters up to each place: one may be its own.
  const latest: number[] = [];
  const second: number[] = [];
  let top = -Infinity;
  let next = -Infinity;
  for (const { lastInvocationMs } of clusters) {
    if (lastInvocationMs > top) {
      next = top;
      top = lastInvocationMs;
    } else next = Math.max(next, lastInvocationMs);
    latest.push(top);
    second.push(next);
  }
  for (let i = 0; i < clusters.length; i++) {
    const { firstReturnMs, lastInvocationMs } = clusters[i] as Cluster;
    // Those before `end` have to come before this one.
    const end = countBelow(clusters, lastInvocationMs);
    if (end === 0) continue;
    const others = i < end && lastInvocationMs === latest[end - 1]
      ? second[end - 1] as number
      : latest[end - 1] as number;
    if (others > firstReturnMs) return false;
  }
  return true;
}

/** How many clusters returned first before `atMs`. */
function countBelow(clusters: readonly Cluster[], atMs: number): number {
  let low = 0;
  let high = clusters.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((clusters[middle] as Cluster).firstReturnMs < atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
