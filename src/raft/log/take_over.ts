/**
 * Flushes entries from memory to segments, so that the write-ahead log and
 * memory can release them.
 *
 * @module
 */
import { cutSegments } from "./group_segments.ts";
import type { GroupParts } from "./group_parts.ts";
import type { EntryPlace } from "./memtable.ts";
import { abandon } from "./received_snapshot.ts";
import { SegmentBuilder } from "./segment_builder.ts";

/** Positions in memory handled without a pause. */
export const PLACES_MAX = 8_192;
const NO_BYTES = new Uint8Array(0);

/** Writes the entries in memory up to `index` to segments. The caller must write the manifest. */
export async function flushEntries(
  { shared, entries, manifest }: GroupParts,
  index: number,
): Promise<void> {
  const { disk, pace } = shared();
  const { memtable } = entries;
  const builder = new SegmentBuilder(manifest.segmentTarget(pace));
  const place: EntryPlace = {
    term: 0,
    slab: NO_BYTES,
    offset: 0,
    length: 0,
    crc: 0,
  };
  const end = (): number =>
    Math.min(index, entries.lastIndex, entries.cutIndex - 1);
  let at = Math.max(memtable.first, entries.flushedIndex + 1);
  try {
    for (; at <= end(); at++) {
      if (!entries.isThere(at) || !memtable.placeOf(at, place)) continue;
      const { term, slab, offset, length, crc } = place;
      if (builder.hasRoomFor(length)) {
        builder.addNow(at, term, slab, offset, length, crc);
      } else await builder.add(at, term, slab, offset, length, crc);
    }
    // Entries appended from here on are not included, even if they are within
    // `index`.
    const reached = at - 1;
    const infos = await builder.finish();
    if (infos.length > 0) await disk.syncFolder(manifest.folder);
    const added = infos.map((info) => manifest.segmentOf(info));
    entries.segments.replace([
      ...entries.segments.list,
      ...cutSegments(added, entries.cutIndex),
    ]);
    entries.noteFlushed(Math.min(reached, end()));
  } catch (error) {
    await abandon(builder);
    throw error;
  }
}

/** Releases entries in memory up to `index` that are in segments. */
export async function forgetFlushed(
  { shared, entries }: GroupParts,
  index: number,
): Promise<void> {
  const { pace } = shared();
  while (
    !entries.memtable.dropTo(
      Math.min(index, entries.flushedIndex),
      PLACES_MAX,
    )
  ) await pace.pause(0);
}
