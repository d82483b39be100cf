/**
 * Rot in what a machine keeps of its Raft groups: a bit of the log that they
 * share, or of a file of one of them, is another than was written.
 *
 * @module
 */
import { u32At } from "../../base/byte_reader.ts";
import { BATCH_MAGIC } from "../../raft/log/wal_codec.ts";
import type { SimulatedDisk } from "../disk/simulated_disk.ts";
import type { LogPart } from "../schedule/schedule.ts";

/** The files of each part. */
const PATHS: { readonly [Part in LogPart]: RegExp } = {
  wal: /\/raft\/wal-\d+\.log$/,
  segment: /\/raft\/groups\/\d+\/seg-\d+$/,
  manifest: /\/raft\/groups\/\d+\/manifest$/,
  snapshot: /\/raft\/groups\/\d+\/snapshots\/[^/]+\/(state|live)$/,
};

/** Damages one bit of a file of `part`, and answers of which; `undefined` if there is none. */
export function rotLog(disk: SimulatedDisk, part: LogPart): string | undefined {
  return disk.rot(
    ({ path }) => PATHS[part].test(path),
    part === "wal" ? lastBatchAt : undefined,
  )?.path;
}

/** Where the last batch of a file of the write-ahead log begins: whether that one was acknowledged is known a moment later only. */
function lastBatchAt(content: Uint8Array): number {
  for (let at = content.length - 4; at >= 0; at--) {
    if (u32At(content, at) === BATCH_MAGIC) return at;
  }
  return 0;
}
