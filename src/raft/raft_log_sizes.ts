/**
 * How large the logs of a node's Raft groups grow before they are compacted.
 *
 * @module
 */

/** Sizes of the logs of Raft groups, the same for all groups of a node. */
export interface RaftLogSizes {
  /**
   * Bytes after which a new file of the write-ahead log is begun, and the
   * entries of the full one are moved to segments. @default {64 MiB}
   */
  readonly walBytesMax: number;
  /** Most entries of a segment. @default {4096} */
  readonly segmentEntriesMax: number;
  /** Entries after which a member takes a snapshot and drops its log up to there. @default {65536} */
  readonly snapshotEntriesMin: number;
}

/** The defaults. */
export const RAFT_LOG_SIZES_DEFAULT: RaftLogSizes = {
  walBytesMax: 64 * 1024 * 1024,
  segmentEntriesMax: 4_096,
  snapshotEntriesMin: 65_536,
};

/** Smallest and largest allowed values. */
const RANGES: { readonly [Size in keyof RaftLogSizes]: [number, number] } = {
  walBytesMax: [4_096, 1024 * 1024 * 1024],
  segmentEntriesMax: [16, 65_536],
  snapshotEntriesMin: [16, 16_777_216],
};

/** The first of `sizes` that is out of range; undefined if all are valid. */
export function wrongRaftLogSize(sizes: Partial<RaftLogSizes>): {
  readonly size: string;
  readonly rule: string;
  readonly value: unknown;
} | undefined {
  for (const [size, value] of Object.entries(sizes)) {
    const range = Object.hasOwn(RANGES, size)
      ? RANGES[size as keyof RaftLogSizes]
      : undefined;
    if (range === undefined) {
      return { size, rule: "not there, nothing has that name", value };
    }
    const [min, max] = range;
    if (Number.isInteger(value) && value >= min && value <= max) continue;
    return { size, rule: `a whole number from ${min} to ${max}`, value };
  }
  return undefined;
}
