/**
 * Recently used values, within a budget of bytes. Two generations replace a
 * list in order of use: a used value is put into the young one; when that has
 * half the budget, it becomes the old one and the previous old one is dropped
 * as a whole. So the last half budget of used values is always cached, a hit
 * costs one or two look-ups, and the garbage collector traces a few slabs
 * instead of a hundred thousand values.
 *
 * @module
 */
import { SlabHeap } from "./slab_heap.ts";

/**
 * The memory of an entry besides its value: an entry in a map, and the key's
 * text.
 */
const entryBytes = 64;
const absent = -1;

interface Generation {
  readonly places: Map<string, number>;
  readonly heap: SlabHeap;
  keyBytes: number;
}

function emptyGeneration(): Generation {
  return { places: new Map(), heap: new SlabHeap(), keyBytes: 0 };
}

/** A cache of values and of the knowledge that there is none. */
export class ReadCache {
  readonly #bytesMax: number;
  #young = emptyGeneration();
  #old = emptyGeneration();

  /** @param bytesMax Memory to use, in bytes; 0 keeps nothing. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Memory in use, in bytes, roughly. */
  get bytes(): number {
    return sizeOf(this.#young) + sizeOf(this.#old);
  }

  /** The value of `key`, `null` if it is known to have none, `undefined` if nothing is known. */
  get(key: string): Uint8Array | null | undefined {
    const place = this.#young.places.get(key);
    if (place !== undefined) {
      return place === absent ? null : this.#young.heap.view(place);
    }
    const oldPlace = this.#old.places.get(key);
    if (oldPlace === undefined) return undefined;
    const value = oldPlace === absent ? null : this.#old.heap.view(oldPlace);
    this.put(key, value);
    return value;
  }

  /** Remembers a copy of `value`, or with `null` that there is none. */
  put(key: string, value: Uint8Array | null): void {
    // One value must not evict everything else.
    if ((value?.length ?? 0) * 8 > this.#bytesMax) {
      this.forget(key);
      return;
    }
    const young = this.#young;
    if (!young.places.has(key)) young.keyBytes += key.length + entryBytes;
    young.places.set(key, value === null ? absent : young.heap.put(value));
    if (sizeOf(young) * 2 > this.#bytesMax) {
      this.#old = young;
      this.#young = emptyGeneration();
    }
  }

  /** Forgets what is known of `key`. */
  forget(key: string): void {
    this.#young.places.delete(key);
    this.#old.places.delete(key);
  }
}

function sizeOf(generation: Generation): number {
  return generation.heap.bytes + generation.keyBytes;
}
