/**
 * Memory for the bodies of entries, cut from large pieces: an array of its own
 * for each would cost the engine a microsecond to make and the collector another
 * one to walk over, and a log has hundreds of thousands in memory. Bodies that
 * are placed one after another lie side by side, as they will on the disk.
 *
 * @module
 */

/** Bytes of the first piece; each has twice as many as the one before, */
const SLAB_BYTES_MIN = 16 * 1024;
/** up to so many. */
const SLAB_BYTES_MAX = 1024 * 1024;
/** What there is before the first body: most logs of a node without groups never have one. */
const NO_SLAB = new Uint8Array(0);
/** Larger bodies keep the memory they came in. */
const COPIED_BYTES_MAX = 64 * 1024;

/** Places bodies; the place of the last one is told by its fields. */
export class BodySlabs {
  #current = NO_SLAB;
  #used = 0;
  /** Where the last body is: in here, */
  slab: Uint8Array<ArrayBuffer> = this.#current;
  /** from here on. */
  offset = 0;

  /** Takes `body` over. */
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
