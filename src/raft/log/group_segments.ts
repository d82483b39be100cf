/**
 * The segments of one group, ordered by index. Their index ranges do not
 * overlap.
 *
 * @module
 */
import type { SegmentInfo } from "./group_manifest_codec.ts";
import { INDEX_LINE_BYTES, SEGMENT_HEADER_BYTES } from "./segment_codec.ts";
import type { IndexRanges } from "./index_ranges.ts";
import type { Segment } from "./segment_files.ts";

/** Size of a segment's file in bytes. */
export function segmentFileBytes({ bodyBytes, count }: SegmentInfo): number {
  return SEGMENT_HEADER_BYTES + bodyBytes + count * INDEX_LINE_BYTES;
}

/** The list of segments; replaced as a whole. */
export class GroupSegments {
  #list: readonly Segment[];

  constructor(list: readonly Segment[]) {
    this.#list = list;
  }

  get list(): readonly Segment[] {
    return this.#list;
  }

  /** Index of the last entry, 0 if there is none. */
  get last(): number {
    return this.#list.at(-1)?.info.last ?? 0;
  }

  /** Total size of their files in bytes. */
  get fileBytes(): number {
    return this.#list.reduce(
      (bytes, { info }) => bytes + segmentFileBytes(info),
      0,
    );
  }

  /** Their descriptions for the manifest. */
  get infos(): SegmentInfo[] {
    return this.#list.map(({ info }) => info);
  }

  /** The segment whose range contains `index`, if any. */
  find(index: number): Segment | undefined {
    const list = this.#list;
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((list[middle] as Segment).info.last < index) low = middle + 1;
      else high = middle;
    }
    const found = list[low];
    return found !== undefined && found.info.first <= index ? found : undefined;
  }

  /** Replaces the list. */
  replace(list: readonly Segment[]): void {
    this.#list = list;
  }

  /** Removes the entries from `index` on. */
  cutFrom(index: number): void {
    if (this.last >= index) this.#list = cutSegments(this.#list, index);
  }
}

/** The part of `segments` below `index`. */
export function cutSegments(
  segments: readonly Segment[],
  index: number,
): Segment[] {
  return segments.filter(({ info }) => info.first < index).map((segment) =>
    segment.info.last < index ? segment : segment.cutFrom(index)
  );
}

/** The segments that hold entries behind the snapshot at `snapshotIndex`, or live ones. */
export function neededSegments(
  segments: readonly Segment[],
  snapshotIndex: number,
  live: IndexRanges,
): Segment[] {
  return segments.filter(({ info: { first, last } }) =>
    last > snapshotIndex || live.countBetween(first, last) > 0
  );
}
