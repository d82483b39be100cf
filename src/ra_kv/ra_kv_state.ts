/**
 * The state of a cluster of `ra_kv`: metadata of its keys, but no values.
 *
 * @module
 */
import { ChangeLog } from "./change_log.ts";
import { ExpiryQueue } from "./expiry_queue.ts";
import { KeyTable } from "./key_table.ts";
import { FIRST_SUCCESSION, type Succession } from "./succession.ts";

/** The replicated state. */
export interface RaKvState {
  /**
   * Keys with the entries that hold their values. Some may have expired
   * already: see `lookUp` of `ra_kv_machine.ts`.
   */
  readonly keys: KeyTable;
  /** For each entry that is a batch, the number of keys whose values it holds. */
  readonly batches: Map<number, number>;
  readonly expiries: ExpiryQueue;
  /** This member's own; not replicated. */
  readonly changes: ChangeLog;
  /** The latest time in the log; keys whose expiry is not later have expired. */
  timeMs: number;
  /** Index of the latest command. */
  lastIndex: number;
  /** Which groups its keys come from, and which they moved to. */
  succession: Succession;
}

/**
 * A state without keys, whose latest command has the index `floor`. `seed` goes
 * into the hashes of keys.
 */
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
