/**
 * Reads the journal of a store that is being opened: every write that was
 * acknowledged and not folded, in order.
 *
 * @module
 */
import { bytesToText } from "../base/byte_text.ts";
import { partitionOf, recordKind } from "./deno_kv_codec.ts";
import type { DenoKvFile } from "./deno_kv_file.ts";
import type { Journal } from "./journal.ts";
import {
  journalKey,
  type JournalPlace,
  makeRottenRecord,
  readJournalRecord,
} from "./journal_codec.ts";
import type { KnownKeys } from "./known_keys.ts";
import { keyOf, type PendingWrite } from "./pending_batch.ts";
import type { UnfoldedWrites } from "./unfolded_writes.ts";

/** Records read at once: 10 of them may have 600 KB. */
const recordsAtOnce = 10;

/** Number of the batch of all writes of the generation that was being folded. */
export const foldingBatch = -1;
/** Number of the batch of all other writes that were found. */
export const replayedBatch = 0;

/** The state of the journal that was read. */
export interface Replayed {
  /**
   * Whether some keys have a damaged newest write; reading such a key reports
   * that once it is folded.
   */
  readonly rotten: boolean;
  /** Whether there were acknowledged writes whose keys are unreadable. */
  readonly incomplete: boolean;
}

/** Receives the writes that are found. */
export interface ReplayTargets {
  readonly table: UnfoldedWrites;
  readonly keys: KnownKeys;
  readonly journal: Journal;
}

/** Reads the journal of `file` into the table. */
export async function replayJournal(
  file: DenoKvFile,
  targets: ReplayTargets,
): Promise<Replayed> {
  const { generation, folding, records } = file.journal;
  const old = await readGeneration(
    file,
    generation,
    folding,
    foldingBatch,
    targets,
  );
  const current = await readGeneration(
    file,
    folding > 0 ? generation + 1 : generation,
    records,
    replayedBatch,
    targets,
  );
  return {
    rotten: old.rotten || current.rotten,
    incomplete: old.incomplete || current.incomplete,
  };
}

async function readGeneration(
  file: DenoKvFile,
  generation: number,
  records: number,
  batch: number,
  targets: ReplayTargets,
): Promise<Replayed> {
  let rotten = false;
  let incomplete = false;
  for (let from = 0; from < records; from += recordsAtOnce) {
    const places: JournalPlace[] = [];
    for (let i = from; i < Math.min(records, from + recordsAtOnce); i++) {
      places.push({ generation, index: i });
    }
    const found = await file.getMany(places.map(journalKey));
    for (const [i, place] of places.entries()) {
      const reading = readJournalRecord(found[i], place);
      const slab = found[i] as Uint8Array;
      incomplete ||= reading.incomplete;
      let bytes = 0;
      for (const { keyAt, recordAt, end, keyHash, sound } of reading.entries) {
        bytes += end - keyAt;
        targets.keys.add(keyHash);
        const write: PendingWrite = {
          partition: partitionOf(slab.subarray(keyAt, recordAt)),
          keyText: bytesToText(slab, keyAt, recordAt),
          slab,
          keyAt,
          recordAt,
          end,
          row: null,
          batch,
          hides: false,
          superseded: false,
        };
        if (!sound) {
          rotten = true;
          targets.table.set(rot(write, keyHash));
        } else if (slab[recordAt + 4] === recordKind.inRow) {
          targets.table.delete(write.partition, write.keyText);
        } else targets.table.set(write);
      }
      // The previous generation is about to be dropped, and was bounded when it
      // was written.
      if (batch === replayedBatch) {
        targets.journal.note(0, bytes, reading.entries.length);
      }
    }
  }
  return { rotten, incomplete };
}

/**
 * The write with a record in its place that fails every check, in memory and in
 * its row.
 */
function rot(write: PendingWrite, keyHash: number): PendingWrite {
  const key = keyOf(write);
  const record = makeRottenRecord(keyHash);
  const slab = new Uint8Array(key.length + record.length);
  slab.set(key);
  slab.set(record, key.length);
  return {
    ...write,
    slab,
    keyAt: 0,
    recordAt: key.length,
    end: slab.length,
  };
}
