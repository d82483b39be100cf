/**
 * The keys of a table as they were at one moment, visited while the table
 * changes: in the order of their records, and a record that is about to change
 * before its turn is visited right then. So nothing has to be copied, and each
 * key is visited once, as it was.
 *
 * @module
 */

/** The table, as it is now. */
export interface ViewedTable {
  readonly size: number;
  readonly recordEnd: number;
  has(record: number): boolean;
}

/** What is visited; see the module comment. */
export class KeyTableView {
  /** Keys that there were. */
  readonly size: number;
  readonly #table: ViewedTable;
  readonly #visit: (record: number) => void;
  readonly #end: number;
  /** Records before this one have had their turn. */
  #next = 0;
  /** A bit for each of the others that has been visited, or was free. */
  readonly #passed: Uint8Array;

  /** @param visit Told of each record once; what `table` says of it is as it was. */
  constructor(table: ViewedTable, visit: (record: number) => void) {
    this.#table = table;
    this.#visit = visit;
    this.size = table.size;
    this.#end = table.recordEnd;
    this.#passed = new Uint8Array(Math.ceil(this.#end / 8));
  }

  /** Lets the next record have its turn; false if all have had it. */
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
