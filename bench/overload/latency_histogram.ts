/**
 * Latencies in buckets that grow by a twentieth, so that histograms of several
 * processes can be sent as JSON and added up: a percentile of all is not the
 * mean of percentiles.
 *
 * @module
 */

/** Buckets for each doubling. */
const BUCKETS_PER_DOUBLING = 14;
/** The last one is for all that take longer than two minutes. */
const BUCKETS = BUCKETS_PER_DOUBLING * 27;

/** Latencies in microseconds. */
export class LatencyHistogram {
  /** How many there are in each bucket. */
  readonly counts: number[];

  /** @param counts Those of a histogram that came as JSON. */
  constructor(counts?: readonly number[]) {
    this.counts = counts?.slice() ?? new Array(BUCKETS).fill(0);
  }

  /** Counts one latency. */
  add(us: number): void {
    const bucket = us <= 1
      ? 0
      : Math.min(BUCKETS - 1, Math.floor(Math.log2(us) * BUCKETS_PER_DOUBLING));
    (this.counts[bucket] as number)++;
  }

  /** Counts all that `other` has counted. */
  merge(other: LatencyHistogram): void {
    other.counts.forEach((count, bucket) => {
      (this.counts[bucket] as number) += count;
    });
  }

  /** Latencies counted. */
  get size(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** The latency, in milliseconds, which so many of a hundred do not exceed; the upper end of its bucket. */
  percentileMs(percentile: number): number {
    let left = this.size * percentile / 100;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.counts[bucket] as number;
      if (left <= 0) return 2 ** ((bucket + 1) / BUCKETS_PER_DOUBLING) / 1000;
    }
    return Infinity;
  }
}
