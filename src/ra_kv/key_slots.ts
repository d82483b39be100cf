/**
 * Where the records of keys are found by the hashes of these. It grows a piece
 * at a time, whatever there is: a single table would have to be filled anew when
 * it doubles, for a million keys in a tenth of a second, in which nobody else on
 * the node is served.
 *
 *     directory   upper bits of a hash ──► segment
 *     segment     lower bits ──► record + 1, or 0; linear probing, and what
 *                 follows a removed one moves up (Knuth, vol. 3, 6.4, algorithm R)
 *
 * A segment doubles up to 16,384 slots and is then divided in two by the next
 * bit of the hashes; where that needs more upper bits than the directory goes
 * by, the directory doubles (Fagin, Nievergelt, Pippenger and Strong, "Extendible
 * Hashing", 1979).
 *
 * @module
 */

const SLOTS_MIN = 16;
/** Slots of a segment before it is divided: half a millisecond's work. */
const SLOTS_MAX = 16_384;
/** Upper bits that the directory goes by at most; segments beyond grow on. */
const DEPTH_MAX = 16;

/** Records whose hashes begin with the same bits. */
class Segment {
  readonly depth: number;
  slots: Uint32Array<ArrayBuffer>;
  count = 0;

  /** @param depth How many bits these are. */
  constructor(depth: number, slots: number) {
    this.depth = depth;
    this.slots = new Uint32Array(slots);
  }

  /** Puts in a record that is not there, where there is room. */
  put(hash: number, record: number): void {
    const { slots } = this;
    const mask = slots.length - 1;
    let slot = hash & mask;
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = record + 1;
    this.count++;
  }
}

/** Records by hash; see the module comment. */
export class KeySlots {
  readonly #hashOf: (record: number) => number;
  /** One bit at least, as a shift by 32 would be none. */
  #depth = 1;
  #directory: Segment[];
  #slotCount = SLOTS_MIN;

  /** @param hashOf Hash of the key of a record that is here. */
  constructor(hashOf: (record: number) => number) {
    this.#hashOf = hashOf;
    const first = new Segment(0, SLOTS_MIN);
    this.#directory = [first, first];
  }

  /** Memory it takes, in bytes. */
  get byteCount(): number {
    return this.#slotCount * 4 + this.#directory.length * 8;
  }

  #segmentOf(hash: number): Segment {
    return this.#directory[hash >>> (32 - this.#depth)] as Segment;
  }

  /** The slots in which a record of that hash is, if there is one, from `hash & (length - 1)` on, before the first 0. */
  slotsOf(hash: number): Uint32Array<ArrayBuffer> {
    return this.#segmentOf(hash).slots;
  }

  /** Puts in `record`, which is not there. */
  add(hash: number, record: number): void {
    let segment = this.#segmentOf(hash);
    while ((segment.count + 1) * 2 > segment.slots.length) {
      if (segment.slots.length < SLOTS_MAX || segment.depth === DEPTH_MAX) {
        this.#enlarge(segment);
      } else this.#divide(segment, hash);
      segment = this.#segmentOf(hash);
    }
    segment.put(hash, record);
  }

  #enlarge(segment: Segment): void {
    const { slots } = segment;
    segment.slots = new Uint32Array(slots.length * 2);
    segment.count = 0;
    this.#slotCount += slots.length;
    for (const entry of slots) {
      if (entry !== 0) segment.put(this.#hashOf(entry - 1), entry - 1);
    }
  }

  /** @param hash Of a record that is to go there. */
  #divide({ depth, slots }: Segment, hash: number): void {
    if (depth === this.#depth) {
      const before = this.#directory;
      const twice = Array.from(
        { length: 2 * before.length },
        (_, place) => before[place >>> 1] as Segment,
      );
      this.#directory = twice;
      this.#depth++;
    }
    const halves = [0, 1].map(() => new Segment(depth + 1, slots.length));
    this.#slotCount += slots.length;
    for (const entry of slots) {
      if (entry === 0) continue;
      const each = this.#hashOf(entry - 1);
      const half = each >>> (31 - depth) & 1;
      (halves[half] as Segment).put(each, entry - 1);
    }
    const prefix = depth === 0 ? 0 : hash >>> (32 - depth);
    const places = 1 << (this.#depth - depth);
    for (let i = 0; i < places; i++) {
      const half = halves[i < places / 2 ? 0 : 1] as Segment;
      this.#directory[prefix * places + i] = half;
    }
  }

  /** Takes `record` out, which is there. */
  remove(hash: number, record: number): void {
    const segment = this.#segmentOf(hash);
    const { slots } = segment;
    const mask = slots.length - 1;
    let hole = hash & mask;
    while (slots[hole] !== record + 1) hole = (hole + 1) & mask;
    for (let slot = (hole + 1) & mask; slots[slot] !== 0;) {
      const entry = slots[slot] as number;
      const home = this.#hashOf(entry - 1) & mask;
      // It may move up unless its own home lies behind the hole.
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        slots[hole] = entry;
        hole = slot;
      }
      slot = (slot + 1) & mask;
    }
    slots[hole] = 0;
    segment.count--;
  }
}
