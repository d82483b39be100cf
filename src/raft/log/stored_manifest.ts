/**
 * The folder of one group: its manifest, and the files that this names.
 *
 * @module
 */
import { replaceFile } from "../../storage/atomic_file.ts";
import type { GroupEntries } from "./group_entries.ts";
import {
  encodeManifest,
  type GroupManifest,
  type SegmentInfo,
  type StoredSnapshot,
} from "./group_manifest_codec.ts";
import type { SegmentTarget } from "./segment_builder.ts";
import { Segment } from "./segment_files.ts";
import type { SharedLogParts } from "./shared_log_parts.ts";
import { snapshotName } from "./snapshot_files.ts";
import type { WorkPace } from "./work_pace.ts";

/** What a group remembers besides its entries. */
export interface GroupFacts {
  term: number;
  votedFor: string | undefined;
  /** How far its machine has come, as far as is known. */
  appliedIndex: number;
  /** Number of the batch of the write-ahead log with the last vote, or entry that cut others off. */
  unsettledBatch: number;
}

/** What becomes of the segments with the next manifest. */
export type SegmentChange = (
  segments: readonly Segment[],
) => readonly Segment[];

/** The manifest of one group. */
export class StoredManifest {
  /** Of the group. */
  readonly folder: string;
  /** Batches of the write-ahead log below this number are needed no more. */
  walFloor: number;
  readonly #config: GroupManifest["config"];
  readonly #shared: () => SharedLogParts;
  readonly #facts: GroupFacts;
  #damaged: boolean;
  /** Whether the manifest on the disk says so. */
  #isDamageSaved: boolean;
  #nextNumber: number;
  /** Numbers of the segments that the manifest on the disk names. */
  #named: ReadonlySet<number>;

  constructor(
    folder: string,
    manifest: GroupManifest,
    shared: () => SharedLogParts,
    facts: GroupFacts,
  ) {
    this.folder = folder;
    this.walFloor = manifest.walFloor;
    this.#config = manifest.config;
    this.#shared = shared;
    this.#facts = facts;
    this.#damaged = this.#isDamageSaved = manifest.damaged;
    this.#nextNumber = manifest.nextNumber;
    this.#named = new Set(manifest.segments.map(({ number }) => number));
  }

  /** Whether something that was acknowledged is not there any more. */
  get damaged(): boolean {
    return this.#damaged;
  }

  /** The next manifest says so. */
  noteDamage(): void {
    this.#damaged = true;
  }

  /** Whether the one on the disk does not say so yet. */
  get isDamageUnsaved(): boolean {
    return this.#damaged && !this.#isDamageSaved;
  }

  /** A number that no segment or snapshot of the group has had. */
  takeNumber(): number {
    return this.#nextNumber++;
  }

  /** Where the segment of that number is. */
  segmentPath(number: number): string {
    return `${this.folder}/seg-${number}`;
  }

  /** The segment that `info` describes. */
  segmentOf(info: SegmentInfo): Segment {
    return new Segment(this.segmentPath(info.number), info);
  }

  /** Where new segments go, at that pace. */
  segmentTarget(pace: WorkPace): SegmentTarget {
    const { disk, limits } = this.#shared();
    return {
      disk,
      pace,
      uid: this.#config.uid,
      limits,
      takeNumber: () => this.takeNumber(),
      pathOf: (number) => this.segmentPath(number),
    };
  }

  /** Where the files of that snapshot are. */
  snapshotFolder(stored: StoredSnapshot): string {
    return `${this.folder}/snapshots/${snapshotName(stored)}`;
  }

  /**
   * Replaces the manifest, durably, and then removes segments that it does not name.
   *
   * @param change What becomes of the segments.
   * @param then What changes in memory with it, before the segments go.
   */
  async write(
    entries: GroupEntries,
    { stored, change = (segments) => segments }: {
      readonly stored?: StoredSnapshot;
      readonly change?: SegmentChange;
    } = {},
    then: () => void = () => {},
  ): Promise<void> {
    const { disk, wal } = this.#shared();
    const facts = this.#facts;
    // It must not know of what the write-ahead log may still lose.
    while (facts.unsettledBatch > wal.durableBatch) await wal.written();
    const segments = change(entries.segments.list);
    const damaged = this.#damaged;
    const bytes = encodeManifest({
      config: this.#config,
      walFloor: this.walFloor,
      term: facts.term,
      votedFor: facts.votedFor,
      appliedIndex: Math.min(facts.appliedIndex, entries.lastIndex),
      damaged,
      snapshot: stored ?? entries.stored,
      nextNumber: this.#nextNumber,
      segments: segments.map(({ info }) => info),
    });
    try {
      await replaceFile(disk, `${this.folder}/manifest`, bytes);
    } catch (error) {
      // Nobody knows which one is there now.
      wal.fail(error);
      throw error;
    }
    this.#isDamageSaved = damaged;
    then();
    await this.#removeUnnamed(segments);
  }

  async #removeUnnamed(segments: readonly Segment[]): Promise<void> {
    const { disk, files } = this.#shared();
    const named = new Set(segments.map(({ info }) => info.number));
    const gone = [...this.#named].filter((number) => !named.has(number));
    this.#named = named;
    for (const number of gone) {
      const path = this.segmentPath(number);
      files.forget(path);
      try {
        await disk.remove(path);
      } catch {
        // It does not count any more, and goes when the logs are opened next.
      }
    }
  }
}
