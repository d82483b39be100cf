/**
 * Memory for the bodies of entries, cut from large slabs: an array for each
 * would take a microsecond to allocate and another to trace in garbage
 * collections, and a log has hundreds of thousands of bodies in memory. Bodies
 * placed one after another are contiguous, as they will be on the disk.
 *
 * @module
 */

/** Bytes of the first slab; each is twice as large as the one before. */
const SLAB_BYTES_MIN = 16 * 1024;
/** Bytes of the largest slab. */
const SLAB_BYTES_MAX = 1024 * 1024;
/** Used until the first body, so that unused logs take no memory. */
const NO_SLAB = new Uint8Array(0);
/** Larger bodies are not copied. */
const COPIED_BYTES_MAX = 64 * 1024;

/** Places bodies; its fields hold the place of the last one. */
export class BodySlabs {
  #current = NO_SLAB;
  #used = 0;
  /** The slab that holds the last body. */
  slab: Uint8Array<ArrayBuffer> = this.#current;
  /** Where the last body begins in it. */
  offset = 0;

  /** Places `body`, which must not change any more. */
  place(body: Uint8Array<ArrayBuffer>): void {
    const { length } = body;
    if (length > COPIED_BYTES_MAX) {
      this.slab = body;
      this.offset = 0;
      return;
    }
    while (this.#used + length > this.#current.length) {
      this.#current = new Uint8Array(
        Math.min(
          SLAB_BYTES_MAX,
          Math.max(SLAB_BYTES_MIN, 2 * this.#current.length),
        ),
      );
      this.#used = 0;
    }
    this.#current.set(body, this.#used);
    this.slab = this.#current;
    this.offset = this.#used;
    this.#used += length;
  }
}
