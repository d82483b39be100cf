/**
 * Counts the live entries of a segment, and copies them to another one.
 *
 * @module
 */
import type { SegmentLife } from "./compaction_plan.ts";
import type { IndexRanges } from "./index_ranges.ts";
import type { SegmentBuilder } from "./segment_builder.ts";
import type { Segment, SegmentFiles } from "./segment_files.ts";
import { SLICE_BYTES, type WorkPace } from "./work_pace.ts";

/** What reading segments in the background needs. */
export interface SegmentAccess {
  readonly files: SegmentFiles;
  readonly pace: WorkPace;
}

/**
 * How much of `segment` is live.
 *
 * @param live The live indexes below the snapshot; `undefined` if the segment
 * is not below it, and so entirely live.
 * @param access `isThorough`: whether live bytes are counted instead of
 * estimated from the number of live entries.
 */
export async function lifeOf(
  segment: Segment,
  live: IndexRanges | undefined,
  { files, pace, isThorough }: SegmentAccess & { readonly isThorough: boolean },
): Promise<SegmentLife> {
  const { first, last, count, bodyBytes } = segment.info;
  const liveCount = live?.countBetween(first, last) ?? count;
  let liveBytes = bodyBytes * Math.min(1, liveCount / count);
  if (live !== undefined && isThorough && liveCount > 0 && liveCount < count) {
    const index = await files.indexOf(segment);
    liveBytes = 0;
    for (let line = 0; line < index.count; line++) {
      if (live.has(index.indexAt(line))) liveBytes += index.lengthAt(line);
    }
    await pace.pause(index.bytes);
  }
  const isBelow = live !== undefined;
  return { count, bodyBytes, liveCount, liveBytes, isBelow };
}

/** Adds the live entries of `segment` to `builder`, a slice at a time. */
export async function copyLive(
  segment: Segment,
  live: IndexRanges,
  builder: SegmentBuilder,
  { files, pace }: SegmentAccess,
): Promise<void> {
  const index = await files.indexOf(segment);
  for (let line = 0; line < index.count;) {
    const wanted: number[] = [];
    let bytes = 0;
    for (; line < index.count && bytes < SLICE_BYTES; line++) {
      const place = index.indexAt(line);
      if (place > segment.info.last || !live.has(place)) continue;
      wanted.push(place);
      bytes += index.lengthAt(line);
    }
    for (const entry of await files.readSome(segment, wanted)) {
      const { index: place, term, body } = entry;
      const crc = index.crcAt(index.lineFrom(place));
      await builder.add(place, term, body, 0, body.length, crc);
    }
    await pace.pause(bytes);
  }
}
