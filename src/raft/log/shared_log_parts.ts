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

/** The shared parts of one node, while its logs are open. */
export interface SharedLogParts {
  readonly disk: Disk;
  readonly wal: Wal;
  readonly files: SegmentFiles;
  /** Pace of flushing entries to segments, and of snapshots. */
  readonly pace: WorkPace;
  /** Pace of compaction. */
  readonly compactionPace: WorkPace;
  readonly limits: SegmentLimits;
  /** A group is compacted thoroughly after every this many snapshots. */
  readonly compactEvery: number;
}
