/**
 * Compaction of one group: rewrites runs of segments that are mostly dead.
 *
 * @module
 */
import { planCompaction, type SegmentLife } from "./compaction_plan.ts";
import { copyLive, lifeOf } from "./live_entries.ts";
import type { GroupParts } from "./group_parts.ts";
import { abandon } from "./received_snapshot.ts";
import { SegmentBuilder } from "./segment_builder.ts";
import { type Segment, SegmentGoneError } from "./segment_files.ts";

/** Compaction that cannot keep up stops pausing when the bytes below the snapshot exceed this many times the live ones. */
const BYTES_MAX = 1.75;

/** Compacts one group. */
export class GroupCompaction {
  readonly #parts: GroupParts;
  #isUnderWay = false;
  /** Lets the running compaction pause again. */
  #calm: (() => void) | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: GroupParts) {
    this.#parts = parts;
  }

  /**
   * Starts a compaction, unless one is running.
   *
   * @param snapshotsTaken How many snapshots have been taken.
   */
  soon(snapshotsTaken: number): void {
    const { compactEvery, compactionPace } = this.#parts.shared();
    if (this.#isUnderWay) {
      // Snapshots come faster than compaction runs.
      if (this.#isMuchDead()) this.#calm ??= compactionPace.hurry();
      return;
    }
    this.#isUnderWay = true;
    this.compact(snapshotsTaken % compactEvery === 0).catch(() => {
      // Damage is noted, other failures show at the next write, and compaction
      // is tried again after the next snapshot.
    }).finally(() => {
      this.#isUnderWay = false;
      this.#calm?.();
      this.#calm = undefined;
    });
  }

  /** Estimated from the number of live entries. */
  #isMuchDead(): boolean {
    const { segments, live, snapshotIndex } = this.#parts.entries;
    let bytes = 0;
    let liveBytes = 0;
    for (const { info: { first, last, count, bodyBytes } } of segments.list) {
      if (last > snapshotIndex) break;
      bytes += bodyBytes;
      liveBytes += bodyBytes * live.countBetween(first, last) / count;
    }
    return bytes > BYTES_MAX * liveBytes;
  }

  /**
   * Compacts once more after the running compaction.
   *
   * @param isThorough Whether live bytes are counted instead of estimated from
   * the number of live entries.
   */
  compact(isThorough: boolean): Promise<void> {
    const done = this.#last.then(() => this.#compact(isThorough));
    this.#last = done.catch(() => {});
    return done;
  }

  /**
   * Rewrites each run of segments in a task of its own: between them, entries
   * are flushed from the write-ahead log, or writers would have to wait.
   */
  async #compact(isThorough: boolean): Promise<void> {
    const { shared, entries, tasks } = this.#parts;
    const { limits, files, compactionPace } = shared();
    const segments = entries.segments.list;
    try {
      const lives: SegmentLife[] = [];
      for (const segment of segments) {
        const isBelow = segment.info.last <= entries.snapshotIndex;
        lives.push(
          await lifeOf(segment, isBelow ? entries.live : undefined, {
            files,
            pace: compactionPace,
            isThorough,
          }),
        );
      }
      for (const [first, last] of planCompaction(lives, limits)) {
        const row = segments.slice(first, last + 1);
        await tasks.run(() => this.#rewrite(row));
      }
    } catch (error) {
      // A snapshot has removed a segment meanwhile.
      if (error instanceof SegmentGoneError) return;
      this.#parts.noteRot(error);
      throw error;
    }
  }

  /** Copies the live entries of `row` into new segments, which replace it. */
  async #rewrite(row: readonly Segment[]): Promise<void> {
    const { shared, entries, manifest } = this.#parts;
    const { disk, files, wal, compactionPace } = shared();
    const { list } = entries.segments;
    const start = list.indexOf(row[0] as Segment);
    // A snapshot may have removed some of them.
    if (start < 0 || row.some((segment, i) => list[start + i] !== segment)) {
      return;
    }
    const builder = new SegmentBuilder(manifest.segmentTarget(compactionPace));
    try {
      for (const segment of row) {
        await copyLive(segment, entries.live, builder, {
          files,
          pace: compactionPace,
        });
      }
      const infos = await builder.finish();
      if (infos.length > 0) await disk.syncFolder(manifest.folder);
      const added = infos.map((info) => manifest.segmentOf(info));
      const replaced = (list: readonly Segment[]): Segment[] => {
        const at = list.indexOf(row[0] as Segment);
        return [
          ...list.slice(0, at),
          ...added,
          ...list.slice(at + row.length),
        ];
      };
      await manifest.write(
        entries,
        { change: replaced },
        () => entries.segments.replace(replaced(entries.segments.list)),
      );
    } catch (error) {
      if (wal.failure === undefined) await abandon(builder);
      throw error;
    }
  }
}
