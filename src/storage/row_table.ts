/**
 * The rows of one partition in memory, found by key and visited in key order. A
 * row has a number; its key and its value lie next to each other in a slab:
 *
 *     key as text ──► number ──► place: u16 key bytes · key · value
 *     order: numbers by key  ──►   the same
 *
 * So a scan reads memory in place: it creates no text and no view, and does no
 * look-up per row.
 *
 * The order is built by the first scan, and updated when a scan begins, by
 * merging in the rows added since (`row_order.ts`): incrementally for callers
 * that can wait, or at once. A complete order never changes, so that scans
 * under way can continue with it. The number of a removed row is reused only
 * after an order without it has been built, which begins a new _edition_: a
 * scan that meets one looks up its position.
 *
 * @module
 */
import { compareRanges } from "../base/byte_order.ts";
import { bytesToText } from "../base/byte_text.ts";
import type { RowView, ScanRange } from "../environment/storage.ts";
import { type KnownRows, OrderMaking } from "./row_order.ts";
import { SlabHeap } from "./slab_heap.ts";

/** The place of a row that was removed. */
const NOWHERE = -1;
const KEY_LENGTH_BYTES = 2;
/** Removed rows, beyond the number of rows left, after which their numbers are reused. */
const REMOVED_ROWS_MIN = 64;
/** Rows that are sorted at once: a millisecond's work, or less than the check for time costs. */
const ROWS_AT_ONCE = 512;
const NOTHING = new Uint8Array(0);

/** The order under construction, and the numbers that are not in it. */
interface Making {
  readonly order: OrderMaking;
  readonly removed: readonly number[];
}

/** See the module comment. */
export class RowTable implements KnownRows {
  readonly #rowsAtOnce: number;
  #numbers = new Map<string, number>();
  /** Places by number. */
  #places: number[] = [];
  #heap = new SlabHeap<number>();
  /** Numbers by key, as of when it was built; none before the first scan. */
  #order: Uint32Array | undefined;
  #making: Making | undefined;
  #edition = 0;
  /** Numbers given since the order was built, or since the one under construction has taken all keys. */
  #fresh: number[] = [];
  /** Numbers of rows removed since the order was built, or since the one under construction was begun. */
  #removed: number[] = [];
  /** Numbers that may be reused. */
  #free: number[] = [];

  /** @param rowsAtOnce How many rows may be sorted without a check of the time. */
  constructor(rowsAtOnce: number = ROWS_AT_ONCE) {
    this.#rowsAtOnce = rowsAtOnce;
  }

  /** How many rows there are. */
  get size(): number {
    return this.#numbers.size;
  }

  /** Memory of keys and values, in bytes, used or not. */
  get bytes(): number {
    return this.#heap.bytes;
  }

  /** Increases when numbers are reused for other rows. */
  get edition(): number {
    return this.#edition;
  }

  /** The value of `key`, as a view. */
  get(key: Uint8Array): Uint8Array | undefined {
    const number = this.#numbers.get(bytesToText(key));
    if (number === undefined) return undefined;
    const place = this.#places[number] as number;
    const memory = this.#heap.memory(place);
    const start = this.#heap.start(place);
    return memory.subarray(
      keyEndAt(memory, start),
      start + this.#heap.length(place),
    );
  }

  /** Writes a row, copying both. */
  set(key: Uint8Array, value: Uint8Array): void {
    const text = bytesToText(key);
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#places.push(NOWHERE) - 1;
      this.#numbers.set(text, number);
      if (!this.#comesUp) this.#fresh.push(number);
    } else this.#heap.release(this.#places[number] as number);
    const heap = this.#heap;
    const place = heap.allot(
      KEY_LENGTH_BYTES + key.length + value.length,
      number,
    );
    this.#places[number] = place;
    const memory = heap.memory(place);
    const start = heap.start(place);
    memory[start] = key.length >> 8;
    memory[start + 1] = key.length;
    memory.set(key, start + KEY_LENGTH_BYTES);
    memory.set(value, start + KEY_LENGTH_BYTES + key.length);
  }

  /** Whether a row that is added now will be sorted with all others. */
  get #comesUp(): boolean {
    if (this.#order !== undefined) return false;
    return this.#making === undefined || this.#making.order.taking;
  }

  /** Removes a row, if it exists. */
  delete(key: Uint8Array): void {
    const text = bytesToText(key);
    const number = this.#numbers.get(text);
    if (number === undefined) return;
    this.#numbers.delete(text);
    this.#remove(number);
  }

  #remove(number: number): void {
    this.#heap.release(this.#places[number] as number);
    this.#places[number] = NOWHERE;
    if (this.#order === undefined && this.#making === undefined) {
      this.#free.push(number);
      return;
    }
    this.#removed.push(number);
    if (this.#removed.length > this.size + REMOVED_ROWS_MIN) this.#advance();
  }

  /** Removes the rows of a range. */
  deleteRange(range: Pick<ScanRange, "start" | "end">): void {
    if (range.start === undefined && range.end === undefined) {
      this.#numbers = new Map();
      this.#places = [];
      this.#heap = new SlabHeap();
      this.#order = undefined;
      this.#making = undefined;
      this.#edition++;
      this.#fresh = [];
      this.#removed = [];
      this.#free = [];
      return;
    }
    const pass = new RowPass(this, range);
    while (pass.step()) {
      this.delete(pass.keyBytes.subarray(pass.keyStart, pass.keyEnd));
    }
  }

  /** Compacts: moves the contents of slabs that are mostly garbage, and releases those. */
  moveFromSparseSlabs(): void {
    for (;;) {
      const sparse = this.#heap.takeSparse();
      if (sparse === undefined) return;
      for (const number of sparse.owners) {
        const place = this.#places[number] as number;
        if (place === NOWHERE || !this.#heap.isIn(place, sparse.index)) {
          continue;
        }
        this.#places[number] = this.#heap.move(place, number);
      }
      this.#heap.drop(sparse.index);
    }
  }

  /**
   * Performs a step of the sorting that a scan needs; true once a scan can
   * begin without a long sort.
   */
  putInOrder(): boolean {
    if (this.#making === undefined) {
      const { length } = this.#fresh;
      const unordered = this.#order === undefined ? this.size : length;
      if (unordered <= this.#rowsAtOnce) return true;
    }
    this.#advance();
    return false;
  }

  /** The numbers of all rows in key order. Numbers of removed rows may be among them, now or later. */
  inOrder(): Uint32Array {
    while (
      this.#order === undefined || this.#making !== undefined ||
      this.#fresh.length > 0
    ) this.#advance();
    return this.#order;
  }

  /** The newest order, with which scans of an older one can continue. */
  get order(): Uint32Array {
    return this.#order ?? this.inOrder();
  }

  /** Continues the next order, or begins it. */
  #advance(): void {
    const making = this.#making ??= this.#beginOrder();
    if (!making.order.step()) return;
    this.#making = undefined;
    this.#order = making.order.order;
    if (making.removed.length > 0) this.#edition++;
    for (const number of making.removed) this.#free.push(number);
  }

  #beginOrder(): Making {
    const before = this.#order;
    if (before === undefined) {
      // Rows added while keys are taken are among them, as map iterators work.
      const keys = this.#numbers.keys();
      return { order: this.#makingOf(keys), removed: [] };
    }
    const removed = this.#removed;
    const kept = removed.length === 0
      ? before
      : before.filter((number) => this.isThere(number));
    const keys = this.#keysOf(this.#fresh);
    this.#fresh = [];
    this.#removed = [];
    return { order: this.#makingOf(keys, kept), removed };
  }

  #makingOf(keys: Iterator<string>, before?: Uint32Array): OrderMaking {
    return new OrderMaking(this, keys, before, 4 * this.#rowsAtOnce);
  }

  *#keysOf(numbers: readonly number[]): Generator<string> {
    for (const number of numbers) {
      const place = this.#places[number] as number;
      if (place === NOWHERE) continue;
      const memory = this.#heap.memory(place);
      const start = this.#heap.start(place);
      yield bytesToText(memory, keyStartAt(start), keyEndAt(memory, start));
    }
  }

  /** The number of the row with this key, which exists. */
  numberOf(key: string): number {
    return this.#numbers.get(key) as number;
  }

  /** Whether the row numbered `number` has not been removed. */
  isThere(number: number): boolean {
    return this.#places[number] !== NOWHERE;
  }

  /** The index in `order`, from `low` on, of the first row that does not sort before row `number`. */
  placeOf(order: Uint32Array, number: number, low: number): number {
    const place = this.#places[number] as number;
    const memory = this.#heap.memory(place);
    const start = this.#heap.start(place);
    return this.lowerBound(
      order,
      memory,
      keyStartAt(start),
      keyEndAt(memory, start),
      low,
    );
  }

  /** Compares the key of row `number` with `key[from, to)`. */
  #compareWith(
    number: number,
    key: Uint8Array,
    from: number,
    to: number,
  ): number {
    const place = this.#places[number] as number;
    const memory = this.#heap.memory(place);
    const start = this.#heap.start(place);
    return compareRanges(
      memory,
      keyStartAt(start),
      keyEndAt(memory, start),
      key,
      from,
      to,
    );
  }

  /** The index in `order`, from `low` on, of the first row whose key is `key[from, to)` or sorts after it. */
  lowerBound(
    order: Uint32Array,
    key: Uint8Array,
    from: number,
    to: number,
    low = 0,
  ): number {
    return this.#boundOf(order, key, from, to, low, 0);
  }

  /** The index in `order` of the first row whose key sorts after `key[from, to)`. */
  upperBound(
    order: Uint32Array,
    key: Uint8Array,
    from: number,
    to: number,
  ): number {
    return this.#boundOf(order, key, from, to, 0, 1);
  }

  /** The index of the first row whose comparison with the key yields `least` or more. */
  #boundOf(
    order: Uint32Array,
    key: Uint8Array,
    from: number,
    to: number,
    low: number,
    least: 0 | 1,
  ): number {
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      let there = middle;
      // The keys of removed rows are gone.
      while (there < high && this.#places[order[there] as number] === NOWHERE) {
        there++;
      }
      if (
        there < high &&
        this.#compareWith(order[there] as number, key, from, to) < least
      ) low = there + 1;
      else high = middle;
    }
    return low;
  }

  /** Passes row `number` to `pass`, if it exists. */
  show(number: number, pass: RowPass): boolean {
    const place = this.#places[number] as number;
    if (place === NOWHERE) return false;
    const memory = this.#heap.memory(place);
    const start = this.#heap.start(place);
    pass.keyBytes = memory;
    pass.valueBytes = memory;
    pass.keyStart = keyStartAt(start);
    pass.keyEnd = keyEndAt(memory, start);
    pass.valueStart = pass.keyEnd;
    pass.valueEnd = start + this.#heap.length(place);
    return true;
  }
}

function keyStartAt(start: number): number {
  return start + KEY_LENGTH_BYTES;
}

function keyEndAt(memory: Uint8Array, start: number): number {
  return start + KEY_LENGTH_BYTES +
    ((memory[start] as number) << 8 | (memory[start + 1] as number));
}

/** A cursor over the rows of a range, in order, forwards or backwards; it is the row it stands at. */
export class RowPass implements RowView {
  keyBytes: Uint8Array = NOTHING;
  keyStart = 0;
  keyEnd = 0;
  valueBytes: Uint8Array = NOTHING;
  valueStart = 0;
  valueEnd = 0;
  readonly #table: RowTable;
  readonly #range: ScanRange;
  #order: Uint32Array;
  #edition: number;
  /** What is left to visit of the order is `[#from, #to)`. */
  #from: number;
  #to: number;
  #left: number;

  /** Begins with the rows there are now. */
  constructor(table: RowTable, range: ScanRange) {
    this.#table = table;
    this.#range = range;
    this.#left = range.limit ?? Infinity;
    this.#order = table.inOrder();
    this.#edition = table.edition;
    this.#from = this.#boundOf(range.start, 0);
    this.#to = this.#boundOf(range.end, this.#order.length);
  }

  /** Moves to the next row; false if there is none. */
  step(): boolean {
    if (this.#left <= 0) return false;
    if (this.#edition !== this.#table.edition) this.#findBack();
    while (this.#from < this.#to) {
      const number = this.#range.reverse
        ? this.#order[--this.#to]
        : this.#order[this.#from++];
      if (!this.#table.show(number as number, this)) continue;
      this.#left--;
      return true;
    }
    return false;
  }

  #boundOf(key: Uint8Array | undefined, without: number): number {
    return key === undefined
      ? without
      : this.#table.lowerBound(this.#order, key, 0, key.length);
  }

  /** Moves to the same position in the order of another edition. */
  #findBack(): void {
    const { start, end, reverse = false } = this.#range;
    this.#order = this.#table.order;
    this.#edition = this.#table.edition;
    this.#from = this.#boundOf(start, 0);
    this.#to = this.#boundOf(end, this.#order.length);
    if (this.keyBytes === NOTHING) return;
    // The last row is intact: memory of a slab is never reused.
    const { keyBytes, keyStart, keyEnd } = this;
    if (reverse) {
      this.#to = this.#table.lowerBound(
        this.#order,
        keyBytes,
        keyStart,
        keyEnd,
      );
    } else {
      this.#from = this.#table.upperBound(
        this.#order,
        keyBytes,
        keyStart,
        keyEnd,
      );
    }
  }
}
