/**
 * The objects of a partition in key order, as a handoff visits them. Some
 * hundreds are read at a time: most steps then return a promise that is already
 * resolved and do not pass through every generator down to the disk.
 *
 * @module
 */
import { briefCopyOf } from "../base/byte_slab.ts";
import type {
  PartitionStore,
  RowSteps,
  RowView,
} from "../environment/storage.ts";
import type { HandoffItem } from "../vnode/vnode.ts";

/** A visit of all objects; see the module comment. */
export class KvItems implements AsyncIterableIterator<HandoffItem> {
  readonly #steps: RowSteps;
  #page: HandoffItem[] = [];
  #at = 0;
  #isOver = false;

  /** @param onCorrupt Called for each damaged object; it is skipped. */
  constructor(storage: PartitionStore, onCorrupt: () => void) {
    // Copies, since others may write before the last object of a page is
    // visited.
    const visit = (row: RowView): void => {
      this.#page.push({
        sortKey: briefCopyOf(row.keyBytes, row.keyStart, row.keyEnd),
        item: briefCopyOf(row.valueBytes, row.valueStart, row.valueEnd),
      });
    };
    this.#steps = storage.rows({ onCorrupt }, visit);
  }

  next(): Promise<IteratorResult<HandoffItem, undefined>> {
    const value = this.#page[this.#at++];
    return value === undefined
      ? this.#nextPage()
      : Promise.resolve({ done: false, value });
  }

  async #nextPage(): Promise<IteratorResult<HandoffItem, undefined>> {
    while (!this.#isOver) {
      this.#page = [];
      this.#isOver = !await this.#steps.next();
      this.#at = 1;
      const value = this.#page[0];
      if (value !== undefined) return { done: false, value };
    }
    return { done: true, value: undefined };
  }

  return(): Promise<IteratorResult<HandoffItem, undefined>> {
    this.#isOver = true;
    this.#page = [];
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
