/**
 * The snapshots of one group: taken here, received from a leader, and read. The
 * log then begins behind the snapshot, and of the entries it covers only the
 * live ones stay.
 *
 * @module
 */
import { WhorlError } from "../../base/errors.ts";
import type { SnapshotMeta } from "../raft_entry.ts";
import type { GroupCompaction } from "./group_compaction.ts";
import type { StoredSnapshot } from "./group_manifest_codec.ts";
import { cutSegments, neededSegments } from "./group_segments.ts";
import { IndexRanges } from "./index_ranges.ts";
import { asStoreErrors } from "./log_failure.ts";
import type { GroupParts } from "./group_parts.ts";
import type { GroupLog, SnapshotReceiver } from "./raft_log.ts";
import { abandon, ReceivedSnapshot } from "./received_snapshot.ts";
import { removeFolder } from "./removed_folder.ts";
import { SegmentBuilder } from "./segment_builder.ts";
import type { Segment } from "./segment_files.ts";
import { readState, SnapshotWriter } from "./snapshot_files.ts";
import type { SegmentChange } from "./stored_manifest.ts";
import { flushEntries, PLACES_MAX } from "./take_over.ts";

/** A snapshot on the disk. */
export interface WrittenSnapshot {
  readonly stored: StoredSnapshot;
  /** Indexes that are live in the snapshot. */
  readonly live: IndexRanges;
}

/** Snapshots of one group. */
export class GroupSnapshots {
  readonly #group: string;
  readonly #parts: GroupParts;
  readonly #compaction: GroupCompaction;
  readonly #steppedUp: () => Promise<void>;
  #taken = 0;

  /**
   * @param group The group's name.
   * @param steppedUp Called when the log has come to begin behind another
   * snapshot.
   */
  constructor(
    group: string,
    parts: GroupParts,
    compaction: GroupCompaction,
    steppedUp: () => Promise<void>,
  ) {
    this.#group = group;
    this.#parts = parts;
    this.#compaction = compaction;
    this.#steppedUp = steppedUp;
  }

  /** See {@linkcode GroupLog.takeSnapshot}. */
  take(
    meta: SnapshotMeta,
    state: Iterable<Uint8Array<ArrayBuffer>>,
    live: Iterable<number>,
  ): Promise<void> {
    const { entries, tasks } = this.#parts;
    return tasks.run(async () => {
      if (meta.index <= entries.snapshotIndex) return;
      const written = await this.write(meta, state, live);
      await this.use(written.stored, written.live);
    });
  }

  /** Writes a state into a folder of its own, which the manifest does not name yet. Runs within a task. */
  async write(
    meta: SnapshotMeta,
    state: Iterable<Uint8Array<ArrayBuffer>>,
    live: Iterable<number>,
  ): Promise<WrittenSnapshot> {
    const { shared, manifest } = this.#parts;
    const stored = { meta, number: manifest.takeNumber() };
    const writer = await this.#begin(stored);
    try {
      for (const piece of state) await writer.write(piece);
      const ranges = await shared().pace.run(IndexRanges.inSlices(live));
      await writer.finish(meta, ranges);
      return { stored, live: ranges };
    } catch (error) {
      await abandon(writer);
      throw error;
    }
  }

  /** Makes the log begin behind a snapshot that was written. Runs within a task. */
  async use(stored: StoredSnapshot, live: IndexRanges): Promise<void> {
    // The live entries must be durable before the log is dropped.
    await this.#parts.shared().wal.written();
    await this.#stepUp(stored, live, (segments) => segments);
  }

  async #begin(stored: StoredSnapshot): Promise<SnapshotWriter> {
    const { shared, manifest } = this.#parts;
    const { disk, pace } = shared();
    await disk.makeFolder(`${manifest.folder}/snapshots`);
    await disk.syncFolder(manifest.folder);
    return await SnapshotWriter.begin(
      disk,
      pace,
      manifest.snapshotFolder(stored),
    );
  }

  /**
   * Makes the log begin behind the snapshot `stored`, which is on the disk.
   *
   * @param change A change of the segments that goes along with it.
   * @param atOnce What else changes at the same moment.
   */
  async #stepUp(
    stored: StoredSnapshot,
    live: IndexRanges,
    change: SegmentChange,
    atOnce: () => void = () => {},
  ): Promise<void> {
    const { shared, entries, facts, manifest } = this.#parts;
    const { disk, pace } = shared();
    const { index } = stored.meta;
    const before = entries.stored;
    const next = (segments: readonly Segment[]): readonly Segment[] =>
      neededSegments(change(segments), index, live);
    await manifest.write(entries, { stored, change: next }, () => {
      const segments = next(entries.segments.list);
      atOnce();
      entries.stepUp(stored, live, segments);
      facts.appliedIndex = Math.max(facts.appliedIndex, index);
    });
    const { memtable } = entries;
    for (let from = memtable.first; from <= index; from += PLACES_MAX) {
      const to = Math.min(index, from + PLACES_MAX - 1);
      memtable.keepLive(from, to, (place) => live.has(place));
      if (to < index) await pace.pause(0);
    }
    if (before !== undefined) {
      try {
        await removeFolder(disk, manifest.snapshotFolder(before));
      } catch {
        // It no longer counts, and is removed when the logs are opened next.
      }
    }
    await this.#steppedUp();
    this.#compaction.soon(++this.#taken);
  }

  /** See {@linkcode GroupLog.readSnapshot}. */
  read(): ReturnType<GroupLog["readSnapshot"]> {
    const { stored, live } = this.#parts.entries;
    if (stored === undefined) return Promise.resolve(undefined);
    return Promise.resolve({
      meta: stored.meta,
      live,
      state: this.#stateOf(stored),
    });
  }

  async *#stateOf(
    stored: StoredSnapshot,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { shared, entries, manifest } = this.#parts;
    try {
      yield* readState(shared().disk, manifest.snapshotFolder(stored));
    } catch (error) {
      if (entries.stored === stored) {
        this.#parts.noteRot(error);
        throw error;
      }
      const { index } = stored.meta;
      throw new WhorlError(
        "compacted",
        `Cannot read the snapshot at ${index} of ${this.#group} as a later one has taken its place`,
        { details: { group: this.#group, index }, cause: error },
      );
    }
  }

  /** See {@linkcode GroupLog.receiveSnapshot}. */
  async receive(meta: SnapshotMeta): Promise<SnapshotReceiver> {
    const { shared, manifest, tasks } = this.#parts;
    const { wal, pace } = shared();
    const { folder } = manifest;
    const stored = { meta, number: manifest.takeNumber() };
    return new ReceivedSnapshot(
      meta,
      folder,
      await asStoreErrors(folder, () => this.#begin(stored)),
      new SegmentBuilder(manifest.segmentTarget(pace)),
      {
        pace,
        install: (live, first, received) =>
          tasks.run(() => this.#install(stored, live, first, received)),
        get isUnsure() {
          return wal.failure !== undefined;
        },
      },
    );
  }

  /**
   * Installs a received snapshot, which is on the disk.
   *
   * @param first Index of the first live entry that came with it, Infinity if
   * there is none.
   * @param received Those entries.
   * @returns Whether it was installed; it is not if there is a later one.
   */
  async #install(
    stored: StoredSnapshot,
    live: IndexRanges,
    first: number,
    received: SegmentBuilder,
  ): Promise<boolean> {
    const { shared, entries, manifest, batchUnderWay } = this.#parts;
    const { disk, wal } = shared();
    const { index, term } = stored.meta;
    if (index <= entries.snapshotIndex) return false;
    if (entries.termAt(index) === term) {
      // The log agrees with the leader's up to there, so all live entries are
      // here.
      await abandon(received);
      await wal.written();
      await this.#stepUp(stored, live, (segments) => segments);
      return true;
    }
    // Local entries count up to where the received ones begin.
    const end = Math.min(first, index + 1);
    await flushEntries(this.#parts, end - 1);
    const added = (await received.finish()).map((info) =>
      manifest.segmentOf(info)
    );
    if (added.length > 0) await disk.syncFolder(manifest.folder);
    // Otherwise records still being written would count behind the snapshot.
    while (batchUnderWay() !== undefined) await wal.written();
    manifest.walFloor = wal.nextBatch;
    await this.#stepUp(
      stored,
      live,
      (segments) => [...cutSegments(segments, end), ...added],
      () => entries.beginAnew(index),
    );
    return true;
  }
}
