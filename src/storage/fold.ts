/**
 * Folds one generation of the journal into rows. The caller chooses the size of
 * each part, which one commit makes durable; `DenoKvStore` does that. The
 * generation may be dropped by the commit of the last part, or later.
 *
 * Only the newest write of a key is folded. A write that was overwritten since
 * the fold began is skipped, which is safe once the newer write is durable; so
 * the fold does not end before that. Rows are written in the order of their
 * keys, where neighbours share a page: 6 µs a row against 33 µs in random order
 * (40,000 into 100,000).
 *
 * @module
 */
import {
  bytesOfKey,
  bytesOfRecord,
  type PendingWrite,
} from "./pending_batch.ts";
import type { UnfoldedWrites } from "./unfolded_writes.ts";

/** The space that a part may use in a commit. */
export interface FoldBudget {
  readonly rows: number;
  readonly bytes: number;
  /** Bytes of keys, every byte counted twice as if it were zero. */
  readonly keyBytes: number;
}

/** A fold under way. */
export class Fold {
  readonly #table: UnfoldedWrites;
  /**
   * By partition, descending. Each is sorted when it is reached, since sorting
   * all at once would block the thread.
   */
  readonly #lists: PendingWrite[][] = [];
  #current: PendingWrite[] = [];
  #at = 0;
  #left = 0;
  /** The batch that must be durable before the fold is over. */
  #endsWith = 0;

  /**
   * Begins to fold what is in `table`.
   *
   * @param lastBatch Number of the last batch of the generation.
   */
  constructor(table: UnfoldedWrites, lastBatch: number) {
    this.#table = table;
    table.forgetOrders();
    for (const partition of [...table.partitions()].sort((a, b) => b - a)) {
      const list: PendingWrite[] = [];
      for (const write of table.all(partition)) {
        if (write.batch <= lastBatch) list.push(write);
        // The write that it hides must survive a crash until it is durable
        // itself.
        else if (write.hides && write.batch > this.#endsWith) {
          this.#endsWith = write.batch;
        }
      }
      this.#left += list.length;
      if (list.length > 0) this.#lists.push(list);
    }
  }

  /** How many writes are left to check. */
  get left(): number {
    return this.#left;
  }

  /** The next part, in the order of keys; empty only if nothing is left or nothing fits. */
  next(budget: FoldBudget): PendingWrite[] {
    const part: PendingWrite[] = [];
    let { bytes, keyBytes } = budget;
    while (part.length < budget.rows) {
      const write = this.#current[this.#at];
      if (write === undefined) {
        const list = this.#lists.pop();
        if (list === undefined) break;
        this.#current = list.sort(byKeyText);
        this.#at = 0;
        continue;
      }
      const newest = this.#table.get(write.partition, write.keyText);
      if (newest === write) {
        const keyCost = bytesOfKey(write) * 2 + 8;
        keyBytes -= keyCost;
        bytes -= keyCost + bytesOfRecord(write);
        if (keyBytes < 0 || bytes < 0) break;
        part.push(write);
      } else if (newest !== undefined && newest.batch > this.#endsWith) {
        this.#endsWith = newest.batch;
      }
      this.#at++;
      this.#left--;
    }
    return part;
  }

  /** Whether it only waits for a newer batch to become durable. */
  get waits(): boolean {
    return this.#left === 0;
  }

  /** Whether the generation may be dropped by a commit with batch `batch`, or after it. */
  isOver(batch: number): boolean {
    return this.#left === 0 && batch >= this.#endsWith;
  }
}

function byKeyText(a: PendingWrite, b: PendingWrite): number {
  return a.keyText < b.keyText ? -1 : a.keyText > b.keyText ? 1 : 0;
}
