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
  /** A commit with so many writes takes no further group: larger ones delay all that wait for them. */
  writesTarget: 4_096,
  /** A commit with so many bytes takes no further group; the rest is for rows that are folded in passing. */
  bytesTarget: 480_000,
  /** Most changes a commit may have: the limit less what the store adds. */
  mutationsMax: denoKvLimits.mutationsMax - 50,
  /** Most bytes of keys and values a commit may have. */
  bytesMax: 780_000,
  /** Most bytes of keys, every byte counted twice as if it were zero. */
  keyBytesMax: denoKvLimits.commitKeyBytesMax - 512,
  /** Most bytes of writes that wait for a commit; beyond it a write is refused with `overload`. */
  pendingBytesMax: 64 * 1024 * 1024,
} as const;

/** Values longer than this go to their row at once: a journal would write them twice for little gain. */
export const journalValueBytesMax = 8 * 1024;

/** Memory for journal records is taken in pieces of this size, in bytes; no record is longer. */
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
  /** Fewest rows a commit folds in passing; neighbours share pages. */
  readonly foldRowsMin: number;
  /** Most rows a commit folds. */
  readonly foldRowsMax: number;
  /** A store without writes for so long folds all it has, in milliseconds. */
  readonly idleMs: number;
  /** A closing store folds so many keys, which takes about 6 µs each; more are left to the next opening, which reads them in 1 µs each. */
  readonly closeEntriesMax: number;
}

/** What a store uses. */
export const journalLimits: JournalLimits = {
  generationBytesMax: 16 * 1024 * 1024,
  generationEntriesMax: 64_000,
  generationRecordsMax: 4_096,
  foldRowsMin: 32,
  foldRowsMax: 500,
  idleMs: 1_000,
  closeEntriesMax: 20_000,
};

/** How values are cut. */
export const chunkLimits = {
  /** Bytes of a value in one record: the limit less the header, rounded down. */
  chunkBytes: 60_000,
  /** Groups whose values have more bytes than this send large values ahead, in commits of their own. */
  groupBytesMax: 600_000,
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
