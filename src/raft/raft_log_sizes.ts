/**
 * How large the logs of a node's Raft groups grow before they are tidied.
 *
 * @module
 */

/** Sizes of the logs of Raft groups, which all groups of a node have in common. */
export interface RaftLogSizes {
  /** From so many bytes on another file of the write-ahead log is begun, and the entries of the full one become segments. @default {64 MiB} */
  readonly walBytesMax: number;
  /** Most entries of a segment. @default {4096} */
  readonly segmentEntriesMax: number;
  /** A member stores its state after so many entries, and its log goes up to there. @default {65536} */
  readonly snapshotEntriesMin: number;
}

/** What is taken where nothing else is said. */
export const RAFT_LOG_SIZES_DEFAULT: RaftLogSizes = {
  walBytesMax: 64 * 1024 * 1024,
  segmentEntriesMax: 4_096,
  snapshotEntriesMin: 65_536,
};

/** Smallest and largest that may be said. */
const RANGES: { readonly [Size in keyof RaftLogSizes]: [number, number] } = {
  walBytesMax: [4_096, 1024 * 1024 * 1024],
  segmentEntriesMax: [16, 65_536],
  snapshotEntriesMin: [16, 16_777_216],
};

/** The first of `sizes` that is out of its range; undefined if all are right. */
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
