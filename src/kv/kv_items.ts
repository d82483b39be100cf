/**
 * The objects of a partition in the order of their keys, as a handoff visits
 * them: some hundreds are read at a time, so that one costs a promise that is
 * there already, and not a turn of each generator between it and the disk.
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

/** A visit of all objects; see the module's text. */
export class KvItems implements AsyncIterableIterator<HandoffItem> {
  readonly #steps: RowSteps;
  #page: HandoffItem[] = [];
  #at = 0;
  #isOver = false;

  /** @param onCorrupt Called for each object that is damaged, which is left out. */
  constructor(storage: PartitionStore, onCorrupt: () => void) {
    // Copies, as others write before the last of a page is asked for.
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
