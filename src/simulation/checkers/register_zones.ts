/**
 * Decides in O(n log n) whether the history of a register, every value of which
 * is written once, is linearizable (Gibbons & Korach, "Testing Shared
 * Memories", 1997, §4.2).
 *
 * A write and the reads of its value form a cluster, and since no value occurs
 * twice, a linearization is a sequence of whole clusters. Cluster A must
 * precede B if some operation of A returned before one of B was invoked, that
 * is, if `firstReturn(A) < lastInvocation(B)`. An order exists unless two
 * clusters must each precede the other: in a longer cycle, the cluster with the
 * earliest first return must also precede its predecessor, since another one,
 * whose first return is no earlier, must.
 *
 * @module
 */

/** One operation on a register of unique values. */
export interface ZoneOperation {
  /** The value written or read; `null` for the state before any write. */
  readonly value: string | number | null;
  /** Whether it is a write; otherwise a read. */
  readonly write: boolean;
  /** When its client began it. */
  readonly invokedAtMs: number;
  /** `Infinity` for a write that may or may not have happened. */
  readonly returnedAtMs: number;
}

interface Cluster {
  /** When its write was invoked; no read may have returned earlier. */
  writtenFromMs: number;
  firstReturnMs: number;
  lastInvocationMs: number;
  written: boolean;
}

/**
 * Whether `operations` are linearizable, or `undefined` if a value was written
 * twice, which this method cannot decide. Every write must have happened, or
 * have been read, or be irrelevant.
 * have been read, or not matter.
 */
export function zonesLinearizable(
  operations: readonly ZoneOperation[],
): boolean | undefined {
  const clusters = new Map<string | number | null, Cluster>();
  // The initial state counts as written before everything.
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
    // Nobody wrote it, or it was read before it was written.
    if (!written || firstReturnMs < writtenFromMs) return false;
  }
  return noneMutual(byFirstReturn);
}

/** Whether no two clusters must each precede the other. */
function noneMutual(clusters: Cluster[]): boolean {
  clusters.sort((a, b) =>
    // Not by subtraction: the difference of two infinities is NaN.
    a.firstReturnMs < b.firstReturnMs
      ? -1
      : Number(a.firstReturnMs > b.firstReturnMs)
  );
  // The two latest last invocations among the clusters up to each place, since
  // one may be its own.
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
    // Those before `end` must precede this one.
    const end = countBelow(clusters, lastInvocationMs);
    if (end === 0) continue;
    const others = i < end && lastInvocationMs === latest[end - 1]
      ? second[end - 1] as number
      : latest[end - 1] as number;
    if (others > firstReturnMs) return false;
  }
  return true;
}

/** How many clusters first returned before `atMs`. */
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
