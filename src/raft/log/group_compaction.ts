/**
 * Compaction of one group: writes rows of segments anew in which most is dead.
 *
 * @module
 */
import { planCompaction, type SegmentLife } from "./compaction_plan.ts";
import { copyLive, lifeOf } from "./live_entries.ts";
import type { GroupParts } from "./group_parts.ts";
import { abandon } from "./received_snapshot.ts";
import { SegmentBuilder } from "./segment_builder.ts";
import { type Segment, SegmentGoneError } from "./segment_files.ts";

/** When there is more than so many times the live bytes below the snapshot, and compaction cannot keep up, it hurries. */
const BYTES_MAX = 1.75;

/** Compacts one group. */
export class GroupCompaction {
  readonly #parts: GroupParts;
  #isUnderWay = false;
  /** Ends the hurry of the compaction that is under way. */
  #calm: (() => void) | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: GroupParts) {
    this.#parts = parts;
  }

  /**
   * Compacts, unless that is about to be done, if it is worth it.
   *
   * @param snapshotsTaken How many snapshots there have been.
   */
  soon(snapshotsTaken: number): void {
    const { compactEvery, compactionPace } = this.#parts.shared();
    if (this.#isUnderWay) {
      // Snapshots come faster than it is done.
      if (this.#isMuchDead()) this.#calm ??= compactionPace.hurry();
      return;
    }
    this.#isUnderWay = true;
    this.compact(snapshotsTaken % compactEvery === 0).catch(() => {
      // Rot is noted, and what else can be wrong is told when something has to be written; this is tried again after the next snapshot.
    }).finally(() => {
      this.#isUnderWay = false;
      this.#calm?.();
      this.#calm = undefined;
    });
  }

  /** By the number of live entries. */
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
   * Compacts once more when what is under way is done.
   *
   * @param isThorough Whether live bytes are counted, and not concluded from the number of live entries.
   */
  compact(isThorough: boolean): Promise<void> {
    const done = this.#last.then(() => this.#compact(isThorough));
    this.#last = done.catch(() => {});
    return done;
  }

  /**
   * Writes each row of segments that is worth it anew, in a task of its own: in
   * between, the write-ahead log's entries are taken over, or writers would wait.
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
      // A snapshot has taken it away meanwhile.
      if (error instanceof SegmentGoneError) return;
      this.#parts.noteRot(error);
      throw error;
    }
  }

  /** Writes what is live in `row` into new segments, and puts them in its place. */
  async #rewrite(row: readonly Segment[]): Promise<void> {
    const { shared, entries, manifest } = this.#parts;
    const { disk, files, wal, compactionPace } = shared();
    const { list } = entries.segments;
    const start = list.indexOf(row[0] as Segment);
    // A snapshot may have taken some of them away.
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
