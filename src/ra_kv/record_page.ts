/**
 * A few thousand records of a table of keys, as columns, with the bytes of
 * their keys stored contiguously. A page is the most that is ever moved at
 * once, when it grows or when half of its key bytes are dead.
 *
 * @module
 */

/** Records per page, a power of two. */
export const PAGE_RECORDS = 4_096;

/** Initial size of a table's first page: most tables are small. */
const RECORDS_MIN = 8;
/** Least space for the keys of a page, in bytes. */
const KEY_BYTES_MIN = 128;
/** A page is small, so growing is cheap, and little space is reserved ahead. */
const KEY_BYTES_GROWTH = 1.5;
/** Dead key bytes that are tolerated; beyond this they are removed once they are half of all. */
const DEAD_BYTES_MIN = 4 * 1024;
/** Bytes per record in the columns that always exist. */
const COLUMN_BYTES = 23;

/** A page of records, numbered from 0; see the module comment. */
export class RecordPage {
  indexes: Float64Array<ArrayBuffer>;
  valueHashes: Uint32Array<ArrayBuffer>;
  flags: Uint8Array<ArrayBuffer>;
  keyHashes: Uint32Array<ArrayBuffer>;
  /** 0 for a free record: no key is empty. */
  keyLengths: Uint16Array<ArrayBuffer>;
  keyStarts: Uint32Array<ArrayBuffer>;
  keys: Uint8Array<ArrayBuffer>;
  #expiries: Float64Array<ArrayBuffer> | undefined;
  #versions: Float64Array<ArrayBuffer> | undefined;
  #keysUsed = 0;
  #keysDead = 0;

  /**
   * @param before The previous page of the table, if any: the keys of this one
   * will be about as long.
   */
  constructor(before?: RecordPage) {
    const capacity = before === undefined ? RECORDS_MIN : PAGE_RECORDS;
    this.indexes = new Float64Array(capacity);
    this.valueHashes = new Uint32Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.keyHashes = new Uint32Array(capacity);
    this.keyLengths = new Uint16Array(capacity);
    this.keyStarts = new Uint32Array(capacity);
    const keyBytes = before === undefined ? 0 : before.#keysUsed;
    this.keys = new Uint8Array(Math.max(KEY_BYTES_MIN, keyBytes));
  }

  /** Memory used, in bytes. */
  get byteCount(): number {
    return this.indexes.length * COLUMN_BYTES + this.keys.length +
      (this.#expiries?.byteLength ?? 0) + (this.#versions?.byteLength ?? 0);
  }

  /** Makes room for the record `at`, which follows the last one. */
  makeRoom(at: number): void {
    const { length } = this.indexes;
    if (at < length) return;
    const capacity = length * 2;
    this.indexes = grown(Float64Array, this.indexes, capacity);
    this.valueHashes = grown(Uint32Array, this.valueHashes, capacity);
    this.flags = grown(Uint8Array, this.flags, capacity);
    this.keyHashes = grown(Uint32Array, this.keyHashes, capacity);
    this.keyLengths = grown(Uint16Array, this.keyLengths, capacity);
    this.keyStarts = grown(Uint32Array, this.keyStarts, capacity);
    if (this.#expiries !== undefined) {
      this.#expiries = grown(Float64Array, this.#expiries, capacity);
    }
    if (this.#versions !== undefined) {
      this.#versions = grown(Float64Array, this.#versions, capacity);
    }
  }

  /** When the record expires; 0 for never. */
  expiryOf(at: number): number {
    return this.#expiries === undefined ? 0 : this.#expiries[at] as number;
  }

  /** The column is created for the first key that expires. */
  setExpiry(at: number, expiresAtMs: number): void {
    if (this.#expiries === undefined) {
      if (expiresAtMs === 0) return;
      this.#expiries = new Float64Array(this.indexes.length);
    }
    this.#expiries[at] = expiresAtMs;
  }

  /** The version of the value; 0 for that of its entry. */
  versionOf(at: number): number {
    return this.#versions === undefined ? 0 : this.#versions[at] as number;
  }

  /** The column is created for the first key that came from another group. */
  setVersion(at: number, version: number): void {
    if (this.#versions === undefined) {
      if (version === 0) return;
      this.#versions = new Float64Array(this.indexes.length);
    }
    this.#versions[at] = version;
  }

  /** Whether the key of the record `at` is `bytes[start, end)`. */
  isKey(at: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (this.keyLengths[at] !== end - start) return false;
    const { keys } = this;
    let own = this.keyStarts[at] as number;
    for (let from = start; from < end; from++) {
      if (keys[own++] !== bytes[from]) return false;
    }
    return true;
  }

  /** The key of the record `at`, as a view that is valid until the page changes. */
  keyOf(at: number): Uint8Array<ArrayBuffer> {
    const start = this.keyStarts[at] as number;
    return this.keys.subarray(start, start + (this.keyLengths[at] as number));
  }

  /** Sets the key of the free record `at` to `bytes[start, end)`. */
  storeKey(at: number, bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    const used = this.#keysUsed;
    if (used + length > this.keys.length) {
      const capacity = Math.ceil(this.keys.length * KEY_BYTES_GROWTH);
      this.keys = grown(
        Uint8Array,
        this.keys,
        Math.max(capacity, used + length),
      );
    }
    const { keys } = this;
    for (let i = 0; i < length; i++) {
      keys[used + i] = bytes[start + i] as number;
    }
    this.keyStarts[at] = used;
    this.keyLengths[at] = length;
    this.#keysUsed = used + length;
  }

  /** Frees the record `at`. */
  free(at: number): void {
    this.#keysDead += this.keyLengths[at] as number;
    this.keyLengths[at] = 0;
    this.indexes[at] = 0;
    this.flags[at] = 0;
    this.setExpiry(at, 0);
    this.setVersion(at, 0);
    if (
      this.#keysDead > DEAD_BYTES_MIN && this.#keysDead * 2 > this.#keysUsed
    ) this.#clearKeys();
  }

  /** Moves the remaining keys together. */
  #clearKeys(): void {
    const live = this.#keysUsed - this.#keysDead;
    const keys = new Uint8Array(
      Math.max(KEY_BYTES_MIN, Math.ceil(live * KEY_BYTES_GROWTH)),
    );
    let used = 0;
    for (let at = 0; at < this.keyLengths.length; at++) {
      const length = this.keyLengths[at] as number;
      if (length === 0) continue;
      const start = this.keyStarts[at] as number;
      keys.set(this.keys.subarray(start, start + length), used);
      this.keyStarts[at] = used;
      used += length;
    }
    this.keys = keys;
    this.#keysUsed = used;
    this.#keysDead = 0;
  }
}

type NumberArray = Uint8Array | Uint16Array | Uint32Array | Float64Array;

/** `array`, copied to a larger one. */
function grown<A extends NumberArray>(
  Kind: new (length: number) => A,
  array: NumberArray,
  capacity: number,
): A {
  const larger = new Kind(capacity);
  larger.set(array);
  return larger;
}
