/**
 * What the logs of all groups of a node share.
 *
 * @module
 */
import type { Disk } from "../../environment/disk.ts";
import type { SegmentLimits } from "./segment_builder.ts";
import type { SegmentFiles } from "./segment_files.ts";
import type { Wal } from "./wal.ts";
import type { WorkPace } from "./work_pace.ts";

/** Of one node, while they are open. */
export interface SharedLogParts {
  readonly disk: Disk;
  readonly wal: Wal;
  readonly files: SegmentFiles;
  /** Of taking entries over into segments, and of snapshots. */
  readonly pace: WorkPace;
  /** Of compaction. */
  readonly compactionPace: WorkPace;
  readonly limits: SegmentLimits;
  /** After so many snapshots of a group it is compacted thoroughly. */
  readonly compactEvery: number;
}
