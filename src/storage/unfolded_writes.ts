/**
 * The newest write of each key that is not in its row yet, by partition: writes
 * that are not committed, and writes that are committed only to the journal. It
 * takes precedence over the rows. A partition that is scanned gets a sorted
 * list of its keys, which is kept up to date until the next fold begins; other
 * partitions have none.
 *
 * @module
 */
import { lowerBound, mergeSorted } from "../base/byte_text.ts";
import { isRemoval, type PendingWrite } from "./pending_batch.ts";

class PartitionWrites {
  readonly writes = new Map<string, PendingWrite>();
  /** All keys ascending as of the last scan; may hold keys that are gone. */
  #sorted: string[] | undefined;
  /** Keys added since, in any order. */
  #fresh: string[] = [];

  set(write: PendingWrite): void {
    if (this.#sorted !== undefined && !this.writes.has(write.keyText)) {
      this.#fresh.push(write.keyText);
    }
    this.writes.set(write.keyText, write);
  }

  forgetOrder(): void {
    this.#sorted = undefined;
    this.#fresh = [];
  }

  inOrder(): readonly string[] {
    const { writes } = this;
    if (
      this.#sorted === undefined ||
      this.#sorted.length > 2 * writes.size + 64
    ) {
      this.#sorted = [...writes.keys()].sort();
      this.#fresh = [];
    } else if (this.#fresh.length > 0) {
      this.#sorted = mergeSorted(this.#sorted, this.#fresh.sort());
      this.#fresh = [];
    }
    return this.#sorted;
  }
}

/** The table of one store. */
export class UnfoldedWrites {
  readonly #partitions = new Map<number, PartitionWrites>();
  #size = 0;

  /** How many keys it holds. */
  get size(): number {
    return this.#size;
  }

  /** Numbers of the partitions of which it holds writes. */
  partitions(): IterableIterator<number> {
    return this.#partitions.keys();
  }

  /** Whether it holds a key of that partition that has a value. */
  holdsValues(partition: number): boolean {
    for (const write of this.all(partition)) {
      if (!isRemoval(write)) return true;
    }
    return false;
  }

  /** The newest write of that key, or `undefined` if its row counts. */
  get(partition: number, keyText: string): PendingWrite | undefined {
    return this.#partitions.get(partition)?.writes.get(keyText);
  }

  /**
   * Adds a write that is newer than the one it holds of the key, which it
   * returns.
   */
  set(write: PendingWrite): PendingWrite | undefined {
    let partition = this.#partitions.get(write.partition);
    if (partition === undefined) {
      partition = new PartitionWrites();
      this.#partitions.set(write.partition, partition);
    }
    const before = partition.writes.get(write.keyText);
    if (before === undefined) this.#size++;
    partition.set(write);
    return before;
  }

  /** Forgets a key: its row counts. */
  delete(partition: number, keyText: string): void {
    const known = this.#partitions.get(partition);
    if (known === undefined || !known.writes.delete(keyText)) return;
    this.#size--;
    if (known.writes.size === 0) this.#partitions.delete(partition);
  }

  /** Up to `limit` writes of keys from `start` up to, not including, `end`, in order. */
  range(
    partition: number,
    start: string,
    end: string,
    limit: number,
    reverse: boolean,
  ): PendingWrite[] {
    const found: PendingWrite[] = [];
    const known = this.#partitions.get(partition);
    if (known === undefined) return found;
    const keys = known.inOrder();
    const step = reverse ? -1 : 1;
    let at = reverse ? lowerBound(keys, end) - 1 : lowerBound(keys, start);
    for (; found.length < limit; at += step) {
      const key = keys[at];
      if (key === undefined || (reverse ? key < start : key >= end)) break;
      const write = known.writes.get(key);
      if (write !== undefined) found.push(write);
    }
    return found;
  }

  /**
   * All writes of a partition, in no order; later writes may or may not be
   * included.
   */
  all(partition: number): Iterable<PendingWrite> {
    return this.#partitions.get(partition)?.writes.values() ?? [];
  }

  /** Drops the sorted lists that scans have built. */
  forgetOrders(): void {
    for (const partition of this.#partitions.values()) partition.forgetOrder();
  }
}
