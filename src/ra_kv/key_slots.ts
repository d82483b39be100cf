/**
 * Finds the records of keys by their hashes. It grows in small steps however
 * large it is: a single table would have to be refilled when it doubles, which
 * takes a tenth of a second for a million keys and blocks everything else on
 * the node.
 *
 *     directory   upper bits of a hash ──► segment
 *     segment     lower bits ──► record + 1, or 0; linear probing, and what
 *                 follows a removed one moves up (Knuth, vol. 3, 6.4, algorithm R)
 *
 * A segment doubles up to 16,384 slots. Then it is split in two by the next bit
 * of the hashes; if that needs more upper bits than the directory uses, the
 * directory doubles (Fagin, Nievergelt, Pippenger and Strong, "Extendible
 * Hashing", 1979).
 *
 * @module
 */

const SLOTS_MIN = 16;
/** Slots of a segment before it is split: half a millisecond's work. */
const SLOTS_MAX = 16_384;
/** Most upper bits that the directory uses; beyond that, segments keep doubling. */
const DEPTH_MAX = 16;

/** Records whose hashes begin with the same bits. */
class Segment {
  readonly depth: number;
  slots: Uint32Array<ArrayBuffer>;
  count = 0;

  /** @param depth The number of those bits. */
  constructor(depth: number, slots: number) {
    this.depth = depth;
    this.slots = new Uint32Array(slots);
  }

  /** Inserts a record that is not in the segment. There must be a free slot. */
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
  /** At least one bit, because `>>> 32` would not shift at all. */
  #depth = 1;
  #directory: Segment[];
  #slotCount = SLOTS_MIN;

  /** @param hashOf Hash of the key of a stored record. */
  constructor(hashOf: (record: number) => number) {
    this.#hashOf = hashOf;
    const first = new Segment(0, SLOTS_MIN);
    this.#directory = [first, first];
  }

  /** Memory used, in bytes. */
  get byteCount(): number {
    return this.#slotCount * 4 + this.#directory.length * 8;
  }

  #segmentOf(hash: number): Segment {
    return this.#directory[hash >>> (32 - this.#depth)] as Segment;
  }

  /**
   * The slots in which to look for a record with that hash: from `hash &
   * (length - 1)` on, up to the first 0.
   */
  slotsOf(hash: number): Uint32Array<ArrayBuffer> {
    return this.#segmentOf(hash).slots;
  }

  /** Adds `record`, which must not be present. */
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

  /** @param hash A hash that belongs to the segment. */
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

  /** Removes `record`, which must be present. */
  remove(hash: number, record: number): void {
    const segment = this.#segmentOf(hash);
    const { slots } = segment;
    const mask = slots.length - 1;
    let hole = hash & mask;
    while (slots[hole] !== record + 1) hole = (hole + 1) & mask;
    for (let slot = (hole + 1) & mask; slots[slot] !== 0;) {
      const entry = slots[slot] as number;
      const home = this.#hashOf(entry - 1) & mask;
      // It may move into the hole unless its home slot lies after the hole.
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
