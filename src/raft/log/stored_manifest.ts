/**
 * The folder of one group: its manifest and the files it names.
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

/** What a group stores besides its entries. */
export interface GroupFacts {
  term: number;
  votedFor: string | undefined;
  /** Index up to which its machine is known to have applied. */
  appliedIndex: number;
  /** Number of the write-ahead log's batch with the last vote or truncation. */
  unsettledBatch: number;
}

/** The change of the segments with the next manifest. */
export type SegmentChange = (
  segments: readonly Segment[],
) => readonly Segment[];

/** The manifest of one group. */
export class StoredManifest {
  /** The group's folder. */
  readonly folder: string;
  /** Batches of the write-ahead log below this number are no longer needed. */
  walFloor: number;
  readonly #config: GroupManifest["config"];
  readonly #shared: () => SharedLogParts;
  readonly #facts: GroupFacts;
  #damaged: boolean;
  /** Whether the manifest on the disk records the damage. */
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

  /** Whether something acknowledged is lost. */
  get damaged(): boolean {
    return this.#damaged;
  }

  /** Records the damage in the next manifest. */
  noteDamage(): void {
    this.#damaged = true;
  }

  /** Whether there is damage that the manifest on the disk does not record yet. */
  get isDamageUnsaved(): boolean {
    return this.#damaged && !this.#isDamageSaved;
  }

  /** A number that no segment or snapshot of the group has used. */
  takeNumber(): number {
    return this.#nextNumber++;
  }

  /** A file has that number already, so later ones get higher numbers. */
  passNumber(number: number): void {
    this.#nextNumber = Math.max(this.#nextNumber, number + 1);
  }

  /** The path of segment `number`. */
  segmentPath(number: number): string {
    return `${this.folder}/seg-${number}`;
  }

  /** The segment that `info` describes. */
  segmentOf(info: SegmentInfo): Segment {
    return new Segment(this.segmentPath(info.number), info);
  }

  /** Where new segments go. */
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

  /** The folder of a snapshot. */
  snapshotFolder(stored: StoredSnapshot): string {
    return `${this.folder}/snapshots/${snapshotName(stored)}`;
  }

  /**
   * Durably replaces the manifest, and then removes segments that it does not
   * name.
   *
   * @param change The change of the segments.
   * @param then Changes the state in memory, before segments are removed.
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
    // It must not depend on records that the write-ahead log may still lose.
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
      // It is unknown which manifest is on the disk now.
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
        // It no longer counts, and is removed when the logs are opened next.
      }
    }
  }
}
