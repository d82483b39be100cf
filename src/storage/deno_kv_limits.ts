/**
 * What Deno KV takes in one commit, measured on Deno 2.9.6, and how much of it
 * a store uses.
 *
 * @module
 */

/** Limits of Deno KV itself. */
export const denoKvLimits = {
  /** Most changes in one atomic operation. */
  mutationsMax: 1_000,
  /** Most bytes of one atomic operation, keys and values together. */
  commitBytesMax: 819_200,
  /** Most bytes of all keys of one atomic operation, as encoded. */
  commitKeyBytesMax: 81_920,
  /** Longest key in bytes as encoded, where a zero byte counts twice. */
  keyBytesMax: 2_048,
  /** Largest value in bytes. */
  valueBytesMax: 65_536,
  /** Most keys in one `getMany`. */
  getManyMax: 10,
  /** Most entries a `list` fetches at once. */
  listBatchMax: 1_000,
} as const;

/** How a store fills a commit. */
export const groupCommitLimits = {
  /**
   * A commit with so many changes takes no further group. With 100-byte values
   * a change costs 19 µs of processor time in commits of 64, 17 in commits of
   * 256 and 14 in commits of 500; larger ones delay all that wait for them.
   */
  mutationsTarget: 512,
  /** Most changes a commit may have: the limit less what the store adds. */
  mutationsMax: denoKvLimits.mutationsMax - 50,
  /** Most bytes of keys and values a commit may have. */
  bytesMax: 780_000,
  /** Most bytes of keys, every byte counted twice as if it were zero. */
  keyBytesMax: denoKvLimits.commitKeyBytesMax - 512,
  /** Most bytes of writes that wait for a commit; beyond it a write is refused with `overload`. */
  pendingBytesMax: 64 * 1024 * 1024,
} as const;

/** How values are cut. */
export const chunkLimits = {
  /** Bytes of a value in one record: the limit less the header, rounded down. */
  chunkBytes: 60_000,
  /** Groups whose values have more bytes than this send large values ahead, in commits of their own. */
  groupBytesMax: 680_000,
  /** Values above this are sent ahead when their group is beyond `groupBytesMax`. */
  aheadBytesMin: 1_024,
  /** Chunks in one commit that goes ahead. */
  chunksPerCommit: 12,
  /** Chunks removed in one commit. */
  removalsPerCommit: 400,
} as const;

/** How the stored keys are read in order. */
export const pageLimits = {
  /** Entries of the first page of a scan. */
  firstPage: 64,
  /** Most entries in a page. */
  entriesMax: 500,
  /** Bytes a page should not exceed by much. */
  bytesTarget: 2 * 1024 * 1024,
} as const;

/** How many entries to ask for next, after `entries` with `bytes` of records. */
export function nextPageLimit(entries: number, bytes: number): number {
  const average = bytes / Math.max(1, entries) + 32;
  return Math.max(
    4,
    Math.min(
      pageLimits.entriesMax,
      Math.floor(pageLimits.bytesTarget / average),
    ),
  );
}
