/**
 * The state of a cluster of `ra_kv`: what is known of its keys, and no values.
 *
 * @module
 */
import { ChangeLog } from "./change_log.ts";
import { ExpiryQueue } from "./expiry_queue.ts";
import { KeyTable } from "./key_table.ts";
import { FIRST_SUCCESSION, type Succession } from "./succession.ts";

/** What the members agree about. */
export interface RaKvState {
  /** Keys with the entries that hold their values. Some may have expired already: see `lookUp` of `ra_kv_machine.ts`. */
  readonly keys: KeyTable;
  /** How many keys live in each entry that is a batch. */
  readonly batches: Map<number, number>;
  readonly expiries: ExpiryQueue;
  /** Of this member alone. */
  readonly changes: ChangeLog;
  /** The latest time in the log; what expires up to there has expired. */
  timeMs: number;
  /** Index of the latest command. */
  lastIndex: number;
  /** Where its keys come from, and where they have gone. */
  succession: Succession;
}

/** One without keys, whose latest command has the index `floor`. `seed` goes into the hashes of keys. */
export function emptyState(seed: number, floor: number): RaKvState {
  const keys = new KeyTable(seed);
  return {
    keys,
    batches: new Map(),
    expiries: new ExpiryQueue(keys),
    changes: new ChangeLog(floor),
    timeMs: 0,
    lastIndex: floor,
    succession: FIRST_SUCCESSION,
  };
}
