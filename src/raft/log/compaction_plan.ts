/**
 * Which segments to rewrite. A segment never changes; when most of it is dead,
 * copying the live entries costs less than keeping the rest. So afterwards at
 * least half of every segment is live, and all together take at most twice the
 * live bytes.
 *
 * @module
 */
import type { SegmentLimits } from "./segment_builder.ts";

/** A segment and how much of it is live. */
export interface SegmentLife {
  readonly count: number;
  readonly bodyBytes: number;
  readonly liveCount: number;
  readonly liveBytes: number;
  /** Whether it is below the snapshot, so that entries in it can be dead. */
  readonly isBelow: boolean;
}

/** A segment is rewritten if a smaller part of it is live. */
const LIVE_PART_MIN = 0.5;
/** A segment is merged with its neighbours if it is filled to a smaller part of its limits. */
const FULL_PART_MIN = 0.25;

/**
 * Runs of neighbours to rewrite together: the first and last position of each
 * run in `segments`, which are ordered by index.
 */
export function planCompaction(
  segments: readonly SegmentLife[],
  limits: SegmentLimits,
): readonly (readonly [first: number, last: number])[] {
  const rows: [number, number][] = [];
  let start = -1;
  let count = 0;
  let bytes = 0;
  const close = (end: number): void => {
    if (start >= 0) {
      const only = segments[start] as SegmentLife;
      if (end > start || isSparse(only)) rows.push([start, end]);
    }
    start = -1;
    count = 0;
    bytes = 0;
  };
  segments.forEach((segment, i) => {
    const joins = segment.isBelow &&
      (isSparse(segment) || isSmall(segment, limits));
    const fits = count + segment.liveCount <= limits.entriesMax &&
      bytes + segment.liveBytes <= limits.bytesMax;
    if (!joins || !fits) close(i - 1);
    if (!joins) return;
    if (start < 0) start = i;
    count += segment.liveCount;
    bytes += segment.liveBytes;
  });
  close(segments.length - 1);
  return rows;
}

function isSparse(
  { count, bodyBytes, liveCount, liveBytes }: SegmentLife,
): boolean {
  return liveCount < LIVE_PART_MIN * count ||
    liveBytes < LIVE_PART_MIN * bodyBytes;
}

function isSmall(
  { count, bodyBytes }: SegmentLife,
  { entriesMax, bytesMax }: SegmentLimits,
): boolean {
  return count < FULL_PART_MIN * entriesMax &&
    bodyBytes < FULL_PART_MIN * bytesMax;
}
