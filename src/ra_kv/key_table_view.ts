/**
 * The keys of a table as they were at one moment, visited while the table
 * changes. Records are visited in order, except that a record about to change
 * is visited first. So nothing has to be copied, and each key is visited once,
 * as it was.
 *
 * @module
 */

/** The table in its current state. */
export interface ViewedTable {
  readonly size: number;
  readonly recordEnd: number;
  has(record: number): boolean;
}

/** The keys of that moment; see the module comment. */
export class KeyTableView {
  /** Number of keys at that moment. */
  readonly size: number;
  readonly #table: ViewedTable;
  readonly #visit: (record: number) => void;
  readonly #end: number;
  /** Records below this one have been visited. */
  #next = 0;
  /** One bit per later record: set if it was visited early, or was free. */
  readonly #passed: Uint8Array;

  /** @param visit Called once for each record, while the table still holds its old state. */
  constructor(table: ViewedTable, visit: (record: number) => void) {
    this.#table = table;
    this.#visit = visit;
    this.size = table.size;
    this.#end = table.recordEnd;
    this.#passed = new Uint8Array(Math.ceil(this.#end / 8));
  }

  /** Visits the next record; false if there are no more. */
  advance(): boolean {
    if (this.#next === this.#end) return false;
    const record = this.#next++;
    const isPassed = (this.#passed[record >>> 3] as number) & 1 << (record & 7);
    if (!isPassed && this.#table.has(record)) this.#visit(record);
    return true;
  }

  /** `record` is about to change. */
  beforeChange(record: number): void {
    if (record < this.#next || record >= this.#end) return;
    const at = record >>> 3;
    const bit = 1 << (record & 7);
    const passed = this.#passed[at] as number;
    if (passed & bit) return;
    this.#passed[at] = passed | bit;
    if (this.#table.has(record)) this.#visit(record);
  }
}
