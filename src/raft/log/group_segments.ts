/**
 * The segments of one group, in the order of their indexes. No two of them have
 * entries at the same index.
 *
 * @module
 */
import type { SegmentInfo } from "./group_manifest_codec.ts";
import { INDEX_LINE_BYTES, SEGMENT_HEADER_BYTES } from "./segment_codec.ts";
import type { IndexRanges } from "./index_ranges.ts";
import type { Segment } from "./segment_files.ts";

/** Bytes of the file of a segment. */
export function segmentFileBytes({ bodyBytes, count }: SegmentInfo): number {
  return SEGMENT_HEADER_BYTES + bodyBytes + count * INDEX_LINE_BYTES;
}

/** The list of them; it is replaced as a whole. */
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

  /** Bytes of their files. */
  get fileBytes(): number {
    return this.#list.reduce(
      (bytes, { info }) => bytes + segmentFileBytes(info),
      0,
    );
  }

  /** What the manifest says of them. */
  get infos(): SegmentInfo[] {
    return this.#list.map(({ info }) => info);
  }

  /** The one in which the entry at `index` is, if it is in any. */
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

  /** Puts others in their place. */
  replace(list: readonly Segment[]): void {
    this.#list = list;
  }

  /** The entries from `index` on are gone. */
  cutFrom(index: number): void {
    if (this.last >= index) this.#list = cutSegments(this.#list, index);
  }
}

/** What is below `index` in `segments`. */
export function cutSegments(
  segments: readonly Segment[],
  index: number,
): Segment[] {
  return segments.filter(({ info }) => info.first < index).map((segment) =>
    segment.info.last < index ? segment : segment.cutFrom(index)
  );
}

/** Those of `segments` that hold something behind the snapshot at `snapshotIndex`, or something live. */
export function neededSegments(
  segments: readonly Segment[],
  snapshotIndex: number,
  live: IndexRanges,
): Segment[] {
  return segments.filter(({ info: { first, last } }) =>
    last > snapshotIndex || live.countBetween(first, last) > 0
  );
}
