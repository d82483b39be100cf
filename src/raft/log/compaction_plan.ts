/**
 * Which segments are to be written anew. A segment never changes; when most of
 * what is in it is dead, it costs less to copy what is live than to keep the
 * rest. So every segment is at least half alive afterwards, and all together
 * have at most twice the live bytes.
 *
 * @module
 */
import type { SegmentLimits } from "./segment_builder.ts";

/** A segment, and what of it is live. */
export interface SegmentLife {
  readonly count: number;
  readonly bodyBytes: number;
  readonly liveCount: number;
  readonly liveBytes: number;
  /** Whether it is below the snapshot, so that something in it can be dead. */
  readonly isBelow: boolean;
}

/** A segment of which less than this part is live is written anew, */
const LIVE_PART_MIN = 0.5;
/** and one that has less than this part of what it may have is joined to its neighbours. */
const FULL_PART_MIN = 0.25;

/**
 * Rows of neighbours that are to be written anew together: first and last place
 * of each row in `segments`, which stand in the order of their indexes.
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
