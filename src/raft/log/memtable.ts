/**
 * The entries of one group that are in memory: those not in segments yet. They
 * are stored in columns instead of objects, so that hundreds of thousands of
 * them do not lengthen the pauses of the garbage collector. Only the newest,
 * which are about to be sent and applied, are also kept as the objects they
 * came as; not for long, since each object keeps a request's slab alive
 * (`src/base/byte_slab.ts`).
 *
 * The indexes are contiguous, but below a snapshot only live entries exist: the
 * others are holes.
 *
 * @module
 */
import { invariant } from "../../base/invariant.ts";
import type { RaftEntry } from "../raft_entry.ts";

/** Newest entries that are also kept as objects. */
const OBJECTS_MAX = 1_024;
const CAPACITY_MIN = 16;
/** Larger capacity is released when the memtable becomes empty. */
const CAPACITY_KEPT = 4_096;
/** Numbers in `#places` for each entry: offset, length, CRC-32. */
const PLACE = 3;

type Slab = Uint8Array<ArrayBuffer>;

/** Where an entry is; reused for many entries. */
export interface EntryPlace {
  term: number;
  slab: Slab;
  offset: number;
  length: number;
  crc: number;
}

/** Entries in memory, by index. */
export class Memtable {
  #first = 1;
  /** Positions dropped at the front, not reclaimed yet. */
  #head = 0;
  #slabs: (Slab | undefined)[] = [];
  #terms: number[] = [];
  #objects: (RaftEntry | undefined)[] = [];
  /** Objects up to this index were released. */
  #letGoIndex = 0;
  #places = new Uint32Array(CAPACITY_MIN * PLACE);
  #count = 0;
  #bytes = 0;

  /** Index of the first position, perhaps a hole; `last + 1` if there is none. */
  get first(): number {
    return this.#first;
  }

  /** Index of the last entry. */
  get last(): number {
    return this.#first + this.#slabs.length - this.#head - 1;
  }

  /** Number of entries, without holes. */
  get count(): number {
    return this.#count;
  }

  /** Total bytes of their bodies. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds the entry at `index`, behind all others; skipped indexes become holes.
   *
   * @param object The entry itself, if it is about to be used.
   */
  push(
    index: number,
    term: number,
    slab: Slab,
    offset: number,
    length: number,
    crc: number,
    object?: RaftEntry,
  ): void {
    invariant(index > this.last, "an entry is added behind the others");
    if (this.#slabs.length === this.#head) {
      this.#forgetAll();
      this.#first = index;
    }
    while (index > this.last + 1) this.#put(undefined, 0, 0, 0, 0, undefined);
    this.#put(slab, term, offset, length, crc, object);
    this.#count++;
    this.#bytes += length;
    const old = this.#objects.length - 1 - OBJECTS_MAX;
    if (old >= 0) this.#objects[old] = undefined;
  }

  #put(
    slab: Slab | undefined,
    term: number,
    offset: number,
    length: number,
    crc: number,
    object: RaftEntry | undefined,
  ): void {
    if (this.#slabs.length * PLACE === this.#places.length) this.#makeRoom();
    const at = this.#slabs.length * PLACE;
    this.#slabs.push(slab);
    this.#terms.push(term);
    this.#objects.push(object);
    this.#places[at] = offset;
    this.#places[at + 1] = length;
    this.#places[at + 2] = crc;
  }

  #makeRoom(): void {
    if (this.#head > this.#slabs.length / 2) {
      this.#moveUp();
      return;
    }
    const larger = new Uint32Array(2 * this.#places.length);
    larger.set(this.#places);
    this.#places = larger;
  }

  #moveUp(): void {
    const head = this.#head;
    this.#slabs = this.#slabs.slice(head);
    this.#terms = this.#terms.slice(head);
    this.#objects = this.#objects.slice(head);
    this.#places.copyWithin(0, head * PLACE);
    this.#head = 0;
  }

  #forgetAll(): void {
    this.#first = this.last + 1;
    this.#head = 0;
    this.#slabs = [];
    this.#terms = [];
    this.#objects = [];
    if (this.#places.length > CAPACITY_KEPT * PLACE) {
      this.#places = new Uint32Array(CAPACITY_MIN * PLACE);
    }
    this.#count = 0;
    this.#bytes = 0;
  }

  /** Position of `index` in the columns, -1 if it is not here. */
  #at(index: number): number {
    const at = index - this.#first + this.#head;
    return at >= this.#head && this.#slabs[at] !== undefined ? at : -1;
  }

  /** Whether the entry at `index` is here. */
  has(index: number): boolean {
    return this.#at(index) >= 0;
  }

  /** Term of the entry at `index`, if it is here. */
  termAt(index: number): number | undefined {
    const at = this.#at(index);
    return at < 0 ? undefined : this.#terms[at];
  }

  /** Bytes of the body of the entry at `index`, -1 if it is not here. */
  lengthAt(index: number): number {
    const at = this.#at(index);
    return at < 0 ? -1 : this.#places[at * PLACE + 1] as number;
  }

  /** The entry at `index`, if it is here. */
  entry(index: number): RaftEntry | undefined {
    const at = this.#at(index);
    if (at < 0) return undefined;
    const object = this.#objects[at];
    if (object !== undefined) return object;
    const offset = this.#places[at * PLACE] as number;
    const length = this.#places[at * PLACE + 1] as number;
    return {
      index,
      term: this.#terms[at] as number,
      body: (this.#slabs[at] as Slab).subarray(offset, offset + length),
    };
  }

  /** Fills `place` with the location of the entry at `index`; false if it is not here. */
  placeOf(index: number, place: EntryPlace): boolean {
    const at = this.#at(index);
    if (at < 0) return false;
    place.term = this.#terms[at] as number;
    place.slab = this.#slabs[at] as Slab;
    place.offset = this.#places[at * PLACE] as number;
    place.length = this.#places[at * PLACE + 1] as number;
    place.crc = this.#places[at * PLACE + 2] as number;
    return true;
  }

  /** Releases the objects of entries up to `index`: they have been applied, and can be made again from their bytes. */
  letGoOfObjects(index: number): void {
    const end = Math.min(index, this.last);
    const start = Math.max(this.#letGoIndex + 1, this.#first);
    const offset = this.#head - this.#first;
    for (let i = start; i <= end; i++) this.#objects[i + offset] = undefined;
    this.#letGoIndex = Math.max(this.#letGoIndex, end);
  }

  /** Removes the entries from `index` on. */
  cutFrom(index: number): void {
    this.#letGoIndex = Math.min(this.#letGoIndex, index - 1);
    if (index <= this.#first) {
      const first = Math.min(index, this.#first);
      this.#forgetAll();
      this.#first = first;
      return;
    }
    for (let last = this.last; last >= index; last--) {
      this.#uncount(this.#slabs.length - 1);
      this.#slabs.pop();
      this.#terms.pop();
      this.#objects.pop();
    }
  }

  /** Removes the entries up to `index`, at most `placesMax` positions at a time; false if more are left. */
  dropTo(index: number, placesMax: number = Infinity): boolean {
    if (index - this.#first >= placesMax) {
      this.#drop(this.#first + placesMax - 1);
      return false;
    }
    this.#drop(index);
    return true;
  }

  #drop(index: number): void {
    if (index >= this.last) this.#forgetAll();
    else while (this.#first <= index) this.#dropFirst();
  }

  #dropFirst(): void {
    const at = this.#head++;
    this.#first++;
    this.#uncount(at);
    this.#slabs[at] = undefined;
    this.#objects[at] = undefined;
    if (this.#head > 4_096 && this.#head > this.#slabs.length / 2) {
      this.#moveUp();
    }
  }

  /** Removes the entries from `from` to `to` that are not live. */
  keepLive(
    from: number,
    to: number,
    isLive: (index: number) => boolean,
  ): void {
    const end = Math.min(to, this.last);
    for (let index = Math.max(from, this.#first); index <= end; index++) {
      const at = this.#at(index);
      if (at < 0 || isLive(index)) continue;
      this.#uncount(at);
      this.#slabs[at] = undefined;
      this.#objects[at] = undefined;
    }
    if (this.#count === 0) {
      this.#forgetAll();
      return;
    }
    while (this.#first <= end && this.#slabs[this.#head] === undefined) {
      this.#dropFirst();
    }
  }

  #uncount(at: number): void {
    if (this.#slabs[at] === undefined) return;
    this.#count--;
    this.#bytes -= this.#places[at * PLACE + 1] as number;
  }
}
