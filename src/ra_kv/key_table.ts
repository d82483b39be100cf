/**
 * The keys of one store and the metadata of each, for millions of them: a hash
 * table over typed arrays. A `Map` of objects would cost about 150 bytes of
 * heap per key, all of which the garbage collector visits again and again. This
 * costs about 40 bytes besides the key, and the collector sees a few arrays.
 *
 *     slots    hash of a key ──► record (`key_slots.ts`)
 *     pages    of records: index of the entry · hash of the value · expiry ·
 *              version · key (`record_page.ts`)
 *
 * A record keeps its number until its key is removed. However many keys there
 * are, no change takes longer than splitting a segment of slots or moving a
 * page, since it blocks everything else on the node.
 *
 * @module
 */
import { KeySlots } from "./key_slots.ts";
import { KeyTableView } from "./key_table_view.ts";
import { PAGE_RECORDS, RecordPage } from "./record_page.ts";

const PAGE_SHIFT = Math.log2(PAGE_RECORDS);
const IN_PAGE = PAGE_RECORDS - 1;

/** Flags of a record. */
export const RecordFlag = {
  /** Its entry is a batch, which may hold values of other keys too. */
  batch: 1,
} as const;

/** Keys by their bytes; see the module comment. */
export class KeyTable {
  readonly #seed: number;
  readonly #pages: RecordPage[] = [new RecordPage()];
  readonly #slots = new KeySlots((record) =>
    this.#pageOf(record).keyHashes[record & IN_PAGE] as number
  );
  #keyBytes = 0;
  /** All records that were ever used are below this. */
  #high = 0;
  #free: number[] = [];
  #size = 0;
  readonly #views = new Set<KeyTableView>();

  /** @param seed Goes into the hashes of keys, so that nobody can choose keys that collide. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Number of keys. */
  get size(): number {
    return this.#size;
  }

  /** Total bytes of all keys. */
  get keyBytes(): number {
    return this.#keyBytes;
  }

  /** All records that hold a key are below this. */
  get recordEnd(): number {
    return this.#high;
  }

  #pageOf(record: number): RecordPage {
    return this.#pages[record >>> PAGE_SHIFT] as RecordPage;
  }

  /** Whether `record` holds a key. */
  has(record: number): boolean {
    return this.#pageOf(record).keyLengths[record & IN_PAGE] !== 0;
  }

  /** Record of the key `bytes[start, end)`, or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    return this.#find(this.#hash(bytes, start, end), bytes, start, end);
  }

  #find(
    hash: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): number {
    const slots = this.#slots.slotsOf(hash);
    const mask = slots.length - 1;
    for (let slot = hash & mask;; slot = (slot + 1) & mask) {
      const record = (slots[slot] as number) - 1;
      if (record < 0) return -1;
      const page = this.#pageOf(record);
      const at = record & IN_PAGE;
      if (
        page.keyHashes[at] === hash && page.isKey(at, bytes, start, end)
      ) return record;
    }
  }

  /** Record of that key, which is added if missing. */
  findOrAdd(bytes: Uint8Array, start: number, end: number): number {
    const hash = this.#hash(bytes, start, end);
    const found = this.#find(hash, bytes, start, end);
    if (found >= 0) return found;
    const record = this.#free.pop() ?? this.#nextRecord();
    this.#beforeChange(record);
    const page = this.#pageOf(record);
    const at = record & IN_PAGE;
    page.keyHashes[at] = hash;
    page.storeKey(at, bytes, start, end);
    this.#slots.add(hash, record);
    this.#keyBytes += end - start;
    this.#size++;
    return record;
  }

  /** Removes the key of `record`. */
  remove(record: number): void {
    this.#beforeChange(record);
    const page = this.#pageOf(record);
    const at = record & IN_PAGE;
    this.#slots.remove(page.keyHashes[at] as number, record);
    this.#keyBytes -= page.keyLengths[at] as number;
    page.free(at);
    this.#free.push(record);
    this.#size--;
  }

  /** Index of the entry that holds the value. */
  indexOf(record: number): number {
    return this.#pageOf(record).indexes[record & IN_PAGE] as number;
  }

  /** Hash of the value. */
  valueHashOf(record: number): number {
    return this.#pageOf(record).valueHashes[record & IN_PAGE] as number;
  }

  /** {@linkcode RecordFlag} bits. */
  flagsOf(record: number): number {
    return this.#pageOf(record).flags[record & IN_PAGE] as number;
  }

  /** When it expires, in milliseconds since 1970; 0 for never. */
  expiryOf(record: number): number {
    return this.#pageOf(record).expiryOf(record & IN_PAGE);
  }

  /** Version of a value that came from another group; 0 if the version is that of its entry. */
  versionOf(record: number): number {
    return this.#pageOf(record).versionOf(record & IN_PAGE);
  }

  /** Sets the metadata of `record`. */
  set(
    record: number,
    index: number,
    valueHash: number,
    flags: number,
    expiresAtMs: number,
    version = 0,
  ): void {
    this.#beforeChange(record);
    const page = this.#pageOf(record);
    const at = record & IN_PAGE;
    page.indexes[at] = index;
    page.valueHashes[at] = valueHash;
    page.flags[at] = flags;
    page.setExpiry(at, expiresAtMs);
    page.setVersion(at, version);
  }

  /** The key of `record`, as a view that is valid until the table changes. */
  keyOf(record: number): Uint8Array<ArrayBuffer> {
    return this.#pageOf(record).keyOf(record & IN_PAGE);
  }

  /**
   * A view of the keys as they are now, which can be visited while the table
   * changes. Until it is {@linkcode KeyTable.release}d, the first change of
   * each key calls `visit`.
   */
  view(visit: (record: number) => void): KeyTableView {
    const view = new KeyTableView(this, visit);
    this.#views.add(view);
    return view;
  }

  /** Ends `view`: it is not visited any further. */
  release(view: KeyTableView): void {
    this.#views.delete(view);
  }

  #beforeChange(record: number): void {
    if (this.#views.size === 0) return;
    for (const view of this.#views) view.beforeChange(record);
  }

  /** Memory used, in bytes. */
  get byteCount(): number {
    let bytes = this.#slots.byteCount;
    for (const page of this.#pages) bytes += page.byteCount;
    return bytes;
  }

  #hash(bytes: Uint8Array, start: number, end: number): number {
    // FNV-1a, then the finalizer of MurmurHash3, because the lowest bits choose
    // the slot.
    let hash = 0x811c_9dc5 ^ this.#seed;
    for (let at = start; at < end; at++) {
      hash = Math.imul(hash ^ (bytes[at] as number), 0x0100_0193);
    }
    hash = Math.imul(hash ^ hash >>> 16, 0x85eb_ca6b);
    hash = Math.imul(hash ^ hash >>> 13, 0xc2b2_ae35);
    return (hash ^ hash >>> 16) >>> 0;
  }

  #nextRecord(): number {
    const record = this.#high++;
    if (record === this.#pages.length * PAGE_RECORDS) {
      this.#pages.push(new RecordPage(this.#pages.at(-1)));
    } else this.#pageOf(record).makeRoom(record & IN_PAGE);
    return record;
  }
}
