/**
 * The keys of one store with what is known of each, for millions of them: a
 * hash table over typed arrays. A `Map` of objects would cost some 150 bytes of
 * heap a key, all of which the garbage collector visits again and again; this
 * costs about 40 bytes besides the key, and the collector sees a few arrays.
 *
 *     slots    hash of a key ──► record + 1, or 0; linear probing, and what
 *              follows a removed one moves up (Knuth, vol. 3, 6.4, algorithm R)
 *     records  index of the entry · hash of the value · expiry · version · key
 *     keys     the bytes of all keys, one after another
 *
 * A record keeps its number until its key is removed.
 *
 * @module
 */

import { KeyTableView } from "./key_table_view.ts";

const RECORDS_MIN = 8;
/** Keys' bytes that may be dead before they are cleared away, if they are also half of all. */
const DEAD_BYTES_MIN = 64 * 1024;

/** What of a record is beside its numbers. */
export const RecordFlag = {
  /** Its entry is a batch, in which other keys may live as well. */
  batch: 1,
} as const;

/** Keys by their bytes; see the module's text. */
export class KeyTable {
  readonly #seed: number;
  #slots: Uint32Array<ArrayBuffer> = new Uint32Array(RECORDS_MIN * 2);
  #indexes: Float64Array<ArrayBuffer> = new Float64Array(RECORDS_MIN);
  #valueHashes: Uint32Array<ArrayBuffer> = new Uint32Array(RECORDS_MIN);
  #flags: Uint8Array<ArrayBuffer> = new Uint8Array(RECORDS_MIN);
  /** Made when the first key is to expire. */
  #expiries: Float64Array<ArrayBuffer> | undefined;
  /** Made when the first key comes from another group. */
  #versions: Float64Array<ArrayBuffer> | undefined;
  #keyHashes: Uint32Array<ArrayBuffer> = new Uint32Array(RECORDS_MIN);
  #keyStarts: Uint32Array<ArrayBuffer> = new Uint32Array(RECORDS_MIN);
  /** 0 for a record that is free: no key is empty. */
  #keyLengths: Uint16Array<ArrayBuffer> = new Uint16Array(RECORDS_MIN);
  #keys: Uint8Array<ArrayBuffer> = new Uint8Array(RECORDS_MIN * 16);
  #keysUsed = 0;
  #keysDead = 0;
  /** Records that were ever used are below. */
  #high = 0;
  #free: number[] = [];
  #size = 0;
  readonly #views = new Set<KeyTableView>();

  /** @param seed Goes into the hashes of keys, so that nobody can choose keys that collide. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Keys that are there. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of the keys that are there. */
  get keyBytes(): number {
    return this.#keysUsed - this.#keysDead;
  }

  /** Every record that holds a key is below. */
  get recordEnd(): number {
    return this.#high;
  }

  /** Whether `record` holds a key. */
  has(record: number): boolean {
    return this.#keyLengths[record] !== 0;
  }

  /** Record of the key `bytes[start, end)`, or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const hash = this.#hash(bytes, start, end);
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = hash & mask;; slot = (slot + 1) & mask) {
      const record = (slots[slot] as number) - 1;
      if (
        record < 0 ||
        this.#keyHashes[record] === hash &&
          this.#isKey(record, bytes, start, end)
      ) return record;
    }
  }

  /** Record of that key, which is put in if it is not there. */
  findOrAdd(bytes: Uint8Array, start: number, end: number): number {
    const hash = this.#hash(bytes, start, end);
    let slot = hash & (this.#slots.length - 1);
    for (;;) {
      const record = (this.#slots[slot] as number) - 1;
      if (record < 0) break;
      if (
        this.#keyHashes[record] === hash &&
        this.#isKey(record, bytes, start, end)
      ) return record;
      slot = (slot + 1) & (this.#slots.length - 1);
    }
    const record = this.#free.pop() ?? this.#nextRecord();
    this.#beforeChange(record);
    this.#keyHashes[record] = hash;
    this.#storeKey(record, bytes, start, end);
    this.#size++;
    if (this.#size * 2 > this.#slots.length) {
      this.#rehash(this.#slots.length * 2);
    } else this.#slots[slot] = record + 1;
    return record;
  }

  /** Makes room for `count` keys of `keyBytes` in all, so that none of them has to be moved until there are more. */
  reserve(count: number, keyBytes: number): void {
    if (count > this.#indexes.length) this.#setCapacity(count);
    if (keyBytes > this.#keys.length) {
      this.#keys = grown(Uint8Array, this.#keys, keyBytes);
    }
    let slots = this.#slots.length;
    while (count * 2 > slots) slots *= 2;
    if (slots > this.#slots.length) this.#rehash(slots);
  }

  /** Takes the key of `record` out. */
  remove(record: number): void {
    this.#beforeChange(record);
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = (this.#keyHashes[record] as number) & mask;
    while (slots[hole] !== record + 1) hole = (hole + 1) & mask;
    for (let slot = (hole + 1) & mask; slots[slot] !== 0;) {
      const home = (this.#keyHashes[(slots[slot] as number) - 1] as number) &
        mask;
      // It may move up unless its own home lies behind the hole.
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        slots[hole] = slots[slot] as number;
        hole = slot;
      }
      slot = (slot + 1) & mask;
    }
    slots[hole] = 0;
    this.#keysDead += this.#keyLengths[record] as number;
    this.#keyLengths[record] = 0;
    this.#indexes[record] = 0;
    this.#flags[record] = 0;
    if (this.#expiries !== undefined) this.#expiries[record] = 0;
    if (this.#versions !== undefined) this.#versions[record] = 0;
    this.#free.push(record);
    this.#size--;
    if (
      this.#keysDead > DEAD_BYTES_MIN && this.#keysDead * 2 > this.#keysUsed
    ) this.#clearKeys();
  }

  /** Index of the entry that holds the value. */
  indexOf(record: number): number {
    return this.#indexes[record] as number;
  }

  /** Hash of the value. */
  valueHashOf(record: number): number {
    return this.#valueHashes[record] as number;
  }

  /** {@linkcode RecordFlag} bits. */
  flagsOf(record: number): number {
    return this.#flags[record] as number;
  }

  /** When it expires, in milliseconds since 1970; 0 for never. */
  expiryOf(record: number): number {
    return this.#expiries === undefined ? 0 : this.#expiries[record] as number;
  }

  /** Version of the value where it is not that of its entry, as it came from another group; 0 if it is. */
  versionOf(record: number): number {
    return this.#versions === undefined ? 0 : this.#versions[record] as number;
  }

  /** Says what is known of the key of `record` from now on. */
  set(
    record: number,
    index: number,
    valueHash: number,
    flags: number,
    expiresAtMs: number,
    version = 0,
  ): void {
    this.#beforeChange(record);
    this.#indexes[record] = index;
    this.#valueHashes[record] = valueHash;
    this.#flags[record] = flags;
    if (expiresAtMs !== 0) {
      this.#expiries ??= new Float64Array(this.#indexes.length);
    }
    if (this.#expiries !== undefined) this.#expiries[record] = expiresAtMs;
    if (version !== 0) {
      this.#versions ??= new Float64Array(this.#indexes.length);
    }
    if (this.#versions !== undefined) this.#versions[record] = version;
  }

  /** The key of `record`, as a view that is valid until the table changes. */
  keyOf(record: number): Uint8Array<ArrayBuffer> {
    const start = this.#keyStarts[record] as number;
    return this.#keys.subarray(
      start,
      start + (this.#keyLengths[record] as number),
    );
  }

  /** The keys as they are now, for whoever visits them while this changes. It costs each first change of a key a call of `visit`, until it is {@linkcode KeyTable.release}d. */
  view(visit: (record: number) => void): KeyTableView {
    const view = new KeyTableView(this, visit);
    this.#views.add(view);
    return view;
  }

  /** `view` is not visited any further. */
  release(view: KeyTableView): void {
    this.#views.delete(view);
  }

  #beforeChange(record: number): void {
    if (this.#views.size === 0) return;
    for (const view of this.#views) view.beforeChange(record);
  }

  /** Memory it takes, in bytes. */
  get byteCount(): number {
    return this.#slots.byteLength + this.#keys.byteLength +
      (this.#expiries?.byteLength ?? 0) + (this.#versions?.byteLength ?? 0) +
      this.#indexes.length * 23;
  }

  #hash(bytes: Uint8Array, start: number, end: number): number {
    // FNV-1a, then the finish of MurmurHash3, as the lowest bits choose the slot.
    let hash = 0x811c_9dc5 ^ this.#seed;
    for (let at = start; at < end; at++) {
      hash = Math.imul(hash ^ (bytes[at] as number), 0x0100_0193);
    }
    hash = Math.imul(hash ^ hash >>> 16, 0x85eb_ca6b);
    hash = Math.imul(hash ^ hash >>> 13, 0xc2b2_ae35);
    return (hash ^ hash >>> 16) >>> 0;
  }

  #isKey(
    record: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): boolean {
    if (this.#keyLengths[record] !== end - start) return false;
    const keys = this.#keys;
    let at = this.#keyStarts[record] as number;
    for (let from = start; from < end; from++) {
      if (keys[at++] !== bytes[from]) return false;
    }
    return true;
  }

  #nextRecord(): number {
    if (this.#high === this.#indexes.length) this.#setCapacity(this.#high * 2);
    return this.#high++;
  }

  #setCapacity(capacity: number): void {
    this.#indexes = grown(Float64Array, this.#indexes, capacity);
    this.#valueHashes = grown(Uint32Array, this.#valueHashes, capacity);
    this.#flags = grown(Uint8Array, this.#flags, capacity);
    if (this.#expiries !== undefined) {
      this.#expiries = grown(Float64Array, this.#expiries, capacity);
    }
    if (this.#versions !== undefined) {
      this.#versions = grown(Float64Array, this.#versions, capacity);
    }
    this.#keyHashes = grown(Uint32Array, this.#keyHashes, capacity);
    this.#keyStarts = grown(Uint32Array, this.#keyStarts, capacity);
    this.#keyLengths = grown(Uint16Array, this.#keyLengths, capacity);
  }

  #storeKey(
    record: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const length = end - start;
    if (this.#keysUsed + length > this.#keys.length) {
      let capacity = this.#keys.length * 2;
      while (capacity < this.#keysUsed + length) capacity *= 2;
      this.#keys = grown(Uint8Array, this.#keys, capacity);
    }
    const at = this.#keysUsed;
    for (let i = 0; i < length; i++) {
      this.#keys[at + i] = bytes[start + i] as number;
    }
    this.#keyStarts[record] = at;
    this.#keyLengths[record] = length;
    this.#keysUsed += length;
  }

  #rehash(capacity: number): void {
    const slots = this.#slots = new Uint32Array(capacity);
    const mask = capacity - 1;
    for (let record = 0; record < this.#high; record++) {
      if (this.#keyLengths[record] === 0) continue;
      let slot = (this.#keyHashes[record] as number) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = record + 1;
    }
  }

  /** Moves the keys that are left together. */
  #clearKeys(): void {
    const live = this.keyBytes;
    let capacity = RECORDS_MIN * 16;
    while (capacity < live * 1.5) capacity *= 2;
    const keys = new Uint8Array(capacity);
    let used = 0;
    for (let record = 0; record < this.#high; record++) {
      const length = this.#keyLengths[record] as number;
      if (length === 0) continue;
      const start = this.#keyStarts[record] as number;
      keys.set(this.#keys.subarray(start, start + length), used);
      this.#keyStarts[record] = used;
      used += length;
    }
    this.#keys = keys;
    this.#keysUsed = used;
    this.#keysDead = 0;
  }
}

type NumberArray = Uint8Array | Uint16Array | Uint32Array | Float64Array;

/** `array` with room for more. */
function grown<A extends NumberArray>(
  Kind: new (length: number) => A,
  array: NumberArray,
  capacity: number,
): A {
  const larger = new Kind(capacity);
  larger.set(array);
  return larger;
}
