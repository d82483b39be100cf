/**
 * Many small byte strings in few large buffers. A separate Uint8Array costs
 * 270-900 ns to create, and time of the garbage collector as long as it exists;
 * a place in a slab costs a copy (10-30 ns), and is identified by a number.
 *
 * Memory of a slab is never reused: a view keeps its bytes. Slabs whose content
 * is mostly released are reported as sparse, so that the owner moves the rest
 * and releases them.
 *
 * @module
 */

/** A slab's size in bytes, once a heap has grown; it starts with smaller ones. */
const slabBytes = 64 * 1024;
const firstSlabBytes = 2 * 1024;
/** Contents start at multiples of this, so that a place fits a small integer. */
const unitBytes = 8;
const slabUnits = slabBytes / unitBytes;
/** Contents longer than this get a slab of their own. */
const sharedBytesMax = slabBytes / 4;
/** Each content is preceded by its length. */
const headerBytes = 4;

/** A slab and its bookkeeping. */
interface Slab<Owner> {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bytes of contents that were not released. */
  live: number;
  /** The owners of its contents; kept only by heaps that move them. */
  readonly owners: Owner[];
  reported: boolean;
}

function spaceOf(length: number): number {
  return (length + headerBytes + unitBytes - 1) & ~(unitBytes - 1);
}

/** Byte strings by place. */
export class SlabHeap<Owner = never> {
  readonly #slabs: (Slab<Owner> | undefined)[] = [];
  readonly #freeIndexes: number[] = [];
  readonly #sparse: number[] = [];
  #current = -1;
  #filled = 0;
  #bytes = 0;

  /** Memory held, in bytes, used or not. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Copies `content` in and returns its place. `owner` is told when its slab becomes sparse. */
  put(content: Uint8Array, owner?: Owner): number {
    const place = this.allot(content.length, owner);
    this.memory(place).set(content, this.start(place));
    return place;
  }

  /** Makes room for a content of `length` bytes, which the caller writes at once, and returns its place. */
  allot(length: number, owner?: Owner): number {
    const space = spaceOf(length);
    let index = this.#current;
    let slab = index < 0 ? undefined : this.#slabs[index];
    let offset = 0;
    if (space > sharedBytesMax) {
      index = this.#addSlab(space);
      slab = this.#slabs[index];
    } else {
      if (slab === undefined || this.#filled + space > slab.bytes.length) {
        const left = index;
        index = this.#addSlab(
          Math.max(
            space,
            Math.min(
              slabBytes,
              slab === undefined ? firstSlabBytes : slab.bytes.length * 2,
            ),
          ),
        );
        this.#current = index;
        this.#filled = 0;
        if (left >= 0) this.#noticeSparse(left);
        slab = this.#slabs[index];
      }
      offset = this.#filled;
      this.#filled += space;
    }
    const { bytes, owners } = slab as Slab<Owner>;
    bytes[offset] = length;
    bytes[offset + 1] = length >>> 8;
    bytes[offset + 2] = length >>> 16;
    bytes[offset + 3] = length >>> 24;
    (slab as Slab<Owner>).live += space;
    if (owner !== undefined) owners.push(owner);
    return index * slabUnits + offset / unitBytes;
  }

  /** The content at `place`, without copying. */
  view(place: number): Uint8Array {
    const start = this.start(place);
    return this.memory(place).subarray(start, start + this.length(place));
  }

  /** The memory that the content at `place` is in. */
  memory(place: number): Uint8Array<ArrayBuffer> {
    return (this.#slabs[Math.floor(place / slabUnits)] as Slab<Owner>).bytes;
  }

  /** Where in its memory the content at `place` begins. */
  start(place: number): number {
    return (place % slabUnits) * unitBytes + headerBytes;
  }

  /** How many bytes the content at `place` has. */
  length(place: number): number {
    return lengthAt(this.memory(place), this.start(place) - headerBytes);
  }

  /** Copies the content at `place` to a place of its own for the same `owner`, and gives up the former. */
  move(place: number, owner: Owner): number {
    const length = this.length(place);
    const to = this.allot(length, owner);
    const start = this.start(place);
    this.memory(to).set(
      this.memory(place).subarray(start, start + length),
      this.start(to),
    );
    this.release(place);
    return to;
  }

  /** Releases the content at `place`. */
  release(place: number): void {
    const index = Math.floor(place / slabUnits);
    const slab = this.#slabs[index] as Slab<Owner>;
    slab.live -= spaceOf(
      lengthAt(slab.bytes, (place % slabUnits) * unitBytes),
    );
    if (index !== this.#current) this.#noticeSparse(index);
  }

  /** Whether `place` lies in the slab numbered `index`. */
  isIn(place: number, index: number): boolean {
    return Math.floor(place / slabUnits) === index;
  }

  /** A slab that is mostly garbage, with who put something there, or `undefined`. */
  takeSparse(): { index: number; owners: readonly Owner[] } | undefined {
    const index = this.#sparse.pop();
    if (index === undefined) return undefined;
    return { index, owners: (this.#slabs[index] as Slab<Owner>).owners };
  }

  /** Releases slab `index`; its contents must have been moved. */
  drop(index: number): void {
    this.#bytes -= (this.#slabs[index] as Slab<Owner>).bytes.length;
    this.#slabs[index] = undefined;
    this.#freeIndexes.push(index);
  }

  #addSlab(size: number): number {
    const slab = {
      bytes: new Uint8Array(size),
      live: 0,
      owners: [],
      reported: false,
    };
    this.#bytes += size;
    const index = this.#freeIndexes.pop() ?? this.#slabs.length;
    this.#slabs[index] = slab;
    return index;
  }

  #noticeSparse(index: number): void {
    const slab = this.#slabs[index] as Slab<Owner>;
    if (slab.reported || slab.live * 2 > slab.bytes.length) return;
    slab.reported = true;
    this.#sparse.push(index);
  }
}

function lengthAt(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] as number) | (bytes[offset + 1] as number) << 8 |
    (bytes[offset + 2] as number) << 16 | (bytes[offset + 3] as number) << 24;
}
