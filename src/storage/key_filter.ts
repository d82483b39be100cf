/**
 * Tells which keys are certainly not in a store, in about 12 bits per key. A
 * put must know what it replaces; without this, every put of a new key would
 * cost a read from disk that finds nothing.
 *
 * It is a list of split-block Bloom filters (Putze, Sanders, Singler, "Cache-,
 * Hash- and Space-Efficient Bloom Filters", 2007; the block layout is that of
 * Parquet): one hash picks a block of 256 bits, eight multiplications pick one
 * bit in each of its eight words. When a filter is full, one of twice its size
 * is added, until the memory given is used up; from then on the newest holds
 * more keys than intended and has more false positives, which is safe. Removed
 * keys stay in it until the store is reopened.
 *
 * @module
 */

const wordsPerBlock = 8;
const keysPerBlock = 21;
const firstBlocks = 128;

const salts = new Int32Array([
  0x47b6137b,
  0x44974d91,
  0x8824ad5b,
  0xa2b7289d,
  0x705495c7,
  0x2df1424b,
  0x9efc4947,
  0x5c6bfb31,
]);

interface Layer {
  readonly words: Int32Array<ArrayBuffer>;
  /** One less than the number of blocks, which is a power of two. */
  readonly mask: number;
  keys: number;
}

/** A set of 32-bit hashes with false positives, but no false negatives. */
export class KeyFilter {
  readonly #layers: Layer[] = [];
  readonly #bytesMax: number;
  #bytes = 0;

  /** @param bytesMax Memory it may use, in bytes; at least one layer of 4 KiB is used. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#grow(firstBlocks);
  }

  /** Memory in use, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a key's hash. */
  add(hash: number): void {
    if (this.mayHave(hash)) return;
    let layer = this.#layers[this.#layers.length - 1] as Layer;
    if (layer.keys >= (layer.mask + 1) * keysPerBlock) {
      const blocks = (layer.mask + 1) * 2;
      if (this.#bytes + blocks * wordsPerBlock * 4 <= this.#bytesMax) {
        layer = this.#grow(blocks);
      }
    }
    layer.keys++;
    const spread = mix(hash);
    const words = layer.words;
    const block = (hash & layer.mask) * wordsPerBlock;
    for (let i = 0; i < wordsPerBlock; i++) {
      words[block + i] = (words[block + i] as number) |
        1 << (Math.imul(spread, salts[i] as number) >>> 27);
    }
  }

  /** False if a key with this hash was certainly never added. */
  mayHave(hash: number): boolean {
    const spread = mix(hash);
    for (let at = this.#layers.length - 1; at >= 0; at--) {
      const { words, mask } = this.#layers[at] as Layer;
      const block = (hash & mask) * wordsPerBlock;
      let i = 0;
      while (
        i < wordsPerBlock &&
        ((words[block + i] as number) &
            1 << (Math.imul(spread, salts[i] as number) >>> 27)) !== 0
      ) i++;
      if (i === wordsPerBlock) return true;
    }
    return false;
  }

  /** Its content as bytes, for {@linkcode KeyFilter.restore}. */
  save(): Uint8Array<ArrayBuffer> {
    const saved = new Uint8Array(4 + this.#layers.length * 8 + this.#bytes);
    const view = new DataView(saved.buffer);
    view.setUint32(0, this.#layers.length);
    let offset = 4;
    for (const { words, mask, keys } of this.#layers) {
      view.setUint32(offset, mask + 1);
      view.setUint32(offset + 4, keys);
      offset += 8;
      for (let i = 0; i < words.length; i++, offset += 4) {
        view.setInt32(offset, words[i] as number);
      }
    }
    return saved;
  }

  /** Takes over what was saved, which must be undamaged, in place of its content. */
  restore(saved: Uint8Array): void {
    const view = new DataView(saved.buffer, saved.byteOffset, saved.length);
    this.#layers.length = 0;
    this.#bytes = 0;
    let offset = 4;
    for (let left = view.getUint32(0); left > 0; left--) {
      const layer = this.#grow(view.getUint32(offset));
      layer.keys = view.getUint32(offset + 4);
      offset += 8;
      for (let i = 0; i < layer.words.length; i++, offset += 4) {
        layer.words[i] = view.getInt32(offset);
      }
    }
  }

  #grow(blocks: number): Layer {
    const layer = {
      words: new Int32Array(blocks * wordsPerBlock),
      mask: blocks - 1,
      keys: 0,
    };
    this.#layers.push(layer);
    this.#bytes += layer.words.byteLength;
    return layer;
  }
}

/** The finalizer of MurmurHash3 (Appleby): the bits in a block must not follow from its number. */
function mix(hash: number): number {
  let mixed = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  mixed = Math.imul(mixed ^ mixed >>> 13, 0xc2b2ae35);
  return mixed ^ mixed >>> 16;
}
