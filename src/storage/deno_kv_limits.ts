/**
 * The limits of one commit of Deno KV, measured on Deno 2.9.6, and how much of
 * them a store uses.
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
   * A commit with this many writes accepts no further group: larger ones delay
   * all writers that wait for them.
   */
  writesTarget: 4_096,
  /**
   * A commit with this many bytes accepts no further group; the rest is left
   * for rows that are folded in passing.
   */
  bytesTarget: 480_000,
  /** Most changes a commit may have: the limit less what the store adds. */
  mutationsMax: denoKvLimits.mutationsMax - 50,
  /** Most bytes of keys and values a commit may have. */
  bytesMax: 780_000,
  /** Most bytes of keys, every byte counted twice as if it were zero. */
  keyBytesMax: denoKvLimits.commitKeyBytesMax - 512,
  /**
   * Most bytes of writes that wait for a commit; further writes are refused
   * with `overload`.
   */
  pendingBytesMax: 64 * 1024 * 1024,
} as const;

/**
 * Values longer than this are written to their row at once: a journal would
 * write them twice for little gain.
 */
export const journalValueBytesMax = 8 * 1024;

/**
 * Memory for journal records is allocated in pieces of this size, in bytes; no
 * record is longer.
 */
export const journalSlabBytes = 60 * 1024;

/**
 * When the journal is folded into rows. Two generations exist at most, so that
 * the journal takes at most twice these bounds, on disk and in memory (where an
 * entry also takes about 250 bytes for its place in the table).
 */
export interface JournalLimits {
  /** Bytes of journal records at which a generation is folded. */
  readonly generationBytesMax: number;
  /** Entries at which a generation is folded. */
  readonly generationEntriesMax: number;
  /** Records at which a generation is folded, at most 65,535. */
  readonly generationRecordsMax: number;
  /**
   * Fewest rows that a commit folds in passing; rows with neighbouring keys
   * share pages.
   */
  readonly foldRowsMin: number;
  /** Most rows a commit folds. */
  readonly foldRowsMax: number;
  /** A store without writes for this long folds everything, in milliseconds. */
  readonly idleMs: number;
  /**
   * Most keys that a closing store folds, at about 6 µs each; more are left to
   * the next opening, which reads them in 1 µs each.
   */
  readonly closeEntriesMax: number;
}

/** The limits that a store keeps to. */
export const journalLimits: JournalLimits = {
  generationBytesMax: 16 * 1024 * 1024,
  generationEntriesMax: 64_000,
  generationRecordsMax: 4_096,
  foldRowsMin: 32,
  foldRowsMax: 500,
  idleMs: 1_000,
  closeEntriesMax: 20_000,
};

/** How values are split into chunks. */
export const chunkLimits = {
  /** Bytes of a value in one record: the limit less the header, rounded down. */
  chunkBytes: 60_000,
  /**
   * Groups whose values have more bytes than this write large values first, in
   * commits of their own.
   */
  groupBytesMax: 600_000,
  /**
   * Values above this are written first when their group is beyond
   * `groupBytesMax`.
   */
  aheadBytesMin: 1_024,
  /** Chunks in one such commit. */
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
