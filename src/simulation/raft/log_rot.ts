/**
 * Bit rot in the Raft files of a machine: a flipped bit in the log that its
 * groups share, or in a file of one group.
 *
 * @module
 */
import {
  BATCH_HEADER_BYTES,
  decodeFileHeader,
  FILE_HEADER_BYTES,
  findBatch,
} from "../../raft/log/wal_codec.ts";
import type { SimulatedDisk } from "../disk/simulated_disk.ts";
import type { LogPart } from "../schedule/schedule.ts";

/** The files of each part. */
const PATHS: { readonly [Part in LogPart]: RegExp } = {
  wal: /\/raft\/wal-\d+\.log$/,
  segment: /\/raft\/groups\/\d+\/seg-\d+$/,
  manifest: /\/raft\/groups\/\d+\/manifest$/,
  snapshot: /\/raft\/groups\/\d+\/snapshots\/[^/]+\/(state|live)$/,
};

/**
 * Flips one bit of a file of `part`, and returns its path; `undefined` if there
 * is none.
 */
export function rotLog(disk: SimulatedDisk, part: LogPart): string | undefined {
  return disk.rot(
    ({ path }) => PATHS[part].test(path),
    part === "wal" ? lastBatchAt : undefined,
  )?.path;
}

/**
 * Where the last batch of a write-ahead log file begins: whether that one was
 * acknowledged is known only a moment later. Behind it, a file that is used
 * again has batches of its former content.
 */
function lastBatchAt(content: Uint8Array): number {
  const header = decodeFileHeader(content);
  if (header === undefined) return 0;
  let last = 0;
  let at = FILE_HEADER_BYTES;
  for (;;) {
    const batch = findBatch(content, at, content.length, header.salt);
    if (batch === undefined) return last;
    last = batch.table - BATCH_HEADER_BYTES;
    at = batch.end;
  }
}
