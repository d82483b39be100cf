/**
 * The first keys, in order, of many that are added in any order: as many as fit
 * into a page.
 *
 * @module
 */
import { compareBytes } from "../base/byte_order.ts";

/** The first keys of those that are added. */
export class FirstKeys {
  readonly #bytesMax: number;
  readonly #overheadBytes: number;
  #found: Uint8Array[] = [];
  #bytes = 0;
  #isCut = false;

  /**
   * @param bytesMax Bytes of a page; at least one key is taken, whatever its
   * size.
   * @param overheadBytes Bytes of a key besides its own.
   */
  constructor(bytesMax: number, overheadBytes: number) {
    this.#bytesMax = bytesMax;
    this.#overheadBytes = overheadBytes;
  }

  /** Adds `key`, which is not copied. */
  add(key: Uint8Array): void {
    this.#found.push(key);
    this.#bytes += this.#overheadBytes + key.length;
    // Only now and then, so that sorting costs little.
    if (this.#bytes > 4 * this.#bytesMax) this.#cut();
  }

  /**
   * The page: its keys, ascending, their bytes including overhead, and whether
   * there are more.
   */
  page(): {
    readonly keys: readonly Uint8Array[];
    readonly bytes: number;
    readonly isCut: boolean;
  } {
    this.#cut();
    return { keys: this.#found, bytes: this.#bytes, isCut: this.#isCut };
  }

  #cut(): void {
    this.#found.sort(compareBytes);
    this.#bytes = 0;
    for (let place = 0; place < this.#found.length; place++) {
      const bytes = this.#overheadBytes +
        (this.#found[place] as Uint8Array).length;
      if (place > 0 && this.#bytes + bytes > this.#bytesMax) {
        this.#isCut = true;
        this.#found = this.#found.slice(0, place);
        return;
      }
      this.#bytes += bytes;
    }
  }
}
