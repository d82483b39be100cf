/**
 * Takes entries over from memory into segments, so that the write-ahead log and
 * memory can let go of them.
 *
 * @module
 */
import { cutSegments } from "./group_segments.ts";
import type { GroupParts } from "./group_parts.ts";
import type { EntryPlace } from "./memtable.ts";
import { abandon } from "./received_snapshot.ts";
import { SegmentBuilder } from "./segment_builder.ts";

/** So many places in memory are looked at in one go. */
export const PLACES_MAX = 8_192;
const NO_BYTES = new Uint8Array(0);

/** Writes what is in memory up to `index` into segments. The manifest is yet to be written. */
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
  try {
    for (
      let at = Math.max(memtable.first, entries.flushedIndex + 1);
      at <= end();
      at++
    ) {
      if (!entries.isThere(at) || !memtable.placeOf(at, place)) continue;
      const { term, slab, offset, length, crc } = place;
      if (builder.hasRoomFor(length)) {
        builder.addNow(at, term, slab, offset, length, crc);
      } else await builder.add(at, term, slab, offset, length, crc);
    }
    const infos = await builder.finish();
    if (infos.length > 0) await disk.syncFolder(manifest.folder);
    const added = infos.map((info) => manifest.segmentOf(info));
    entries.segments.replace([
      ...entries.segments.list,
      ...cutSegments(added, entries.cutIndex),
    ]);
    entries.noteFlushed(end());
  } catch (error) {
    await abandon(builder);
    throw error;
  }
}

/** Lets go of entries in memory up to `index` that are in segments. */
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
